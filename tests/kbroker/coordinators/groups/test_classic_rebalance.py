"""What ends a join, a sync and a session: everybody is there, or time is up."""

from __future__ import annotations

from classic_story import Story

NO_DELAY = {"group_initial_rebalance_delay_ms": "0"}


def three() -> Story:
    """Members a, the leader, b and c in generation 1, stable since second 3."""
    story = Story(group_initial_rebalance_delay_ms="1000")
    for name in "abc":
        story(f"0 join {name} v=3 rebalance=30 session=20")
    story("3 sync b")
    story("3 sync c")
    story("3 sync a a:1 b:2 c:3")
    return story


# -- the first rebalance (KIP-134)


def test_the_first_rebalance_waits_for_more_members_and_again_when_one_came() -> None:
    story = Story()
    story("0 join a v=3")
    assert story("2 join b v=3") == []
    assert story("5.9 join c v=3") == []
    assert story("8.9 wait") == []
    assert story("9 wait") == [
        "-- 9",
        "a: generation 1 range as a#1, leads a#1 b#2 c#3",
        "b: generation 1 range as b#2, follows a#1",
        "c: generation 1 range as c#3, follows a#1",
    ]


def test_the_wait_for_more_members_is_bounded_by_the_first_ones_rebalance_timeout() -> None:
    story = Story()
    for second in range(0, 8, 2):
        story(f"{second} join m{second} v=3 rebalance=7")
    assert story("7 wait")[0] == "-- 7"


def test_a_delay_that_is_longer_than_the_rebalance_timeout_is_waited_for_once() -> None:
    story = Story()
    story("0 join a v=3 rebalance=1")
    story("1 join b v=3 rebalance=1")
    assert story("9 wait")[0] == "-- 3"


def test_without_delay_the_first_member_has_its_generation_at_once() -> None:
    assert Story(**NO_DELAY)("0 join a v=3")[0] == "a: generation 1 range as a#1, leads a#1"


def test_a_group_that_became_empty_waits_again() -> None:
    story = Story()
    story("0 join a v=3")
    story("3 leave a#1")
    assert story("4 join b v=3") == []
    assert story("9 wait") == ["-- 7", "b: generation 3 range as b#2, leads b#2"]


def test_a_first_rebalance_that_all_leave_ends_empty() -> None:
    story = Story()
    story("0 join a v=3")
    assert story("1 leave a#1") == ["a#1: a#1 NONE", "a: UNKNOWN_MEMBER_ID"]
    assert story("3 describe") == ["-- 3", "record: generation 1, empty", "group: Empty consumer -"]


# -- joining


def test_a_rebalance_ends_as_soon_as_all_members_have_joined() -> None:
    story = three()
    story("5 join a")
    story("6 join c")
    assert story("7 join b") == [
        "a: generation 2 range as a#1, leads a#1 b#2 c#3",
        "b: generation 2 range as b#2, follows a#1",
        "c: generation 2 range as c#3, follows a#1",
    ]


def test_who_misses_a_rebalance_is_out() -> None:
    story = three()
    story("5 join a rebalance=30")
    story("6 join b rebalance=30")
    assert story("20 heartbeat c") == ["c: REBALANCE_IN_PROGRESS"]
    assert story("34.9 wait") == []
    assert story("35 wait")[:3] == [
        "-- 35",
        "a: generation 2 range as a#1, leads a#1 b#2",
        "b: generation 2 range as b#2, follows a#1",
    ]
    assert story("35 heartbeat c") == ["c: UNKNOWN_MEMBER_ID"]


def test_the_longest_rebalance_timeout_counts() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3 rebalance=10")
    story("0 sync a a:x")
    story("0 join b v=3 rebalance=50 session=100")
    assert story.shard.context.timers.at(("join", "g", "")) == 50


def test_a_leader_that_misses_a_rebalance_leads_no_more() -> None:
    story = three()
    story("5 join c meta=new")
    story("6 join b")
    assert story("23 wait")[1:] == [
        "b: generation 2 range as b#2, leads b#2 c#3",
        "c: generation 2 range as c#3, follows b#2",
    ], "its session was over"


def test_a_rebalance_that_a_silent_member_held_up_goes_on_when_its_session_is_over() -> None:
    story = three()
    story("5 join a")
    story("5 join b")
    assert story("30 wait")[0] == "-- 23"


def test_a_static_member_may_miss_a_rebalance_and_is_still_given_something() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=5 instance=i session=1000 rebalance=10")
    story("0 sync a a:x")
    story("0 join b v=3 rebalance=10 session=1000")
    assert story("10 wait") == ["-- 10", "b: generation 2 range as b#2, leads i#1 b#2"]
    assert story("11 sync b a:1 b:2") == ["b: assigned 2", "record: generation 2, b#2 leads: i#1=1 b#2=2"]
    assert story("12 join again instance=i session=1000 rebalance=10")[0] == (
        "again: generation 2 range as i#3, follows b#2"
    )
    assert story("12 sync again") == ["again: assigned 1"]


def test_a_rebalance_that_no_static_member_joins_is_tried_again_until_their_sessions_are_over() -> None:
    story = Story(**NO_DELAY)
    story("0 join a instance=i session=30 rebalance=0.1")
    story("0 sync a a:x")
    story("1 join b instance=j session=25 rebalance=0.1")
    story("1 leave j#2")
    assert story("29.9 describe") == ["group: PreparingRebalance consumer - i#1=x"]
    assert story("30 describe") == ["-- 30", "record: generation 2, empty", "group: Empty consumer -"]


# -- assigning


def test_when_the_leader_does_not_assign_in_time_it_is_out_and_the_rest_begins_anew() -> None:
    story = three()
    for name in "abc":
        story(f"4 join {name} meta=new rebalance=30 session=100")
    story("5 sync b")
    story("5 sync c")
    assert story("33.9 wait") == []
    assert story("34 wait") == ["-- 34", "b: REBALANCE_IN_PROGRESS", "c: REBALANCE_IN_PROGRESS"]
    assert story("34 heartbeat a") == ["a: UNKNOWN_MEMBER_ID"]
    story("35 join b meta=new")
    assert story("35 join c meta=new")[0] == "b: generation 3 range as b#2, leads b#2 c#3"


def test_who_does_not_ask_for_its_assignment_in_time_is_out() -> None:
    story = three()
    for name in "abc":
        story(f"4 join {name} meta=new rebalance=30 session=100")
    story("5 sync a a:1 b:2 c:3")
    story("5 sync b")
    assert story("34 heartbeat a") == ["a: REBALANCE_IN_PROGRESS"]
    assert story("34 heartbeat c") == ["c: UNKNOWN_MEMBER_ID"]


def test_when_all_have_synced_nobody_is_expelled() -> None:
    story = three()
    for at in range(10, 100, 10):
        for name in "abc":
            assert story(f"{at} heartbeat {name}") == [f"{name}: ok"]


def test_whose_assignment_was_taken_back_after_a_long_wait_has_a_session_again() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3 session=100")
    story("0 sync a a:x")
    story("0 join b v=3 session=6")
    story("0 join a session=100")
    story("1 sync b")
    assert story("50 join a meta=new session=100") == ["b: REBALANCE_IN_PROGRESS"]
    assert story("56 wait") == ["-- 56", "a: generation 3 range as a#1, leads a#1"]


# -- sessions


def test_a_silent_member_is_expelled_and_the_rest_rebalances() -> None:
    story = three()
    story("20 heartbeat a")
    story("20 heartbeat b")
    assert story("22.9 heartbeat a") == ["a: ok"]
    assert story("23 heartbeat a") == ["a: REBALANCE_IN_PROGRESS"]
    assert story("23 heartbeat c") == ["c: UNKNOWN_MEMBER_ID"]


def test_who_waits_for_an_answer_does_not_fall_silent_and_has_a_session_from_it_on() -> None:
    story = three()
    story("4 join a rebalance=60 session=20")
    for at in range(10, 80, 10):
        story(f"{at} heartbeat b")
        story(f"{at} heartbeat c")
    assert story("80 wait") == [], "the join waited for 60 seconds, and b and c are out"
    assert story.members["a"].generation == 2
    assert story("83.9 heartbeat a") == ["a: ok"]


def test_followers_that_wait_for_the_leader_do_not_fall_silent() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3 session=100")
    story("0 sync a a:x")
    story("0 join b v=3 session=6")
    story("0 join a session=100")
    story("1 sync b")
    assert story("50 sync a b:2") == [
        "a: assigned nothing",
        "b: assigned 2",
        "record: generation 2, a#1 leads: a#1= b#2=2",
    ]
    assert story("55 heartbeat b") == ["b: ok"]
    assert story("61.1 heartbeat b") == ["b: UNKNOWN_MEMBER_ID"]


def test_a_new_member_whose_join_waits_for_five_minutes_is_given_up() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3 session=1000 rebalance=1000")
    story("0 sync a a:x")
    story("0 join b v=3 session=6 rebalance=1000")
    assert story("299 wait") == []
    assert story("300 wait") == ["-- 300", "b: UNKNOWN_MEMBER_ID"]


def test_an_offset_commit_counts_as_a_heartbeat() -> None:
    story = three()
    group = story.group()
    group.committed("a#1", 20)
    group.committed(story.members["a"].id, 20)
    timers = story.shard.context.timers
    assert [timers.at(group.session_of(story.members[name].id)) for name in "ab"] == [40, 23]


# -- after a restart


def test_a_group_is_there_after_a_restart_and_its_sessions_begin_anew() -> None:
    story = three()
    story("20 restart")
    assert story("20 describe") == ["group: Stable consumer range a#1=1 b#2=2 c#3=3"]
    assert story("39 heartbeat a") == ["a: ok"]
    assert story("39 sync b") == ["b: assigned 2"]
    assert story("40 heartbeat a") == ["a: REBALANCE_IN_PROGRESS"], "b and c were silent"


def test_a_rebalance_that_a_restart_cuts_short_never_was() -> None:
    story = three()
    story("5 join a")
    story("5 join b")
    story("6 restart")
    assert story("6 heartbeat a generation=1") == ["a: ok"]
    assert story("7 join b meta=new") == []
    assert story("7 join c") == []
    assert story("7 join a")[0] == "a: generation 2 range as a#1, leads a#1 b#2 c#3"


def test_a_static_member_keeps_its_place_over_a_restart() -> None:
    story = Story(**NO_DELAY)
    story("0 join a instance=i")
    story("0 sync a a:x")
    story("1 restart")
    assert story("2 join again instance=i")[0] == ("again: generation 1 range as i#2, leads i#2, nothing to assign")
    assert story("2 sync again") == ["again: assigned x"]
