"""WriteTxnMarkers: a transaction coordinator, or an operator, has partitions' leaders end transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_storage import StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

from ..committing import Committing
from ..errors import Refusal, code_of

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..partition import Partition

Row = WritableTxnMarkerPartitionResult


def answer(request: WriteTxnMarkersRequest, call: Call, broker: Broker) -> Answer:
    """Answered when the markers are as safe as acks=all. Of a marker for no topics the answer says nothing."""
    del call
    unsafe: dict[Partition, list[tuple[Row, int]]] = {}
    results = []
    for marker in request.markers:
        topics = [
            WritableTxnMarkerTopicResult(
                name=topic.name,
                partitions=[
                    _row(marker, topic.name, index, broker, unsafe) for index in dict.fromkeys(topic.partition_indexes)
                ],
            )
            for topic in marker.topics
        ]
        if topics:
            results.append(WritableTxnMarkerResult(producer_id=marker.producer_id, topics=topics))
    response = WriteTxnMarkersResponse(markers=results)
    return Committing(response, unsafe) if unsafe else response


async def handle(request: WriteTxnMarkersRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _row(
    marker: WritableTxnMarker,
    topic: str,
    index: int,
    broker: Broker,
    unsafe: dict[Partition, list[tuple[Row, int]]],
) -> Row:
    row = Row(partition_index=index, error_code=ErrorCode.NONE)
    try:
        partition = broker.replicas.find(topic, index)
        partition.check_leader()
        appended = partition.end_transaction(
            marker.producer_id,
            marker.producer_epoch,
            commit=marker.transaction_result,
            coordinator_epoch=marker.coordinator_epoch,
            transaction_version=marker.transaction_version,
            now_ms=broker.env.now_ms(),
        )
    except (Refusal, StorageError, OSError) as error:
        row.error_code = code_of(error)
        return row
    broker.groups.end_transaction(partition, marker.producer_id, commit=marker.transaction_result)
    if partition.high_watermark <= appended.last_offset:
        unsafe.setdefault(partition, []).append((row, appended.last_offset + 1))
    return row


def refuse(request: WriteTxnMarkersRequest, code: ErrorCode) -> WriteTxnMarkersResponse:
    return WriteTxnMarkersResponse(
        markers=[
            WritableTxnMarkerResult(
                producer_id=marker.producer_id,
                topics=[
                    WritableTxnMarkerTopicResult(
                        name=topic.name,
                        partitions=[Row(partition_index=index, error_code=code) for index in topic.partition_indexes],
                    )
                    for topic in marker.topics
                ],
            )
            for marker in request.markers
        ]
    )
