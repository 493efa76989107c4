"""Records as the clients of a simulation write and read them: the value says who sent it, and as which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from history import Partition, Seen

from kbroker_wire import ErrorCode
from kbroker_wire.messages.end_txn_marker import ControlRecordType, decode_control_type
from kbroker_wire.messages.fetch import (
    AbortedTransaction,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from kbroker_wire.messages.produce import ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic
from kbroker_wire.record_building import build_batch
from kbroker_wire.records import Record, batches

from .client import Actor

FETCH_VERSION = 12  # the newest that names topics by name
UNCOMMITTED, COMMITTED = 0, 1  # isolation levels


class ProducerState(NamedTuple):
    id: int
    epoch: int


def value_of(producer: str, number: int, about: str = "") -> bytes:
    return f"{producer} {number} {about}".encode()


def seen_in(offset: int, value: bytes) -> Seen:
    producer, number, *_ = value.decode().split(" ")
    return Seen(offset, producer, int(number))


def batch_of(
    values: list[bytes], now_ms: int, producer: ProducerState, base_sequence: int, *, transactional: bool = False
) -> bytes:
    return build_batch(
        [Record(i, now_ms, None, value) for i, value in enumerate(values)],
        producer_id=producer.id,
        producer_epoch=producer.epoch,
        base_sequence=base_sequence,
        transactional=transactional,
    )


def produce_request(partition: Partition, batch: bytes, transactional_id: str | None = None) -> ProduceRequest:
    topic, index = partition
    return ProduceRequest(
        transactional_id=transactional_id,
        acks=-1,
        timeout_ms=5000,
        topic_data=[ProduceTopic(name=topic, partition_data=[ProducePartition(index=index, records=batch)])],
    )


def produced(response: ProduceResponse) -> tuple[int, int]:
    """(error, base offset) of a response to one batch."""
    [topic] = response.responses
    [row] = topic.partition_responses
    return row.error_code, row.base_offset


class Part(NamedTuple):
    """What a fetch brought of one partition; `records` are offsets with values, `next_offset` is where to go on."""

    error: int
    records: list[tuple[int, bytes]]
    next_offset: int
    high_watermark: int
    last_stable_offset: int


async def fetch(
    actor: Actor,
    positions: dict[Partition, int],
    isolation: int,
    *,
    wait_ms: int = 100,
    max_bytes: int = 2000,
    version: int = FETCH_VERSION,
) -> dict[Partition, Part]:
    """One Fetch without a session; empty if the whole of it was refused. Raises Lost."""
    by_topic: dict[str, list[FetchPartition]] = {}
    for (topic, index), offset in positions.items():
        by_topic.setdefault(topic, []).append(
            FetchPartition(partition=index, fetch_offset=offset, partition_max_bytes=max_bytes)
        )
    request = FetchRequest(
        max_wait_ms=wait_ms,
        min_bytes=1,
        isolation_level=isolation,
        topics=[FetchTopic(topic=name, partitions=partitions) for name, partitions in by_topic.items()],
    )
    response = await actor.ask(request, version)
    assert isinstance(response, FetchResponse)
    return {
        (topic.topic, row.partition_index): _part(row, positions[topic.topic, row.partition_index])
        for topic in response.responses
        for row in topic.partitions
    }


def _part(row: PartitionData, position: int) -> Part:
    found, position = _visible(row, position) if row.error_code == ErrorCode.NONE else ([], position)
    return Part(row.error_code, found, position, row.high_watermark, row.last_stable_offset)


def _visible(row: PartitionData, position: int) -> tuple[list[tuple[int, bytes]], int]:
    """What a consumer is given of a response, by Kafka's rule for aborted transactions, and its next position."""
    aborted = sorted(row.aborted_transactions or (), key=lambda each: each.first_offset)
    now_aborted: set[int] = set()
    found: list[tuple[int, bytes]] = []
    data = row.records or b""
    assert isinstance(data, (bytes, bytearray, memoryview))
    for batch in batches(bytes(data)):
        header = batch.header
        _begin(aborted, header.next_offset, now_aborted)
        if header.is_control:
            if decode_control_type(next(batch.records()).key) is ControlRecordType.ABORT:
                now_aborted.discard(header.producer_id)
        elif not (header.is_transactional and header.producer_id in now_aborted):
            found += _values(batch.records(), position)
        position = max(position, header.next_offset)
    return found, position


def _begin(aborted: list[AbortedTransaction], end: int, now_aborted: set[int]) -> None:
    while aborted and aborted[0].first_offset < end:
        now_aborted.add(aborted.pop(0).producer_id)


def _values(records: Iterator[Record], position: int) -> Iterator[tuple[int, bytes]]:
    for record in records:
        if record.offset >= position:
            assert record.value is not None
            yield record.offset, bytes(record.value)
