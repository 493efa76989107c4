"""DescribeTopicPartitions: topics and their partitions in pages, by name (KIP-966)."""

from __future__ import annotations

from collections.abc import Collection
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
    asked, cursor = {topic.name for topic in request.topics}, request.cursor
    if cursor is None:
        cursor = Cursor(topic_name="", partition_index=0)
    elif cursor.partition_index < 0 or (asked and cursor.topic_name not in asked):
        return refuse(request, ErrorCode.INVALID_REQUEST)
    limit = min(request.response_partition_limit, broker.config.int("max.request.partition.size.limit"))
    return _page(broker.image, asked or broker.image.topic_ids, cursor, max(1, limit))


def _page(image: Image, names: Collection[str], cursor: Cursor, limit: int) -> DescribeTopicPartitionsResponse:
    """At most `limit` partitions of these topics, in the order of their names, from the cursor on."""
    rows: list[DescribeTopicPartitionsTopic] = []
    for name in sorted(name for name in names if name >= cursor.topic_name):
        if limit == 0:
            return _more(rows, name, 0)
        topic = image.topic(name)
        if topic is None:
            rows.append(_unknown(name))
            continue
        first = cursor.partition_index if name == cursor.topic_name else 0
        page = range(len(topic.partitions))[first : first + limit]
        rows.append(_describe(image, topic, page))
        limit -= len(page)
        if page.stop < len(topic.partitions):
            return _more(rows, name, page.stop)
    return DescribeTopicPartitionsResponse(topics=rows)


def _more(rows: list[DescribeTopicPartitionsTopic], name: str, index: int) -> DescribeTopicPartitionsResponse:
    return DescribeTopicPartitionsResponse(topics=rows, next_cursor=Cursor(topic_name=name, partition_index=index))


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
        topic_authorized_operations=ALL_TOPIC_OPERATIONS,
    )


def refuse(request: DescribeTopicPartitionsRequest, code: ErrorCode) -> DescribeTopicPartitionsResponse:
    return DescribeTopicPartitionsResponse(
        topics=[
            DescribeTopicPartitionsTopic(error_code=code, name=topic.name, topic_id=ZERO_UUID, partitions=[])
            for topic in request.topics
        ]
    )
