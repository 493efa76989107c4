"""DeleteGroups: forget groups that have no members, with the offsets that they committed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_groups import DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse
from kbroker_wire.schema import Message

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.groups.shard import GroupShard
    from ..coordinators.machine import Now, Step


def answer(request: DeleteGroupsRequest, call: Call, broker: Broker) -> Answer:
    """A group that is named twice is answered once. Kafka gives no messages, though version 3 has room for them."""
    del call
    names = dict.fromkeys(request.groups_names)
    return broker.groups.perform_each(
        [(name, partial(_delete, name), partial(_refused, name)) for name in names], _answer
    )


async def handle(request: DeleteGroupsRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _delete(group_id: str, shard: GroupShard, ticket: object, now: Now) -> Step:
    del ticket, now
    return shard.delete(group_id)


def _refused(group_id: str, code: ErrorCode, message: str | None) -> DeletableGroupResult:
    del message
    return DeletableGroupResult(group_id=group_id, error_code=code)


def _answer(results: list[Message]) -> DeleteGroupsResponse:
    return DeleteGroupsResponse(results=cast("list[DeletableGroupResult]", results))


def refuse(request: DeleteGroupsRequest, code: ErrorCode) -> DeleteGroupsResponse:
    return _answer([_refused(name, code, None) for name in dict.fromkeys(request.groups_names)])
