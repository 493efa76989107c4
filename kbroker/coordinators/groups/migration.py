"""Groups that change their protocol while their members go on: classic to consumer, and back (KIP-848).

A classic group of consumers becomes a consumer group when the first member that speaks the consumer protocol joins; its
other members stay as they are (`classic_members`). When the last such member is gone, it becomes a classic group again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from kbroker_wire import ErrorCode, ProtocolError
from kbroker_wire.messages.consumer_protocol import (
    HIGHEST_VERSION,
    ConsumerProtocolAssignment,
    TopicPartition,
    decode_assignment,
    decode_subscription,
    encode_assignment,
)

from ...errors import Refusal
from ...metadata.image import Image
from ..machine import Client, Now, Step
from .classic import CONSUMER, ClassicGroup, State
from .classic_answers import end_join, end_sync, not_assigned, not_joined
from .classic_member import ClassicMember
from .classic_rebalance import Rebalances
from .consumer_change import Change
from .consumer_group import ConsumerGroup
from .consumer_groups import ConsumerGroups
from .consumer_member import ClassicPart, Current, Member, MemberState, Partitions, Subscription
from .context import JOIN, SYNC

MALFORMED = "the embedded consumer protocol is malformed."
CUSTOM_ASSIGNOR = (
    "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor "
    "before re-attempting the upgrade."
)


class Migration:
    """Changes of protocol, and the removal of members, which may be the reason for one."""

    def __init__(self, groups: ConsumerGroups, rebalances: Rebalances) -> None:
        self._groups, self._rebalances = groups, rebalances

    # -- from classic ----------------------------------------------------------------------------------------------

    def upgrade(self, classic: ClassicGroup, now: Now) -> Change:
        """The consumer group that this one becomes, if the change is closed. Raises Refusal (GROUP_ID_NOT_FOUND)."""
        self._check_upgrade(classic)
        image = self._groups.context.image
        generation = classic.generation
        change = Change(ConsumerGroup(classic.id), classic.tombstones())
        given = {}
        for member in classic.members.values():
            subscription, given[member.id] = _read(classic, member, image)
            change.subscription(member.id, subscription)
        change.epoch(generation, self._groups.metadata_hash(change.group))
        for member_id, target in given.items():
            change.member_target(member_id, target)
        change.target_epoch(0)
        for member_id, target in given.items():
            assigned = {each: dict.fromkeys(sorted(target[each]), generation) for each in target}
            change.current(member_id, Current(generation, generation, MemberState.STABLE, assigned))
        change.on_close = lambda step: self._take_over(classic, change.group, now, step)
        return change

    def _check_upgrade(self, classic: ClassicGroup) -> None:
        settings = self._groups.settings
        if not settings.migration.upgrades:
            _not_upgraded(classic, "online upgrade is disabled.")
        if classic.protocol_type != CONSUMER:
            _not_upgraded(classic, "the group does not use the consumer embedded protocol.")
        if len(classic.members) > settings.max_size:
            _not_upgraded(classic, "the group size exceeds the consumer group maximum size.")

    def _take_over(self, classic: ClassicGroup, group: ConsumerGroup, now: Now, step: Step) -> None:
        """Who waits for the classic group's rebalance is to join the consumer group's."""
        timers = self._groups.context.timers
        for member in classic.members.values():
            again = not_joined(ErrorCode.REBALANCE_IN_PROGRESS, member.id, member.join_version)
            end_join(classic, member, again, step)
            end_sync(member, not_assigned(ErrorCode.REBALANCE_IN_PROGRESS), step)
        for member_id in (*classic.members, *classic.pending):
            timers.cancel(classic.session_of(member_id))
        for kind in (JOIN, SYNC):
            timers.cancel((kind, classic.id, ""))
        for each in group.members.values():
            if each.is_classic:
                self._groups.expect_heartbeat(group, each, now)

    # -- to classic ------------------------------------------------------------------------------------------------

    def remove(self, group: ConsumerGroup, members: Sequence[Member], now: Now, step: Step) -> None:
        """These members are gone; the group becomes a classic one if only classic members are left."""
        if not members:
            return
        change = Change(group)
        if self.may_downgrade(group, members, fewer=len(members)):
            reason = "the last member of the consumer protocol left"
            self.downgrade(change, members, now, step, rebalance=reason)
        else:
            self._groups.remove(change, members)
            self._groups.close(change, step)

    def may_downgrade(self, group: ConsumerGroup, leaving: Sequence[Member], *, fewer: int) -> bool:
        """Whether the group is to be classic without these members. `fewer`: by how many it shrinks."""
        settings = self._groups.settings
        stay = len(group.members) - len(leaving)
        classic = group.classic_members - sum(member.is_classic for member in leaving)
        size = len(group.members) - fewer
        return stay == classic and 0 < size <= settings.classic_max_size and settings.migration.downgrades

    def downgrade(
        self, change: Change, leaving: Sequence[Member], now: Now, step: Step, *, rebalance: str | None
    ) -> ClassicGroup:
        """Close the change with a classic group in the place of this one, without the members that leave.

        rebalance   why its members are to join again; None: they have what they shall have
        """
        group = change.group
        context = self._groups.context
        classic = ClassicGroup(group.id, context.timers, now.ms)
        for member in group.members.values():
            self._groups.cancel_timers(group.id, member.id)
            if member not in leaving:
                classic.add(_classic_member(member), CONSUMER)
        classic.generation = group.epoch
        classic.protocol_name = classic.chosen_protocol()
        classic.enter(State.STABLE, now.ms)
        for each in classic.members.values():
            version = subscription_version(each.protocols[classic.protocol_name])
            each.assignment = embedded_assignment(group.targets.get(each.id, {}), version, context.image)
            classic.heard_of(each, now.s)
        change.records.extend(group.tombstones())
        change.records.append(classic.record())
        step.records += change.records
        context.groups[group.id] = classic
        if rebalance is not None:
            self._rebalances.prepare(classic, now, step, rebalance)
        return classic


def _not_upgraded(classic: ClassicGroup, why: str) -> NoReturn:
    message = f"Cannot upgrade classic group {classic.id} to consumer group because {why}"
    raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND, message)


def _read(classic: ClassicGroup, member: ClassicMember, image: Image) -> tuple[Subscription, Partitions]:
    """What a classic member subscribes to, and what its leader gave it. Raises Refusal (GROUP_ID_NOT_FOUND)."""
    protocol = classic.protocol_name or classic.chosen_protocol()  # none is chosen before the first generation
    try:
        assignment = decode_assignment(member.assignment) if member.assignment else None
        subscribed = decode_subscription(member.protocols[protocol])
    except ProtocolError:
        _not_upgraded(classic, MALFORMED)
    if assignment is not None and assignment.user_data:
        _not_upgraded(classic, CUSTOM_ASSIGNOR)
    subscription = Subscription(
        instance_id=member.instance_id,
        rack_id=subscribed.rack_id or None,
        client_id=member.client.id,
        client_host=member.client.host,
        topics=frozenset(subscribed.topics),
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        classic=ClassicPart(member.session_timeout_ms, tuple(member.protocols.items())),
    )
    return subscription, by_topic_id(assignment.assigned_partitions if assignment else (), image)


def _classic_member(member: Member) -> ClassicMember:
    subscription = member.subscription
    classic = subscription.classic
    assert classic is not None, "a member of the consumer protocol can not be in a classic group"
    return ClassicMember(
        member.id,
        subscription.instance_id,
        Client(subscription.client_id, subscription.client_host),
        classic.session_timeout_ms,
        subscription.rebalance_timeout_ms,
        dict(classic.protocols),
    )


def by_topic_id(rows: Sequence[TopicPartition], image: Image) -> dict[bytes, frozenset[int]]:
    """Partitions by the ids of those of these topics that exist."""
    ids = image.topic_ids
    return {ids[row.topic]: frozenset(row.partitions) for row in rows if row.topic in ids}


def subscription_version(metadata: bytes) -> int:
    """In which version a classic member speaks; its subscription was read before."""
    return int.from_bytes(metadata[:2], signed=True)


def embedded_assignment(
    partitions: Mapping[bytes, frozenset[int] | Mapping[int, int]], version: int, image: Image
) -> bytes:
    """As a classic member gets it from SyncGroup. Topics that are gone by now are left out."""
    rows = [
        TopicPartition(topic=image.topics[each].name, partitions=sorted(partitions[each]))
        for each in partitions
        if each in image.topics
    ]
    return encode_assignment(ConsumerProtocolAssignment(assigned_partitions=rows), min(version, HIGHEST_VERSION))
