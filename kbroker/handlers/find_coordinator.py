"""FindCoordinator: which broker coordinates a group, a transactional id or a share group's partition.

Until there are coordinators this broker names itself for groups and transactions, and creates no topic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from kbroker_wire.schema import uuid_from_text

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

GROUP, TRANSACTION, SHARE = 0, 1, 2
SHARE_SINCE = 6  # the version of the request that may ask for a share coordinator (KIP-932)


async def handle(request: FindCoordinatorRequest, call: Call, broker: Broker) -> Answer:
    if call.api_version >= 4:
        return FindCoordinatorResponse(
            coordinators=[_find(key, request.key_type, call, broker) for key in request.coordinator_keys]
        )
    found = _find(request.key, request.key_type, call, broker)
    return FindCoordinatorResponse(
        error_code=found.error_code,
        error_message=found.error_message or ErrorCode.NONE.message,
        node_id=found.node_id,
        host=found.host,
        port=found.port,
    )


def _find(key: str, key_type: int, call: Call, broker: Broker) -> Coordinator:
    if key_type not in (GROUP, TRANSACTION, SHARE) or (
        key_type == SHARE and (call.api_version < SHARE_SINCE or not _is_share_key(key))
    ):
        return _nobody(key, ErrorCode.INVALID_REQUEST)
    if key_type == SHARE:
        return _nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    host, port = call.told
    return Coordinator(
        key=key, node_id=broker.node_id, host=host, port=port, error_code=ErrorCode.NONE, error_message=""
    )


def _is_share_key(key: str) -> bool:
    """`group:topic id:partition`; the group's name may have colons of its own."""
    parts = key.rsplit(":", 2)
    if len(parts) != 3 or not parts[0] or not parts[2].isdigit():
        return False
    try:
        uuid_from_text(parts[1])
    except ValueError:
        return False
    return True


def _nobody(key: str, error: ErrorCode) -> Coordinator:
    return Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message=error.message)


def refuse(request: FindCoordinatorRequest, code: ErrorCode) -> FindCoordinatorResponse:
    if request.coordinator_keys:
        return FindCoordinatorResponse(coordinators=[_nobody(key, code) for key in request.coordinator_keys])
    return FindCoordinatorResponse(error_code=code, error_message=code.message, node_id=-1, port=-1)
