"""OffsetDelete: a group forgets offsets of topics that none of its members reads any more (KIP-496)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse

from ..coordinators.groups.offsets_delete import delete

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: OffsetDeleteRequest, call: Call, broker: Broker) -> Answer:
    del call
    return broker.groups.perform(
        request.group_id,
        lambda shard, _, __: delete(shard.offsets, request),
        lambda code, _: refuse(request, code),
    )


async def handle(request: OffsetDeleteRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def refuse(request: OffsetDeleteRequest, code: ErrorCode) -> OffsetDeleteResponse:
    del request
    return OffsetDeleteResponse(error_code=code, topics=[])
