"""FindCoordinator: which broker coordinates a group, a transactional id or a share group's partition.

A coordinator is the leader of the partition of an internal topic that the key hashes to. The topic is created in the
request that first needs it, and the coordinator answers from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from kbroker_wire.schema import uuid_from_text

from ..cluster import nodes
from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

GROUP, TRANSACTION, SHARE = 0, 1, 2
SHARE_SINCE = 6  # the version of the request that may ask for a share coordinator (KIP-932)


async def handle(request: FindCoordinatorRequest, call: Call, broker: Broker) -> Answer:
    kind, version = request.key_type, call.api_version
    error = ErrorCode.NONE
    try:
        if kind == GROUP:
            await broker.groups.ensure_topic()
        elif kind == TRANSACTION:
            await broker.transactions.ensure_topic()
    except Refusal:
        error = ErrorCode.COORDINATOR_NOT_AVAILABLE
    if version >= 4:
        keys = request.coordinator_keys
        return FindCoordinatorResponse(coordinators=[_find(key, kind, error, call, broker) for key in keys])
    found = _find(request.key, kind, error, call, broker)
    code = ErrorCode(found.error_code)  # type: ignore[call-arg]  # by its number
    return FindCoordinatorResponse(
        error_code=code, error_message=code.message, node_id=found.node_id, host=found.host, port=found.port
    )


def _find(key: str, kind: int, error: ErrorCode, call: Call, broker: Broker) -> Coordinator:
    if error is not ErrorCode.NONE:
        return _nobody(key, error, error.message)
    if kind == SHARE and call.api_version >= SHARE_SINCE and _is_share_key(key):
        return _nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, "")
    if kind not in {GROUP, TRANSACTION}:  # Kafka explains only a kind it does not know
        return _nobody(key, ErrorCode.INVALID_REQUEST, "" if kind == SHARE else ErrorCode.INVALID_REQUEST.message)
    leader = (broker.groups if kind == GROUP else broker.transactions).leader_of(key)
    for node in nodes(broker, call):
        if node.id == leader:
            return Coordinator(
                key=key, node_id=node.id, host=node.host, port=node.port, error_code=ErrorCode.NONE, error_message=""
            )
    return _nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.COORDINATOR_NOT_AVAILABLE.message)


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
