"""A member of a consumer group (KIP-848): what it asked for, and where it stands on the way to its target.

Both are durable and each is one record, so each is one value here: it is replaced, never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple, Protocol

from kbroker_wire.messages.group_records import (
    ClassicMemberMetadata,
    ClassicProtocol,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
    CurrentPartitions,
)

# Topic id -> partitions: what a member shall have.
Partitions = Mapping[bytes, frozenset[int]]
# Topic id -> partition -> the member epoch at which it was given to the member: what a member has.
Assigned = Mapping[bytes, Mapping[int, int]]

NOTHING: Assigned = {}
NO_PARTITIONS: Partitions = {}

LEAVE_EPOCH, LEAVE_STATIC_EPOCH = -1, -2  # member epochs of one that leaves, and of a static one that will be back


class TopicPartitions(Protocol):
    """One topic's partitions, as requests tell what a member owns."""

    topic_id: bytes
    partitions: list[int]


class MemberState(IntEnum):
    """As the records have it.

    UNREVOKED_PARTITIONS   it has been told to give up partitions, and has not said yet that it did
    UNRELEASED_PARTITIONS  it waits for partitions that others have not given up yet
    UNKNOWN                a newer broker wrote another state; the member must start anew
    """

    STABLE = 0
    UNREVOKED_PARTITIONS = 1
    UNRELEASED_PARTITIONS = 2
    UNKNOWN = 127


class ClassicPart(NamedTuple):
    """What a member that speaks the classic protocol inside a consumer group told on top.

    protocols   (name, ConsumerProtocolSubscription with its version), in the order of preference
    """

    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]


class Subscription(NamedTuple):
    """What a member asked for.

    topics                names, some of which may not exist
    regex                 "" for none
    rebalance_timeout_ms  within which it gives up partitions it shall no longer have
    server_assignor       None: whichever the group uses
    classic               None: it speaks the consumer protocol
    """

    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    topics: frozenset[str] = frozenset()
    regex: str = ""
    rebalance_timeout_ms: int = -1
    server_assignor: str | None = None
    classic: ClassicPart | None = None

    @classmethod
    def of(cls, value: ConsumerGroupMemberMetadataValue) -> Subscription:
        classic = value.classic_member_metadata
        return cls(
            instance_id=value.instance_id,
            rack_id=value.rack_id,
            client_id=value.client_id,
            client_host=value.client_host,
            topics=frozenset(value.subscribed_topic_names),
            regex=value.subscribed_topic_regex or "",
            rebalance_timeout_ms=value.rebalance_timeout_ms,
            server_assignor=value.server_assignor,
            classic=None
            if classic is None
            else ClassicPart(
                classic.session_timeout_ms,
                tuple((each.name, bytes(each.metadata)) for each in classic.supported_protocols),
            ),
        )

    def value(self) -> ConsumerGroupMemberMetadataValue:
        classic = self.classic
        return ConsumerGroupMemberMetadataValue(
            instance_id=self.instance_id,
            rack_id=self.rack_id,
            client_id=self.client_id,
            client_host=self.client_host,
            subscribed_topic_names=sorted(self.topics),
            subscribed_topic_regex=self.regex,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            server_assignor=self.server_assignor,
            classic_member_metadata=None
            if classic is None
            else ClassicMemberMetadata(
                session_timeout_ms=classic.session_timeout_ms,
                supported_protocols=[ClassicProtocol(name=name, metadata=data) for name, data in classic.protocols],
            ),
        )


class Current(NamedTuple):
    """Where a member stands.

    epoch           the member's; 0 while it joins, -2 for a static one that has left for a while
    previous_epoch  accepted too, with partitions it may have: the answer with the newer one may have been lost
    assigned        what it has, or is told to take
    revoking        what it is told to give up, and still has
    """

    epoch: int = 0
    previous_epoch: int = 0
    state: MemberState = MemberState.STABLE
    assigned: Assigned = NOTHING
    revoking: Assigned = NOTHING

    @classmethod
    def of(cls, value: ConsumerGroupCurrentMemberAssignmentValue) -> Current:
        try:
            state = MemberState(value.state)
        except ValueError:
            state = MemberState.UNKNOWN
        return cls(
            epoch=value.member_epoch,
            previous_epoch=value.previous_member_epoch,
            state=state,
            assigned=_assigned(value.assigned_partitions, value.member_epoch),
            revoking=_assigned(value.partitions_pending_revocation, value.member_epoch),
        )

    def value(self) -> ConsumerGroupCurrentMemberAssignmentValue:
        return ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=self.epoch,
            previous_member_epoch=self.previous_epoch,
            state=self.state,
            assigned_partitions=_rows(self.assigned),
            partitions_pending_revocation=_rows(self.revoking),
        )

    def is_reconciled_to(self, target_epoch: int) -> bool:
        return self.state is MemberState.STABLE and self.epoch == target_epoch

    def given_at(self, topic_id: bytes, partition: int) -> int | None:
        """The member epoch at which it got this partition; None if it does not have it."""
        for partitions in (self.assigned, self.revoking):
            epoch = partitions.get(topic_id, NO_EPOCHS).get(partition)
            if epoch is not None:
                return epoch
        return None


NO_EPOCHS: Mapping[int, int] = {}


def _assigned(rows: Iterable[CurrentPartitions], member_epoch: int) -> Assigned:
    """Rows without an epoch for each partition, as older brokers wrote them, have the member's."""
    assigned: dict[bytes, Mapping[int, int]] = {}
    for row in rows:
        epochs = row.assignment_epochs
        if epochs is None or len(epochs) != len(row.partitions):
            assigned[row.topic_id] = dict.fromkeys(row.partitions, member_epoch)
        else:
            assigned[row.topic_id] = dict(zip(row.partitions, epochs, strict=True))
    return assigned


def _rows(assigned: Assigned) -> list[CurrentPartitions]:
    return [
        CurrentPartitions(topic_id=topic_id, partitions=list(epochs), assignment_epochs=list(epochs.values()))
        for topic_id, epochs in assigned.items()
    ]


class Member:
    """One member of a group; the group alone changes it, when a record says so."""

    __slots__ = ("current", "id", "subscription")

    def __init__(self, member_id: str) -> None:
        self.id = member_id
        self.subscription = Subscription()
        self.current = Current()

    @property
    def is_classic(self) -> bool:
        return self.subscription.classic is not None


def owns_any(owned: Iterable[TopicPartitions] | None, assigned: Assigned) -> bool:
    """Does the member still own one of these partitions? It may, if it did not say what it owns (None)."""
    if owned is None:
        return True
    for each in owned:
        epochs = assigned.get(each.topic_id)
        if epochs and any(partition in epochs for partition in each.partitions):
            return True
    return False


def owns_only(owned: Iterable[TopicPartitions] | None, assigned: Assigned) -> bool:
    """Is all it owns among these partitions? Not, if it did not say what it owns (None)."""
    if owned is None:
        return False
    for each in owned:
        epochs = assigned.get(each.topic_id)
        if epochs is None or not all(partition in epochs for partition in each.partitions):
            return False
    return True
