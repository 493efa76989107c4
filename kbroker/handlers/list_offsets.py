"""ListOffsets: the first offset at or after a time, and the ends of a log (special timestamps below zero)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kbroker_storage import StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.messages.list_offsets import (
    EARLIEST_LOCAL_TIMESTAMP,
    EARLIEST_PENDING_UPLOAD_TIMESTAMP,
    EARLIEST_TIMESTAMP,
    LATEST_TIERED_TIMESTAMP,
    LATEST_TIMESTAMP,
    MAX_TIMESTAMP,
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)

from ..errors import Refusal, code_of
from ..visibility import all_visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..broker import Broker
    from ..call import Answer, Call
    from ..partition import Partition

READ_UNCOMMITTED, READ_COMMITTED = 0, 1
CONSUMER = -1
NOWHERE = (-1, -1, -1)  # offset, timestamp, leader epoch

# Special timestamps and the version of the request that brought each
SINCE = {
    LATEST_TIMESTAMP: 1,
    EARLIEST_TIMESTAMP: 1,
    MAX_TIMESTAMP: 7,
    EARLIEST_LOCAL_TIMESTAMP: 8,
    LATEST_TIERED_TIMESTAMP: 9,
    EARLIEST_PENDING_UPLOAD_TIMESTAMP: 11,
}
ENDS_OR_TIMES = (LATEST_TIMESTAMP, MAX_TIMESTAMP)


async def handle(request: ListOffsetsRequest, call: Call, broker: Broker) -> Answer:
    if request.isolation_level not in (READ_UNCOMMITTED, READ_COMMITTED):
        return refuse(request, ErrorCode.INVALID_REQUEST)
    committed = request.isolation_level == READ_COMMITTED
    await all_visible(_read_to_the_end(request, broker))
    topics = []
    for topic in request.topics:
        times_asked = Counter(each.partition_index for each in topic.partitions)
        rows = []
        for each in topic.partitions:
            try:
                if times_asked[each.partition_index] > 1:
                    raise Refusal(ErrorCode.INVALID_REQUEST)
                partition = broker.replicas.find(topic.name, each.partition_index)
                partition.check_leader(each.current_leader_epoch)
                consumer = request.replica_id == CONSUMER
                offset, timestamp, epoch = _find(partition, each.timestamp, call.api_version, committed, consumer)
                rows.append(_row(each, offset, timestamp, epoch if call.api_version >= 4 else -1))
            except (Refusal, StorageError, OSError) as error:
                rows.append(_row(each, *NOWHERE, code_of(error)))
        topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=rows))
    return ListOffsetsResponse(topics=topics)


def _read_to_the_end(request: ListOffsetsRequest, broker: Broker) -> Iterator[Partition]:
    """The partitions about which a consumer asks what depends on where it may read to."""
    if request.replica_id != CONSUMER:
        return
    for topic in request.topics:
        for each in topic.partitions:
            if each.timestamp in ENDS_OR_TIMES or each.timestamp >= 0:
                try:
                    yield broker.replicas.find(topic.name, each.partition_index)
                except Refusal:
                    continue


def _find(partition: Partition, timestamp: int, version: int, committed: bool, consumer: bool) -> tuple[int, int, int]:
    """(offset, timestamp, leader epoch), -1 each where there is none. Raises Refusal."""
    if timestamp < 0 and version < SINCE.get(timestamp, version + 1):
        raise Refusal(ErrorCode.UNSUPPORTED_VERSION)
    log = partition.log
    limit = log.end if not consumer else partition.last_stable_offset if committed else partition.high_watermark
    if timestamp == LATEST_TIMESTAMP:
        return limit, -1, partition.leader_epoch
    if timestamp in (EARLIEST_TIMESTAMP, EARLIEST_LOCAL_TIMESTAMP):
        return log.start, -1, partition.epoch_at(log.start)
    if timestamp in (LATEST_TIERED_TIMESTAMP, EARLIEST_PENDING_UPLOAD_TIMESTAMP):
        return NOWHERE  # nothing is tiered
    found = log.max_timestamp() if timestamp == MAX_TIMESTAMP else log.offset_for_timestamp(timestamp)
    if found is None or found[0] >= limit:
        return NOWHERE
    return found


def _row(
    asked: ListOffsetsPartition, offset: int, timestamp: int, epoch: int, error: ErrorCode = ErrorCode.NONE
) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(
        partition_index=asked.partition_index,
        error_code=error,
        timestamp=timestamp,
        offset=offset,
        leader_epoch=epoch,
    )


def refuse(request: ListOffsetsRequest, code: ErrorCode) -> ListOffsetsResponse:
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name, partitions=[_row(each, *NOWHERE, code) for each in topic.partitions]
            )
            for topic in request.topics
        ]
    )
