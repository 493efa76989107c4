"""A consumer group (KIP-848): what of it is kept in the log, and what follows from that.

The group's state is changed by records only, the same way when one is written and when it is read again. Three epochs
drive it: whenever subscriptions or topics change, the *group epoch* goes up; an assignor then makes a target
assignment, which has the group epoch it was made for (*target epoch*); and each member moves to the target on its own
(*member epoch*, see `consumer_reconciliation`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from kbroker_wire import ErrorCode
from kbroker_wire.messages.group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)
from kbroker_wire.schema import Message

from ...errors import Refusal
from ..machine import Record
from .consumer_member import LEAVE_EPOCH, NO_PARTITIONS, Assigned, Current, Member, Partitions, Subscription
from .group import GroupType, PartitionCheck

CONSUMER_PROTOCOL = "consumer"  # the protocol type of groups of consumers
FIRST_EPOCH = 1  # of a group without members, which has a target: nothing for nobody
OFFSETS_WITH_EPOCHS = 9  # the first OffsetCommit version that carries a member epoch


class ResolvedRegex(NamedTuple):
    """The topics that matched a regular expression, as of an offset of the metadata log and a wall-clock ms."""

    topics: frozenset[str] = frozenset()
    version: int = -1
    timestamp_ms: int = -1


class ConsumerGroup:
    """One group. `apply` alone changes what is durable.

    epoch            of the group
    metadata_hash    of the topics it subscribes to, when the epoch last changed
    members          by id, in the order in which they came
    static_ids       member id of each instance id
    target_epoch     the group epoch that the target assignment was made for
    assigned_at_ms   when that was, wall clock; 0: the next one need not wait
    targets          what each member shall have
    regexes          what the regular expressions of its members stand for
    classic_members  how many members speak the classic protocol
    topics_version   of the cluster's topics, when the metadata hash was last computed; like the next two not durable
    regexes_version  of the cluster's topics, when the regular expressions were last resolved
    regexes_at_s     when that was
    """

    __slots__ = (
        "_assignors",
        "_classic_protocols",
        "_owners",
        "_regexes",
        "_topics",
        "assigned_at_ms",
        "classic_members",
        "epoch",
        "id",
        "members",
        "metadata_hash",
        "regexes",
        "regexes_at_s",
        "regexes_version",
        "static_ids",
        "target_epoch",
        "targets",
        "topics_version",
    )

    def __init__(self, group_id: str) -> None:
        self.id = group_id
        self.epoch = FIRST_EPOCH
        self.metadata_hash = 0
        self.members: dict[str, Member] = {}
        self.static_ids: dict[str, str] = {}
        self.target_epoch = FIRST_EPOCH
        self.assigned_at_ms = 0
        self.targets: dict[str, Partitions] = {}
        self.regexes: dict[str, ResolvedRegex] = {}
        self.classic_members = 0
        self.topics_version = self.regexes_version = -1
        self.regexes_at_s = float("-inf")
        self._owners: dict[bytes, dict[int, str]] = {}
        self._topics: Counter[str] = Counter()
        self._regexes: Counter[str] = Counter()
        self._assignors: Counter[str] = Counter()
        self._classic_protocols: Counter[str] = Counter()

    # -- as others see it ------------------------------------------------------------------------------------------

    @property
    def type(self) -> GroupType:
        return GroupType.CONSUMER

    @property
    def state_name(self) -> str:
        if not self.members:
            return "Empty"
        if self.epoch > self.target_epoch:
            return "Assigning"
        if all(member.current.is_reconciled_to(self.target_epoch) for member in self.members.values()):
            return "Stable"
        return "Reconciling"

    @property
    def protocol_type(self) -> str:
        return CONSUMER_PROTOCOL

    @property
    def is_empty(self) -> bool:
        return not self.members

    def check_commit(
        self,
        member_id: str,
        instance_id: str | None,
        epoch: int,
        *,
        transactional: bool,
        version: int = OFFSETS_WITH_EPOCHS,
    ) -> PartitionCheck | None:
        """`version` of OffsetCommit; it does not matter in a transaction."""
        if epoch < 0 and not self.members:
            return None  # by an admin client, or by a consumer that manages its partitions itself
        if transactional and epoch == -1 and not member_id and instance_id is None:
            return None
        member = self.member(member_id)
        if not transactional and not member.is_classic and version < OFFSETS_WITH_EPOCHS:
            raise Refusal(
                ErrorCode.UNSUPPORTED_VERSION,
                "OffsetCommit version 9 or above must be used by members using the consumer group protocol",
            )
        if epoch == member.current.epoch:
            return None
        if epoch > member.current.epoch:
            raise _behind(
                member, f"Received {_epoch(member)} {epoch} is newer than current member epoch {member.current.epoch}."
            )
        return _committed_before(member, epoch)

    def committed(self, member_id: str, now_s: float) -> None:
        """A commit is no heartbeat here."""

    def check_fetch(self, member_id: str | None, member_epoch: int) -> None:
        if member_id is None and member_epoch < 0:
            return
        member = self.members.get(member_id or "")
        if member is None:
            raise unknown_member(member_id, self.id)
        expected = member.current.epoch
        if member_epoch != expected:
            received = "The received generation id" if member.is_classic else "The received member epoch"
            raise _behind(member, f"{received} {member_epoch} does not match the expected member epoch {expected}.")

    def is_subscribed_to(self, topic: str) -> bool:
        return topic in self._topics or any(topic in regex.topics for regex in self.regexes.values())

    def check_delete(self) -> None:
        if self.members:
            raise Refusal(ErrorCode.NON_EMPTY_GROUP)

    def offsets_expire_from(self, topic: str, committed_at_ms: int) -> int | None:
        return None if self.is_subscribed_to(topic) else committed_at_ms

    def tombstones(self) -> Iterator[Record]:
        ids = list(self.members)
        for each in ids:
            yield Record(ConsumerGroupCurrentMemberAssignmentKey(group_id=self.id, member_id=each), None)
        for each in ids:
            yield Record(ConsumerGroupTargetAssignmentMemberKey(group_id=self.id, member_id=each), None)
        yield Record(ConsumerGroupTargetAssignmentMetadataKey(group_id=self.id), None)
        for each in ids:
            yield Record(ConsumerGroupMemberMetadataKey(group_id=self.id, member_id=each), None)
        for regex in list(self.regexes):
            yield Record(ConsumerGroupRegularExpressionKey(group_id=self.id, regular_expression=regex), None)
        yield Record(ConsumerGroupPartitionMetadataKey(group_id=self.id), None)
        yield Record(ConsumerGroupMetadataKey(group_id=self.id), None)

    # -- what members ask for --------------------------------------------------------------------------------------

    def member(self, member_id: str) -> Member:
        """Raises Refusal (UNKNOWN_MEMBER_ID)."""
        member = self.members.get(member_id)
        if member is None:
            raise unknown_member(member_id, self.id)
        return member

    def static_member(self, instance_id: str | None) -> Member | None:
        member_id = None if instance_id is None else self.static_ids.get(instance_id)
        return None if member_id is None else self.members[member_id]

    def topics_of(self, subscription: Subscription) -> frozenset[str]:
        """Names of the topics that a member wants, by name and by regular expression."""
        resolved = self.regexes.get(subscription.regex)
        return subscription.topics if resolved is None else subscription.topics | resolved.topics

    def subscribed_topics(self) -> set[str]:
        """Of all members, by name and by regular expression."""
        return set(self._topics).union(*(regex.topics for regex in self.regexes.values()))

    def subscribed_regexes(self) -> Iterable[str]:
        return self._regexes.keys()

    def subscribers_of_regex(self, regex: str) -> int:
        return self._regexes[regex]

    def preferred_assignor(self) -> str | None:
        """What most members prefer of those who prefer any."""
        return max(self._assignors, key=self._assignors.__getitem__, default=None)

    def supports_classic(self, protocol_type: str, names: Iterable[str]) -> bool:
        """Whether a member of the classic protocol may join: all others of that kind must support one of these."""
        if protocol_type != CONSUMER_PROTOCOL:
            return False
        if not self.members:
            return any(True for _ in names)
        return any(self._classic_protocols[name] == self.classic_members for name in names)

    # -- what members have -----------------------------------------------------------------------------------------

    def target_of(self, member: Member) -> Partitions:
        return self.targets.get(member.id, NO_PARTITIONS)

    def owner(self, topic_id: bytes, partition: int) -> str | None:
        """Id of the member that has the partition, or has not given it up yet."""
        owners = self._owners.get(topic_id)
        return None if owners is None else owners.get(partition)

    def is_free(self, topic_id: bytes, partition: int) -> bool:
        owners = self._owners.get(topic_id)
        return owners is None or partition not in owners

    # -- the records -----------------------------------------------------------------------------------------------

    def apply(self, key: Message, value: Message | None) -> None:
        """Change the state as a record says. Tombstones of what is not there do nothing.

        That the whole group is deleted (a tombstone of ConsumerGroupMetadataKey) is for the owner of the groups to do.
        """
        self._APPLY[type(key)](self, key, value)

    def _apply_group(self, _: Message, value: ConsumerGroupMetadataValue | None) -> None:
        if value is not None:
            self.epoch, self.metadata_hash = value.epoch, value.metadata_hash

    def _apply_member(
        self, key: ConsumerGroupMemberMetadataKey, value: ConsumerGroupMemberMetadataValue | None
    ) -> None:
        member = self.members.get(key.member_id)
        if value is None:
            if member is not None:
                self._set_current(member, Current(LEAVE_EPOCH, LEAVE_EPOCH))
                self._set_subscription(member, Subscription())
                del self.members[member.id]
            return
        self._set_subscription(self._member(key.member_id), Subscription.of(value))

    def _apply_current(
        self, key: ConsumerGroupCurrentMemberAssignmentKey, value: ConsumerGroupCurrentMemberAssignmentValue | None
    ) -> None:
        if value is not None:
            self._set_current(self._member(key.member_id), Current.of(value))
        elif key.member_id in self.members:
            self._set_current(self.members[key.member_id], Current(LEAVE_EPOCH, LEAVE_EPOCH))

    def _apply_target(
        self, key: ConsumerGroupTargetAssignmentMemberKey, value: ConsumerGroupTargetAssignmentMemberValue | None
    ) -> None:
        if value is None:
            self.targets.pop(key.member_id, None)
        else:
            self.targets[key.member_id] = {row.topic_id: frozenset(row.partitions) for row in value.topic_partitions}

    def _apply_target_epoch(self, _: Message, value: ConsumerGroupTargetAssignmentMetadataValue | None) -> None:
        if value is None:
            self.target_epoch, self.assigned_at_ms = FIRST_EPOCH, 0
        else:
            self.target_epoch, self.assigned_at_ms = value.assignment_epoch, value.assignment_timestamp

    def _apply_regex(
        self, key: ConsumerGroupRegularExpressionKey, value: ConsumerGroupRegularExpressionValue | None
    ) -> None:
        if value is None:
            self.regexes.pop(key.regular_expression, None)
        else:
            resolved = ResolvedRegex(frozenset(value.topics), value.version, value.timestamp)
            self.regexes[key.regular_expression] = resolved

    def _apply_partition_metadata(self, _: Message, __: Message | None) -> None:
        """Kafka 4.0 wrote it; the hash says as much since."""

    _APPLY: ClassVar[Mapping[object, Callable[..., None]]] = {  # by the key's table
        ConsumerGroupMetadataKey: _apply_group,
        ConsumerGroupPartitionMetadataKey: _apply_partition_metadata,
        ConsumerGroupMemberMetadataKey: _apply_member,
        ConsumerGroupTargetAssignmentMetadataKey: _apply_target_epoch,
        ConsumerGroupTargetAssignmentMemberKey: _apply_target,
        ConsumerGroupCurrentMemberAssignmentKey: _apply_current,
        ConsumerGroupRegularExpressionKey: _apply_regex,
    }

    def _member(self, member_id: str) -> Member:
        member = self.members.get(member_id)
        if member is None:
            member = self.members[member_id] = Member(member_id)
        return member

    def _set_subscription(self, member: Member, new: Subscription) -> None:
        old, member.subscription = member.subscription, new
        for topic in old.topics - new.topics:
            _take_off(self._topics, topic)
        self._topics.update(new.topics - old.topics)
        for counter, before, after in (
            (self._regexes, old.regex, new.regex),
            (self._assignors, old.server_assignor, new.server_assignor),
        ):
            if before != after:
                if before:
                    _take_off(counter, before)
                if after:
                    counter[after] += 1
        if old.classic != new.classic:
            self._count_classic(old, -1)
            self._count_classic(new, 1)
        if old.instance_id is not None and self.static_ids.get(old.instance_id) == member.id:
            del self.static_ids[old.instance_id]
        if new.instance_id is not None:
            self.static_ids[new.instance_id] = member.id

    def _count_classic(self, subscription: Subscription, by: int) -> None:
        if subscription.classic is not None:
            self.classic_members += by
            for name in {name for name, _ in subscription.classic.protocols}:
                self._classic_protocols[name] += by

    def _set_current(self, member: Member, new: Current) -> None:
        old, member.current = member.current, new
        if old.assigned != new.assigned or old.revoking != new.revoking:
            self._release(member.id, old.assigned)
            self._release(member.id, old.revoking)
            self._own(member.id, new.assigned)
            self._own(member.id, new.revoking)

    def _own(self, member_id: str, assigned: Assigned) -> None:
        for topic_id, epochs in assigned.items():
            self._owners.setdefault(topic_id, {}).update(dict.fromkeys(epochs, member_id))

    def _release(self, member_id: str, assigned: Assigned) -> None:
        """In a log that is half compacted the next owner may come first; then it stays the owner."""
        for topic_id, epochs in assigned.items():
            owners = self._owners.get(topic_id)
            if owners is None:
                continue
            for partition in epochs:
                if owners.get(partition) == member_id:
                    del owners[partition]
            if not owners:
                del self._owners[topic_id]


def unknown_member(member_id: str | None, group_id: str) -> Refusal:
    return Refusal(ErrorCode.UNKNOWN_MEMBER_ID, f"Member {member_id} is not a member of group {group_id}.")


def _take_off(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if not counter[name]:
        del counter[name]


def _epoch(member: Member) -> str:
    return "generation id" if member.is_classic else "member epoch"


def _behind(member: Member, message: str) -> Refusal:
    code = ErrorCode.ILLEGAL_GENERATION if member.is_classic else ErrorCode.STALE_MEMBER_EPOCH
    return Refusal(code, message)


def _committed_before(member: Member, epoch: int) -> PartitionCheck:
    """For a commit sent before the member heard of its newer epoch: fine for what it had by then, and still has."""

    def check(topic: str, topic_id: bytes, partition: int) -> None:
        given_at = member.current.given_at(topic_id, partition)
        if given_at is None:
            raise _behind(member, f"Partition {topic}-{partition} is not assigned or pending revocation for member.")
        if epoch < given_at:
            raise _behind(
                member,
                f"Received {_epoch(member)} {epoch} is older than assignment epoch {given_at} for "
                f"partition {topic}-{partition}.",
            )

    return check
