"""OffsetFetch: how far groups have read. Before version 8 it asks for one group, in fields of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
)
from kbroker_wire.schema import Message

from ..coordinators.groups.offsets_fetch import fetch

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.groups.shard import GroupShard
    from ..coordinators.machine import Now, Step
    from ..coordinators.runtime import Operation, Refused

GROUPS = 8  # the first version that asks for several groups
GROUP_ERROR = 2  # the first version whose answer can say that all of it failed


def answer(request: OffsetFetchRequest, call: Call, broker: Broker) -> Answer:
    version, stable = call.api_version, request.require_stable
    groups = request.groups if version >= GROUPS else [_only_group(request)]

    def operation(group: OffsetFetchRequestGroup) -> Operation[GroupShard]:
        def read(shard: GroupShard, _: object, __: Now) -> Step:
            return fetch(shard.offsets, group, version, require_stable=stable)

        return read

    def refused(group: OffsetFetchRequestGroup) -> Refused:
        return lambda code, _: OffsetFetchResponseGroup(group_id=group.group_id, topics=[], error_code=code)

    return broker.groups.perform_each(
        [(group.group_id, operation(group), refused(group)) for group in groups],
        partial(_response, request, version),
    )


async def handle(request: OffsetFetchRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _only_group(request: OffsetFetchRequest) -> OffsetFetchRequestGroup:
    topics = request.topics
    return OffsetFetchRequestGroup(
        group_id=request.group_id,
        topics=None
        if topics is None
        else [OffsetFetchRequestTopics(name=each.name, partition_indexes=each.partition_indexes) for each in topics],
    )


def _response(request: OffsetFetchRequest, version: int, rows: list[Message]) -> OffsetFetchResponse:
    groups = [row for row in rows if isinstance(row, OffsetFetchResponseGroup)]
    if version >= GROUPS:
        return OffsetFetchResponse(groups=groups)
    [group] = groups
    if group.error_code:
        return _refused(request, version, group.error_code)
    return OffsetFetchResponse(
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=row.partition_index,
                        committed_offset=row.committed_offset,
                        committed_leader_epoch=row.committed_leader_epoch,
                        metadata=row.metadata,
                        error_code=row.error_code,
                    )
                    for row in topic.partitions
                ],
            )
            for topic in group.topics
        ]
    )


def _refused(request: OffsetFetchRequest, version: int, code: int) -> OffsetFetchResponse:
    if version >= GROUP_ERROR:
        return OffsetFetchResponse(error_code=code)
    return OffsetFetchResponse(
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=index, committed_offset=-1, metadata="", error_code=code
                    )
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics or ()
        ]
    )


def refuse(request: OffsetFetchRequest, code: ErrorCode) -> OffsetFetchResponse:
    if request.groups:
        return OffsetFetchResponse(
            groups=[
                OffsetFetchResponseGroup(group_id=group.group_id, topics=[], error_code=code)
                for group in request.groups
            ]
        )
    return _refused(request, GROUP_ERROR, code)
