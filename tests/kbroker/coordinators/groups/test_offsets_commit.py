"""Who may commit which offsets, with the codes that Apache Kafka 4.4 gives in each version."""

from __future__ import annotations

import pytest

from kbroker.coordinators.groups.offsets_commit import commit, is_longer
from kbroker.errors import Refusal
from kbroker_storage import UNASKED
from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from offsets_world import WALL_MS, World

A, B, C = ("t", 0), ("t", 1), ("u", 0)
OK = "NONE"


@pytest.fixture
def world() -> World:
    world = World()
    world.create("t", 2)
    world.create("u")
    return world


def test_what_is_not_there_fails_alone_and_comes_first_in_the_answer(world: World) -> None:
    rows = world.commit("g", {A: 1, ("t", 2): 1, ("nope", 0): 1, ("t", -1): 1, C: 1})
    unknown = "UNKNOWN_TOPIC_OR_PARTITION"
    assert list(rows.items()) == [
        (("t", 2), unknown), (("t", -1), unknown), (A, OK), (("nope", 0), unknown), (C, OK)
    ]  # fmt: skip
    assert world.fetch("g") == {A: 1, C: 1}


def test_a_request_of_which_nothing_is_there_asks_no_group(world: World) -> None:
    rows = world.commit("g", {("nope", 0): 1}, generation_id_or_member_epoch=3)
    assert rows == {("nope", 0): "UNKNOWN_TOPIC_OR_PARTITION"}
    assert world.commit("g", {}, generation_id_or_member_epoch=3) == {}
    assert world.txn_commit("g", {("nope", 0): 1}, generation_id_or_member_epoch=3) == rows


@pytest.mark.parametrize("offset", [0, -1, -5, -(2**63), 2**63 - 1])
def test_every_number_is_an_offset(world: World, offset: int) -> None:
    assert world.commit("g", {A: offset}) == {A: OK}
    assert world.fetch("g", [A]) == {A: offset}


@pytest.mark.parametrize("retention_ms", [2**63 - 1, 2**63 - WALL_MS])
def test_a_retention_may_be_longer_than_time_can_be_written(world: World, retention_ms: int) -> None:
    assert world.commit("g", {A: 1}, version=4, retention_time_ms=retention_ms) == {A: OK}
    world.pass_time(24 * 365)
    assert world.fetch("g") == {A: 1}


def test_a_commit_is_not_larger_than_its_records_may_be(world: World) -> None:
    """A partition may be named again and again, and each time the record has the group's long id."""
    row = OffsetCommitRequestPartition(partition_index=0, committed_offset=1, committed_metadata=None)
    for group, times, code in (("g" * 32_000, 600, "UNKNOWN_SERVER_ERROR"), ("g" * 32_000, 100, OK), ("g", 600, OK)):
        topics = [OffsetCommitRequestTopic(name="t", partitions=[row] * times)]
        request = OffsetCommitRequest(group_id=group, topics=topics)
        if code == OK:
            assert len(commit(world.shard.offsets, request, 9, world.now).records) == times
            continue
        with pytest.raises(Refusal, match=code):
            commit(world.shard.offsets, request, 9, world.now)
        assert not world.shard.context.groups


def test_metadata_that_is_too_long_fails_its_partition_alone(world: World) -> None:
    assert world.commit("g", {A: 1}, metadata="x" * 4096) == {A: OK}
    assert world.commit("g", {A: 2, B: 2}, metadata="x" * 4097) == dict.fromkeys((A, B), "OFFSET_METADATA_TOO_LARGE")
    assert world.fetch("g") == {A: 1}
    assert set(world.shard.context.groups) == {"g"}
    world.commit("new", {A: 2}, metadata="x" * 4097)
    assert set(world.shard.context.groups) == {"g"}, "no record, no group"


@pytest.mark.parametrize(
    ("text", "limit", "longer"),
    [("abc", 3, False), ("abcd", 3, True), ("\U0001f600", 1, True), ("\U0001f600", 2, False), ("äöü", 3, False)],
)
def test_characters_are_counted_as_java_counts_them(text: str, limit: int, longer: bool) -> None:
    assert is_longer(text, limit) is longer


@pytest.mark.parametrize(
    ("version", "code"), [(2, "ILLEGAL_GENERATION"), (8, "ILLEGAL_GENERATION"), (9, "GROUP_ID_NOT_FOUND")]
)
def test_a_generation_of_no_group(world: World, version: int, code: str) -> None:
    assert world.commit("g", {A: 1}, version, generation_id_or_member_epoch=3) == {A: code}
    assert world.commit("g", {A: 1}, version, member_id="stranger") == {A: OK}


def test_a_group_without_members_takes_commits_of_nobody_alone(world: World) -> None:
    world.commit("g", {A: 1})
    assert world.commit("g", {A: 2}, generation_id_or_member_epoch=0) == {A: "UNKNOWN_MEMBER_ID"}
    assert world.commit("g", {A: 2}, group_instance_id="i", generation_id_or_member_epoch=1) == {A: "UNKNOWN_MEMBER_ID"}
    assert world.commit("g", {A: 2}, group_instance_id="i") == {A: OK}
    assert world.commit("", {A: 2}) == {A: OK}
    assert world.fetch("") == {A: 2}


CASES = [  # what the request says of the member, while the assignment is awaited, and in a stable group
    ({"member_id": "m", "generation_id_or_member_epoch": 1}, "REBALANCE_IN_PROGRESS", OK),
    ({}, "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
    ({"member_id": "m", "generation_id_or_member_epoch": 2}, "ILLEGAL_GENERATION", "ILLEGAL_GENERATION"),
    ({"member_id": "m"}, "ILLEGAL_GENERATION", "ILLEGAL_GENERATION"),
    ({"member_id": "x", "generation_id_or_member_epoch": 1}, "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
    ({"generation_id_or_member_epoch": 1}, "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
    (
        {"member_id": "x", "generation_id_or_member_epoch": 1, "group_instance_id": "i"},
        "FENCED_INSTANCE_ID",
        "FENCED_INSTANCE_ID",
    ),
    ({"group_instance_id": "i"}, "FENCED_INSTANCE_ID", "FENCED_INSTANCE_ID"),
    (
        {"member_id": "m", "generation_id_or_member_epoch": 1, "group_instance_id": "other"},
        "UNKNOWN_MEMBER_ID",
        "UNKNOWN_MEMBER_ID",
    ),
]


@pytest.mark.parametrize(("fields", "completing", "stable"), CASES)
def test_members_of_a_classic_group(world: World, fields: dict[str, object], completing: str, stable: str) -> None:
    member = world.member("g", "t", instance="i")
    fields = {name: member if value == "m" else value for name, value in fields.items()}
    assert world.commit("g", {A: 1}, **fields) == {A: completing}
    world.assign("g", member)
    assert world.commit("g", {A: 1}, **fields) == {A: stable}


TXN_CASES = [  # in a transaction it does not matter whether the assignment is awaited
    ({"member_id": "m", "generation_id_or_member_epoch": 1}, OK),
    ({}, OK),
    ({"member_id": "m", "generation_id_or_member_epoch": 2}, "ILLEGAL_GENERATION"),
    ({"member_id": "m"}, "ILLEGAL_GENERATION"),
    ({"member_id": "x"}, "UNKNOWN_MEMBER_ID"),
    ({"generation_id_or_member_epoch": 1}, "UNKNOWN_MEMBER_ID"),
]


@pytest.mark.parametrize("version", [3, 5])
@pytest.mark.parametrize(("fields", "code"), TXN_CASES)
def test_members_of_a_classic_group_in_transactions(
    world: World, fields: dict[str, object], code: str, version: int
) -> None:
    member = world.member("g", "t")
    fields = {name: member if value == "m" else value for name, value in fields.items()}
    assert world.txn_commit("g", {A: 1}, version=version, **fields) == {A: code}
    world.assign("g", member)
    assert world.txn_commit("g", {A: 1}, version=version, **fields) == {A: code}


@pytest.mark.parametrize(("version", "code"), [(3, "ILLEGAL_GENERATION"), (5, "ILLEGAL_GENERATION")])
def test_a_generation_of_no_group_in_a_transaction(world: World, version: int, code: str) -> None:
    assert world.txn_commit("g", {A: 1}, version=version, generation_id_or_member_epoch=3) == {A: code}
    assert world.txn_commit("g", {A: 1}, version=version, group_instance_id="i") == {A: OK}


class Behind:
    """A group whose member may commit for one partition only."""

    def check_commit(self, *_: object, **__: object) -> object:
        def may(topic: str, topic_id: bytes, partition: int) -> None:
            assert topic_id
            if (topic, partition) != A:
                raise Refusal(ErrorCode.STALE_MEMBER_EPOCH)

        return may

    def committed(self, member_id: str, now_s: float) -> None:
        pass


def test_a_member_that_may_not_commit_for_one_partition_may_for_none(world: World) -> None:
    world.shard.context.groups["g"] = Behind()  # type: ignore[assignment]
    assert world.commit("g", {A: 1, B: 1}) == dict.fromkeys((A, B), "STALE_MEMBER_EPOCH")
    assert world.txn_commit("g", {A: 1, B: 1}, version=5) == dict.fromkeys((A, B), "ILLEGAL_GENERATION")
    assert world.txn_commit("g", {A: 1, B: 1}, version=3) == dict.fromkeys((A, B), "ILLEGAL_GENERATION")
    assert world.shard.offsets.of("g") == {}
    assert world.commit("g", {A: 1}) == {A: OK}
    assert world.txn_commit("g", {A: 1}) == {A: OK}


def test_a_commit_keeps_a_members_session_and_one_in_a_transaction_does_not(world: World) -> None:
    member = world.member("g", "t")
    world.assign("g", member)
    known = {"member_id": member, "generation_id_or_member_epoch": 1}
    world.pass_time(0.4)
    world.commit("g", {A: 1}, **known)
    world.pass_time(0.4)
    world.txn_commit("g", {A: 1}, **known)
    assert not world.shard.context.groups["g"].is_empty
    world.pass_time(0.2)
    assert world.shard.context.groups["g"].is_empty


def test_a_transaction_that_the_partition_refuses_leaves_no_trace(world: World) -> None:
    world.txn_commit("g", {A: 1}, verified=UNASKED, appended=False)
    assert world.fetch("g", [A], stable=True) == {A: -1}
    assert set(world.shard.context.groups) == set()
    world.txn_commit("g", {A: 1}, verified=UNASKED)
    assert world.fetch("g", [A], stable=True) == {A: "UNSTABLE_OFFSET_COMMIT"}


def test_a_group_id_that_no_record_can_hold_is_none(world: World) -> None:
    assert world.commit("ä" * 16_384, {A: 1}) == {A: "INVALID_GROUP_ID"}
    assert world.txn_commit("x" * 32_768, {A: 1}) == {A: "INVALID_GROUP_ID"}
    assert world.commit("x" * 32_767, {A: 1}) == {A: OK}
