"""The requests of classic group members: JoinGroup, SyncGroup, Heartbeat and LeaveGroup.

Order of checks, codes and what each state makes of a request are Apache Kafka's. Where its coordinator leaves a request
without any answer (a member that joins again while its former join waits; one that leaves while its sync does), the
former one is answered here, so that no connection hangs.
"""

from __future__ import annotations

from kbroker_wire import ErrorCode
from kbroker_wire.messages.group_records import GroupMetadataKey, GroupMetadataValue
from kbroker_wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kbroker_wire.messages.join_group import JoinGroupRequest
from kbroker_wire.messages.leave_group import LeaveGroupResponse, MemberIdentity, MemberResponse
from kbroker_wire.messages.sync_group import SyncGroupRequest
from kbroker_wire.schema import Message, uuid_from_text

from ...errors import Refusal
from ..machine import Client, Now, Step, fits_record
from .classic import ClassicGroup, State
from .classic_answers import (
    assigned,
    dismiss,
    end_join,
    end_sync,
    fence,
    joined,
    members_of,
    not_assigned,
    not_joined,
)
from .classic_member import ClassicMember, Protocols, protocols_of
from .classic_rebalance import Rebalances
from .context import Context
from .settings import ClassicSettings

MEMBER_ID_REQUIRED = 4  # the version of JoinGroup from which a new member is given its id first (KIP-394)
SKIP_ASSIGNMENT = 9  # the version of JoinGroup that can tell a leader that there is nothing to assign (KIP-814)
MAX_RECORD_BYTES = 16 << 20  # of metadata and assignments of a group, which are one record; Kafka's limit is 1 MiB
NEW_MEMBER_TIMEOUT_S = 300.0  # how long a new member's join may wait: it sends no heartbeats, and may be gone


class Joining:
    """One JoinGroup request on its way through the states."""

    __slots__ = ("client", "now", "protocols", "rebalance_ms", "request", "step", "ticket", "version")

    def __init__(self, request: JoinGroupRequest, client: Client, version: int, ticket: object, now: Now) -> None:
        self.request, self.client, self.version, self.ticket, self.now = request, client, version, ticket, now
        self.protocols: Protocols = protocols_of(request.protocols)
        self.rebalance_ms = request.rebalance_timeout_ms if version else request.session_timeout_ms
        self.step = Step()

    def reason(self, what: str) -> str:
        return f"{what}; client reason: {self.request.reason or 'not provided'}"


class ClassicRequests:
    """What members of the classic groups of one shard ask for.

    Requests for groups of the consumer protocol do not come here, but for joins to empty ones: they become classic.
    """

    def __init__(self, context: Context, settings: ClassicSettings) -> None:
        self._context, self._settings = context, settings
        self.rebalances = Rebalances(settings, context.timers)

    def replay(self, key: GroupMetadataKey, value: GroupMetadataValue | None) -> None:
        """Apply a record of the log."""
        context = self._context
        if value is None:
            context.groups.pop(key.group, None)
        else:
            context.groups[key.group] = ClassicGroup.from_record(key, value, context.timers)

    # -- JoinGroup -------------------------------------------------------------------------------------------------

    def check_join(self, request: JoinGroupRequest) -> None:
        """What is wrong with a join whatever the group. Raises Refusal."""
        if not request.group_id:
            raise Refusal(ErrorCode.INVALID_GROUP_ID)
        settings = self._settings
        if not settings.min_session_timeout_ms <= request.session_timeout_ms <= settings.max_session_timeout_ms:
            raise Refusal(ErrorCode.INVALID_SESSION_TIMEOUT)
        names = [request.group_instance_id or "", request.protocol_type, *(each.name for each in request.protocols)]
        if not all(map(fits_record, names)):
            raise Refusal(ErrorCode.INVALID_REQUEST)

    def join(self, request: JoinGroupRequest, client: Client, version: int, ticket: object, now: Now) -> Step:
        """`check_join` was passed, and the group is classic, or empty, or not there."""
        joining = Joining(request, client, version, ticket, now)
        group = self._context.groups.get(request.group_id)
        if not isinstance(group, ClassicGroup):
            group = self._new_group(joining)
        elif not self._has_room(group, request.member_id):
            return self._turn_away(group, joining)
        elif not group.supports(request.protocol_type, joining.protocols):
            raise Refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        if not request.member_id:
            self._join_without_id(group, joining)
        elif request.member_id in group.pending and request.group_instance_id is None:
            self._add(group, request.member_id, joining)
        else:
            group.check_member(request.member_id, request.group_instance_id)
            self._join_again(group, group.members[request.member_id], joining)
        return joining.step

    def _new_group(self, joining: Joining) -> ClassicGroup:
        """A group that was not there, or that takes the place of an empty one of the other protocol."""
        request = joining.request
        if request.member_id:
            raise Refusal(ErrorCode.UNKNOWN_MEMBER_ID)
        if not (request.protocol_type and joining.protocols):
            raise Refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        context = self._context
        former = context.groups.get(request.group_id)
        if former is not None:
            joining.step.records.extend(former.tombstones())
        group = ClassicGroup(request.group_id, context.timers, joining.now.ms)
        context.groups[group.id] = group
        joining.step.records.append(group.record())
        return group

    def _has_room(self, group: ClassicGroup, member_id: str) -> bool:
        """While members join, those who did count: the last to come again may be one too many."""
        if group.state is State.EMPTY:
            return True
        member = group.members.get(member_id)
        if group.state is State.PREPARING_REBALANCE:
            is_in = member is not None and member.join_ticket is not None
            return is_in or group.joining < self._settings.max_size
        return member is not None or len(group.members) < self._settings.max_size

    def _turn_away(self, group: ClassicGroup, joining: Joining) -> Step:
        member = group.members.get(joining.request.member_id)
        if member is None:
            group.remove_pending(joining.request.member_id)
        else:
            dismiss(group, member, joining.step)
        self.rebalances.complete_if_all_joined(group, joining.now, joining.step)
        joining.step.response = not_joined(ErrorCode.GROUP_MAX_SIZE_REACHED, "", joining.version)
        return joining.step

    def _join_without_id(self, group: ClassicGroup, joining: Joining) -> None:
        instance_id = joining.request.group_instance_id
        member_id = self._new_member_id(joining.client.id if instance_id is None else instance_id)
        if instance_id is not None and instance_id in group.static_ids:
            self._replace(group, group.members[group.static_ids[instance_id]], member_id, joining)
        elif instance_id is None and joining.version >= MEMBER_ID_REQUIRED:
            group.pending.add(member_id)
            ends = joining.now.s + joining.request.session_timeout_ms / 1000
            self._context.timers.set(group.session_of(member_id), ends)
            joining.step.response = not_joined(ErrorCode.MEMBER_ID_REQUIRED, member_id, joining.version)
        else:
            self._add(group, member_id, joining)

    def _new_member_id(self, prefix: str) -> str:
        text = uuid_from_text(self._context.new_id()).hex()
        return f"{prefix}-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _add(self, group: ClassicGroup, member_id: str, joining: Joining) -> None:
        request = joining.request
        member = ClassicMember(
            member_id,
            request.group_instance_id,
            joining.client,
            request.session_timeout_ms,
            joining.rebalance_ms,
            joining.protocols,
            is_new=True,
        )
        group.add(member, request.protocol_type)
        group.grew = True
        group.wait_for_join(member, joining.ticket, joining.version)
        self._context.timers.set(group.session_of(member_id), joining.now.s + NEW_MEMBER_TIMEOUT_S)
        reason = joining.reason(f"member {member_id} is new")
        self.rebalances.prepare_or_complete(group, joining.now, joining.step, reason)

    def _join_again(self, group: ClassicGroup, member: ClassicMember, joining: Joining) -> None:
        """A member that knows its id. One that changed nothing is told of its generation, if that has begun; a leader
        may want another assignment, though its own metadata are the same."""
        if group.state is State.PREPARING_REBALANCE:
            changes = True
        elif group.state is State.COMPLETING_REBALANCE:
            changes = not member.matches(joining.protocols)
        else:
            changes = member.id == group.leader or not member.matches(joining.protocols)
        if not changes:
            joining.step.response = joined(group, member, members_of(group) if member.id == group.leader else [])
            return
        group.update(member, joining.protocols, joining.request.session_timeout_ms, joining.rebalance_ms)
        superseded = not_joined(ErrorCode.REBALANCE_IN_PROGRESS, member.id, member.join_version)
        end_join(group, member, superseded, joining.step)
        group.wait_for_join(member, joining.ticket, joining.version)
        reason = joining.reason(f"member {member.id} joins again")
        self.rebalances.prepare_or_complete(group, joining.now, joining.step, reason)

    def _replace(self, group: ClassicGroup, old: ClassicMember, new_id: str, joining: Joining) -> None:
        """A static member came back without its id (KIP-345). In a stable group that goes on with its protocol it is
        as if it had not been away."""
        now, step, leader = joining.now, joining.step, group.leader
        fence(group, old, step)
        member = group.replace(old, new_id)
        group.update(member, joining.protocols, joining.request.session_timeout_ms, joining.rebalance_ms)
        group.heard_of(member, now.s)
        if group.state is State.STABLE and group.chosen_protocol() == group.protocol_name:
            step.records.append(group.record())
            step.response = self._welcome_back(group, member, leader, joining.version)
            return
        group.wait_for_join(member, joining.ticket, joining.version)
        reason = joining.reason(f"static member {old.instance_id} came back as {new_id}")
        self.rebalances.prepare_or_complete(group, now, step, reason)

    def _welcome_back(
        self, group: ClassicGroup, member: ClassicMember, former_leader: str | None, version: int
    ) -> Message:
        """A leader must not assign again: it is told so, or, if its version can not be, that the leader is who it was
        before: an id that nobody has any more."""
        if version < SKIP_ASSIGNMENT:
            return joined(group, member, [], leader=former_leader)
        if member.id != group.leader:
            return joined(group, member, [])
        return joined(group, member, members_of(group), skip_assignment=True)

    # -- SyncGroup -------------------------------------------------------------------------------------------------

    def sync(self, group: ClassicGroup, request: SyncGroupRequest, ticket: object, now: Now) -> Step:
        group.check_member(request.member_id, request.group_instance_id)
        if request.generation_id != group.generation:
            raise Refusal(ErrorCode.ILLEGAL_GENERATION)
        if request.protocol_type not in (None, group.protocol_type) or request.protocol_name not in (
            None,
            group.protocol_name,
        ):
            raise Refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        if group.state is State.PREPARING_REBALANCE:
            raise Refusal(ErrorCode.REBALANCE_IN_PROGRESS)
        member = group.members[request.member_id]
        self.rebalances.synced(group, member)
        if group.state is State.STABLE:
            return Step(assigned(group, member))
        step = Step()
        end_sync(member, not_assigned(ErrorCode.REBALANCE_IN_PROGRESS), step)
        member.sync_ticket = ticket
        if member.id == group.leader:
            self._assign(group, {each.member_id: each.assignment for each in request.assignments}, now, step)
        return step

    def _assign(self, group: ClassicGroup, assignments: dict[str, bytes], now: Now, step: Step) -> None:
        """The leader has spoken. Who is not named gets nothing; names that nobody has are passed over."""
        for member in group.members.values():
            member.assignment = assignments.get(member.id, b"")
        if group.size_bytes > MAX_RECORD_BYTES:
            self.rebalances.take_assignments_back(group, now, step, ErrorCode.UNKNOWN_SERVER_ERROR)
            self.rebalances.prepare(group, now, step, f"{group.size_bytes} bytes of its members can not be written")
            return
        group.enter(State.STABLE, now.ms)
        for member in group.members.values():
            if end_sync(member, assigned(group, member), step):
                group.heard_of(member, now.s)
        step.records.append(group.record())

    # -- Heartbeat and LeaveGroup ----------------------------------------------------------------------------------

    def heartbeat(self, group: ClassicGroup, request: HeartbeatRequest, now: Now) -> Step:
        group.check_member(request.member_id, request.group_instance_id)
        if request.generation_id != group.generation:
            raise Refusal(ErrorCode.ILLEGAL_GENERATION)
        group.heard_of(group.members[request.member_id], now.s)
        is_joining = group.state is State.PREPARING_REBALANCE
        return Step(HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS if is_joining else ErrorCode.NONE))

    def leave(self, group: ClassicGroup, members: list[MemberIdentity], now: Now) -> Step:
        """An operator names static members by their instance alone. The answer has a row for each of `members`."""
        step, rows = Step(), []
        before = len(group.members)
        for who in members:
            try:
                self._leave(group, who, step)
                code = ErrorCode.NONE
            except Refusal as refusal:
                code = refusal.code
            rows.append(
                MemberResponse(member_id=who.member_id, group_instance_id=who.group_instance_id, error_code=code)
            )
        step.response = LeaveGroupResponse(error_code=ErrorCode.NONE, members=rows)
        if group.state is State.PREPARING_REBALANCE:
            self.rebalances.complete_if_all_joined(group, now, step)
        elif len(group.members) < before:
            reasons = ", ".join(dict.fromkeys(who.reason or "not provided" for who in members))
            self.rebalances.prepare(group, now, step, f"members left; client reason: {reasons}")
        return step

    def _leave(self, group: ClassicGroup, who: MemberIdentity, step: Step) -> None:
        member_id = who.member_id
        if not member_id and who.group_instance_id is not None:
            member_id = group.static_ids.get(who.group_instance_id, "")
        if member_id in group.pending:
            group.remove_pending(member_id)
            return
        group.check_member(member_id, who.group_instance_id)
        dismiss(group, group.members[member_id], step)
