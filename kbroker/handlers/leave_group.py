"""LeaveGroup: members leave a classic group at once, or an operator makes static ones leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: LeaveGroupRequest, call: Call, broker: Broker) -> Answer:
    version = call.api_version
    return broker.groups.perform(
        request.group_id,
        lambda shard, _, now: shard.leave(request, version, now),
        lambda code, _: _refused(request, code),
    )


async def handle(request: LeaveGroupRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _refused(request: LeaveGroupRequest, code: ErrorCode) -> LeaveGroupResponse:
    """A group that is not there is told member by member, where a request may name several."""
    if code is not ErrorCode.UNKNOWN_MEMBER_ID or not request.members:
        return refuse(request, code)
    rows = [
        MemberResponse(member_id=who.member_id, group_instance_id=who.group_instance_id, error_code=code)
        for who in request.members
    ]
    return LeaveGroupResponse(error_code=ErrorCode.NONE, members=rows)


def refuse(request: LeaveGroupRequest, code: ErrorCode) -> LeaveGroupResponse:
    del request
    return LeaveGroupResponse(error_code=code)
