"""ConsumerGroupHeartbeat: joining, staying, giving up, taking over, leaving, and what is refused."""

from __future__ import annotations

import pytest

from consumer_story import Story
from kbroker.coordinators.machine import Client, Now
from kbroker.errors import Refusal
from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, TopicPartitions

INVALID = "INVALID_REQUEST"
ALL = [TopicPartitions(topic_id=b"_______________t", partitions=[0, 1, 2, 3])]


def two() -> Story:
    """Members a and b with two partitions each, in epoch 3, since second 2."""
    story = Story()
    for command in ("0 join a", "0 join b", "1 beat a", "1 beat a", "2 beat b"):
        story(command)
    assert story.lines == ["b: epoch 3, t:2-3"]
    return story


# -- joining and staying


def test_a_lone_member_has_all_partitions_with_its_first_heartbeat() -> None:
    story = Story("t:4 u:2")
    assert story("0 join a topics=t,u,nope") == ["a: epoch 2, t:0-3;u:0-1"]
    assert story.written == [
        "ConsumerGroupMemberMetadata",
        "ConsumerGroupMetadata",
        "ConsumerGroupTargetAssignmentMember",
        "ConsumerGroupTargetAssignmentMetadata",
        "ConsumerGroupCurrentMemberAssignment",
    ]


def test_a_heartbeat_that_brings_nothing_new_writes_nothing_and_tells_no_assignment() -> None:
    story = two()
    assert story("3 beat a") == ["a: epoch 3"]
    assert story.written == []


def test_a_second_member_waits_until_the_first_has_said_that_it_gave_up() -> None:
    story = Story()
    story("0 join a")
    assert story("1 join b") == ["b: epoch 3, nothing"]
    assert story("2 beat a") == ["a: epoch 2, t:0-1"]
    assert story("2 beat b") == ["b: epoch 3"]
    assert story("3 beat a owns=t:0-2") == ["a: epoch 2"]
    assert story("3 beat b") == ["b: epoch 3"]
    assert story("3 beat a owns=?") == ["a: epoch 2"]
    assert story("4 beat a owns=t:0-1") == ["a: epoch 3"]
    assert story("4 beat b") == ["b: epoch 3, t:2-3"]


def test_a_full_heartbeat_is_told_the_assignment_again() -> None:
    story = two()
    assert story("3 full a") == ["a: epoch 3, t:0-1"]


def test_a_member_that_joins_again_keeps_what_it_has() -> None:
    story = two()
    assert story("3 join a") == ["a: epoch 3, t:0-1"]
    assert story.written == []


def test_before_version_1_the_broker_makes_the_member_id() -> None:
    story = Story()
    assert story("0 join a v=0") == ["a: epoch 2, t:0-3"]
    assert story.members["a"].id == "AAAAAAAAAAAAAAAAAAAAAQ"
    assert story("1 beat a") == ["a: epoch 2"]


def test_a_member_without_topics_has_nothing_in_the_first_epoch() -> None:
    story = Story()
    assert story("0 join a topics=") == ["a: epoch 1, nothing"]
    assert story.written == ["ConsumerGroupMemberMetadata", "ConsumerGroupCurrentMemberAssignment"]
    assert story("1 describe") == ["group: Stable 1 1 uniform", "a consumer epoch 1: nothing -> nothing"]


def test_a_changed_subscription_takes_effect_at_once() -> None:
    story = Story("t:4 u:2")
    story("0 join a")
    assert story("1 beat a topics=t,u") == ["a: epoch 3, t:0-3;u:0-1"]
    assert story("2 beat a topics=u") == ["a: epoch 3, u:0-1"]
    assert story("3 beat a") == ["a: epoch 4"]
    assert story("3 describe")[1:] == ["a consumer epoch 4: u:0-1 -> u:0-1"]


def test_another_assignor_makes_a_new_epoch_and_most_members_choose_it() -> None:
    story = two()
    assert story("3 beat a assignor=uniform") == ["a: epoch 3"]
    assert story("3 beat b assignor=range") == ["b: epoch 3"]
    assert story("4 describe")[0] == "group: Stable 3 3 uniform"
    story("4 join c assignor=range")
    assert story("4 describe")[0] == "group: Reconciling 4 4 range"
    assert story("5 beat a assignor=range") == ["a: epoch 4"]


def test_the_first_of_the_assignors_is_the_default() -> None:
    story = Story(group_consumer_assignors="range,uniform")
    story("0 join a")
    assert story("0 describe")[0] == "group: Stable 2 2 range"


def test_two_assignments_are_at_least_the_interval_apart() -> None:
    story = Story(group_consumer_assignment_interval_ms="1000")
    story("0 join a")
    assert story("0.5 join b") == ["b: epoch 2, nothing"]
    assert story("0.6 describe")[0] == "group: Assigning 3 2 uniform"
    assert story("0.9 beat b") == ["b: epoch 2"]
    assert story("1 beat b") == ["b: epoch 3"]
    assert story("1.1 beat a") == ["a: epoch 2, t:0-1"]


def test_a_wall_clock_that_was_set_back_holds_up_no_assignment() -> None:
    story = Story(group_consumer_assignment_interval_ms="1000")
    story("0 join a")
    story.group().assigned_at_ms += 3_600_000  # as it was seen then
    assert story("0.5 join b") == ["b: epoch 3, nothing"], "and not epoch 2: the target is that of both"


def test_who_joins_an_empty_group_need_not_wait_for_the_interval() -> None:
    story = Story(group_consumer_assignment_interval_ms="1000")
    story("0 join a")
    story("0.1 leave a")
    assert story("0.2 join b") == ["b: epoch 4, t:0-3"]


def test_settings_of_the_group_go_before_those_of_the_broker() -> None:
    story = Story(group_consumer_min_session_timeout_ms="1000", group_consumer_min_heartbeat_interval_ms="100")
    story("0 configure consumer.session.timeout.ms=2000 consumer.heartbeat.interval.ms=300")
    story("0 join a")
    assert story("1.9 beat a") == ["a: epoch 2"]
    assert story("9 wait") == ["-- 3.9: g/a out"]
    request = ConsumerGroupHeartbeatRequest(
        group_id="g",
        member_id="a",
        member_epoch=0,
        rebalance_timeout_ms=1,
        subscribed_topic_names=[],
        topic_partitions=[],
    )
    step = story.shard.consumer_heartbeat(request, Client("", ""), 1, story.now)
    assert step.response is not None
    assert step.response.heartbeat_interval_ms == 300


# -- leaving


def test_who_leaves_makes_room_for_the_others() -> None:
    story = two()
    assert story("3 leave a") == ["a: epoch -1"]
    assert story.written == [
        "-ConsumerGroupCurrentMemberAssignment",
        "-ConsumerGroupTargetAssignmentMember",
        "-ConsumerGroupMemberMetadata",
        "ConsumerGroupMetadata",
    ]
    assert story("4 beat b") == ["b: epoch 4, t:0-3"]


def test_a_group_that_all_have_left_stays_and_goes_on_with_its_epochs() -> None:
    story = two()
    story("3 leave a")
    assert story("3 leave b") == ["b: epoch -1"]
    assert story.written[-1] == "ConsumerGroupTargetAssignmentMetadata"
    assert story("3 list") == ["g: consumer Empty consumer"]
    assert story("4 join c") == ["c: epoch 6, t:0-3"]


def test_leaving_twice_is_refused() -> None:
    story = two()
    story("3 leave a")
    assert story("3 leave a") == ["a: UNKNOWN_MEMBER_ID Member a is not a member of group g."]


def test_a_silent_member_is_out_after_its_session_timeout() -> None:
    story = two()
    story("20 beat b")
    assert story("50 beat b") == ["-- 46: g/a out", "b: epoch 4, t:0-3"]
    assert story("51 beat a") == ["a: UNKNOWN_MEMBER_ID Member a is not a member of group g."]


def test_a_member_that_does_not_give_up_in_time_is_out() -> None:
    story = Story()
    story("0 join a rebalance=5")
    story("1 join b")
    story("2 beat a")
    story("4 beat a owns=t:0-3")
    assert story("6.9 beat a owns=t:0-3") == ["a: epoch 2"]
    assert story("7 beat b") == ["-- 7: g/a out", "b: epoch 4, t:0-3"]


def test_a_member_that_gave_up_in_time_stays() -> None:
    story = Story()
    story("0 join a rebalance=5")
    story("1 join b")
    story("2 beat a")
    story("3 beat a")
    assert story("30 beat b") == ["b: epoch 3, t:2-3"]
    assert story("40 beat a") == ["a: epoch 3"]


def test_members_have_their_whole_time_again_after_a_restart() -> None:
    story = Story()
    story("0 join a rebalance=50")
    story("1 join b")
    story("2 beat a")
    story("40 restart")
    assert story("84 beat b") == ["b: epoch 3"]
    assert story("120 wait") == ["-- 85: g/a out"]


# -- epochs


def test_an_epoch_that_is_ahead_or_behind_is_fenced() -> None:
    story = two()
    ahead = "a: FENCED_MEMBER_EPOCH The consumer group member has a greater member epoch (9) than the one known by the "
    rest = "group coordinator (3). The member must abandon all its partitions and rejoin."
    assert story("3 beat a epoch=9") == [ahead + rest]
    assert story("3 beat a epoch=1") == [ahead.replace("greater", "smaller").replace("9", "1") + rest]


def test_the_epoch_before_is_taken_from_a_member_that_owns_only_what_it_may() -> None:
    story = two()
    assert story("3 beat a epoch=2 owns=t:0-1") == ["a: epoch 3"]
    assert story("3 beat a epoch=2 owns=t:1") == ["a: epoch 3"]
    assert "FENCED" in story("3 beat a epoch=2 owns=t:0-2")[0]
    assert "FENCED" in story("3 beat a epoch=2 owns=u:0")[0]
    assert "FENCED" in story("3 beat a epoch=2 owns=?")[0]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("beat x epoch=5", "GROUP_ID_NOT_FOUND Consumer group g not found."),
        ("leave x", "GROUP_ID_NOT_FOUND Group g not found."),
        ("away x instance=i", "GROUP_ID_NOT_FOUND Group g not found."),
    ],
)
def test_only_a_join_makes_a_group(command: str, code: str) -> None:
    story = Story()
    assert story(f"0 {command}") == [f"x: {code}"]
    assert story.shard.context.groups == {}


def test_a_full_group_takes_nobody_but_its_members() -> None:
    story = Story(group_consumer_max_size="1")
    story("0 join a instance=i")
    full = "b: GROUP_MAX_SIZE_REACHED The consumer group has reached its maximum capacity of 1 members."
    assert story("1 join b") == [full]
    assert story("1 join b v=0") == [full]
    assert story("1 beat a") == ["a: epoch 2"]
    story("2 away a")
    assert story("3 join b instance=i") == ["b: epoch 2, t:0-3"]


def test_an_unknown_assignor_is_refused_with_those_that_there_are() -> None:
    assert Story()("0 join a assignor=x") == [
        "a: UNSUPPORTED_ASSIGNOR ServerAssignor x is not supported. Supported assignors: uniform, range."
    ]


@pytest.mark.parametrize(
    ("fields", "version", "message"),
    [
        ({"member_id": ""}, 1, "MemberId can't be empty."),
        ({"member_id": " \t"}, 1, "MemberId can't be empty."),
        ({"member_id": "", "member_epoch": 5}, 0, "MemberId can't be empty."),
        ({"member_id": "", "member_epoch": -1}, 0, "MemberId can't be empty."),
        ({"group_id": ""}, 1, "GroupId can't be empty."),
        ({"instance_id": ""}, 1, "InstanceId can't be empty."),
        ({"rack_id": " "}, 1, "RackId can't be empty."),
        ({"rebalance_timeout_ms": -1}, 1, "RebalanceTimeoutMs must be provided in first request."),
        ({"topic_partitions": None}, 1, "TopicPartitions must be empty when (re-)joining."),
        ({"topic_partitions": ALL}, 1, "TopicPartitions must be empty when (re-)joining."),
        (
            {"subscribed_topic_names": None},
            1,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        ({"member_epoch": -2}, 1, "InstanceId can't be null."),
        ({"member_epoch": -3}, 1, "MemberEpoch is invalid."),
    ],
)
def test_requests_that_can_not_be_are_refused_in_kafkas_words(
    fields: dict[str, object], version: int, message: str
) -> None:
    joins = {
        "group_id": "g",
        "member_id": "m",
        "member_epoch": 0,
        "rebalance_timeout_ms": 1,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [],
    }
    story = Story()
    with pytest.raises(Refusal) as refused:
        story.shard.consumer_heartbeat(
            ConsumerGroupHeartbeatRequest(**{**joins, **fields}), Client("", ""), version, Now(0, 0)
        )
    assert (refused.value.code, refused.value.message) == (ErrorCode.INVALID_REQUEST, message)
    assert story.shard.context.groups == {}


# -- static members


def static() -> Story:
    story = Story()
    for command in ("0 join a instance=i", "0 join b", "1 beat a", "2 beat a", "2 beat b"):
        story(command)
    return story


def test_a_static_member_that_is_there_can_not_be_replaced() -> None:
    story = static()
    refused = (
        "UNRELEASED_INSTANCE_ID Static member {} with instance id i cannot join the group because the instance id "
    )
    assert story("3 join c instance=i") == [f"c: {refused.format('c')}is owned by a member."]
    assert story("3 join a instance=i") == [f"a: {refused.format('a')}is owned by a member."]


def test_a_static_member_that_comes_back_finds_what_it_had_and_nobody_else_notices() -> None:
    story = static()
    assert story("3 away a") == ["a: epoch -2"]
    assert story("4 beat b") == ["b: epoch 3"]
    assert story("4 describe")[0] == "group: Reconciling 3 3 uniform"
    assert story("5 join a2 instance=i") == ["a2: epoch 3, t:0-1"]
    assert story("6 beat b") == ["b: epoch 3"]
    assert story("6 describe") == [
        "group: Stable 3 3 uniform",
        "b consumer epoch 3: t:2-3 -> t:2-3",
        "a2 consumer epoch 3: t:0-1 -> t:0-1",
    ]


def test_a_static_member_that_stays_away_is_out_after_its_session() -> None:
    story = static()
    story("3 away a")
    story("30 beat b")
    assert story("50 beat b") == ["-- 47: g/a out", "b: epoch 4, t:0-3"]


def test_a_rebalance_while_a_static_member_is_away_waits_for_it() -> None:
    story = Story()
    story("0 join a instance=i")
    story("3 away a")
    assert story("5 join c") == ["c: epoch 3, nothing"]
    assert story("6 join a2 instance=i") == ["a2: epoch 3, t:0-1"]
    assert story("7 beat c") == ["c: epoch 3, t:2-3"]


def test_the_old_one_of_two_with_the_same_instance_is_fenced() -> None:
    story = static()
    story("3 away a")
    story("4 join a2 instance=i")
    fenced = "a: FENCED_INSTANCE_ID Static member a with instance id i was fenced by member a2."
    assert story("5 beat a epoch=3") == [fenced]
    assert story("5 leave a") == [fenced]
    assert story("5 away a") == [fenced]


def test_an_unknown_instance_is_an_unknown_member() -> None:
    story = static()
    story.members["a"].instance = "x"
    assert story("3 beat a") == ["a: UNKNOWN_MEMBER_ID Instance id x is unknown."]
    assert story("3 away a") == ["a: UNKNOWN_MEMBER_ID Instance id x is unknown."]


def test_heartbeats_of_who_is_away_are_fenced() -> None:
    story = static()
    story("3 away a")
    assert "FENCED_MEMBER_EPOCH" in story("4 beat a owns=t:0-1")[0]
    assert "FENCED_MEMBER_EPOCH" in story("4 beat a epoch=2 owns=t:0-1")[0]


def test_a_static_member_may_leave_for_good() -> None:
    story = static()
    assert story("3 leave a") == ["a: epoch -1"]
    assert story("4 beat b") == ["b: epoch 4, t:0-3"]
    assert story.group().static_ids == {}


# -- topics


def test_new_partitions_are_assigned_with_the_next_heartbeat() -> None:
    story = two()
    story("3 topic t:6")
    assert story("4 beat a") == ["a: epoch 4, t:0-1,4"]
    assert story("4 beat b") == ["b: epoch 4, t:2-3,5"]


def test_a_topic_that_comes_later_is_assigned_then() -> None:
    story = Story("t:1")
    assert story("0 join a topics=t,u") == ["a: epoch 2, t:0"]
    story("1 topic u:2")
    assert story("2 beat a") == ["a: epoch 3, t:0;u:0-1"]


def test_a_topic_that_is_gone_is_taken_away() -> None:
    story = Story("t:1 u:2")
    story("0 join a topics=t,u")
    story("1 drop u")
    assert story("2 beat a owns=t:0;u:0-1") == ["a: epoch 2, t:0"]
    assert story("3 beat a") == ["a: epoch 3"]


def test_a_topic_that_was_made_anew_is_another_one() -> None:
    story = Story("t:2")
    story("0 join a")
    story("1 drop t")
    story("1 topic t:3 id=t2")
    assert story("2 beat a") == ["a: epoch 3, t:0-2"]


def test_changes_of_other_topics_do_not_matter() -> None:
    story = two()
    story("3 topic v:1")
    story("3 drop v")
    assert story("4 beat a") == ["a: epoch 3"]
    assert story.written == []


# -- regular expressions


def test_a_regular_expression_stands_for_the_topics_that_it_matches_as_a_whole() -> None:
    story = Story("log-a:1 log-b:1 my-log-c:1")
    assert story("0 join a regex=log-.") == ["a: epoch 2, log-a:0;log-b:0"]
    assert "ConsumerGroupRegularExpression" in story.written


def test_topics_that_match_are_found_when_they_come() -> None:
    story = Story("log-a:1")
    story("0 join a regex=log-.")
    story("5 topic log-b:1")
    assert story("6 beat a") == ["a: epoch 3, log-a:0;log-b:0"]
    story("6.1 topic log-c:1")
    assert story("6.2 beat a") == ["a: epoch 3"]
    assert story("7.2 beat a") == ["a: epoch 4, log-a:0;log-b:0;log-c:0"]
    story("8 drop log-a")
    assert story("9 beat a owns=?") == ["a: epoch 4, log-b:0;log-c:0"]


def test_names_and_a_regular_expression_may_be_given_together() -> None:
    story = Story("t:1 log-a:1")
    assert story("0 join a topics=t regex=log-.*") == ["a: epoch 2, log-a:0;t:0"]
    assert story("1 beat a regex=") == ["a: epoch 2, t:0"]
    assert "-ConsumerGroupRegularExpression" in story.written


def test_a_regular_expression_is_forgotten_with_its_last_subscriber() -> None:
    story = Story("log-a:2")
    story("0 join a regex=log-.*")
    story("0 join b regex=log-.*")
    story("1 leave a")
    assert list(story.group().regexes) == ["log-.*"]
    story("2 beat b regex=log-a")
    assert list(story.group().regexes) == ["log-a"]
    story("3 leave b")
    assert story.group().regexes == {}
    assert not story.group().is_subscribed_to("log-a")


def test_a_wrong_regular_expression_is_refused_and_changes_nothing() -> None:
    story = Story()
    wrong = "INVALID_REGULAR_EXPRESSION SubscribedTopicRegex `[` is not a valid regular expression: missing closing ]."
    assert story("0 join a regex=[") == [f"a: {wrong}"]
    assert story.shard.context.groups == {}
    story("0 join a")
    assert story("1 beat a regex=[ topics=u") == [f"a: {wrong}"]
    assert story("2 describe")[1:] == ["a consumer epoch 2: t:0-3 -> t:0-3"]
