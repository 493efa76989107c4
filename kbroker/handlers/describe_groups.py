"""DescribeGroups: classic groups with their members."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_groups import DescribedGroup, DescribeGroupsRequest, DescribeGroupsResponse
from kbroker_wire.schema import Message

from ..coordinators.groups.classic import State

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.groups.shard import GroupShard
    from ..coordinators.machine import Now, Step

NOT_FOUND = 6  # the version from which a group that is not there is an error (KIP-1043)
# READ (3), DELETE (6), DESCRIBE (8), DESCRIBE_CONFIGS (10) and ALTER_CONFIGS (11): all there is to do with a group.
ALL_GROUP_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11


def answer(request: DescribeGroupsRequest, call: Call, broker: Broker) -> Answer:
    version = call.api_version
    return broker.groups.perform_each(
        [(name, partial(_describe, name), partial(_refused, name, version)) for name in request.groups],
        partial(_answer, authorized=request.include_authorized_operations),
    )


async def handle(request: DescribeGroupsRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _describe(group_id: str, shard: GroupShard, ticket: object, now: Now) -> Step:
    del ticket, now
    return shard.describe(group_id)


def _refused(group_id: str, version: int, code: ErrorCode, message: str | None) -> DescribedGroup:
    if code is not ErrorCode.GROUP_ID_NOT_FOUND:
        return _failed(group_id, code)
    if version >= NOT_FOUND:
        return _failed(group_id, code, message, State.DEAD.value)
    return _failed(group_id, ErrorCode.NONE, None, State.DEAD.value)


def _failed(group_id: str, code: ErrorCode, message: str | None = None, state: str = "") -> DescribedGroup:
    return DescribedGroup(
        error_code=code,
        error_message=message,
        group_id=group_id,
        group_state=state,
        protocol_type="",
        protocol_data="",
        members=[],
    )


def _answer(rows: list[Message], *, authorized: bool) -> DescribeGroupsResponse:
    groups = cast("list[DescribedGroup]", rows)
    for group in groups if authorized else ():
        if group.error_code == ErrorCode.NONE:
            group.authorized_operations = ALL_GROUP_OPERATIONS
    return DescribeGroupsResponse(groups=groups)


def refuse(request: DescribeGroupsRequest, code: ErrorCode) -> DescribeGroupsResponse:
    return DescribeGroupsResponse(groups=[_failed(name, code) for name in request.groups])
