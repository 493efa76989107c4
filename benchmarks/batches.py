"""The record batches that are sent: built once, kept as files for the load generator.

Values look like what applications send, short words in JSON: lz4 makes them about half as large, zstd a third.
"""

import random
import time
from dataclasses import dataclass
from pathlib import Path

from raw_kafka.batches import LZ4, ZSTD, Record, batch, encode_record

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CODECS = {"none": 0, "lz4": LZ4, "zstd": ZSTD}
HEADER = 61
WORDS = [b"%06x" % random.Random(seed).getrandbits(24) for seed in range(512)]


@dataclass(frozen=True, slots=True)
class BatchFile:
    """raw_bytes: the size before compression, stored_bytes: as sent."""

    path: Path
    records: int
    raw_bytes: int
    stored_bytes: int


class BatchShelf:
    """Batches by record size, batch size and codec, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[int, int, str], BatchFile] = {}

    def get(self, record_bytes: int, batch_bytes: int, codec: str = "none") -> BatchFile:
        """A batch of at most `batch_bytes` before compression, its header included."""
        key = record_bytes, batch_bytes, codec
        if key not in self._made:
            self._made[key] = self._make(_fill(record_bytes, batch_bytes), codec, "-".join(map(str, key)))
        return self._made[key]

    def single(self, record_bytes: int) -> BatchFile:
        """One record alone."""
        key = record_bytes, 0, "none"
        if key not in self._made:
            self._made[key] = self._make([_record(record_bytes, random.Random(1))], "none", f"{record_bytes}-single")
        return self._made[key]

    def _make(self, records: list[Record], codec: str, name: str) -> BatchFile:
        raw = sum(len(encode_record(record, place)) for place, record in enumerate(records)) + HEADER
        # Now, because a broker deletes what is older than retention.ms.
        built = batch(records, attributes=CODECS[codec], base_timestamp=int(time.time() * 1000))
        path = self._folder / f"{name}.batch"
        path.write_bytes(built)
        return BatchFile(path, len(records), raw, len(built))


def _record(size: int, rng: random.Random) -> Record:
    value = bytearray(b'{"k":"')
    while len(value) < size:
        value += rng.choice(WORDS) + b'","'
    return Record(bytes(value[:size]))


def _fill(record_bytes: int, batch_bytes: int) -> list[Record]:
    rng, records, size = random.Random(1), list[Record](), HEADER
    while True:
        record = _record(record_bytes, rng)
        size += len(encode_record(record, len(records)))
        if size > batch_bytes:
            return records
        records.append(record)
