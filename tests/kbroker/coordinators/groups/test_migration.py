"""Groups that change their protocol while their members go on."""

from __future__ import annotations

import pytest

from consumer_story import Story
from kbroker.coordinators.groups.classic import ClassicGroup, State

BACK = "Please refer to the documentation or switch to a default assignor before re-attempting the upgrade."


def classic(**settings: str) -> Story:
    """c, alone in generation 1 of a classic group, with all four partitions of t."""
    story = Story("t:4 u:2", **settings)
    for command in ("0 classic-join c", "0 classic-join c", "0 sync c all:t:0-3"):
        story(command)
    assert story.lines == ["c: assigned t:0-3"]
    return story


def mixed(**settings: str) -> Story:
    """c, classic, and x, of the consumer protocol, with two partitions each in epoch 2, since second 3."""
    story = classic(**settings)
    for command in ("1 join x", "2 classic-join c owns=t:0-3", "2 sync c", "2 classic-join c", "2 sync c", "3 beat x"):
        story(command)
    assert story.lines == ["x: epoch 2, t:2-3"]
    return story


# -- from classic to consumer


def test_the_first_consumer_makes_it_a_consumer_group_and_nobody_loses_anything() -> None:
    story = classic()
    assert story("1 join x") == ["x: epoch 2, nothing"]
    assert story.written == [
        "-GroupMetadata",
        "ConsumerGroupMemberMetadata",
        "ConsumerGroupMetadata",
        "ConsumerGroupTargetAssignmentMember",
        "ConsumerGroupTargetAssignmentMetadata",
        "ConsumerGroupCurrentMemberAssignment",
        "ConsumerGroupMemberMetadata",
        "ConsumerGroupMetadata",
        "ConsumerGroupTargetAssignmentMember",
        "ConsumerGroupTargetAssignmentMember",
        "ConsumerGroupTargetAssignmentMetadata",
        "ConsumerGroupCurrentMemberAssignment",
    ]
    assert story("1 describe") == [
        "group: Reconciling 2 2 uniform",
        "#1 classic epoch 1: t:0-3 -> t:0-1",
        "x consumer epoch 2: nothing -> t:2-3",
    ]


def test_who_waits_for_the_classic_rebalance_joins_again() -> None:
    story = classic()
    assert story("1 classic-join d v=3") == []
    assert story("2 join x") == ["x: epoch 2, nothing", "d: REBALANCE_IN_PROGRESS"]
    assert story("3 describe")[0] == "group: Reconciling 2 2 uniform"


def test_who_waits_for_the_leaders_assignment_joins_again() -> None:
    story = classic()
    story("1 classic-join d v=3")
    story("1 classic-join c")
    assert story("1 sync d") == []
    assert story("2 join x") == ["x: epoch 3, nothing", "d: REBALANCE_IN_PROGRESS"]


def test_the_classic_groups_deadlines_are_gone() -> None:
    story = classic()
    story("1 classic-join d")  # an id is given out and never used
    story("2 join x")
    story("9 heartbeat c")
    story("17 heartbeat c")
    assert story("25 heartbeat c") == ["c: REBALANCE_IN_PROGRESS"]
    assert story("40 beat x") == ["-- 35: g/#1 out", "x: epoch 3, t:0-3"]


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        (["0 classic-join c type=connect v=3"], "the group does not use the consumer embedded protocol."),
        (["0 classic-join c meta=00 v=3"], "the embedded consumer protocol is malformed."),
        (["0 classic-join c v=3", "0 sync c all:t:0 malformed=1"], "the embedded consumer protocol is malformed."),
        (["0 classic-join c v=3", "0 sync c all:t:0 data=mine"], f"an unsupported custom assignor is in use. {BACK}"),
    ],
)
def test_what_can_not_be_upgraded_stays_as_it_is(commands: list[str], why: str) -> None:
    story = Story()
    for command in commands:
        story(command)
    assert story("1 join x") == [
        f"x: GROUP_ID_NOT_FOUND Cannot upgrade classic group g to consumer group because {why}"
    ]
    assert isinstance(story.shard.context.groups["g"], ClassicGroup)
    assert story.written == []


@pytest.mark.parametrize("policy", ["disabled", "DOWNGRADE"])
def test_the_policy_may_forbid_it(policy: str) -> None:
    story = classic(group_consumer_migration_policy=policy)
    why = "Cannot upgrade classic group g to consumer group because online upgrade is disabled."
    assert story("1 join x") == [f"x: GROUP_ID_NOT_FOUND {why}"]


def test_a_group_that_is_too_large_stays_classic() -> None:
    story = classic(group_consumer_max_size="1")
    assert "GROUP_MAX_SIZE_REACHED" in story("1 join x")[0]
    story = Story(group_consumer_max_size="1")
    story("0 classic-join c v=3")
    story("0 classic-join d v=3")
    story("1 classic-join c v=3")
    why = "the group size exceeds the consumer group maximum size."
    assert story("2 join x")[0].endswith(f"Cannot upgrade classic group g to consumer group because {why}")


def test_a_join_that_is_refused_after_all_leaves_the_group_classic() -> None:
    story = classic()
    assert "INVALID_REGULAR_EXPRESSION" in story("1 join x regex=[")[0]
    assert story("2 heartbeat c") == ["c: ok"]
    assert story("2 beat x epoch=3") == ["x: GROUP_ID_NOT_FOUND Group g is not a consumer group."]
    assert story("2 leave x") == ["x: GROUP_ID_NOT_FOUND Group g is not a consumer group."]


def test_a_group_before_its_first_generation_is_upgraded_too() -> None:
    story = Story(group_initial_rebalance_delay_ms="3000")
    story("0 classic-join c v=3")
    assert story("1 join x") == ["x: epoch 1, t:2-3", "c: REBALANCE_IN_PROGRESS"]


def test_an_empty_classic_group_just_makes_way() -> None:
    story = classic()
    story("1 classic-leave c")
    assert story("2 join x") == ["x: epoch 2, t:0-3"]
    assert story.written[0] == "-GroupMetadata"


# -- from consumer to classic


def test_when_the_last_consumer_leaves_the_others_rebalance_as_a_classic_group() -> None:
    story = mixed()
    assert story("4 leave x") == ["x: epoch -1"]
    assert story.written[-2:] == ["-ConsumerGroupMetadata", "GroupMetadata"]
    assert story("4 list") == ["g: consumer PreparingRebalance classic"]
    assert story("5 heartbeat c") == ["c: REBALANCE_IN_PROGRESS"]
    assert story("6 classic-join c") == ["c: generation 3 range as #1, leads 1"]
    assert story("6 sync c all:t:0-3") == ["c: assigned t:0-3"]


def test_a_silent_last_consumer_makes_it_a_classic_group_too() -> None:
    story = mixed()
    for second in range(5, 50, 5):
        story(f"{second} heartbeat c")
    assert story("50 heartbeat c") == ["-- 48: g/x out", "c: REBALANCE_IN_PROGRESS"]
    assert story("50 list") == ["g: consumer PreparingRebalance classic"]


def test_what_the_members_have_is_in_the_classic_groups_record() -> None:
    story = mixed()
    story("4 leave x")
    story("5 restart")
    group = story.shard.context.groups["g"]
    assert isinstance(group, ClassicGroup)
    assert (group.state, group.generation, group.protocol_name) == (State.STABLE, 2, "range")
    assert [len(member.assignment) for member in group.members.values()] == [25]


def test_the_policy_may_keep_it_a_consumer_group() -> None:
    story = mixed(group_consumer_migration_policy="upgrade")
    story("4 leave x")
    assert story("4 list") == ["g: consumer Assigning consumer"]


def test_a_group_that_is_too_large_for_a_classic_one_stays() -> None:
    story = mixed(group_max_size="1")
    story("4 classic-join d v=3")
    story("5 leave x")
    assert story("6 list") == ["g: consumer Assigning consumer"]


def test_a_consumer_group_without_classic_members_is_empty_at_the_end() -> None:
    story = mixed()
    story("4 classic-leave c")
    story("5 leave x")
    assert story("5 list") == ["g: consumer Empty consumer"]


def test_an_empty_consumer_group_just_makes_way_for_a_classic_one() -> None:
    story = Story()
    story("0 join x")
    story("1 leave x")
    assert story("2 classic-join c v=3") == ["c: generation 1 range as #1, leads 1"]
    assert story("3 list") == ["g: consumer CompletingRebalance classic"]


def test_the_last_consumer_may_come_back_as_a_classic_static_member() -> None:
    story = Story()
    story("0 join x instance=i")
    story("1 away x")
    assert story("2 classic-join c instance=i") == ["c: generation 2 range as #1"]
    assert story("2 list") == ["g: consumer Stable classic"]
    assert story("3 sync c") == ["c: assigned t:0-3"]
    assert story("4 heartbeat c") == ["c: ok"]


def test_one_that_comes_back_with_other_topics_rebalances() -> None:
    story = classic()
    story("0.5 join x instance=i")
    story("0.6 away x")
    story("0.7 classic-join y instance=i topics=t,u")
    assert story("1 list") == ["g: consumer PreparingRebalance classic"]
    assert story("1 sync y") == ["y: ILLEGAL_GENERATION"]
    story("2 classic-join y topics=t,u")
    assert story("3 classic-join c") == [
        "c: generation 4 range as #1, leads 2",
        "y: generation 4 range as #2",
    ]


def test_a_classic_static_member_may_come_back_as_a_consumer() -> None:
    story = Story()
    story("0 classic-join c instance=i")
    story("0 sync c all:t:0-3")
    assert story("1 join x instance=i") == ["x: epoch 1, t:0-3"]
    assert story("2 heartbeat c") == [
        "c: FENCED_INSTANCE_ID Static member #1 with instance id i was fenced by member x."
    ]
    assert story("2 describe") == ["group: Stable 1 1 uniform", "x consumer epoch 1: t:0-3 -> t:0-3"]
