"""The steps of one member towards its target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker.coordinators.groups.consumer_member import Assigned, Current, MemberState
from kbroker.coordinators.groups.consumer_reconciliation import Goal, check_state, reconcile
from kbroker.errors import Refusal
from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_heartbeat import TopicPartitions

T, U = b"t" * 16, b"u" * 16
STABLE, UNREVOKED, UNRELEASED = (
    MemberState.STABLE,
    MemberState.UNREVOKED_PARTITIONS,
    MemberState.UNRELEASED_PARTITIONS,
)


def goal(epoch: int, target: dict[bytes, set[int]], *, taken: tuple[int, ...] = (), wants: bytes = T + U) -> Goal:
    """`taken`: partitions of any topic that others have."""
    partitions = {topic_id: frozenset(numbers) for topic_id, numbers in target.items()}
    subscribed = frozenset(topic_id for topic_id in (T, U) if topic_id in wants)
    return Goal(epoch, partitions, subscribed, lambda _, partition: partition not in taken)


def has(*partitions: int, at: int = 1, topic: bytes = T) -> Assigned:
    return {topic: dict.fromkeys(partitions, at)} if partitions else {}


def owns(*partitions: int, topic: bytes = T) -> list[TopicPartitions]:
    return [TopicPartitions(topic_id=topic, partitions=list(partitions))]


def step(current: Current, to: Goal, owned: list[TopicPartitions] | None, *, changed: bool = False) -> Current:
    return reconcile(current, to, owned, subscription_changed=changed)


def test_a_new_member_takes_what_is_free_and_waits_for_the_rest() -> None:
    assert step(Current(), goal(3, {T: {0, 1}}, taken=(1,)), []) == Current(3, 0, UNRELEASED, has(0, at=3))
    assert step(Current(), goal(3, {T: {0, 1}}, taken=(0, 1)), []) == Current(3, 0, UNRELEASED)
    assert step(Current(), goal(3, {T: {0, 1}}), []) == Current(3, 0, STABLE, has(0, 1, at=3))


def test_a_member_gives_up_before_it_takes_and_stays_in_its_epoch_for_that() -> None:
    current = Current(1, 1, STABLE, has(0, 1))
    giving = step(current, goal(2, {T: {1, 2}}), None)
    assert giving == Current(1, 1, UNREVOKED, has(1), has(0))
    assert step(giving, goal(2, {T: {1, 2}}), owns(0, 1)) == giving
    assert step(giving, goal(2, {T: {1, 2}}), None) == giving
    done = step(giving, goal(2, {T: {1, 2}}), owns(1))
    assert done == Current(2, 1, STABLE, {T: {1: 1, 2: 2}})


def test_what_it_does_not_own_any_more_it_need_not_be_told_to_give_up() -> None:
    assert step(Current(1, 1, STABLE, has(0, 1)), goal(2, {T: {1}}), owns(1)) == Current(2, 1, STABLE, has(1))


def test_a_newer_target_while_it_gives_up_is_headed_for_after_that() -> None:
    giving = Current(1, 1, UNREVOKED, has(1), has(0))
    assert step(giving, goal(5, {T: {0, 1}}), owns(1)) == Current(5, 1, STABLE, {T: {1: 1, 0: 5}})
    assert step(giving, goal(5, {T: {0}}), owns(1)) == Current(1, 1, UNREVOKED, {}, has(1))


def test_who_waits_takes_what_was_given_up_meanwhile() -> None:
    waiting = Current(3, 2, UNRELEASED, has(0, at=3))
    assert step(waiting, goal(3, {T: {0, 1, 2}}, taken=(2,)), None) == Current(3, 3, UNRELEASED, has(0, 1, at=3))
    assert step(waiting, goal(3, {T: {0, 1, 2}}), None) == Current(3, 3, STABLE, has(0, 1, 2, at=3))


def test_a_member_that_is_there_has_nothing_to_do() -> None:
    current = Current(3, 2, STABLE, has(0))
    assert step(current, goal(3, {T: {0}}), None) is current


def test_what_a_member_just_unsubscribed_from_it_gives_up_in_its_epoch() -> None:
    current = Current(3, 2, STABLE, {**has(0), **has(0, topic=U)})
    giving = step(current, goal(3, {T: {0}, U: {0}}, wants=T), None, changed=True)
    assert giving == Current(3, 3, UNREVOKED, has(0), has(0, topic=U))
    more = step(giving, goal(3, {T: {0}, U: {0}}, wants=b""), None, changed=True)
    assert more == Current(3, 3, UNREVOKED, {}, {**has(0, topic=U), **has(0)})
    assert step(current, goal(3, {T: {0}}, wants=T), owns(0), changed=True) == Current(3, 3, STABLE, has(0))
    assert step(current, goal(3, {T: {0}, U: {0}}), None, changed=True) is current


def test_a_target_it_does_not_want_any_more_is_not_given() -> None:
    assert step(Current(1, 1), goal(2, {T: {0}, U: {0}}, wants=U), None) == Current(2, 1, STABLE, has(0, at=2, topic=U))


def test_a_state_that_only_a_newer_broker_knows_begins_anew() -> None:
    current = Current(1, 1, MemberState.UNKNOWN, has(0))
    for owned in (None, owns(0)):
        with pytest.raises(Refusal) as refused:
            check_state(current, owned)
        assert refused.value.code is ErrorCode.FENCED_MEMBER_EPOCH
    check_state(current, [])
    assert step(current, goal(4, {T: {0, 1}}), []) == Current(4, 1, STABLE, {T: {0: 1, 1: 4}})


@given(
    held=st.frozensets(st.integers(0, 5)),
    target=st.frozensets(st.integers(0, 5)),
    owned=st.none() | st.frozensets(st.integers(0, 5)),
    taken=st.frozensets(st.integers(0, 5)),
)
def test_no_step_takes_what_others_have_or_forgets_what_is_still_owned(
    held: frozenset[int], target: frozenset[int], owned: frozenset[int] | None, taken: frozenset[int]
) -> None:
    taken -= held
    current = Current(1, 1, STABLE, has(*held))
    to = goal(2, {T: set(target)}, taken=tuple(taken | held))
    after = step(current, to, None if owned is None else owns(*owned))
    assigned, revoking = (frozenset(each.get(T, ())) for each in (after.assigned, after.revoking))
    assert not assigned & taken
    assert not assigned & revoking
    assert assigned <= target
    if owned is None:
        assert held <= assigned | revoking
    else:
        assert held & owned <= assigned | revoking
    assert (after.epoch == 1) == (after.state is UNREVOKED)
    assert (after.state is STABLE) <= (assigned == target)
