"""What a consumer group says of itself, and what its records make of it."""

from __future__ import annotations

import pytest

from consumer_story import Story
from kbroker.coordinators.groups.consumer_group import ConsumerGroup
from kbroker.coordinators.groups.consumer_member import Current, MemberState, Subscription
from kbroker.errors import Refusal
from kbroker_wire import ErrorCode
from kbroker_wire.messages.group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupPartitionMetadataKey,
    CurrentPartitions,
)

T = b"_______________t"


def moved() -> Story:
    """a gave two partitions to b; a is in epoch 3 and got its own in epoch 2."""
    story = Story()
    for command in ("0 join a", "0 join b", "1 beat a", "1 beat a", "2 beat b"):
        story(command)
    return story


# -- offsets


def test_a_member_commits_in_its_epoch_whatever_the_partition() -> None:
    assert moved()("3 commit a t:0;t:3") == ["a: t:3 ok"]


def test_a_commit_from_the_epoch_before_counts_for_what_the_member_kept() -> None:
    story = moved()
    assert story("3 commit a t:0,2 epoch=2") == [
        "a: t:0 ok",
        "a: t:2 STALE_MEMBER_EPOCH Partition t-2 is not assigned or pending revocation for member.",
    ]
    assert story("3 commit b t:2 epoch=2") == [
        "b: t:2 STALE_MEMBER_EPOCH Received member epoch 2 is older than assignment epoch 3 for partition t-2."
    ]


def test_a_commit_counts_for_what_the_member_is_told_to_give_up() -> None:
    story = Story()
    for command in ("0 join a", "0 join b", "1 beat a"):
        story(command)
    assert story("2 commit a t:3 epoch=2") == ["a: t:3 ok"]


def test_commits_from_ahead_and_from_strangers_are_refused() -> None:
    story = moved()
    assert story("3 commit a t:0 epoch=4") == [
        "a: STALE_MEMBER_EPOCH Received member epoch 4 is newer than current member epoch 3."
    ]
    assert story("3 commit x t:0") == ["x: UNKNOWN_MEMBER_ID Member x is not a member of group g."]
    assert story("3 commit x t:0 as= epoch=-1") == ["x: UNKNOWN_MEMBER_ID Member  is not a member of group g."]


def test_without_members_anybody_may_commit() -> None:
    story = moved()
    story("3 leave a")
    story("3 leave b")
    assert story("4 commit x t:0 as= epoch=-1") == ["x: t:0 ok"]


def test_a_transaction_may_commit_without_a_member() -> None:
    assert moved()("3 commit x t:0 as= epoch=-1 txn=yes") == ["x: t:0 ok"]


def test_a_commit_that_can_not_carry_an_epoch_is_refused() -> None:
    group = moved().group()
    with pytest.raises(Refusal) as refused:
        group.check_commit("a", None, 3, transactional=False, version=8)
    assert refused.value.code is ErrorCode.UNSUPPORTED_VERSION
    assert group.check_commit("a", None, 3, transactional=True, version=3) is None


def test_offsets_are_read_by_members_in_their_epoch_and_by_anybody_else() -> None:
    group = moved().group()
    group.check_fetch(None, -1)
    group.check_fetch("a", 3)
    for member_id, epoch, code in (
        ("a", 2, ErrorCode.STALE_MEMBER_EPOCH),
        ("x", 3, ErrorCode.UNKNOWN_MEMBER_ID),
        ("", -1, ErrorCode.UNKNOWN_MEMBER_ID),
    ):
        with pytest.raises(Refusal) as refused:
            group.check_fetch(member_id, epoch)
        assert refused.value.code is code


def test_offsets_of_topics_that_nobody_wants_expire_from_their_commit_on() -> None:
    story = Story("t:1 log-a:1")
    story("0 join a topics=t regex=log-.*")
    group = story.group()
    assert [group.offsets_expire_from(topic, 7) for topic in ("t", "log-a", "x")] == [None, None, 7]
    assert group.is_subscribed_to("t")
    story("1 leave a")
    assert group.offsets_expire_from("t", 7) == 7


# -- deleting


def test_a_group_with_members_is_not_deleted() -> None:
    with pytest.raises(Refusal) as refused:
        moved().shard.delete("g")
    assert refused.value.code is ErrorCode.NON_EMPTY_GROUP


def test_a_deleted_group_leaves_nothing_in_the_log() -> None:
    story = moved()
    story("3 leave a")
    story("3 leave b")
    step = story.shard.delete("g")
    assert [type(key).__name__ for key, value in step.records if value is None] == [
        "ConsumerGroupTargetAssignmentMetadataKey",
        "ConsumerGroupPartitionMetadataKey",
        "ConsumerGroupMetadataKey",
    ]
    assert story.shard.context.groups == {}


def test_its_tombstones_take_a_group_back_to_nothing() -> None:
    story = Story("t:2 log-a:1")
    story("0 join a topics=t regex=log-.* instance=i")
    group = story.group()
    for key, value in list(group.tombstones()):
        group.apply(key, value)
    assert (group.members, group.targets, group.regexes, group.static_ids) == ({}, {}, {}, {})
    assert group.subscribed_topics() == set()
    assert group.is_free(T, 0)


# -- records


def test_tombstones_of_what_is_not_there_do_nothing() -> None:
    story = moved()
    before = story.group().state_name
    for key in (
        ConsumerGroupCurrentMemberAssignmentKey(group_id="g", member_id="x"),
        ConsumerGroupMemberMetadataKey(group_id="g", member_id="x"),
        ConsumerGroupPartitionMetadataKey(group_id="g"),
    ):
        story.group().apply(key, None)
    assert story.group().state_name == before
    assert list(story.group().members) == ["a", "b"]


def test_partitions_without_an_epoch_of_their_own_have_the_members() -> None:
    """As Kafka 4.2 and older wrote them; also when the two lists do not fit."""
    for epochs in (None, [1]):
        row = CurrentPartitions(topic_id=T, partitions=[0, 1], assignment_epochs=epochs)
        value = ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=5,
            previous_member_epoch=4,
            state=0,
            assigned_partitions=[row],
            partitions_pending_revocation=[],
        )
        assert Current.of(value) == Current(5, 4, MemberState.STABLE, {T: {0: 5, 1: 5}})


def test_a_state_that_only_a_newer_broker_knows_is_kept_as_unknown() -> None:
    value = ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=5, previous_member_epoch=4, state=9, assigned_partitions=[], partitions_pending_revocation=[]
    )
    assert Current.of(value).state is MemberState.UNKNOWN


def test_values_are_what_their_records_say() -> None:
    subscription = Subscription("i", "r", "c", "/h", frozenset({"t", "u"}), "x.*", 5, "range")
    assert Subscription.of(subscription.value()) == subscription
    current = Current(3, 2, MemberState.UNREVOKED_PARTITIONS, {T: {0: 1, 2: 3}}, {T: {1: 1}})
    assert Current.of(current.value()) == current


def test_who_owns_a_partition_is_the_last_one_that_a_record_gave_it_to() -> None:
    """In a log that is half compacted a new owner may come before the old one is without it."""
    group = ConsumerGroup("g")

    def has(member_id: str, *partitions: int) -> None:
        assigned = {T: dict.fromkeys(partitions, 1)} if partitions else {}
        key = ConsumerGroupCurrentMemberAssignmentKey(group_id="g", member_id=member_id)
        group.apply(key, Current(1, 1, MemberState.STABLE, assigned).value())

    has("a", 0)
    has("b", 0)
    has("a")
    assert group.owner(T, 0) == "b"
    has("b")
    assert group.is_free(T, 0)
