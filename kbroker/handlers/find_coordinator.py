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
    kind, version = request.key_type, call.api_version
    if version >= 4:
        return FindCoordinatorResponse(
            coordinators=[
                _coordinator(key, _error(key, kind, version), kind, call, broker) for key in request.coordinator_keys
            ]
        )
    error = _error(request.key, kind, version)
    found = _coordinator(request.key, error, kind, call, broker)
    return FindCoordinatorResponse(
        error_code=error, error_message=error.message, node_id=found.node_id, host=found.host, port=found.port
    )


def _error(key: str, kind: int, version: int) -> ErrorCode:
    if kind in (GROUP, TRANSACTION):
        return ErrorCode.NONE
    if kind == SHARE and version >= SHARE_SINCE and _is_share_key(key):
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    return ErrorCode.INVALID_REQUEST


def _coordinator(key: str, error: ErrorCode, kind: int, call: Call, broker: Broker) -> Coordinator:
    if error is ErrorCode.NONE:
        host, port = call.told
        return Coordinator(key=key, node_id=broker.node_id, host=host, port=port, error_code=error, error_message="")
    return _nobody(key, error, "" if kind == SHARE else error.message)  # Kafka explains only a kind it does not know


def _is_share_key(key: str) -> bool:
    """`group:topic id:partition`; the group's name may have colons of its own."""
    parts = key.rsplit(":", 2)
    if len(parts) != 3 or not parts[0] or not (parts[2].isascii() and parts[2].isdecimal()):
        return False
    try:
        uuid_from_text(parts[1])
    except ValueError:
        return False
    return True


def _nobody(key: str, error: ErrorCode, message: str) -> Coordinator:
    return Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message=message)


def refuse(request: FindCoordinatorRequest, code: ErrorCode) -> FindCoordinatorResponse:
    if request.coordinator_keys:
        return FindCoordinatorResponse(
            coordinators=[_nobody(key, code, code.message) for key in request.coordinator_keys]
        )
    return FindCoordinatorResponse(error_code=code, error_message=code.message, node_id=-1, port=-1)
