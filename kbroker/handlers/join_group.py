"""JoinGroup: become a member of a classic group, or take part in its rebalance; answered when all members have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupResponse

from ..coordinators.groups.classic_answers import NULLABLE_PROTOCOL, not_joined
from ..coordinators.machine import Client

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: JoinGroupRequest, call: Call, broker: Broker) -> Answer:
    client, version = Client(call.client_id or "", call.host), call.api_version
    return broker.groups.perform(
        request.group_id,
        lambda shard, ticket, now: shard.join(request, client, version, ticket, now),
        lambda code, _: not_joined(code, request.member_id, version),
    )


async def handle(request: JoinGroupRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def refuse(request: JoinGroupRequest, code: ErrorCode) -> JoinGroupResponse:
    """In a form that every version can have."""
    return not_joined(code, request.member_id, NULLABLE_PROTOCOL - 1)
