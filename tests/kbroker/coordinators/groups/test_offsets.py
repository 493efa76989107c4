"""What is committed, what is pending, and how both are forgotten."""

from __future__ import annotations

import pytest

from kbroker.coordinators.groups.offsets import Committed
from kbroker.coordinators.machine import Now, Step
from kbroker.metadata.image import Delta
from kbroker_wire.messages.coordinator_records import GROUP_RECORDS, decode_record, encode_record
from kbroker_wire.messages.group_records import GroupMetadataKey, OffsetCommitKey, OffsetCommitValue
from kbroker_wire.schema import ZERO_UUID
from offsets_world import WALL_MS, World

A, B = ("t", 0), ("t", 1)
WEEK = 7 * 24.0  # hours: Kafka's offsets.retention.minutes


@pytest.fixture
def world() -> World:
    world = World()
    world.create("t", 2)
    return world


def groups(world: World) -> set[str]:
    return set(world.shard.context.groups)


def tombstones(world: World) -> int:
    return sum(len(entry) == 3 and entry[1] is None for entry in world.log)


# -- committed and pending


def test_the_newest_commit_is_the_groups_offset_and_is_written_down_with_the_topics_id(world: World) -> None:
    world.commit("g", {A: 5, B: 7})
    world.commit("g", {A: 6}, metadata="here")
    assert world.fetch("g") == {A: 6, B: 7}
    topic_id = world.image.topic_ids["t"]
    assert world.shard.offsets.of("g")[A] == Committed(3, 6, -1, "here", WALL_MS, -1, topic_id)
    assert world.shard.offsets.of("other") == {}


def test_a_transactions_offsets_count_from_its_commit_on(world: World) -> None:
    world.commit("g", {A: 5})
    world.txn_commit("g", {A: 8, B: 9})
    assert world.fetch("g", [A, B]) == {A: 5, B: -1}
    world.end(commit=True)
    assert world.fetch("g") == {A: 8, B: 9}


def test_an_aborted_transactions_offsets_never_count(world: World) -> None:
    world.commit("g", {A: 5})
    world.txn_commit("g", {A: 8, B: 9})
    world.txn_commit("other", {A: 8})
    world.end(commit=False)
    assert world.fetch("g", stable=True) == {A: 5}
    assert world.fetch("other", [A], stable=True) == {A: -1}


def test_a_commit_after_the_transactions_own_stays_when_it_ends(world: World) -> None:
    world.txn_commit("g", {A: 8, B: 9})
    world.commit("g", {A: 5})
    world.end(commit=True)
    assert world.fetch("g") == {A: 5, B: 9}


def test_two_transactions_of_a_group_end_each_for_itself(world: World) -> None:
    world.txn_commit("g", {A: 1}, producer=1)
    world.txn_commit("g", {A: 2, B: 2}, producer=2)
    world.end(2, commit=True)
    assert world.fetch("g", [A, B], stable=True) == {A: "UNSTABLE_OFFSET_COMMIT", B: 2}
    world.end(1, commit=True)
    assert world.fetch("g", stable=True) == {A: 2, B: 2}, "producer 2 committed last"


def test_an_end_without_offsets_changes_nothing(world: World) -> None:
    world.commit("g", {A: 5})
    world.end(9, commit=True)
    assert world.fetch("g") == {A: 5}


# -- loading


def test_what_was_written_gives_the_same_state(world: World) -> None:
    world.commit("g", {A: 5, B: 6}, version=3, retention_time_ms=10_000)
    world.txn_commit("g", {A: 8}, producer=1)
    world.txn_commit("h", {A: 9}, producer=2)
    world.txn_commit("h", {B: 9}, producer=3)
    world.end(2, commit=True)
    world.end(3, commit=False)
    world.delete("g", [B])
    before = world.shard.offsets
    world.restart()
    after = world.shard.offsets
    assert [after.of(each) for each in "gh"] == [before.of(each) for each in "gh"]
    assert after.is_pending("g", A)
    assert groups(world) == {"g", "h"}


def test_the_older_type_of_key_is_read_and_types_of_newer_brokers_are_passed_over(world: World) -> None:
    value = OffsetCommitValue(offset=5, metadata="", commit_timestamp=WALL_MS)
    key, body = encode_record(OffsetCommitKey(group="g", topic="t", partition=0), value)
    world.log += [(b"\0\0" + key[2:], body, -1), (b"\0\x63abc", b"\0\0", -1)]
    world.restart()
    assert world.fetch("g") == {A: 5}


# -- topics


def test_a_deleted_topics_offsets_go_committed_or_pending_and_its_successor_has_none(world: World) -> None:
    world.create("u")
    world.commit("g", {A: 5, ("u", 0): 6})
    world.txn_commit("h", {A: 7, ("u", 0): 8})
    world.remove("t")
    assert world.fetch("g") == {("u", 0): 6}
    assert world.fetch("h", [A, ("u", 0)], stable=True) == {A: -1, ("u", 0): "UNSTABLE_OFFSET_COMMIT"}
    world.create("t")
    world.end(commit=True)
    assert world.fetch("h") == {("u", 0): 8}
    world.restart()
    assert (world.fetch("g"), world.fetch("h")) == ({("u", 0): 6}, {("u", 0): 8})


def test_news_of_other_topics_write_nothing(world: World) -> None:
    world.commit("g", {A: 5})
    before = len(world.log)
    world.create("u")
    world.remove("u")
    world.news(Delta())
    assert len(world.log) == before


def test_a_topic_that_was_deleted_before_anybody_wrote_so_down_is_forgotten_at_the_next_load(world: World) -> None:
    world.commit("g", {A: 5})
    world.txn_commit("h", {B: 6})
    world.remove("t", told=False)
    world.restart()
    assert world.fetch("g") == {}
    assert not world.shard.offsets.is_pending("h", B)
    assert tombstones(world) == 2


def test_a_topic_that_was_deleted_and_made_again_meanwhile_inherits_nothing(world: World) -> None:
    world.commit("g", {A: 5})
    world.remove("t", told=False)
    world.create("t", told=False)
    world.restart()
    assert world.fetch("g", [A]) == {A: -1}


def test_a_commit_without_a_topic_id_is_of_the_topic_of_that_name(world: World) -> None:
    value = OffsetCommitValue(offset=5, metadata="", commit_timestamp=WALL_MS, topic_id=ZERO_UUID)
    world.log.append((*encode_record(OffsetCommitKey(group="g", topic="t", partition=0), value), -1))
    world.restart()
    assert world.fetch("g") == {A: 5}
    assert tombstones(world) == 0


# -- expiry


def test_a_group_without_members_is_forgotten_a_week_after_its_commits(world: World) -> None:
    world.commit("g", {A: 5})
    world.pass_time(1)
    world.commit("g", {B: 6})
    world.pass_time(WEEK - 1.1)
    assert world.fetch("g") == {A: 5, B: 6}
    world.pass_time(0.3)  # what is looked for every ten minutes
    assert world.fetch("g") == {B: 6}
    assert groups(world) == {"g"}
    world.pass_time(1)
    assert groups(world) == set()
    key, value = world.log[-1][:2] if len(world.log[-1]) == 3 else (b"", None)
    assert isinstance(key, bytes)
    assert decode_record(GROUP_RECORDS, key, None)[0] == GroupMetadataKey(group="g")
    assert value is None
    assert set(world.reload().context.groups) == set()


def test_settings_say_how_long_and_how_often() -> None:
    world = World({"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000"})
    world.create("t")
    world.commit("g", {A: 5})
    world.pass_time(59.9 / 3600)
    assert world.fetch("g") == {A: 5}
    world.pass_time(1.1 / 3600)
    assert world.fetch("g") == {}


@pytest.mark.parametrize(("retention_ms", "hours"), [(3_600_000, 1), (0, 0.2), (-2, 0.2)])
def test_a_commit_may_have_a_retention_of_its_own(world: World, retention_ms: int, hours: float) -> None:
    world.commit("g", {A: 5}, version=4, retention_time_ms=retention_ms)
    world.commit("g", {B: 6}, version=4)
    world.restart()
    world.pass_time(hours - 0.1)
    assert A in world.fetch("g") or hours < 1
    world.pass_time(0.3)
    assert world.fetch("g") == {B: 6}


def test_an_open_transaction_keeps_what_it_is_about_to_replace_and_the_group(world: World) -> None:
    world.commit("g", {A: 5, B: 6})
    world.txn_commit("g", {A: 7})
    world.txn_commit("h", {A: 7}, producer=2)
    world.pass_time(2 * WEEK)
    assert world.fetch("g") == {A: 5}
    assert groups(world) == {"g", "h"}
    world.end(1, commit=False)
    world.end(2, commit=False)
    world.pass_time(1)
    assert groups(world) == set()


def test_a_pending_offset_that_is_forgotten_does_not_keep_the_group(world: World) -> None:
    world.txn_commit("g", {A: 7})
    world.remove("t")
    world.pass_time(1)
    assert groups(world) == set()
    world.end(commit=True)
    assert world.fetch("g", [A]) == {A: -1}


@pytest.mark.parametrize(
    ("protocol_type", "topics", "left"),
    [("consumer", ["t"], {A: 5}), ("consumer", ["t", "u"], {A: 5, ("u", 0): 6}), ("connect", [], {A: 5, ("u", 0): 6})],
)
def test_what_members_read_does_not_expire(
    world: World, protocol_type: str, topics: list[str], left: dict[tuple[str, int], int]
) -> None:
    world.create("u")
    world.commit("g", {A: 5, ("u", 0): 6})
    world.assign("g", world.member("g", *topics, protocol_type=protocol_type))
    world.took(Step(records=world.shard.offsets.expire(Now(world.now_s, WALL_MS + int(WEEK * 3_600_000)))))
    assert world.fetch("g") == left
    assert groups(world) == {"g"}


def test_a_group_whose_members_left_is_forgotten_a_week_after_that(world: World) -> None:
    world.commit("g", {A: 5})
    member = world.member("g", "t")
    world.assign("g", member)
    world.pass_time(0.4)
    world.leave("g", member)
    world.pass_time(WEEK - 0.1)
    assert world.fetch("g") == {A: 5}
    world.pass_time(0.3)
    assert groups(world) == set()


def test_a_deleted_group_takes_its_offsets_along(world: World) -> None:
    world.commit("g", {A: 5})
    world.txn_commit("g", {A: 6, B: 7})
    world.took(world.shard.delete("g"))
    assert groups(world) == set()
    assert tombstones(world) == 3, "one for each place, and the group's"
    world.end(commit=True)
    assert world.fetch("g") == {}
    assert set(world.reload().context.groups) == set()
