"""SyncGroup: a leader hands in the assignment of a classic group, a member fetches its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

from ..coordinators.groups.classic_answers import not_assigned

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

PROTOCOL = 5  # the version from which the protocol's type and name must be told (KIP-559)


def answer(request: SyncGroupRequest, call: Call, broker: Broker) -> Answer:
    if call.api_version >= PROTOCOL and (request.protocol_type is None or request.protocol_name is None):
        return not_assigned(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    return broker.groups.perform(
        request.group_id,
        lambda shard, ticket, now: shard.sync(request, ticket, now),
        lambda code, _: not_assigned(code),
    )


async def handle(request: SyncGroupRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def refuse(request: SyncGroupRequest, code: ErrorCode) -> SyncGroupResponse:
    del request
    return not_assigned(code)
