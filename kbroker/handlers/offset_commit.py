"""OffsetCommit: how far a group has read, from a member of it or from anybody for a group without members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse

from ..coordinators.groups.offsets_commit import commit
from ..coordinators.groups.offsets_rows import Rows, commit_response, sort_commit

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


def answer(request: OffsetCommitRequest, call: Call, broker: Broker) -> Answer:
    version = call.api_version
    return broker.groups.perform(
        request.group_id,
        lambda shard, _, now: commit(shard.offsets, request, version, now),
        lambda code, _: commit_response(sort_commit(request, version, broker.image).refused(code)),
    )


async def handle(request: OffsetCommitRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def refuse(request: OffsetCommitRequest, code: ErrorCode) -> OffsetCommitResponse:
    return commit_response(
        Rows(topic.name, topic.topic_id, [(each.partition_index, code) for each in topic.partitions])
        for topic in request.topics
    )
