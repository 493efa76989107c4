"""How a member of a consumer group gets from what it has to what it shall have (KIP-848).

A partition must never be with two members. So a member first gives up what it shall not have, and says so; then it
moves to the epoch of the target and takes what nobody has; what others still have it takes as soon as they gave it up.
Each step is decided here from what is known of one member, when that member sends a heartbeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kbroker_wire import ErrorCode

from ...errors import Refusal
from .consumer_member import (
    NO_EPOCHS,
    NOTHING,
    Assigned,
    Current,
    MemberState,
    Partitions,
    TopicPartitions,
    owns_any,
)

UNKNOWN_STATE = (
    "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin."
)
NONE: frozenset[int] = frozenset()


class Goal(NamedTuple):
    """Where a member is to get.

    epoch, partitions   of the target assignment
    subscribed          ids of the topics that it subscribes to by now: what it no longer wants it loses, and is not
                        given, before the next target says so
    is_free             whether no member has this partition
    """

    epoch: int
    partitions: Partitions
    subscribed: frozenset[bytes]
    is_free: Callable[[bytes, int], bool]


def check_state(current: Current, owned: Sequence[TopicPartitions] | None) -> None:
    """A state that only a newer broker knows: the member must have given up everything, and so begin anew.

    Raises Refusal (FENCED_MEMBER_EPOCH).
    """
    if current.state is MemberState.UNKNOWN and (owned is None or owned):
        raise Refusal(ErrorCode.FENCED_MEMBER_EPOCH, UNKNOWN_STATE)


def reconcile(
    current: Current, goal: Goal, owned: Sequence[TopicPartitions] | None, *, subscription_changed: bool
) -> Current:
    """The member's next step; `current` itself if there is none to take now. `check_state` was passed.

    owned                 what it says that it owns; None if it did not say
    subscription_changed  by this very heartbeat
    """
    match current.state:
        case MemberState.STABLE if current.epoch != goal.epoch:
            return _next(current, current.epoch, goal, owned)
        case MemberState.UNREVOKED_PARTITIONS if not owns_any(owned, current.revoking):
            return _next(current, current.epoch, goal, owned)
        case MemberState.UNRELEASED_PARTITIONS:
            return _next(current, current.epoch, goal, owned)
        case MemberState.UNKNOWN:
            return _next(current, goal.epoch, goal, owned)
        case _:
            return _drop_unsubscribed(current, owned, goal.subscribed) if subscription_changed else current


def _next(current: Current, epoch: int, goal: Goal, owned: Sequence[TopicPartitions] | None) -> Current:
    """`epoch`: where it stays while it has something to give up."""
    assigned: dict[bytes, Mapping[int, int]] = {}
    revoking: dict[bytes, Mapping[int, int]] = {}
    given: dict[bytes, list[int]] = {}
    waits = False
    for topic_id in dict.fromkeys((*goal.partitions, *current.assigned)):
        wanted = goal.partitions.get(topic_id, NONE) if topic_id in goal.subscribed else NONE
        has = current.assigned.get(topic_id, NO_EPOCHS)
        kept = {partition: given_at for partition, given_at in has.items() if partition in wanted}
        if kept:
            assigned[topic_id] = kept
        if len(kept) < len(has):
            revoking[topic_id] = {partition: has[partition] for partition in has if partition not in wanted}
        missing = [partition for partition in wanted if partition not in kept]
        free = [partition for partition in missing if goal.is_free(topic_id, partition)]
        waits = waits or len(free) < len(missing)
        if free:
            given[topic_id] = free
    if revoking and owns_any(owned, revoking):
        return Current(epoch, current.epoch, MemberState.UNREVOKED_PARTITIONS, assigned, revoking)
    for topic_id, partitions in given.items():
        assigned[topic_id] = {**assigned.get(topic_id, NO_EPOCHS), **dict.fromkeys(sorted(partitions), goal.epoch)}
    state = MemberState.UNRELEASED_PARTITIONS if waits else MemberState.STABLE
    return Current(goal.epoch, current.epoch, state, assigned, NOTHING)


def _drop_unsubscribed(
    current: Current, owned: Sequence[TopicPartitions] | None, subscribed: frozenset[bytes]
) -> Current:
    """It gives up the topics that it just unsubscribed from, at the epoch it is in."""
    dropped = [topic_id for topic_id in current.assigned if topic_id not in subscribed]
    if not dropped:
        return current
    assigned: Assigned = {each: epochs for each, epochs in current.assigned.items() if each not in dropped}
    revoking = dict(current.revoking)
    for topic_id in dropped:
        revoking[topic_id] = {**revoking.get(topic_id, NO_EPOCHS), **current.assigned[topic_id]}
    if owns_any(owned, revoking):
        return Current(current.epoch, current.epoch, MemberState.UNREVOKED_PARTITIONS, assigned, revoking)
    return current._replace(previous_epoch=current.epoch, assigned=assigned)
