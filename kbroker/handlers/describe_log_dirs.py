"""DescribeLogDirs: the one folder of this broker, how full its disk is, and how large each partition is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_log_dirs import (
    UNKNOWN_VOLUME_BYTES,
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)

from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..partition import Partition

AT_A_TIME = 100  # partitions whose folders may be listed before others get their turn; 10-20 us each


async def handle(request: DescribeLogDirsRequest, call: Call, broker: Broker) -> Answer:
    del call
    topics: dict[str, list[DescribeLogDirsPartition]] = {}
    for number, partition in enumerate(list(_asked(request, broker))):
        if number % AT_A_TIME == AT_A_TIME - 1:
            await trio.lowlevel.checkpoint()
        if not partition.deleted:
            topics.setdefault(partition.name, []).append(_row(partition, broker))
    total, usable = await _volume(broker)
    return DescribeLogDirsResponse(
        results=[
            DescribeLogDirsResult(
                error_code=ErrorCode.NONE,
                log_dir=broker.folder.absolute_path,
                topics=[DescribeLogDirsTopic(name=name, partitions=rows) for name, rows in topics.items()],
                total_bytes=total,
                usable_bytes=usable,
            )
        ]
    )


def _asked(request: DescribeLogDirsRequest, broker: Broker) -> Iterable[Partition]:
    """Each once; what is not here is left out."""
    if request.topics is None:
        yield from broker.replicas
        return
    for name, index in dict.fromkeys((topic.topic, index) for topic in request.topics for index in topic.partitions):
        try:
            yield broker.replicas.find(name, index)
        except Refusal:
            continue


def _row(partition: Partition, broker: Broker) -> DescribeLogDirsPartition:
    return DescribeLogDirsPartition(
        partition_index=partition.index,
        partition_size=broker.replicas.size_of(partition),
        offset_lag=0 if partition.opened is None else max(0, partition.high_watermark - partition.opened.end),
        is_future_key=False,
    )


async def _volume(broker: Broker) -> tuple[int, int]:
    try:
        volume: tuple[int, int] = await broker.env.run_blocking(lambda: broker.env.volume(broker.folder.path))
    except OSError:
        return UNKNOWN_VOLUME_BYTES, UNKNOWN_VOLUME_BYTES
    return volume


def refuse(request: DescribeLogDirsRequest, code: ErrorCode) -> DescribeLogDirsResponse:
    del request
    return DescribeLogDirsResponse(error_code=code, results=[])
