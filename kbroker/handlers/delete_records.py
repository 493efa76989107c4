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
from ..visibility import all_visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..broker import Broker
    from ..call import Answer, Call
    from ..partition import Partition

Outcome = tuple[int, ErrorCode]  # the low watermark; -1 beside an error
NOWHERE = -1
ALL_VISIBLE = -1  # as the offset: the high watermark


async def handle(request: DeleteRecordsRequest, call: Call, broker: Broker) -> Answer:
    del call
    wanted: dict[str, dict[int, int]] = {}  # of a partition that is named twice the last offset counts
    for topic in request.topics:
        if topic.partitions:
            wanted.setdefault(topic.name, {}).update((each.partition_index, each.offset) for each in topic.partitions)
    await all_visible(_beyond_the_visible(wanted, broker))
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


def _beyond_the_visible(wanted: dict[str, dict[int, int]], broker: Broker) -> Iterator[Partition]:
    """The partitions of which everything is to be deleted, or more than consumers see."""
    for name, of in wanted.items():
        for index, offset in of.items():
            try:
                partition = broker.replicas.find(name, index)
            except Refusal:
                continue
            if offset == ALL_VISIBLE or offset > partition.high_watermark:
                yield partition


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
