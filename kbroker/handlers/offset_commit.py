"""OffsetCommit: how far a group has read, from a member of it or from anybody for a group without members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: OffsetCommitRequest, call: Call, broker: Broker) -> Answer:
    version = call.api_version
    return broker.groups.perform(
        request.group_id,
        lambda shard, _, now: shard.offsets.commit(request, version, now),
        lambda code, _: refuse(request, code),
    )


async def handle(request: OffsetCommitRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def refuse(request: OffsetCommitRequest, code: ErrorCode) -> OffsetCommitResponse:
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
                    for each in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
