"""Which part of a shard serves what: groups of both protocols, offsets, records, deadlines."""

from __future__ import annotations

import pytest

from classic_story import Story
from kbroker.coordinators.groups.classic import ClassicGroup
from kbroker.coordinators.groups.consumer_group import ConsumerGroup
from kbroker.coordinators.groups.context import SESSION
from kbroker.metadata.image import Delta, Image, TopicImage
from kbroker_wire import ProtocolError
from kbroker_wire.messages.coordinator_records import encode_record
from kbroker_wire.messages.group_records import (
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from kbroker_wire.schema import Message

NO_DELAY = {"group_initial_rebalance_delay_ms": "0"}
EMPTY = GroupMetadataValue(protocol_type="consumer", generation=3, protocol=None, leader=None, members=[])
COMMIT = OffsetCommitValue(offset=7, metadata="", commit_timestamp=0)


def replayed(*records: tuple[Message, Message | None]) -> Story:
    """A shard that has these records in its log."""
    story = Story(**NO_DELAY)
    for key, value in records:
        record = encode_record(key, value)
        story.records.append(record)
        story.shard.replay(*record, -1)
    return story


# -- administrators


def test_groups_are_listed_by_state_and_type() -> None:
    shard = replayed(
        (ConsumerGroupMetadataKey(group_id="new"), ConsumerGroupMetadataValue(epoch=1)),
        (GroupMetadataKey(group="old"), EMPTY),
        (OffsetCommitKey(group="plain", topic="t", partition=0), COMMIT),
    ).shard
    rows = {(row.group_id, row.protocol_type, row.group_state, row.group_type) for row in shard.listed(set(), set())}
    assert rows == {
        ("new", "consumer", "Empty", "consumer"),
        ("old", "consumer", "Empty", "classic"),
        ("plain", "", "Empty", "classic"),
    }
    assert [row.group_id for row in shard.listed({"empty"}, {"consumer"})] == ["new"]
    assert {row.group_id for row in shard.listed(set(), {"classic", "share"})} == {"old", "plain"}
    assert shard.listed({"stable", "dead"}, set()) == []
    assert shard.listed(set(), {"share"}) == []


def test_members_are_described_with_metadata_in_a_stable_group_only() -> None:
    story = Story(**NO_DELAY)
    story("0 join a instance=i meta=m")
    (member,) = story.shard.describe("g").response.members
    assert (member.member_metadata, member.member_assignment) == (b"", b"")
    story("0 sync a a:x")
    group = story.shard.describe("g").response
    (member,) = group.members
    assert (group.group_state, group.protocol_type, group.protocol_data) == ("Stable", "consumer", "range")
    assert (member.group_instance_id, member.client_id, member.client_host) == ("i", "a", "/127.0.0.1")
    assert (member.member_metadata, member.member_assignment) == (b"m", b"x")


def test_a_group_that_is_not_there_can_not_be_described_or_deleted() -> None:
    story = Story()
    assert story("0 describe") == ["group: GROUP_ID_NOT_FOUND Group g not found."]
    assert story("0 delete") == ["delete: GROUP_ID_NOT_FOUND Group g not found."]
    story = replayed((ConsumerGroupMetadataKey(group_id="g"), ConsumerGroupMetadataValue(epoch=1)))
    assert story("0 describe") == ["group: GROUP_ID_NOT_FOUND Group g is not a classic group."]


def test_deleting_a_group_deletes_its_offsets_with_it() -> None:
    offset = OffsetCommitKey(group="g", topic="t", partition=0)
    story = replayed((GroupMetadataKey(group="g"), EMPTY), (offset, COMMIT))
    step = story.shard.delete("g")
    assert step.records == [(offset, None), (GroupMetadataKey(group="g"), None)]
    assert story.shard.listed(set(), set()) == []
    assert not story.shard.offsets.of("g")


def test_a_group_with_members_is_not_deleted() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3")
    assert story("0 delete") == ["delete: NON_EMPTY_GROUP"]
    story("0 leave a")
    assert story("0 delete") == ["delete: ok", "record: deleted"]


# -- the two protocols


def test_an_empty_group_of_consumers_becomes_a_classic_one_with_the_first_member_that_joins() -> None:
    story = replayed((ConsumerGroupMetadataKey(group_id="g"), ConsumerGroupMetadataValue(epoch=5)))
    assert isinstance(story.shard.context.groups["g"], ConsumerGroup)
    assert story("0 join a v=3") == [
        "a: generation 1 range as a#1, leads a#1",
        "record: generation 0, empty",
    ]
    assert isinstance(story.group(), ClassicGroup), "and so it is after a restart, which the story has checked"
    assert story("0 join b as=ghost") == ["b: UNKNOWN_MEMBER_ID"]


def test_a_join_that_is_refused_leaves_an_empty_group_of_consumers_as_it_is() -> None:
    story = replayed((ConsumerGroupMetadataKey(group_id="g"), ConsumerGroupMetadataValue(epoch=5)))
    assert story("0 join a protocols=") == ["a: INCONSISTENT_GROUP_PROTOCOL"]
    assert isinstance(story.shard.context.groups["g"], ConsumerGroup)


def test_committed_offsets_make_a_group_that_members_may_join() -> None:
    story = replayed((OffsetCommitKey(group="g", topic="t", partition=0), COMMIT))
    assert (story.group().is_empty, story.group().protocol_type) == (True, "")
    assert story("0 join a v=3") == ["a: generation 1 range as a#1, leads a#1"], "it was there: no record of a new one"


# -- the log


def test_what_a_newer_broker_wrote_is_passed_over() -> None:
    shard = Story().shard
    shard.replay((99).to_bytes(2) + b"key", b"value", -1)
    assert shard.listed(set(), set()) == []


@pytest.mark.parametrize("key", [b"", b"\0", b"\0\2\0\5g"])
def test_what_can_not_be_read_is_an_error(key: bytes) -> None:
    with pytest.raises(ProtocolError):
        Story().shard.replay(key, b"", -1)


def test_the_newest_record_of_a_group_counts_and_a_tombstone_removes_it() -> None:
    key = GroupMetadataKey(group="g")
    newer = GroupMetadataValue(protocol_type="connect", generation=9, protocol=None, leader=None, members=[])
    story = replayed((key, EMPTY), (key, newer))
    assert (story.group().generation, story.group().protocol_type) == (9, "connect")
    story.shard.replay(*encode_record(key, None), -1)
    assert story.shard.listed(set(), set()) == []


# -- time and news


def test_a_deadline_of_a_group_that_is_not_there_any_more_does_nothing() -> None:
    story = Story(**NO_DELAY)
    story("0 join a")
    assert story.shard.context.timers.at((SESSION, "g", story.members["a"].id)) == 10
    story("1 delete")
    assert story("20 list") == []


def test_a_deadline_of_an_earlier_group_of_that_name_does_not_touch_its_successor() -> None:
    story = Story(group_initial_rebalance_delay_ms="60000")
    story("0 join a")
    story("1 delete")
    story("2 join b v=3")
    assert story("20 describe") == ["group: PreparingRebalance consumer - b#2="], "no end of a's session ends the wait"


def test_the_offsets_of_a_topic_that_is_deleted_are_forgotten() -> None:
    kept, gone = (OffsetCommitKey(group="g", topic=topic, partition=0) for topic in ("kept", "gone"))
    story = Story()
    for key in (kept, gone):
        story.shard.offsets.apply(key, COMMIT)
    topic = TopicImage("gone", bytes(16), ())
    step = story.shard.image_changed(Image(offset=5), Delta(removed={topic.id: topic}), story.now)
    assert step.records == [(gone, None)]
    assert story.shard.context.image.offset == 5


def test_groups_that_have_neither_members_nor_offsets_are_forgotten_in_time() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3")
    story("1 leave a")
    assert story("599 list") == ["g: consumer Empty classic"]
    assert story("601 list") == ["-- 600", "record: deleted"]
