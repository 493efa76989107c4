"""What a classic group tells others: who may commit, which topics it wants, when offsets begin to expire."""

from __future__ import annotations

import pytest

from classic_story import WALL_MS, Story
from kbroker.coordinators.groups.classic import ClassicGroup, State
from kbroker.coordinators.groups.group import GroupType
from kbroker.coordinators.timers import Timers
from kbroker.errors import Refusal
from kbroker_wire import ProtocolError
from kbroker_wire.messages.group_records import GroupMetadataKey, GroupMetadataValue, MemberMetadata

NO_DELAY = {"group_initial_rebalance_delay_ms": "0"}
STATIC = "s-00000000-0000-0000-0000-000000000001"  # shown as s#1


def group_in(state: State) -> ClassicGroup:
    """Static member s in generation 1, if the group has members."""
    story = Story(**NO_DELAY)
    story("0 join a instance=s topics=seen,both")
    if state is not State.COMPLETING_REBALANCE:
        story("1 sync a a:x")
    if state is State.PREPARING_REBALANCE:
        story("2 join b v=3 topics=other")
    if state is State.EMPTY:
        story("3 leave a")
    group = story.group()
    assert group.state is state
    return group


def answer(group: ClassicGroup, member_id: str, instance_id: str | None, epoch: int, *, transactional: bool) -> str:
    try:
        group.check_commit(member_id, instance_id, epoch, transactional=transactional, version=9)
    except Refusal as refusal:
        return refusal.code.name
    return "may"


@pytest.mark.parametrize(
    ("state", "member_id", "instance_id", "epoch", "plain", "in_transaction"),
    [
        (State.EMPTY, "", None, -1, "may", "may"),
        (State.EMPTY, "ghost", None, -1, "may", "may"),
        (State.EMPTY, "", None, 1, "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
        (State.STABLE, STATIC, "s", 1, "may", "may"),
        (State.STABLE, STATIC, None, 1, "may", "may"),
        (State.STABLE, "", None, -1, "UNKNOWN_MEMBER_ID", "may"),
        (State.STABLE, "", "s", -1, "FENCED_INSTANCE_ID", "FENCED_INSTANCE_ID"),
        (State.STABLE, STATIC, "s", -1, "ILLEGAL_GENERATION", "ILLEGAL_GENERATION"),
        (State.STABLE, STATIC, "s", 2, "ILLEGAL_GENERATION", "ILLEGAL_GENERATION"),
        (State.STABLE, STATIC, "t", 1, "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
        (State.STABLE, "ghost", "s", 1, "FENCED_INSTANCE_ID", "FENCED_INSTANCE_ID"),
        (State.STABLE, "ghost", None, 1, "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"),
        (State.PREPARING_REBALANCE, STATIC, "s", 1, "may", "may"),
        (State.COMPLETING_REBALANCE, STATIC, "s", 1, "REBALANCE_IN_PROGRESS", "may"),
        (State.COMPLETING_REBALANCE, STATIC, "s", 0, "ILLEGAL_GENERATION", "ILLEGAL_GENERATION"),
    ],
)
def test_who_may_commit_offsets(
    state: State, member_id: str, instance_id: str | None, epoch: int, plain: str, in_transaction: str
) -> None:
    group = group_in(state)
    assert answer(group, member_id, instance_id, epoch, transactional=False) == plain
    assert answer(group, member_id, instance_id, epoch, transactional=True) == in_transaction


def test_only_an_empty_group_may_be_deleted() -> None:
    for state in (State.PREPARING_REBALANCE, State.COMPLETING_REBALANCE, State.STABLE):
        with pytest.raises(Refusal, match="NON_EMPTY_GROUP"):
            group_in(state).check_delete()
    group_in(State.EMPTY).check_delete()


def test_a_group_of_consumers_is_subscribed_to_what_its_members_said_in_this_generation() -> None:
    for state in (State.COMPLETING_REBALANCE, State.STABLE, State.PREPARING_REBALANCE):
        group = group_in(state)
        assert [group.is_subscribed_to(topic) for topic in ("seen", "both", "other")] == [True, True, False]
    assert not group_in(State.EMPTY).is_subscribed_to("seen")


def test_a_group_whose_subscriptions_can_not_be_read_is_taken_to_want_everything() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3 meta=x")
    story("0 sync a a:x")
    assert story.group().is_subscribed_to("any")
    assert story.group().offsets_expire_from("any", 5) is None


def test_a_group_of_another_type_is_subscribed_to_nothing() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3 type=connect")
    story("0 sync a a:x")
    group = story.group()
    assert (group.type, group.protocol_type, group.is_subscribed_to("any")) == (GroupType.CLASSIC, "connect", False)
    assert group.offsets_expire_from("any", 5) is None, "its members may need them"


def test_subscriptions_are_known_after_a_restart_too() -> None:
    story = Story(**NO_DELAY)
    story("0 join a v=3 topics=seen")
    story("0 sync a a:x")
    story("1 restart")
    assert [story.group().is_subscribed_to(topic) for topic in ("seen", "other")] == [True, False]


def test_when_the_retention_of_an_offset_begins() -> None:
    """KIP-211: not while the topic is read; when the group became empty; with the commit if nobody ever joined."""
    simple = ClassicGroup("simple", Timers(), 7)
    assert simple.offsets_expire_from("any", 5) == 5
    assert group_in(State.EMPTY).offsets_expire_from("seen", 5) == WALL_MS + 3000
    assert group_in(State.STABLE).offsets_expire_from("seen", 5) is None
    assert group_in(State.STABLE).offsets_expire_from("other", 5) == 5
    assert group_in(State.PREPARING_REBALANCE).offsets_expire_from("other", 5) is None


def test_a_record_without_a_time_leaves_the_retention_to_each_commit() -> None:
    value = GroupMetadataValue(protocol_type="consumer", generation=3, protocol=None, leader=None, members=[])
    group = ClassicGroup.from_record(GroupMetadataKey(group="g"), value, Timers())
    assert (group.state, group.generation) == (State.EMPTY, 3)
    assert group.offsets_expire_from("seen", 5) == 5
    assert group.record().value == value


def test_a_member_of_an_old_record_has_its_session_timeout_for_rebalances() -> None:
    row = MemberMetadata(
        member_id="m", client_id="c", client_host="/h", session_timeout=9000, subscription=b"s", assignment=b"a"
    )
    value = GroupMetadataValue(protocol_type="consumer", generation=3, protocol="range", leader="m", members=[row])
    group = ClassicGroup.from_record(GroupMetadataKey(group="g"), value, Timers())
    assert (group.state, group.rebalance_timeout_ms, group.leader) == (State.STABLE, 9000, "m")
    assert group.supports("consumer", ["range"])
    assert not group.supports("consumer", ["sticky"])


def stored(*members: tuple[str, str | None], leader: str | None = None) -> ClassicGroup:
    """As read from a record with these members: ids and instances."""
    rows = [
        MemberMetadata(
            member_id=member_id,
            group_instance_id=instance_id,
            client_id="c",
            client_host="/h",
            session_timeout=9000,
            subscription=b"s",
            assignment=b"a",
        )
        for member_id, instance_id in members
    ]
    value = GroupMetadataValue(protocol_type="consumer", generation=3, protocol="range", leader=leader, members=rows)
    return ClassicGroup.from_record(GroupMetadataKey(group="g"), value, Timers())


def test_a_record_that_names_no_leader_or_a_stranger_makes_the_eldest_the_leader() -> None:
    assert stored(("m", None), ("n", None), leader="n").leader == "n"
    assert stored(("m", None), ("n", None), leader="gone").leader == "m"
    assert stored(("m", None)).leader == "m"
    assert stored(leader="gone").leader is None


def test_a_record_with_a_member_or_an_instance_twice_can_not_be_read() -> None:
    for members in ((("m", None), ("m", None)), (("m", "i"), ("n", "i"))):
        with pytest.raises(ProtocolError, match="twice"):
            stored(*members)


def test_a_tie_between_protocols_goes_to_the_one_that_was_first_voted_for() -> None:
    story = Story()
    story("0 join a v=3 protocols=sticky,range")
    story("0 join b v=3 protocols=range,sticky")
    assert story("9 wait")[1] == "a: generation 1 sticky as a#1, leads a#1 b#2"
