"""Heartbeat: a member of a classic group says that it is alive, and hears whether it has to join again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: HeartbeatRequest, call: Call, broker: Broker) -> Answer:
    del call
    return broker.groups.perform(
        request.group_id, lambda shard, _, now: shard.heartbeat(request, now), lambda code, _: refuse(request, code)
    )


async def handle(request: HeartbeatRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def refuse(request: HeartbeatRequest, code: ErrorCode) -> HeartbeatResponse:
    del request
    return HeartbeatResponse(error_code=code)
