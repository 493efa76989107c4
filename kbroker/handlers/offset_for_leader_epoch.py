"""OffsetForLeaderEpoch: where an epoch ends in the leader's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_storage import StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)

from ..errors import Refusal, code_of

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: OffsetForLeaderEpochRequest, call: Call, broker: Broker) -> Answer:
    del call
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic, partitions=[_find(broker, topic.topic, each) for each in topic.partitions]
            )
            for topic in request.topics
        ]
    )


def _find(broker: Broker, topic: str, asked: OffsetForLeaderPartition) -> EpochEndOffset:
    try:
        partition = broker.replicas.find(topic, asked.partition)
        partition.check_leader(asked.current_leader_epoch)
        epoch, end = partition.end_for_epoch(asked.leader_epoch)
    except (Refusal, StorageError, OSError) as error:
        return EpochEndOffset(error_code=code_of(error), partition=asked.partition)
    return EpochEndOffset(error_code=ErrorCode.NONE, partition=asked.partition, leader_epoch=epoch, end_offset=end)


def refuse(request: OffsetForLeaderEpochRequest, code: ErrorCode) -> OffsetForLeaderEpochResponse:
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[EpochEndOffset(error_code=code, partition=each.partition) for each in topic.partitions],
            )
            for topic in request.topics
        ]
    )
