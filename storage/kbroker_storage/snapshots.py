"""Kafka's producer snapshots: `<offset>.snapshot`, the state of all producers as of that offset.

Format version 1: version int16, CRC-32C of what follows it, then the entries. An entry holds a producer's last batch
only; the rest is read from the log when it is needed (producers.py).
"""

import struct
from collections.abc import Iterable

from .errors import Corrupt
from .producers import NO_OFFSET, Batch, Producer

SUFFIX = ".snapshot"
VERSION = 1
HEAD = struct.Struct(">hI")
COUNT = struct.Struct(">i")
ENTRY = struct.Struct(">qhiqiqiq")
SEQUENCES = 2**31  # sequences are counted modulo this


def encode(producers: Iterable[Producer]) -> bytes:
    from crc32c import crc32c  # noqa: PLC0415  importing it costs more than most logs ever spend here

    entries = [_encode_entry(producer) for producer in producers]
    body = COUNT.pack(len(entries)) + b"".join(entries)
    return HEAD.pack(VERSION, crc32c(body)) + body


def _encode_entry(producer: Producer) -> bytes:
    last_sequence, last_offset, delta = -1, NO_OFFSET, 0
    if producer.batches:
        batch = producer.batches[-1]
        last_sequence, last_offset = batch.last_sequence, batch.last_offset
        delta = last_offset - batch.base_offset
    return ENTRY.pack(
        producer.producer_id,
        producer.epoch,
        last_sequence,
        last_offset,
        delta,
        producer.timestamp,
        producer.coordinator_epoch,
        producer.txn_first_offset,
    )


def decode(data: bytes) -> list[Producer]:
    """Raises Corrupt."""
    from crc32c import crc32c  # noqa: PLC0415

    if len(data) < HEAD.size + COUNT.size:
        raise Corrupt(f"producer snapshot of {len(data)} bytes")
    version, checksum = HEAD.unpack_from(data)
    if version != VERSION:
        raise Corrupt(f"producer snapshot of version {version}, not {VERSION}")
    body = memoryview(data)[HEAD.size :]
    if crc32c(body) != checksum:
        raise Corrupt("producer snapshot with a wrong checksum")
    (count,) = COUNT.unpack_from(body)
    if len(body) != COUNT.size + count * ENTRY.size:
        raise Corrupt(f"producer snapshot of {len(body)} bytes says {count} entries")
    return [_decode_entry(*fields) for fields in ENTRY.iter_unpack(body[COUNT.size :])]


def _decode_entry(
    producer_id: int,
    epoch: int,
    last_sequence: int,
    last_offset: int,
    delta: int,
    timestamp: int,
    coordinator: int,
    txn: int,
) -> Producer:
    producer = Producer(producer_id, epoch)
    producer.timestamp = timestamp
    producer.coordinator_epoch = coordinator
    producer.txn_first_offset = txn
    if last_sequence >= 0:
        base_sequence = (last_sequence - delta) % SEQUENCES
        producer.batches.append(Batch(base_sequence, last_sequence, last_offset - delta, last_offset, timestamp))
        producer.partial = True
    return producer
