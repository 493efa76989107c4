"""What the consumer groups of a shard have in common: the log, deadlines after a restart, news of the cluster."""

from __future__ import annotations

import pytest

from consumer_story import Story, durable
from kbroker.coordinators.groups.classic import ClassicGroup
from kbroker.coordinators.groups.consumer_group import ConsumerGroup
from kbroker.errors import Refusal
from kbroker_wire import ErrorCode
from kbroker_wire.messages.coordinator_records import encode_record
from kbroker_wire.messages.group_records import (
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupPartitionMetadataValue,
)


def test_a_log_from_which_old_records_are_gone_gives_the_same_groups() -> None:
    """Compaction keeps the last record of each key."""
    story = Story("t:4 log-a:2")
    for command in (
        "0 join a instance=i",
        "0 join b regex=log-.* topics=t assignor=range",
        "1 beat a",
        "2 beat a",
        "3 beat b",
        "4 away a",
        "5 join a2 instance=i",
        "6 leave b",
        "7 beat a2",
    ):
        story(command)
    last = {key: place for place, (key, _) in enumerate(story.records)}
    story.records = [record for place, record in enumerate(story.records) if last[record[0]] == place]
    again = story._replayed().context.groups["g"]
    assert isinstance(again, ConsumerGroup)
    assert durable(again) == durable(story.group())
    story.records = [(key, value) for key, value in story.records if value is not None]
    again = story._replayed().context.groups["g"]
    assert isinstance(again, ConsumerGroup)
    assert durable(again) == durable(story.group())


def test_a_deleted_group_is_gone_after_a_restart() -> None:
    story = Story()
    story("0 join a")
    story("1 leave a")
    step = story.shard.delete("g")
    story.records += [encode_record(key, value) for key, value in step.records]
    story("2 restart")
    assert story.shard.context.groups == {}


def test_tombstones_make_no_groups() -> None:
    story = Story()
    for key in (ConsumerGroupMetadataKey(group_id="x"), ConsumerGroupMemberMetadataKey(group_id="x", member_id="m")):
        story.shard.replay(*encode_record(key, None), -1)
    assert story.shard.context.groups == {}


def test_a_group_that_only_had_offsets_becomes_what_its_records_say() -> None:
    story = Story()
    story.shard.context.groups["g"] = ClassicGroup("g", story.shard.context.timers, None)
    story("0 join a")
    for key, value in story.records:
        story.shard.replay(key, value, -1)
    assert isinstance(story.shard.context.groups["g"], ConsumerGroup)


def test_what_kafka_4_0_kept_of_topics_is_passed_over() -> None:
    story = Story()
    story("0 join a")
    value = ConsumerGroupPartitionMetadataValue(topics=[])
    story.shard.replay(*encode_record(ConsumerGroupPartitionMetadataKey(group_id="g"), value), -1)
    assert list(story.group().members) == ["a"]


def test_after_a_restart_nothing_is_assigned_anew_while_topics_are_as_they_were() -> None:
    story = Story()
    story("0 join a")
    story("1 restart")
    assert story("2 beat a") == ["a: epoch 2"]
    assert story.written == []


def test_topics_that_changed_while_nobody_looked_are_noticed() -> None:
    story = Story()
    story("0 join a")
    story("1 topic t:6")
    story("1 restart")
    assert story("2 beat a") == ["a: epoch 3, t:0-5"]


def test_an_unknown_group_and_one_of_another_type_are_told_apart() -> None:
    story = Story()
    story("0 classic-join c v=3")
    for group_id, message in (("x", "Group x not found."), ("g", "Group g is not a consumer group.")):
        with pytest.raises(Refusal) as refused:
            story.shard.consumer_describe(group_id)
        assert (refused.value.code, refused.value.message) == (ErrorCode.GROUP_ID_NOT_FOUND, message)


def test_groups_do_not_get_into_each_others_way() -> None:
    story = Story()
    assert story("0 join a group=one") == ["a: epoch 2, t:0-3"]
    assert story("0 join b group=two") == ["b: epoch 2, t:0-3"]
    story("1 leave a group=one")
    assert story("2 list") == ["one: consumer Empty consumer", "two: consumer Stable consumer"]
