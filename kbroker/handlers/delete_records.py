"""DeleteRecords: the start of partitions moves up, and what was below is gone, also after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_storage import Removal, StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_records import (
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)

from ..controller.core import INTERNAL_TOPICS
from ..errors import Refusal, code_of

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

Outcome = tuple[int, ErrorCode]  # the low watermark; -1 beside an error
NOWHERE = -1


async def handle(request: DeleteRecordsRequest, call: Call, broker: Broker) -> Answer:
    del call
    wanted: dict[str, dict[int, int]] = {}  # of a partition that is named twice the last offset counts
    for topic in request.topics:
        if topic.partitions:
            wanted.setdefault(topic.name, {}).update((each.partition_index, each.offset) for each in topic.partitions)
    aside: list[Removal] = []
    outcome = {
        name: {index: _delete(name, index, to, broker, aside) for index, to in of.items()}
        for name, of in wanted.items()
    }
    broker.remove_later(aside)
    granted = any(code is ErrorCode.NONE for of in outcome.values() for _, code in of.values())
    if granted and not await broker.write_checkpoints():
        return refuse(request, ErrorCode.KAFKA_STORAGE_ERROR)
    return DeleteRecordsResponse(
        topics=[
            DeleteRecordsTopicResult(name=name, partitions=[_row(index, *each) for index, each in of.items()])
            for name, of in outcome.items()
        ]
    )


def _delete(name: str, index: int, offset: int, broker: Broker, aside: list[Removal]) -> Outcome:
    try:
        if name in INTERNAL_TOPICS:
            raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION)
        partition = broker.replicas.find(name, index)
        partition.check_leader()
        return partition.delete_before(offset, aside), ErrorCode.NONE
    except (Refusal, StorageError, OSError) as error:
        return NOWHERE, code_of(error)


def _row(index: int, low_watermark: int, code: ErrorCode) -> DeleteRecordsPartitionResult:
    return DeleteRecordsPartitionResult(partition_index=index, low_watermark=low_watermark, error_code=code)


def refuse(request: DeleteRecordsRequest, code: ErrorCode) -> DeleteRecordsResponse:
    return DeleteRecordsResponse(
        topics=[
            DeleteRecordsTopicResult(
                name=topic.name, partitions=[_row(each.partition_index, NOWHERE, code) for each in topic.partitions]
            )
            for topic in request.topics
        ]
    )
