"""The answers that members of a classic group wait for: of JoinGroup and of SyncGroup."""

from __future__ import annotations

from kbroker_wire import ErrorCode
from kbroker_wire.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from kbroker_wire.messages.sync_group import SyncGroupResponse

from ..machine import Reply, Step
from .classic import ClassicGroup
from .classic_member import ClassicMember

NULLABLE_PROTOCOL = 7  # the version of JoinGroup in which the name of the protocol may be null


def joined(
    group: ClassicGroup,
    member: ClassicMember,
    members: list[JoinGroupResponseMember],
    *,
    leader: str | None = None,
    skip_assignment: bool = False,
) -> JoinGroupResponse:
    """What a member of the present generation is told.

    members   of the group: for the leader, who assigns; nobody else is told
    leader    another one than the group's
    """
    return JoinGroupResponse(
        error_code=ErrorCode.NONE,
        generation_id=group.generation,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name or "",
        leader=leader or group.leader or "",
        skip_assignment=skip_assignment,
        member_id=member.id,
        members=members,
    )


def members_of(group: ClassicGroup) -> list[JoinGroupResponseMember]:
    """All of them, with what they put into the chosen protocol. The group must have one."""
    protocol = group.protocol_name
    assert protocol is not None
    return [
        JoinGroupResponseMember(
            member_id=member.id, group_instance_id=member.instance_id, metadata=member.protocols[protocol]
        )
        for member in group.members.values()
    ]


def not_joined(code: ErrorCode, member_id: str, version: int) -> JoinGroupResponse:
    """`version` of the request: from 7 on there is no name of a protocol, before it is empty."""
    protocol_name = None if version >= NULLABLE_PROTOCOL else ""
    return JoinGroupResponse(error_code=code, member_id=member_id, protocol_name=protocol_name, leader="", members=[])


def assigned(group: ClassicGroup, member: ClassicMember) -> SyncGroupResponse:
    return SyncGroupResponse(
        error_code=ErrorCode.NONE,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        assignment=member.assignment,
    )


def not_assigned(code: ErrorCode) -> SyncGroupResponse:
    return SyncGroupResponse(error_code=code, assignment=b"")


def end_join(group: ClassicGroup, member: ClassicMember, response: JoinGroupResponse, step: Step) -> None:
    """Answer the member's join, if one waits."""
    ticket = group.end_join(member)
    if ticket is not None:
        step.replies.append(Reply(ticket, response))


def end_sync(member: ClassicMember, response: SyncGroupResponse, step: Step) -> bool:
    """Answer the member's sync, if one waits: then True."""
    ticket, member.sync_ticket = member.sync_ticket, None
    if ticket is not None:
        step.replies.append(Reply(ticket, response))
    return ticket is not None


def dismiss(group: ClassicGroup, member: ClassicMember, step: Step) -> None:
    """Remove a member; whatever it waits for tells it to begin anew."""
    end_join(group, member, not_joined(ErrorCode.UNKNOWN_MEMBER_ID, "", member.join_version), step)
    end_sync(member, not_assigned(ErrorCode.UNKNOWN_MEMBER_ID), step)
    group.remove(member)


def fence(group: ClassicGroup, member: ClassicMember, step: Step) -> None:
    """Tell a static member that waits that another has taken its place."""
    end_join(group, member, not_joined(ErrorCode.FENCED_INSTANCE_ID, member.id, member.join_version), step)
    end_sync(member, not_assigned(ErrorCode.FENCED_INSTANCE_ID), step)
