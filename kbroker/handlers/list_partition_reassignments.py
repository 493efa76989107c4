"""ListPartitionReassignments: no replica ever moves here, so none is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: ListPartitionReassignmentsRequest, call: Call, broker: Broker) -> Answer:
    del request, call, broker
    return ListPartitionReassignmentsResponse(error_code=ErrorCode.NONE, error_message=None, topics=[])


def refuse(request: ListPartitionReassignmentsRequest, code: ErrorCode) -> ListPartitionReassignmentsResponse:
    del request
    return ListPartitionReassignmentsResponse(error_code=code, error_message=code.message, topics=[])
