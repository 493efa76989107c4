"""ConsumerGroupDescribe: groups of the consumer protocol with their members (KIP-848)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)
from kbroker_wire.schema import Message

from ..errors import Refusal
from .describe_groups import ALL_GROUP_OPERATIONS

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.groups.shard import GroupShard
    from ..coordinators.machine import Now, Step


def answer(request: ConsumerGroupDescribeRequest, call: Call, broker: Broker) -> Answer:
    del call
    return broker.groups.perform_each(
        [(name, partial(_describe, name), partial(_refused, name)) for name in request.group_ids],
        partial(_answer, authorized=request.include_authorized_operations),
    )


async def handle(request: ConsumerGroupDescribeRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _describe(group_id: str, shard: GroupShard, ticket: object, now: Now) -> Step:
    del ticket, now
    if not group_id:
        raise Refusal(ErrorCode.INVALID_GROUP_ID)
    return shard.consumer_describe(group_id)


def _refused(group_id: str, code: ErrorCode, message: str | None) -> DescribedGroup:
    return DescribedGroup(
        error_code=code,
        error_message=message,
        group_id=group_id,
        group_state="",
        group_epoch=0,
        assignment_epoch=0,
        assignor_name="",
        members=[],
    )


def _answer(rows: list[Message], *, authorized: bool) -> ConsumerGroupDescribeResponse:
    groups = cast("list[DescribedGroup]", rows)
    for group in groups if authorized else ():
        if group.error_code == ErrorCode.NONE:
            group.authorized_operations = ALL_GROUP_OPERATIONS
    return ConsumerGroupDescribeResponse(groups=groups)


def refuse(request: ConsumerGroupDescribeRequest, code: ErrorCode) -> ConsumerGroupDescribeResponse:
    return ConsumerGroupDescribeResponse(groups=[_refused(name, code, None) for name in request.group_ids])
