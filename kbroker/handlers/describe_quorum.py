"""DescribeQuorum: the metadata log has one voter, this broker, which leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    Node,
    PartitionData,
    ReplicaState,
    TopicData,
)

from ..controller.core import METADATA_TOPIC
from ..metadata.log import LEADER_EPOCH

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: DescribeQuorumRequest, call: Call, broker: Broker) -> Answer:
    """As in Kafka, a request that names more than that one partition, or another one, gets an error for each."""
    named = [(topic.topic_name, each.partition_index) for topic in request.topics for each in topic.partitions]
    if named != [(METADATA_TOPIC, 0)] or len(request.topics) > 1:
        return _refused(request, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    end, now_ms = broker.controller.committed_end, broker.env.now_ms()
    voter = ReplicaState(
        replica_id=broker.node_id, log_end_offset=end, last_fetch_timestamp=now_ms, last_caught_up_timestamp=now_ms
    )
    partition = PartitionData(
        partition_index=0,
        error_code=ErrorCode.NONE,
        leader_id=broker.controller_id,
        leader_epoch=LEADER_EPOCH,
        high_watermark=end,
        current_voters=[voter],
    )
    return DescribeQuorumResponse(
        error_code=ErrorCode.NONE,
        error_message="",
        topics=[TopicData(topic_name=METADATA_TOPIC, partitions=[partition])],
        nodes=[Node(node_id=broker.node_id, listeners=[])] if call.api_version >= 2 else [],
    )


def _refused(request: DescribeQuorumRequest, code: ErrorCode) -> DescribeQuorumResponse:
    return DescribeQuorumResponse(
        error_code=ErrorCode.NONE,
        error_message="",
        topics=[
            TopicData(
                topic_name=topic.topic_name,
                partitions=[
                    PartitionData(partition_index=each.partition_index, error_code=code, error_message=code.message)
                    for each in topic.partitions
                ],
            )
            for topic in request.topics
        ],
    )


def refuse(request: DescribeQuorumRequest, code: ErrorCode) -> DescribeQuorumResponse:
    del request
    return DescribeQuorumResponse(error_code=code, error_message=code.message, topics=[])
