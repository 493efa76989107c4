"""AlterReplicaLogDirs: a broker with one folder has nowhere to move replicas to; where they are they may stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDirPartitionResult,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterReplicaLogDirTopicResult,
)

from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: AlterReplicaLogDirsRequest, call: Call, broker: Broker) -> Answer:
    del call
    outcome: dict[str, dict[int, ErrorCode]] = {}
    for folder in request.dirs:
        for topic in folder.topics:
            rows = outcome.setdefault(topic.name, {})
            for index in topic.partitions:
                rows[index] = _move(folder.path, topic.name, index, broker)
    return _response(outcome)


def _move(path: str, name: str, index: int, broker: Broker) -> ErrorCode:
    if path != broker.folder.absolute_path:
        return ErrorCode.LOG_DIR_NOT_FOUND
    try:
        broker.replicas.find(name, index)
    except Refusal as refusal:
        return refusal.code
    return ErrorCode.NONE


def _response(outcome: dict[str, dict[int, ErrorCode]]) -> AlterReplicaLogDirsResponse:
    return AlterReplicaLogDirsResponse(
        results=[
            AlterReplicaLogDirTopicResult(
                topic_name=name,
                partitions=[
                    AlterReplicaLogDirPartitionResult(partition_index=index, error_code=code)
                    for index, code in rows.items()
                ],
            )
            for name, rows in outcome.items()
        ]
    )


def refuse(request: AlterReplicaLogDirsRequest, code: ErrorCode) -> AlterReplicaLogDirsResponse:
    named = (topic for folder in request.dirs for topic in folder.topics)
    return _response({topic.name: dict.fromkeys(topic.partitions, code) for topic in named})
