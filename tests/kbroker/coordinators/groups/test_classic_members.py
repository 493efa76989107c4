"""Members of consumer groups that speak the classic protocol."""

from __future__ import annotations

from consumer_story import Story
from kbroker.coordinators.groups.consumer_group import ConsumerGroup


def mixed(**settings: str) -> Story:
    """c, classic, and x, of the consumer protocol, with two partitions each in epoch 2, since second 3."""
    story = Story("t:4 u:2", **settings)
    for command in (
        "0 classic-join c",
        "0 classic-join c",
        "0 sync c all:t:0-3",
        "1 join x",
        "2 classic-join c owns=t:0-3",
        "2 sync c",
        "2 classic-join c",
        "2 sync c",
        "3 beat x",
    ):
        story(command)
    assert story.lines == ["x: epoch 2, t:2-3"]
    return story


def test_a_classic_member_gives_up_and_takes_by_joining() -> None:
    story = Story()
    story("0 classic-join c v=3")
    story("0 sync c all:t:0-3")
    story("1 join x")
    assert story("2 heartbeat c") == ["c: REBALANCE_IN_PROGRESS"]
    assert story("2 sync c") == ["c: REBALANCE_IN_PROGRESS"]
    assert story("3 classic-join c") == ["c: generation 1 range as #1"]
    assert story("3 sync c") == ["c: assigned t:0-1"]
    assert story("3 heartbeat c") == ["c: REBALANCE_IN_PROGRESS"]
    assert story("4 classic-join c") == ["c: generation 2 range as #1"]
    assert story("4 sync c") == ["c: assigned t:0-1"]
    assert story("4 heartbeat c") == ["c: ok"]
    assert story("5 beat x") == ["x: epoch 2, t:2-3"]


def test_a_classic_member_that_waits_joins_again_once_all_it_waits_for_is_free() -> None:
    story = mixed()
    assert story("4 classic-join d v=3") == ["d: generation 3 range as #2"]
    assert story("4 sync d") == ["d: assigned nothing"]
    assert story("4 heartbeat d") == ["d: ok"]
    assert story("5 beat x") == ["x: epoch 2, t:2"]
    assert story("5 heartbeat d") == ["d: ok"]
    assert story("6 beat x") == ["x: epoch 3"]
    assert story("6 heartbeat d") == ["d: REBALANCE_IN_PROGRESS"]
    assert story("7 classic-join d") == ["d: generation 3 range as #2"]
    assert story("7 sync d") == ["d: assigned t:3"]
    assert story("8 heartbeat d") == ["d: ok"]
    assert story("8 heartbeat c") == ["c: REBALANCE_IN_PROGRESS"]


def test_a_new_member_is_given_its_id_first() -> None:
    story = mixed()
    assert story("4 classic-join d") == ["d: MEMBER_ID_REQUIRED #2"]
    assert story("4 classic-join d") == ["d: generation 3 range as #2"]
    assert story("5 classic-join e v=3") == ["e: generation 4 range as #3"]


def test_joins_that_do_not_fit_are_refused() -> None:
    story = mixed()
    assert story("4 classic-join d v=3 protocols=sticky") == ["d: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("4 classic-join d v=3 protocols=") == ["d: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("4 classic-join d v=3 type=connect") == ["d: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("4 classic-join d v=3 meta=00") == ["d: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("4 classic-join d v=3 session=1") == ["d: INVALID_SESSION_TIMEOUT"]
    assert story("4 classic-join d instance=i as=zz") == ["d: UNKNOWN_MEMBER_ID"]
    assert story("5 describe")[0] == "group: Stable 2 2 uniform"


def test_without_migration_nobody_joins_with_the_other_protocol() -> None:
    story = Story(group_consumer_migration_policy="disabled")
    story("0 join x")
    assert story("1 classic-join c v=3") == ["c: INCONSISTENT_GROUP_PROTOCOL"]


def test_a_full_group_takes_no_classic_member_either() -> None:
    story = Story(group_consumer_max_size="1")
    story("0 join x")
    assert story("1 classic-join c v=3") == ["c: GROUP_MAX_SIZE_REACHED"]


def test_requests_of_strangers_and_of_other_generations_are_refused() -> None:
    story = mixed()
    for verb in ("heartbeat", "sync"):
        assert story(f"4 {verb} c epoch=1") == ["c: ILLEGAL_GENERATION"]
        assert story(f"4 {verb} c as=zz") == ["c: UNKNOWN_MEMBER_ID Member zz is not a member of group g."]
        assert story(f"4 {verb} x") == ["x: UNKNOWN_MEMBER_ID"]
        assert story(f"4 {verb} c instance=q") == ["c: UNKNOWN_MEMBER_ID Instance id q is unknown."]
    assert story("4 sync c protocol=sticky") == ["c: INCONSISTENT_GROUP_PROTOCOL"]
    assert story("4 sync c type=connect") == ["c: INCONSISTENT_GROUP_PROTOCOL"]


def test_a_commit_of_a_classic_member_has_the_codes_that_it_knows() -> None:
    story = mixed()
    assert story("4 commit c t:0 epoch=1") == ["c: t:0 ok"]
    assert story("4 commit c t:3 epoch=1") == [
        "c: t:3 ILLEGAL_GENERATION Partition t-3 is not assigned or pending revocation for member."
    ]
    assert story("4 commit c t:0 epoch=3") == [
        "c: ILLEGAL_GENERATION Received generation id 3 is newer than current member epoch 2."
    ]


def test_a_silent_classic_member_is_out_after_its_own_session() -> None:
    story = mixed()
    assert story("20 beat x") == ["-- 12: g/#1 out", "x: epoch 3, t:0-3"]


def test_a_classic_member_that_was_told_to_join_again_and_does_not_is_out() -> None:
    story = Story()
    story("0 classic-join c v=3 rebalance=5")
    story("0 sync c all:t:0-3")
    story("1 join x")
    story("2 heartbeat c")
    story("4 heartbeat c")
    assert story("8 heartbeat c") == ["-- 7: g/#1 out", "c: UNKNOWN_MEMBER_ID Member #1 is not a member of group g."]


def test_a_classic_member_that_joined_and_does_not_sync_is_out() -> None:
    story = mixed()
    story("4 classic-join c rebalance=2")
    story("5 heartbeat c")
    assert story("7 beat x") == ["-- 6: g/#1 out", "x: epoch 3, t:0-3"]


def test_a_classic_member_that_does_all_in_time_stays() -> None:
    story = mixed()
    story("4 join y")
    story("5 heartbeat c")
    story("6 classic-join c rebalance=3")
    story("7 sync c")
    story("8 classic-join c rebalance=3")
    story("9 sync c")
    assert story("18 heartbeat c") == ["c: ok"]


def test_a_join_of_version_0_has_its_session_for_everything() -> None:
    story = mixed()
    assert story("4 classic-join d v=0 session=8 rebalance=0") == ["d: generation 3 range as #2"]
    assert story("5 sync d") == ["d: assigned nothing"]
    assert story("6 beat x") == ["x: epoch 2, t:2"]


def test_leave_group_removes_members_of_either_protocol() -> None:
    story = mixed()
    story("4 join y")
    assert story("5 classic-leave c x nobody") == ["c x nobody: #1 NONE, x NONE, nobody UNKNOWN_MEMBER_ID"]
    assert story("6 list") == ["g: consumer Assigning consumer"]
    assert list(story.group().members) == ["y"]


def test_an_administrator_removes_a_static_member_by_its_instance() -> None:
    story = mixed()
    story("4 classic-join d instance=i")
    assert story("5 classic-leave instance=i") == [": #2 NONE"]
    assert story("5 classic-leave instance=i") == [": i UNKNOWN_MEMBER_ID"]
    assert len(story.group().members) == 2


def test_a_static_member_of_the_new_protocol_is_removed_without_telling_its_id() -> None:
    story = mixed()
    story("4 join y instance=i")
    assert story("5 classic-leave instance=i") == [": i NONE"]
    assert len(story.group().members) == 2


def test_a_static_classic_member_that_comes_back_keeps_what_it_had() -> None:
    story = mixed()
    story("4 classic-join d instance=i")
    story("5 beat x")
    story("6 beat x")
    story("7 classic-join d")
    assert story("7 sync d") == ["d: assigned t:3"]
    story.members["e"] = story.members["d"].__class__("")
    assert story("8 classic-join e instance=i") == ["e: generation 3 range as #3"]
    assert story("8 sync e") == ["e: assigned t:3"]
    assert story("9 heartbeat d") == [
        "d: FENCED_INSTANCE_ID Static member #2 with instance id i was fenced by member #3."
    ]


def test_an_empty_consumer_group_knows_no_classic_member() -> None:
    story = Story()
    story("0 join x")
    story("1 leave x")
    for verb in ("heartbeat", "sync"):
        assert story(f"2 {verb} x") == ["x: UNKNOWN_MEMBER_ID Member x is not a member of group g."]
    assert story("2 classic-leave x") == ["x: x UNKNOWN_MEMBER_ID"]
    assert isinstance(story.shard.context.groups["g"], ConsumerGroup)
