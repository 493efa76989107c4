"""What a request, or a deadline, does to a consumer group: records, each applied to the group when it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kbroker_wire.messages.group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    TargetPartitions,
)
from kbroker_wire.schema import Message

from ..machine import Record, Step
from .consumer_group import ConsumerGroup, ResolvedRegex
from .consumer_member import Current, Member, Partitions, Subscription


class Change:
    """`before`: records that come first, of a group of another type that makes way for this one.

    on_close   what is to be done once nothing can be refused any more
    """

    __slots__ = ("group", "on_close", "records")

    def __init__(self, group: ConsumerGroup, before: Iterable[Record] = ()) -> None:
        self.group = group
        self.records = list(before)
        self.on_close: Callable[[Step], None] | None = None

    def write(self, key: Message, value: Message | None) -> None:
        self.group.apply(key, value)
        self.records.append(Record(key, value))

    def subscription(self, member_id: str, subscription: Subscription) -> Member:
        """A new member, or what a member asks for by now."""
        group = self.group
        self.write(ConsumerGroupMemberMetadataKey(group_id=group.id, member_id=member_id), subscription.value())
        return group.members[member_id]

    def current(self, member_id: str, current: Current) -> None:
        key = ConsumerGroupCurrentMemberAssignmentKey(group_id=self.group.id, member_id=member_id)
        self.write(key, current.value())

    def regex(self, regex: str, resolved: ResolvedRegex | None) -> None:
        key = ConsumerGroupRegularExpressionKey(group_id=self.group.id, regular_expression=regex)
        if resolved is None:
            self.write(key, None)
            return
        value = ConsumerGroupRegularExpressionValue(
            topics=sorted(resolved.topics), version=resolved.version, timestamp=resolved.timestamp_ms
        )
        self.write(key, value)

    def epoch(self, epoch: int, metadata_hash: int) -> None:
        value = ConsumerGroupMetadataValue(epoch=epoch, metadata_hash=metadata_hash)
        self.write(ConsumerGroupMetadataKey(group_id=self.group.id), value)

    def member_target(self, member_id: str, target: Partitions) -> None:
        rows = [TargetPartitions(topic_id=each, partitions=sorted(target[each])) for each in target]
        key = ConsumerGroupTargetAssignmentMemberKey(group_id=self.group.id, member_id=member_id)
        self.write(key, ConsumerGroupTargetAssignmentMemberValue(topic_partitions=rows))

    def target(self, targets: Mapping[str, Partitions], assigned_at_ms: int) -> None:
        """A new target for the group's epoch; records of those only for whom it differs."""
        for member_id, target in targets.items():
            if self.group.targets.get(member_id) != target:
                self.member_target(member_id, target)
        self.target_epoch(assigned_at_ms)

    def target_epoch(self, assigned_at_ms: int) -> None:
        """The target is that of the group's epoch."""
        value = ConsumerGroupTargetAssignmentMetadataValue(
            assignment_epoch=self.group.epoch, assignment_timestamp=assigned_at_ms
        )
        self.write(ConsumerGroupTargetAssignmentMetadataKey(group_id=self.group.id), value)

    def remove(self, member_id: str) -> None:
        """The order matters: a member that is deleted has nothing any more."""
        group_id = self.group.id
        self.write(ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None)
        self.write(ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None)
        self.write(ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None)

    def replace(self, old: Member, new_id: str) -> Member:
        """A static member is back under another id: it has what it had, and begins with epoch 0."""
        subscription, current, target = old.subscription, old.current, self.group.target_of(old)
        self.remove(old.id)
        member = self.subscription(new_id, subscription)
        self.member_target(new_id, target)
        self.current(new_id, current._replace(epoch=0, previous_epoch=0))
        return member
