"""ConsumerGroupHeartbeat (KIP-848): the one request by which members join, stay, give up, take over and leave.

Order of checks, codes and messages are Apache Kafka's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)

from ...errors import Refusal
from ..machine import Client, Now, Step
from .classic import ClassicGroup
from .consumer_change import Change
from .consumer_group import ConsumerGroup
from .consumer_groups import REVOKE, ConsumerGroups, static_member
from .consumer_member import LEAVE_EPOCH, LEAVE_STATIC_EPOCH, NOTHING, Current, Member, Subscription, owns_only
from .consumer_reconciliation import check_state
from .migration import Migration

OWN_MEMBER_ID = 1  # the version from which a member chooses its id (KIP-1082)
_BLANKS = "".join(map(chr, range(0x21)))  # what Java's String.trim() removes


class ConsumerRequests:
    """What members of consumer groups ask for."""

    def __init__(self, groups: ConsumerGroups, migration: Migration) -> None:
        self._groups, self._migration = groups, migration

    def heartbeat(self, request: ConsumerGroupHeartbeatRequest, client: Client, version: int, now: Now) -> Step:
        self._check(request, version)
        if request.member_epoch in (LEAVE_EPOCH, LEAVE_STATIC_EPOCH):
            return self._leave(request, now)
        step = Step()
        change = self._open(request, now)
        group = change.group
        self._groups.check_room(group, request.member_id, request.instance_id)
        known = _known_member(group, request)
        subscription = _subscription(request, client, Subscription() if known is None else known.subscription)
        self._groups.check_regex(group, subscription)
        member_id = request.member_id or self._groups.context.new_id()
        if known is not None and known is group.static_member(request.instance_id) and request.member_epoch == 0:
            known = self._groups.replace(change, known, member_id)
        before = NOTHING if known is None else known.current.assigned
        changed = self._groups.subscribe(change, member_id, subscription, now)
        self._groups.assign(change, now)
        member = group.members[member_id]
        self._groups.reconcile(change, member, request.topic_partitions, now, subscription_changed=changed)
        self._groups.expect_heartbeat(group, member, now)
        self._groups.close(change, step)
        step.response = ConsumerGroupHeartbeatResponse(
            error_code=ErrorCode.NONE,
            member_id=member_id,
            member_epoch=member.current.epoch,
            heartbeat_interval_ms=self._groups.times(group.id).consumer_heartbeat_interval_ms,
            assignment=_assignment(member) if _says_all(request) or member.current.assigned != before else None,
        )
        return step

    def _check(self, request: ConsumerGroupHeartbeatRequest, version: int) -> None:
        """What is wrong with a request whatever the group. Raises Refusal."""
        epoch = request.member_epoch
        if version >= OWN_MEMBER_ID or epoch > 0 or epoch == LEAVE_EPOCH:
            _check_text(request.member_id, "MemberId")
        _check_text(request.group_id, "GroupId")
        _check_text(request.instance_id, "InstanceId")
        _check_text(request.rack_id, "RackId")
        if epoch == 0:
            if request.rebalance_timeout_ms == -1:
                _invalid("RebalanceTimeoutMs must be provided in first request.")
            if request.topic_partitions is None or request.topic_partitions:
                _invalid("TopicPartitions must be empty when (re-)joining.")
            if request.subscribed_topic_names is None and request.subscribed_topic_regex is None:
                _invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
        elif epoch == LEAVE_STATIC_EPOCH:
            if request.instance_id is None:
                _invalid("InstanceId can't be null.")
        elif epoch < LEAVE_STATIC_EPOCH:
            _invalid("MemberEpoch is invalid.")
        assignors = self._groups.settings.assignors
        if request.server_assignor is not None and request.server_assignor not in assignors:
            raise Refusal(
                ErrorCode.UNSUPPORTED_ASSIGNOR,
                f"ServerAssignor {request.server_assignor} is not supported. Supported assignors: "
                f"{', '.join(assignors)}.",
            )

    def _open(self, request: ConsumerGroupHeartbeatRequest, now: Now) -> Change:
        """The group as it is, a new one if the member joins, or one made from a classic group. Raises Refusal."""
        group_id, joins = request.group_id, request.member_epoch == 0
        group = self._groups.context.groups.get(group_id)
        if isinstance(group, ConsumerGroup):
            return Change(group)
        if not joins:
            what = "Consumer group {} not found." if group is None else "Group {} is not a consumer group."
            raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND, what.format(group_id))
        if group is None:
            return Change(ConsumerGroup(group_id))
        if group.is_empty:
            return Change(ConsumerGroup(group_id), group.tombstones())
        assert isinstance(group, ClassicGroup), "there is no other type of group"
        return self._migration.upgrade(group, now)

    def _leave(self, request: ConsumerGroupHeartbeatRequest, now: Now) -> Step:
        group = self._groups.group(request.group_id)
        if request.instance_id is None:
            member = group.member(request.member_id)
        else:
            member = static_member(group, request.instance_id, request.member_id)
        step = Step()
        step.response = ConsumerGroupHeartbeatResponse(
            error_code=ErrorCode.NONE, member_id=request.member_id, member_epoch=request.member_epoch
        )
        if request.member_epoch == LEAVE_STATIC_EPOCH:
            change = Change(group)
            change.current(member.id, _away(member.current))
            self._groups.cancel_timer(REVOKE, group.id, member.id)
            self._groups.close(change, step)
        else:
            self._migration.remove(group, [member], now, step)
        return step

    def time_is_up(self, group: ConsumerGroup, member_id: str, now: Now, step: Step) -> None:
        """A deadline of a member has passed, whichever: the member is out."""
        member = group.members.get(member_id)
        if member is not None:
            self._migration.remove(group, [member], now, step)


def _known_member(group: ConsumerGroup, request: ConsumerGroupHeartbeatRequest) -> Member | None:
    """The member that the request is from, or a static one that it takes the place of; None if it is new.

    Raises Refusal: UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, FENCED_INSTANCE_ID, UNRELEASED_INSTANCE_ID.
    """
    member_id, instance_id, epoch = request.member_id, request.instance_id, request.member_epoch
    if epoch:
        member = group.member(member_id) if instance_id is None else static_member(group, instance_id, member_id)
        _check_epoch(member.current, epoch, request.topic_partitions)
        return member
    known = group.static_member(instance_id)
    if known is None:
        known = group.members.get(member_id)
    elif not known.is_classic and known.current.epoch != LEAVE_STATIC_EPOCH:
        raise Refusal(
            ErrorCode.UNRELEASED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} cannot join the group because the instance "
            f"id is owned by {known.id} member.",
        )
    if known is not None:
        check_state(known.current, request.topic_partitions)
    return known


def _check_epoch(current: Current, epoch: int, owned: Sequence[TopicPartitions] | None) -> None:
    answer_was_lost = epoch == current.previous_epoch < current.epoch and owns_only(owned, current.assigned)
    if epoch == current.epoch or answer_was_lost:
        check_state(current, owned)
        return
    than = "greater" if epoch > current.epoch else "smaller"
    raise Refusal(
        ErrorCode.FENCED_MEMBER_EPOCH,
        f"The consumer group member has a {than} member epoch ({epoch}) than the one known by the group coordinator "
        f"({current.epoch}). The member must abandon all its partitions and rejoin.",
    )


def _subscription(request: ConsumerGroupHeartbeatRequest, client: Client, old: Subscription) -> Subscription:
    """What the member asks for by now: null means that it is as it was."""
    names = request.subscribed_topic_names
    return Subscription(
        instance_id=old.instance_id if request.instance_id is None else request.instance_id,
        rack_id=old.rack_id if request.rack_id is None else request.rack_id,
        client_id=client.id,
        client_host=client.host,
        topics=old.topics if names is None else frozenset(names),
        regex=old.regex if request.subscribed_topic_regex is None else request.subscribed_topic_regex,
        rebalance_timeout_ms=old.rebalance_timeout_ms
        if request.rebalance_timeout_ms == -1
        else request.rebalance_timeout_ms,
        server_assignor=old.server_assignor if request.server_assignor is None else request.server_assignor,
    )


def _says_all(request: ConsumerGroupHeartbeatRequest) -> bool:
    """A request that leaves nothing out, as after an error: its answer leaves nothing out, too."""
    return request.member_epoch == 0 or (
        request.rebalance_timeout_ms != -1
        and (request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None)
        and request.topic_partitions is not None
    )


def _assignment(member: Member) -> Assignment:
    return Assignment(
        topic_partitions=[
            TopicPartitions(topic_id=topic_id, partitions=list(epochs))
            for topic_id, epochs in member.current.assigned.items()
        ]
    )


def _away(current: Current) -> Current:
    """A static member left for a while, and shall find what it has. (At epoch 0: it may commit for that whenever.)"""
    assigned = {topic_id: dict.fromkeys(epochs, 0) for topic_id, epochs in current.assigned.items()}
    return current._replace(epoch=LEAVE_STATIC_EPOCH, assigned=assigned, revoking=NOTHING)


def _check_text(text: str | None, what: str) -> None:
    if text is not None and not text.strip(_BLANKS):
        _invalid(f"{what} can't be empty.")


def _invalid(message: str) -> NoReturn:
    raise Refusal(ErrorCode.INVALID_REQUEST, message)
