"""Kafka's producer snapshots: `<offset>.snapshot`, the state of all producers as of that offset.

Format version 1: version int16, CRC-32C of what follows it, then the entries. An entry holds a producer's last batch
only; the rest is read from the log when it is needed (producers.py).
"""

import struct
from collections.abc import Iterable, Iterator

from .errors import Corrupt
from .files import Files
from .flush import Unsynced
from .naming import file_name
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
    return [_decode_entry(fields) for fields in ENTRY.iter_unpack(body[COUNT.size :])]


def _decode_entry(fields: tuple[int, ...]) -> Producer:
    producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator_epoch, txn_first_offset = fields
    producer = Producer(producer_id, epoch)
    producer.timestamp = timestamp
    producer.coordinator_epoch = coordinator_epoch
    producer.txn_first_offset = txn_first_offset
    if last_sequence >= 0:
        base_sequence = (last_sequence - delta) % SEQUENCES
        producer.batches.append(Batch(base_sequence, last_sequence, last_offset - delta, last_offset, timestamp))
        producer.partial = True
    return producer


class Snapshots:
    """The snapshot files of one log. `offsets` are those on disk."""

    __slots__ = ("_directory", "_files", "_unsynced", "offsets")

    def __init__(self, files: Files, directory: str, unsynced: Unsynced, offsets: set[int]) -> None:
        self._files = files
        self._directory = directory
        self._unsynced = unsynced
        self.offsets = offsets

    def path(self, offset: int) -> str:
        return f"{self._directory}/{file_name(offset, SUFFIX)}"

    def write(self, offset: int, producers: Iterable[Producer], keep: Iterable[int]) -> None:
        """Write the state as of `offset`; of the others, only those at the offsets `keep` stay. Raises OSError."""
        if offset not in self.offsets:
            self._files.replace(self.path(offset), encode(producers), sync=False)
            self._unsynced.add_path(self.path(offset))
            self.offsets.add(offset)
        for old in self.offsets - {offset, *keep}:
            self.remove(old)

    def remove(self, offset: int) -> None:
        """Remove one, if it is there."""
        if offset in self.offsets:
            self.offsets.discard(offset)
            self._unsynced.forget(None, [self.path(offset)])
            self._files.remove(self.path(offset))

    def remove_above(self, offset: int) -> None:
        for above in [taken for taken in self.offsets if taken > offset]:
            self.remove(above)

    def newest(self, upto: int) -> Iterator[tuple[int, list[Producer]]]:
        """(offset, producers) of the newest up to `upto` that is whole, or nothing; those not whole are removed."""
        for offset in sorted([taken for taken in self.offsets if taken <= upto], reverse=True):
            try:
                yield offset, decode(self._files.read(self.path(offset)))
            except (Corrupt, FileNotFoundError):
                self.remove(offset)
            else:
                return
