"""JoinGroup, SyncGroup, Heartbeat and LeaveGroup in each state of a classic group, as Apache Kafka answers them."""

from __future__ import annotations

import pytest

from classic_story import Story

NO_DELAY = {"group_initial_rebalance_delay_ms": "0"}


def alone(**settings: str) -> Story:
    """Member a in a stable group, its own leader."""
    story = Story(**NO_DELAY, **settings)
    story("0 join a")
    story("0 join a")
    story("0 sync a a:all")
    return story


def two(**settings: str) -> Story:
    """Members a, the leader, and b in a stable group."""
    story = alone(**settings)
    story("1 join b")
    story("1 join b")
    story("1 join a")
    story("1 sync b")
    story("1 sync a a:one b:two")
    return story


# -- JoinGroup: what is refused


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("join a group=", "INVALID_GROUP_ID"),
        ("join a session=5.999", "INVALID_SESSION_TIMEOUT"),
        ("join a session=1800.001", "INVALID_SESSION_TIMEOUT"),
        ("join a as=somebody", "UNKNOWN_MEMBER_ID"),
        ("join a protocols=", "INCONSISTENT_GROUP_PROTOCOL"),
        ("join a type=", "INCONSISTENT_GROUP_PROTOCOL"),
    ],
)
def test_a_join_that_is_refused_makes_no_group(command: str, answer: str) -> None:
    story = Story()
    assert story(f"0 {command}") == [f"a: {answer}"]
    assert story("0 list") == []


def test_session_timeouts_are_allowed_up_to_their_bounds() -> None:
    story = Story(**NO_DELAY, group_min_session_timeout_ms="5000", group_max_session_timeout_ms="7000")
    for session in ("5", "7"):
        assert story(f"0 join a session={session} as=")[0].startswith("a: MEMBER_ID_REQUIRED")


def test_a_group_with_members_takes_only_who_shares_type_and_a_protocol_with_all_of_them() -> None:
    story = alone()
    assert story("1 join b type=connect") == ["b: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("1 join b protocols=sticky") == ["b: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("1 join a protocols=sticky") == ["a: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("1 join b protocols=sticky,range") == ["b: MEMBER_ID_REQUIRED b#2"]
    assert story("1 heartbeat a") == ["a: ok"], "none of them disturbed the group"


def test_an_empty_group_takes_any_type_again() -> None:
    story = alone()
    story("1 leave a")
    assert story("1 join c type=connect protocols=eager v=3") == [
        "c: generation 3 eager as c#2, leads c#2",
    ]


def test_a_member_that_the_group_does_not_know_is_told_so() -> None:
    story = alone()
    assert story("1 join b as=b-1") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("1 join a instance=i") == ["a: UNKNOWN_MEMBER_ID"], "no such static member"


# -- JoinGroup: members that are new


def test_a_new_member_is_given_its_id_first_and_before_version_4_joins_at_once() -> None:
    story = Story(**NO_DELAY)
    assert story("0 join a v=4") == ["a: MEMBER_ID_REQUIRED a#1", "record: generation 0, empty"]
    assert story("0 describe") == ["group: Empty - -"]
    assert story("0 join a v=4") == ["a: generation 1 range as a#1, leads a#1"]
    assert Story(**NO_DELAY)("0 join a v=3") == [
        "a: generation 1 range as a#1, leads a#1",
        "record: generation 0, empty",
    ]


def test_a_static_member_joins_at_once() -> None:
    story = Story(**NO_DELAY)
    assert story("0 join a instance=i") == ["a: generation 1 range as i#1, leads i#1", "record: generation 0, empty"]
    assert story("0 sync a a:x") == ["a: assigned x", "record: generation 1, i#1 leads: i#1=x"]


def test_version_0_has_the_session_timeout_for_rebalances_too() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=0 session=7 rebalance=99")
    assert story.group().rebalance_timeout_ms == 7000
    story("0 sync a a:x")
    story("1 join b v=1 session=7 rebalance=99")
    assert story.group().rebalance_timeout_ms == 99_000


def test_an_id_that_was_given_out_is_good_until_its_session_is_over() -> None:
    story = Story(**NO_DELAY)
    story("0 join a session=10")
    assert story("10.5 join a") == ["a: UNKNOWN_MEMBER_ID"]


def test_a_rebalance_waits_for_who_was_given_an_id_but_a_heartbeat_does_not_know_it() -> None:
    story = two()
    assert story("2 join c") == ["c: MEMBER_ID_REQUIRED c#3"]
    assert story("2 heartbeat c generation=2") == ["c: UNKNOWN_MEMBER_ID"]
    assert story("2 heartbeat a") == ["a: ok"], "an id alone disturbs nobody"
    story("3 join a")
    assert story("3 join b") == [], "all members are there, but not c"
    assert story("3 join c") == [
        "a: generation 3 range as a#1, leads a#1 b#2 c#3",
        "b: generation 3 range as b#2, follows a#1",
        "c: generation 3 range as c#3, follows a#1",
    ]


def test_a_pending_id_that_comes_with_an_instance_is_unknown() -> None:
    story = alone()
    story("1 join b")
    assert story("1 join b instance=i") == ["b: UNKNOWN_MEMBER_ID"]


# -- JoinGroup: members that come again


def test_a_follower_that_changed_nothing_is_told_of_its_generation() -> None:
    story = two()
    assert story("2 join b") == ["b: generation 2 range as b#2, follows a#1"]
    assert story("2 heartbeat a") == ["a: ok"]


@pytest.mark.parametrize(
    "command", ["join a", "join b meta=other", "join b protocols=range,sticky", "join c v=3", "join c instance=i"]
)
def test_a_stable_group_rebalances_for_a_leader_a_change_or_a_new_member(command: str) -> None:
    story = two()
    assert story(f"2 {command}") == []
    assert story("2 heartbeat a") == ["a: REBALANCE_IN_PROGRESS"]
    assert story("2 describe")[0].startswith("group: PreparingRebalance consumer - a#1=one b#2=two")


def test_during_the_sync_phase_a_join_that_changes_nothing_repeats_the_answer() -> None:
    story = alone()
    story("1 join b")
    story("1 join b")
    assert story("1 join a") == [
        "a: generation 2 range as a#1, leads a#1 b#2",
        "b: generation 2 range as b#2, follows a#1",
    ]
    assert story("1 join a") == ["a: generation 2 range as a#1, leads a#1 b#2"]
    assert story("1 join b") == ["b: generation 2 range as b#2, follows a#1"]


def test_during_the_sync_phase_a_change_takes_assignments_back() -> None:
    story = alone()
    story("1 join b")
    story("1 join b")
    story("1 join a")
    assert story("1 sync b") == []
    assert story("1 join a meta=other") == ["b: REBALANCE_IN_PROGRESS"]
    assert story("1 sync a a:x") == ["a: REBALANCE_IN_PROGRESS"]


def test_a_member_that_joins_again_while_its_join_waits_gets_one_answer_for_each() -> None:
    story = alone()
    story("1 join b")
    story("1 join b")
    assert story("1 join b meta=newer") == ["b: REBALANCE_IN_PROGRESS"], "the former one, lest its connection hangs"
    assert story("1 join a") == [
        "a: generation 2 range as a#1, leads a#1 b#2",
        "b: generation 2 range as b#2, follows a#1",
    ]
    assert story.group().members[story.members["b"].id].protocols == {"range": b"newer"}


def test_a_protocol_that_is_offered_twice_counts_once() -> None:
    story = Story(**NO_DELAY)
    story("0 join a protocols=range,range")
    assert story("0 join a protocols=range,range") == ["a: generation 1 range as a#1, leads a#1"]


def test_the_protocol_that_most_members_like_best_is_chosen_among_those_that_all_support() -> None:
    story = Story()
    story("0 join a v=3 protocols=a,range,sticky")
    story("0 join b v=3 protocols=sticky,range")
    story("0 join c v=3 protocols=c,sticky,range")
    assert story("100 wait")[1] == "a: generation 1 sticky as a#1, leads a#1 b#2 c#3"


# -- JoinGroup: how many there may be


def test_a_group_takes_no_more_members_than_it_may_have() -> None:
    story = two(group_max_size="2")
    assert story("2 join c v=3") == ["c: GROUP_MAX_SIZE_REACHED"]
    assert story("2 heartbeat a") == ["a: ok"]
    assert story("2 join a") == []
    assert story("2 join b")[0].startswith("a: generation 3")


def test_ids_are_given_out_beyond_the_size_and_the_last_to_come_back_is_turned_away() -> None:
    story = Story(group_max_size="2")
    for name in ("a", "b", "c"):
        story(f"0 join {name}")
    assert story("0 join c") == []
    assert story("0 join b") == []
    assert story("0 join a") == ["a: GROUP_MAX_SIZE_REACHED"]
    assert story("0 join a") == ["a: GROUP_MAX_SIZE_REACHED"], "also with an id that is not there any more"
    assert story("100 wait")[1] == "c: generation 1 range as c#3, leads c#3 b#2"


def test_a_group_that_is_too_large_turns_away_who_comes_last_to_a_rebalance() -> None:
    story = Story()
    for name in ("a", "b", "c"):
        story(f"0 join {name} v=3")
    story("10 sync c")
    story("10 sync b")
    story("10 sync a a:1 b:2 c:3")
    story("10 settings group.max.size=2")
    story("10 restart")
    assert story("11 heartbeat b") == ["b: REBALANCE_IN_PROGRESS"], "so that it can commit and come again"
    story("11 join c")
    story("11 join a")
    assert story("11 join b") == [
        "b: GROUP_MAX_SIZE_REACHED",
        "a: generation 2 range as a#1, leads a#1 c#3",
        "c: generation 2 range as c#3, follows a#1",
    ]


# -- SyncGroup


def test_followers_wait_for_what_the_leader_says_and_who_is_not_named_gets_nothing() -> None:
    story = alone()
    story("1 join b v=3")
    story("1 join a")
    assert story("1 sync b") == []
    assert story("1 sync a a:one ghost:three") == [
        "a: assigned one",
        "b: assigned nothing",
        "record: generation 2, a#1 leads: a#1=one b#2=",
    ]
    assert story("1 sync a a:other") == ["a: assigned one"], "a stable group's assignment stands"
    assert story("1 sync b") == ["b: assigned nothing"]


def test_a_sync_must_be_of_a_member_of_this_generation_and_protocol() -> None:
    story = two()
    assert story("2 sync c") == ["c: UNKNOWN_MEMBER_ID"]
    assert story("2 sync b generation=1") == ["b: ILLEGAL_GENERATION"]
    assert story("2 sync b generation=3") == ["b: ILLEGAL_GENERATION"]
    assert story("2 sync b type=connect") == ["b: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("2 sync b type=consumer protocol=sticky") == ["b: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("2 sync b type=consumer protocol=range") == ["b: assigned two"]
    assert story("2 sync b instance=i") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("2 sync b group=other") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("2 sync b group=") == ["b: INVALID_GROUP_ID"]
    story("2 join a")
    assert story("2 sync b") == ["b: REBALANCE_IN_PROGRESS"]


def test_a_second_sync_answers_the_first() -> None:
    story = alone()
    story("1 join b v=3")
    story("1 join a")
    story("1 sync b")
    assert story("1 sync b") == ["b: REBALANCE_IN_PROGRESS"]
    assert story("1 sync a b:two")[:2] == ["a: assigned nothing", "b: assigned two"]
    assert not story.open


def test_an_assignment_that_is_too_large_to_be_written_is_refused_and_the_group_tries_again() -> None:
    story = alone()
    story("1 join b v=3")
    story("1 join a")
    story("1 sync b")
    assert story(f"1 sync a b:{'x' * ((16 << 20) + 1)}") == ["a: UNKNOWN_SERVER_ERROR", "b: UNKNOWN_SERVER_ERROR"]
    story("1 join b")
    story("1 join a")
    story("1 sync b")
    assert story("1 sync a b:two")[:2] == ["a: assigned nothing", "b: assigned two"]


# -- Heartbeat


def test_heartbeats_are_checked_like_syncs() -> None:
    story = two()
    assert story("2 heartbeat c generation=2") == ["c: UNKNOWN_MEMBER_ID"]
    assert story("2 heartbeat b generation=1") == ["b: ILLEGAL_GENERATION"]
    assert story("2 heartbeat b generation=3") == ["b: ILLEGAL_GENERATION"]
    assert story("2 heartbeat b instance=i") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("2 heartbeat b group=other") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("2 heartbeat b group=") == ["b: INVALID_GROUP_ID"]
    assert story("2 heartbeat b") == ["b: ok"]


def test_a_heartbeat_in_the_sync_phase_is_a_normal_one() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3")
    assert story("9 heartbeat a") == ["a: ok"]
    assert story("18 heartbeat a") == ["a: ok"], "it began a session anew"


def test_a_heartbeat_counts_during_a_rebalance_too() -> None:
    story = two()
    story("8 heartbeat b")
    story("9 join a")
    assert story("17 heartbeat b") == ["b: REBALANCE_IN_PROGRESS"]
    assert story("26 heartbeat b") == ["b: REBALANCE_IN_PROGRESS"]


# -- LeaveGroup


def test_who_leaves_is_out_at_once_and_the_rest_rebalances() -> None:
    story = two()
    assert story("2 leave b") == ["b: b#2 NONE"]
    assert story("2 heartbeat b") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("2 heartbeat a") == ["a: REBALANCE_IN_PROGRESS"]
    assert story("2 join a") == ["a: generation 3 range as a#1, leads a#1"]


def test_a_group_that_all_leave_is_empty_and_keeps_its_generation() -> None:
    story = two()
    assert story("2 leave a b") == ["a b: a#1 NONE, b#2 NONE", "record: generation 3, empty"]
    assert story("2 describe") == ["group: Empty consumer -"]
    story("2 join c v=3")
    assert story("2 sync c c:x generation=4") == ["c: assigned x", "record: generation 4, c#3 leads: c#3=x"]


def test_when_the_leader_leaves_the_eldest_of_those_who_come_again_leads() -> None:
    story = two()
    assert story("2 leave a") == ["a: a#1 NONE"]
    assert story("2 join b") == ["b: generation 3 range as b#2, leads b#2"]


def test_each_member_that_is_to_leave_has_a_row_of_its_own() -> None:
    story = two()
    story("2 join s instance=i v=5")
    assert story("2 leave ghost b instance=j") == ["ghost b: ghost UNKNOWN_MEMBER_ID, b#2 NONE, j UNKNOWN_MEMBER_ID"]
    assert story("2 leave instance=i") == [": i NONE", "s: UNKNOWN_MEMBER_ID"], "its join waited"


def test_the_rows_of_a_leave_say_who_was_fenced() -> None:
    story = Story(**NO_DELAY)
    story("0 join s instance=i")
    story("0 sync s s:x")
    story("1 join again instance=i")
    assert story("1 leave s") == ["s: i#1 FENCED_INSTANCE_ID"]
    assert story("1 leave again") == ["again: i#2 NONE", "record: generation 2, empty"]


def test_before_version_3_the_answer_has_the_code_of_the_one_member() -> None:
    story = two()
    assert story("2 leave ghost v=2") == ["ghost: UNKNOWN_MEMBER_ID"]
    assert story("2 leave b v=2") == ["b: ok"]
    assert story("2 leave b v=0 group=other") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("2 leave b group=") == ["b: INVALID_GROUP_ID"]


def test_who_leaves_while_its_join_waits_gets_both_answers() -> None:
    story = alone()
    story("1 join b v=3")
    assert story("1 leave b#2") == ["b#2: b#2 NONE", "b: UNKNOWN_MEMBER_ID"]
    assert not story.open


def test_who_leaves_while_its_sync_waits_gets_both_answers() -> None:
    story = alone()
    story("1 join b v=3")
    story("1 join a")
    story("1 sync b")
    assert story("1 leave b") == ["b: b#2 NONE", "b: UNKNOWN_MEMBER_ID"]
    assert not story.open


def test_a_pending_id_may_leave_and_nobody_rebalances_for_it() -> None:
    story = alone()
    story("1 join b")
    assert story("1 leave b") == ["b: b#2 NONE"]
    assert story("1 join b") == ["b: UNKNOWN_MEMBER_ID"]
    assert story("1 heartbeat a") == ["a: ok"]


def test_a_leave_can_be_what_a_rebalance_waited_for() -> None:
    story = two()
    story("2 join a")
    assert story("3 leave b") == ["b: b#2 NONE", "a: generation 3 range as a#1, leads a#1"]


# -- static members (KIP-345)


def static(**settings: str) -> Story:
    """Static members a, the leader, and b in a stable group."""
    story = Story(**NO_DELAY, **settings)
    story("0 join a instance=i")
    story("0 sync a a:one")
    story("0 join b instance=j")
    story("0 join a")
    story("0 sync b")
    story("0 sync a a:one b:two")
    return story


def test_a_static_member_comes_back_with_another_id_and_nobody_rebalances() -> None:
    story = static()
    assert story("5 join b2 instance=j") == [
        "b2: generation 2 range as j#3, follows i#1",
        "record: generation 2, i#1 leads: i#1=one j#3=two",
    ]
    assert story("5 sync b2") == ["b2: assigned two"]
    assert story("5 heartbeat a") == ["a: ok"]
    for command in ("join b", "sync b", "heartbeat b"):
        assert story(f"5 {command}") == ["b: FENCED_INSTANCE_ID"]


def test_a_static_leader_that_comes_back_is_told_that_there_is_nothing_to_assign() -> None:
    story = static()
    assert story("5 join a2 instance=i v=9")[0] == ("a2: generation 2 range as i#3, leads j#2 i#3, nothing to assign")
    assert story("5 join a3 instance=i v=8")[0] == "a3: generation 2 range as i#4, follows i#3", "it must not assign"


def test_a_static_member_that_comes_back_with_another_favourite_makes_a_rebalance() -> None:
    story = Story(**NO_DELAY)
    story("0 join a instance=i protocols=range,sticky")
    story("0 sync a a:x")
    assert story("1 join a2 instance=i protocols=sticky,range") == ["a2: generation 2 sticky as i#2, leads i#2"]


def test_what_a_static_member_that_came_back_says_of_itself_is_on_record() -> None:
    story = static()
    story("5 join b2 instance=j meta=newer session=20")
    story("6 restart")
    member = story.group().members[story.members["b2"].id]
    assert (member.protocols, member.session_timeout_ms) == ({"range": b"newer"}, 20_000)


def test_a_static_member_that_comes_back_takes_its_place_in_a_rebalance() -> None:
    story = static()
    story("5 join b meta=other")
    assert story("5 join b2 instance=j") == ["b: FENCED_INSTANCE_ID"], "the former's join is answered"
    assert story("5 join a") == [
        "a: generation 3 range as i#1, leads i#1 j#3",
        "b2: generation 3 range as j#3, follows i#1",
    ]


def test_a_static_member_that_comes_back_in_the_sync_phase_makes_a_rebalance() -> None:
    story = static()
    story("5 join b meta=other")
    story("5 join a")
    assert story("5 sync b") == []
    assert story("5 join b2 instance=j") == ["b: FENCED_INSTANCE_ID"]
    assert story("5 sync a a:1 b:2") == ["a: REBALANCE_IN_PROGRESS"], "the assignment would name who is not there"
    assert story("5 join a") == [
        "a: generation 4 range as i#1, leads i#1 j#3",
        "b2: generation 4 range as j#3, follows i#1",
    ]


def test_a_static_member_that_was_replaced_before_it_synced_is_waited_for_under_its_new_id() -> None:
    story = static()
    story("5 join b meta=other")
    story("5 join a")
    story("5 sync a a:1 b:2")
    story("6 join b2 instance=j meta=other session=100")
    assert story("14 heartbeat a") == ["a: ok"]
    assert story("14 sync b2") == ["b2: assigned 2"]
    for at in range(20, 80, 5):
        assert story(f"{at} heartbeat a") == ["a: ok"], "everybody has synced"


def test_a_static_member_that_was_replaced_and_does_not_sync_is_out_when_the_sync_is_over() -> None:
    story = static()
    story("5 join b meta=other")
    story("5 join a")
    story("5 sync a a:1 b:2")
    story("6 join b2 instance=j meta=other session=100")
    for at in range(10, 65, 5):
        assert story(f"{at} heartbeat a") == ["a: ok"]
    assert story("65 heartbeat a") == ["a: REBALANCE_IN_PROGRESS"]
    assert story("65 join a") == ["a: generation 4 range as i#1, leads i#1"]
