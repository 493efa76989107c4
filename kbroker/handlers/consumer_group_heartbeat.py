"""ConsumerGroupHeartbeat: members of consumer groups join, stay, and leave (KIP-848)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatResponse

from ..coordinators.machine import Client

if TYPE_CHECKING:
    from kbroker_wire import ErrorCode
    from kbroker_wire.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest

    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: ConsumerGroupHeartbeatRequest, call: Call, broker: Broker) -> Answer:
    client, version = Client(call.client_id or "", call.host), call.api_version
    return broker.groups.perform(
        request.group_id,
        lambda shard, _, now: shard.consumer_heartbeat(request, client, version, now),
        refused=_refused,
    )


async def handle(request: ConsumerGroupHeartbeatRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _refused(code: ErrorCode, message: str | None) -> ConsumerGroupHeartbeatResponse:
    return ConsumerGroupHeartbeatResponse(error_code=code, error_message=message)


def refuse(request: ConsumerGroupHeartbeatRequest, code: ErrorCode) -> ConsumerGroupHeartbeatResponse:
    del request
    return _refused(code, code.message)
