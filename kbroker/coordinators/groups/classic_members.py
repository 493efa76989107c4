"""Members of a consumer group that speak the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup (KIP-848).

Such a member takes each step of its reconciliation by joining: what it owns stands in its subscription, what it gets in
the answer to its next SyncGroup; its generation is its member epoch. It never waits for the others, and never leads.
Heartbeats tell it when to join again. Order of checks and codes are Apache Kafka's.
"""

from __future__ import annotations

from collections.abc import Sequence

from kbroker_wire import ErrorCode, ProtocolError
from kbroker_wire.messages.consumer_group_heartbeat import TopicPartitions
from kbroker_wire.messages.consumer_protocol import ConsumerProtocolSubscription, decode_subscription
from kbroker_wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kbroker_wire.messages.leave_group import LeaveGroupResponse, MemberIdentity, MemberResponse
from kbroker_wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

from ...errors import Refusal
from ..machine import Client, Now, Step
from .classic_answers import not_assigned, not_joined
from .consumer_change import Change
from .consumer_group import CONSUMER_PROTOCOL, ConsumerGroup
from .consumer_groups import JOIN, SYNC, ConsumerGroups, static_member
from .consumer_member import ClassicPart, Member, MemberState, Subscription
from .consumer_settings import MigrationPolicy
from .migration import Migration, by_topic_id, embedded_assignment, subscription_version

MEMBER_ID_REQUIRED = 4  # the version of JoinGroup from which a new member is given its id first (KIP-394)


class ClassicMembers:
    """Requests of classic members of consumer groups. Groups that are empty are not dealt with here."""

    def __init__(self, groups: ConsumerGroups, migration: Migration) -> None:
        self._groups, self._migration = groups, migration

    # -- JoinGroup -------------------------------------------------------------------------------------------------

    def join(self, group: ConsumerGroup, request: JoinGroupRequest, client: Client, version: int, now: Now) -> Step:
        try:
            return self._join(group, request, client, version, now)
        except Refusal as refusal:  # unlike those of a classic group, an answer without the member's id
            return Step(not_joined(refusal.code, "", version))

    def _join(self, group: ConsumerGroup, request: JoinGroupRequest, client: Client, version: int, now: Now) -> Step:
        if self._groups.settings.migration is MigrationPolicy.DISABLED:
            raise Refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        instance_id = request.group_instance_id
        member_id = request.member_id or self._groups.context.new_id()
        self._groups.check_room(group, member_id, instance_id)
        if not group.supports_classic(request.protocol_type, {each.name for each in request.protocols}):
            raise Refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        if version >= MEMBER_ID_REQUIRED and not request.member_id and instance_id is None:
            return Step(not_joined(ErrorCode.MEMBER_ID_REQUIRED, member_id, version))
        subscribed = _read(request)
        known = _known_member(group, request, member_id)
        rebalance_ms = request.rebalance_timeout_ms if version else request.session_timeout_ms
        step, change = Step(), Change(group)
        downgrades = (
            known is not None
            and instance_id is not None
            and not known.is_classic
            and self._migration.may_downgrade(group, [known], fewer=0)
        )
        if known is not None and known.id != member_id:
            known = self._groups.replace(change, known, member_id)
        old = Subscription() if known is None else known.subscription
        subscription = _subscription(request, subscribed, rebalance_ms, client, old)
        changed = self._groups.subscribe(change, member_id, subscription, now)
        member = group.members[member_id]
        owned = _owned(subscribed, self._groups)
        if downgrades:
            self._downgrade(change, member, owned, now, step, subscription_changed=changed)
        else:
            self._groups.assign(change, now)
            self._groups.reconcile(change, member, owned, now, subscription_changed=changed)
            self._groups.close(change, step)
            self._groups.cancel_timer(JOIN, group.id, member_id)
            self._groups.expect_heartbeat(group, member, now)
            self._groups.set_timer(SYNC, group.id, member_id, now, rebalance_ms)
        step.response = _joined(member, request.protocols[0].name)
        return step

    def _downgrade(
        self,
        change: Change,
        member: Member,
        owned: Sequence[TopicPartitions],
        now: Now,
        step: Step,
        *,
        subscription_changed: bool,
    ) -> None:
        """A static member of the consumer protocol, the last one, came back with the classic protocol."""
        group = change.group
        is_behind = group.target_epoch < group.epoch
        if not is_behind:
            self._groups.reconcile(change, member, owned, now, subscription_changed=subscription_changed)
        reason = "its assignment was out of date when it became classic" if is_behind else None
        self._migration.downgrade(change, [], now, step, rebalance=reason)

    # -- SyncGroup -------------------------------------------------------------------------------------------------

    def sync(self, group: ConsumerGroup, request: SyncGroupRequest, now: Now) -> Step:
        member = _member(group, request.member_id, request.group_instance_id)
        classic = _classic(member, request.generation_id)
        name, metadata = classic.protocols[0]
        if request.protocol_type not in (None, CONSUMER_PROTOCOL) or request.protocol_name not in (None, name):
            raise Refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        current = member.current
        if group.target_epoch > current.epoch and current.state is not MemberState.UNREVOKED_PARTITIONS:
            self._expect_join(group, member, now)
            return Step(not_assigned(ErrorCode.REBALANCE_IN_PROGRESS))
        self._groups.cancel_timer(SYNC, group.id, member.id)
        self._groups.expect_heartbeat(group, member, now)
        return Step(
            SyncGroupResponse(
                error_code=ErrorCode.NONE,
                protocol_type=request.protocol_type,
                protocol_name=request.protocol_name,
                assignment=embedded_assignment(
                    current.assigned, subscription_version(metadata), self._groups.context.image
                ),
            )
        )

    # -- Heartbeat -------------------------------------------------------------------------------------------------

    def heartbeat(self, group: ConsumerGroup, request: HeartbeatRequest, now: Now) -> Step:
        member = _member(group, request.member_id, request.group_instance_id)
        _classic(member, request.generation_id)
        self._groups.expect_heartbeat(group, member, now)
        if not _must_join(group, member):
            return Step(HeartbeatResponse(error_code=ErrorCode.NONE))
        self._expect_join(group, member, now)
        return Step(HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))

    def _expect_join(self, group: ConsumerGroup, member: Member, now: Now) -> None:
        if (JOIN, group.id, member.id) not in self._groups.context.timers:
            self._groups.set_timer(JOIN, group.id, member.id, now, member.subscription.rebalance_timeout_ms)

    # -- LeaveGroup ------------------------------------------------------------------------------------------------

    def leave(self, group: ConsumerGroup, members: Sequence[MemberIdentity], now: Now) -> Step:
        """A classic member that is named by its instance alone is told by its id; one of the new protocol is not."""
        leaving: dict[str, Member] = {}
        rows: list[MemberResponse] = []
        for each in members:
            member_id, code = each.member_id, ErrorCode.NONE
            try:
                member = _leaving(group, each)
                leaving[member.id] = member
                if member.is_classic:
                    member_id = member.id
            except Refusal as refusal:
                code = refusal.code
            rows.append(MemberResponse(member_id=member_id, group_instance_id=each.group_instance_id, error_code=code))
        step = Step()
        self._migration.remove(group, list(leaving.values()), now, step)
        step.response = LeaveGroupResponse(error_code=ErrorCode.NONE, members=rows)
        return step


def _known_member(group: ConsumerGroup, request: JoinGroupRequest, member_id: str) -> Member | None:
    """Who joins again, or the static member that is replaced; None for a new one. Raises Refusal."""
    instance_id = request.group_instance_id
    if instance_id is None:
        return group.members.get(member_id)
    return static_member(group, instance_id, member_id) if request.member_id else group.static_member(instance_id)


def _joined(member: Member, protocol_name: str) -> JoinGroupResponse:
    return JoinGroupResponse(
        error_code=ErrorCode.NONE,
        generation_id=member.current.epoch,
        protocol_type=CONSUMER_PROTOCOL,
        protocol_name=protocol_name,
        leader="",
        member_id=member.id,
        members=[],
    )


def _read(request: JoinGroupRequest) -> ConsumerProtocolSubscription:
    """Of the protocol that it likes best: all of them tell the same. Raises Refusal."""
    try:
        return decode_subscription(request.protocols[0].metadata)
    except ProtocolError:  # Apache Kafka: UNKNOWN_SERVER_ERROR
        raise Refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL) from None


def _subscription(
    request: JoinGroupRequest,
    subscribed: ConsumerProtocolSubscription,
    rebalance_ms: int,
    client: Client,
    old: Subscription,
) -> Subscription:
    names = dict.fromkeys(each.name for each in request.protocols)
    metadata = {each.name: bytes(each.metadata) for each in reversed(request.protocols)}
    return Subscription(
        instance_id=request.group_instance_id or old.instance_id,
        rack_id=subscribed.rack_id or old.rack_id,
        client_id=client.id,
        client_host=client.host,
        topics=frozenset(subscribed.topics),
        rebalance_timeout_ms=old.rebalance_timeout_ms if rebalance_ms == -1 else rebalance_ms,
        server_assignor=old.server_assignor,
        classic=ClassicPart(request.session_timeout_ms, tuple((name, metadata[name]) for name in names)),
    )


def _owned(subscribed: ConsumerProtocolSubscription, groups: ConsumerGroups) -> list[TopicPartitions]:
    owned = by_topic_id(subscribed.owned_partitions, groups.context.image)
    return [TopicPartitions(topic_id=each, partitions=list(owned[each])) for each in owned]


def _member(group: ConsumerGroup, member_id: str, instance_id: str | None) -> Member:
    return group.member(member_id) if instance_id is None else static_member(group, instance_id, member_id)


def _classic(member: Member, generation: int) -> ClassicPart:
    """Raises Refusal: UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION."""
    classic = member.subscription.classic
    if classic is None:
        raise Refusal(ErrorCode.UNKNOWN_MEMBER_ID)
    if generation != member.current.epoch:
        raise Refusal(ErrorCode.ILLEGAL_GENERATION)
    return classic


def _must_join(group: ConsumerGroup, member: Member) -> bool:
    """There is a newer target, or it is to give up partitions, or it could have all that it waits for."""
    current = member.current
    if current.epoch < group.target_epoch or current.state is MemberState.UNREVOKED_PARTITIONS:
        return True
    return current.state is MemberState.UNRELEASED_PARTITIONS and not any(
        group.owner(topic_id, partition) not in (None, member.id)
        for topic_id, partitions in group.target_of(member).items()
        for partition in partitions
    )


def _leaving(group: ConsumerGroup, who: MemberIdentity) -> Member:
    """Raises Refusal. An administrator names a static member by its instance id alone."""
    if who.group_instance_id is None:
        return group.member(who.member_id)
    known = group.static_member(who.group_instance_id)
    return static_member(group, who.group_instance_id, who.member_id or (known.id if known else ""))
