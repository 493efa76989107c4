"""AlterPartitionReassignments: replicas may be assigned to where they are, which changes nothing; no other is moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)

from ..controller.core import check_assignment
from ..errors import Refusal
from ..metadata.image import Image

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: AlterPartitionReassignmentsRequest, call: Call, broker: Broker) -> Answer:
    del call
    image = broker.controller.image
    responses = []
    for topic in request.topics:
        rows = []
        for each in topic.partitions:
            try:
                _assign(image, topic.name, each.partition_index, each.replicas)
                rows.append(_row(each.partition_index, ErrorCode.NONE, None))
            except Refusal as refusal:
                rows.append(_row(each.partition_index, refusal.code, refusal.message))
        responses.append(ReassignableTopicResponse(name=topic.name, partitions=rows))
    return AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=request.allow_replication_factor_change,
        error_code=ErrorCode.NONE,
        error_message=None if responses else "",
        responses=responses,
    )


def _assign(image: Image, name: str, index: int, replicas: Sequence[int] | None) -> None:
    """`replicas`: None to stop a move. Raises Refusal."""
    topic = image.topic(name)
    if topic is None:
        raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find a topic named {name}.")
    if not 0 <= index < len(topic.partitions):
        raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find partition {name}:{index}.")
    if replicas is None:
        raise Refusal(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    if check_assignment(image, replicas) != topic.partitions[index].replicas:
        raise Refusal(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "kbroker does not move replicas.")


def _row(index: int, code: ErrorCode, message: str | None) -> ReassignablePartitionResponse:
    return ReassignablePartitionResponse(partition_index=index, error_code=code, error_message=message)


def refuse(request: AlterPartitionReassignmentsRequest, code: ErrorCode) -> AlterPartitionReassignmentsResponse:
    del request
    return AlterPartitionReassignmentsResponse(error_code=code, error_message=code.message, responses=[])
