"""What a group is told of its offsets."""

from __future__ import annotations

import pytest

from kbroker.coordinators.groups.offsets_fetch import fetch
from kbroker.errors import Refusal
from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
)
from offsets_world import World

A, B = ("t", 0), ("t", 1)


@pytest.fixture
def world() -> World:
    world = World()
    world.create("t", 2)
    world.create("u")
    return world


def answer(world: World, group: str, topics: list[OffsetFetchRequestTopics] | None, version: int = 10) -> list[object]:
    request = OffsetFetchRequestGroup(group_id=group, topics=topics)
    response = fetch(world.shard.offsets, request, version, require_stable=False).response
    assert isinstance(response, OffsetFetchResponseGroup)
    return [(topic.name, topic.topic_id, len(topic.partitions)) for topic in response.topics]


def test_what_was_never_committed_is_minus_one_whether_it_is_there_or_not(world: World) -> None:
    world.commit("g", {A: 5})
    assert world.fetch("g", [A, B, ("t", 7), ("nope", 0)]) == {A: 5, B: -1, ("t", 7): -1, ("nope", 0): -1}
    assert world.fetch("nobody", [A]) == {A: -1}
    assert world.fetch("nobody") == {}
    assert world.fetch("g", []) == {}


def test_everything_comes_by_topic_with_partitions_in_order(world: World) -> None:
    world.commit("g", {B: 1, ("u", 0): 2})
    world.commit("g", {A: 3})
    assert list(world.fetch("g").items()) == [(A, 3), (B, 1), (("u", 0), 2)]


def test_pending_offsets_are_unstable_for_who_asks_for_stable_ones(world: World) -> None:
    world.commit("g", {A: 5})
    world.txn_commit("g", {A: 6, B: 7})
    assert world.fetch("g", [A, B]) == {A: 5, B: -1}
    assert world.fetch("g", [A, B], stable=True) == dict.fromkeys((A, B), "UNSTABLE_OFFSET_COMMIT")
    assert world.fetch("g", stable=True) == {A: "UNSTABLE_OFFSET_COMMIT"}, "of what was committed before"
    world.end(commit=True)
    assert world.fetch("g", stable=True) == {A: 6, B: 7}


def test_topics_by_id_are_told_by_id_and_those_that_are_not_there_come_last(world: World) -> None:
    world.commit("g", {A: 5})
    t, u, stranger = world.image.topic_ids["t"], world.image.topic_ids["u"], b"s" * 16
    asked = [
        OffsetFetchRequestTopics(topic_id=topic_id, partition_indexes=indexes)
        for topic_id, indexes in [(stranger, [0, 1]), (t, [0]), (stranger, []), (u, [])]
    ]
    assert answer(world, "g", asked) == [("", t, 1), ("", u, 0), ("", stranger, 2), ("", stranger, 0)]
    request = OffsetFetchRequestGroup(group_id="g", topics=asked)
    response = fetch(world.shard.offsets, request, 10, require_stable=False).response
    assert isinstance(response, OffsetFetchResponseGroup)
    rows = [(row.committed_offset, row.metadata, row.error_code) for each in response.topics for row in each.partitions]
    assert rows == [(5, "", 0), *[(-1, "", ErrorCode.UNKNOWN_TOPIC_ID)] * 2]
    assert answer(world, "g", None) == [("t", t, 1)]


def test_a_member_whose_epoch_is_not_the_groups_is_refused(world: World) -> None:
    class Strict:
        def check_fetch(self, member_id: str | None, member_epoch: int) -> None:
            if (member_id, member_epoch) != ("m", 3):
                raise Refusal(ErrorCode.STALE_MEMBER_EPOCH)

    world.shard.context.groups["g"] = Strict()  # type: ignore[assignment]
    request = OffsetFetchRequestGroup(group_id="g", member_id="m", member_epoch=3, topics=[])
    assert fetch(world.shard.offsets, request, 9, require_stable=False).response is not None
    request.member_epoch = 2
    with pytest.raises(Refusal, match="STALE_MEMBER_EPOCH"):
        fetch(world.shard.offsets, request, 9, require_stable=False)
