"""DescribeTopicPartitions: topics and their partitions in pages, by name (KIP-966)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsPartition,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsTopic,
)
from kbroker_wire.schema import ZERO_UUID

from ..cluster import ALL_TOPIC_OPERATIONS, leader_error, offline_replicas
from ..controller.core import INTERNAL_TOPICS, name_error
from ..metadata.image import Image, TopicImage

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: DescribeTopicPartitionsRequest, call: Call, broker: Broker) -> Answer:
    del call
    image = broker.image
    all_asked = not request.topics
    names = sorted(image.topic_ids if all_asked else {topic.name for topic in request.topics})
    cursor = request.cursor
    first = 0
    if cursor is not None and cursor.partition_index < 0:
        return refuse(request, ErrorCode.INVALID_REQUEST)
    if cursor is not None:
        names = [name for name in names if name >= cursor.topic_name]
        first = cursor.partition_index if names and names[0] == cursor.topic_name else 0
    left = max(1, min(request.response_partition_limit, broker.config.int("max.request.partition.size.limit")))
    rows: list[DescribeTopicPartitionsTopic] = []
    for name in names:
        topic = image.topic(name)
        if topic is None:
            rows.append(_unknown(name))
            continue
        if left == 0:
            return DescribeTopicPartitionsResponse(
                topics=rows, next_cursor=Cursor(topic_name=name, partition_index=first)
            )
        last = min(first + left, len(topic.partitions))
        rows.append(_describe(image, topic, range(first, last)))
        left -= max(0, last - first)
        if last < len(topic.partitions):
            return DescribeTopicPartitionsResponse(
                topics=rows, next_cursor=Cursor(topic_name=name, partition_index=last)
            )
        first = 0
    return DescribeTopicPartitionsResponse(topics=rows)


def _describe(image: Image, topic: TopicImage, page: range) -> DescribeTopicPartitionsTopic:
    rows = []
    for index in page:
        partition = topic.partitions[index]
        rows.append(
            DescribeTopicPartitionsPartition(
                error_code=leader_error(image, partition),
                partition_index=index,
                leader_id=partition.leader,
                leader_epoch=partition.leader_epoch,
                replica_nodes=list(partition.replicas),
                isr_nodes=list(partition.isr),
                eligible_leader_replicas=[],
                last_known_elr=[],
                offline_replicas=offline_replicas(image, partition),
            )
        )
    return DescribeTopicPartitionsTopic(
        error_code=ErrorCode.NONE,
        name=topic.name,
        topic_id=topic.id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=rows,
        topic_authorized_operations=ALL_TOPIC_OPERATIONS,
    )


def _unknown(name: str) -> DescribeTopicPartitionsTopic:
    return DescribeTopicPartitionsTopic(
        error_code=ErrorCode.INVALID_TOPIC_EXCEPTION if name_error(name) else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        name=name,
        topic_id=ZERO_UUID,
        is_internal=name in INTERNAL_TOPICS,
        partitions=[],
    )


def refuse(request: DescribeTopicPartitionsRequest, code: ErrorCode) -> DescribeTopicPartitionsResponse:
    return DescribeTopicPartitionsResponse(
        topics=[
            DescribeTopicPartitionsTopic(error_code=code, name=topic.name, topic_id=ZERO_UUID, partitions=[])
            for topic in request.topics
        ]
    )
