"""DescribeProducers: who writes to partitions, and whose transactions are open there (KIP-664)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_storage import StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)

from ..controller.core import name_error
from ..errors import Refusal, code_of

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: DescribeProducersRequest, call: Call, broker: Broker) -> Answer:
    del call
    return DescribeProducersResponse(
        topics=[
            TopicResponse(
                name=topic.name, partitions=[_describe(topic.name, index, broker) for index in topic.partition_indexes]
            )
            for topic in request.topics
        ]
    )


async def handle(request: DescribeProducersRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _describe(topic: str, index: int, broker: Broker) -> PartitionResponse:
    try:
        if reason := name_error(topic):
            raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")
        if topic not in broker.replicas.by_name:
            unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            raise Refusal(unknown, unknown.message)
        partition = broker.replicas.find(topic, index)
        partition.check_leader()
        producers = partition.describe_producers()
    except (Refusal, StorageError, OSError) as error:
        message = error.message if isinstance(error, Refusal) else None
        return PartitionResponse(
            partition_index=index, error_code=code_of(error), error_message=message, active_producers=[]
        )
    return PartitionResponse(
        partition_index=index,
        error_code=ErrorCode.NONE,
        active_producers=[
            ProducerState(
                producer_id=each.producer_id,
                producer_epoch=each.producer_epoch,
                last_sequence=each.last_sequence,
                last_timestamp=each.last_timestamp,
                coordinator_epoch=each.coordinator_epoch,
                current_txn_start_offset=each.current_txn_start_offset,
            )
            for each in producers
        ],
    )


def refuse(request: DescribeProducersRequest, code: ErrorCode) -> DescribeProducersResponse:
    return DescribeProducersResponse(
        topics=[
            TopicResponse(
                name=topic.name,
                partitions=[
                    PartitionResponse(partition_index=index, error_code=code, active_producers=[])
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics
        ]
    )
