"""Record batches (magic 2) built field by field, so that each field can be wrong; and a strict reader for answers."""

import gzip
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cramjam
from crc32c import crc32c

HEADER_BYTES = 61
NO_TIMESTAMP = -1
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
XERIAL_HEADER = bytes([0x82]) + b"SNAPPY\0" + struct.pack(">ii", 1, 1)


@dataclass(frozen=True, slots=True)
class Record:
    value: bytes | None = b"v"
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_delta: int = 0
    offset_delta: int | None = None  # None: the record's place in its batch


def varint(value: int) -> bytes:
    """Zig-zag, 64 bit."""
    value = (value << 1 ^ value >> 63) & 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def encode_record(record: Record, place: int) -> bytes:
    offset_delta = place if record.offset_delta is None else record.offset_delta
    headers = b"".join(_sized(name.encode()) + _sized(value) for name, value in record.headers)
    body = b"\0" + varint(record.timestamp_delta) + varint(offset_delta) + _sized(record.key) + _sized(record.value)
    body += varint(len(record.headers)) + headers
    return varint(len(body)) + body


def compress(codec: int, data: bytes) -> bytes:
    """As Kafka's producers do: snappy in xerial blocks, LZ4 and Zstandard as frames. An unknown id leaves `data`."""
    match codec & 0x07:
        case 1:
            return gzip.compress(data, mtime=0)
        case 2:
            block = bytes(cramjam.snappy.compress_raw(data))
            return XERIAL_HEADER + struct.pack(">i", len(block)) + block
        case 3:
            frame = cramjam.lz4.Compressor(block_linked=False)  # Kafka's own reader refuses linked blocks
            frame.compress(data)
            return bytes(frame.finish())
        case 4:
            return bytes(cramjam.zstd.compress(data))
        case _:
            return data


def decompress(codec: int, data: bytes) -> bytes:
    match codec & 0x07:
        case 0:
            return data
        case 1:
            return gzip.decompress(data)
        case 2:
            return _decompress_snappy(data)
        case 3:
            return bytes(cramjam.lz4.decompress(data))
        case 4:
            return bytes(cramjam.zstd.decompress(data))
    raise AssertionError(f"compression {codec & 0x07} is none of Kafka's")


def _decompress_snappy(data: bytes) -> bytes:
    if not data.startswith(XERIAL_HEADER[:8]):
        return bytes(cramjam.snappy.decompress_raw(data))
    out, at = bytearray(), len(XERIAL_HEADER)
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        out += bytes(cramjam.snappy.decompress_raw(data[at + 4 : at + 4 + length]))
        at += 4 + length
    return bytes(out)


def batch(
    records: Iterable[Record | bytes] = (Record(),),
    *,
    base_offset: int = 0,
    length: int | None = None,
    leader_epoch: int = -1,
    magic: int = 2,
    crc: int | None = None,
    attributes: int = 0,
    last_offset_delta: int | None = None,
    base_timestamp: int = 1_700_000_000_000,
    max_timestamp: int | None = None,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    count: int | None = None,
    body: bytes | None = None,
) -> bytes:
    """One batch. What is None is filled in as a correct producer would; anything given is taken as it is.

    The low three bits of `attributes` choose the compression; `body` stands in for the (compressed) records.
    """
    listed = [Record(each) if isinstance(each, bytes) else each for each in records]
    if body is None:
        body = compress(attributes, b"".join(encode_record(each, place) for place, each in enumerate(listed)))
    if max_timestamp is None:
        max_timestamp = base_timestamp + max((each.timestamp_delta for each in listed), default=0)
    if last_offset_delta is None:
        last_offset_delta = len(listed) - 1
    if count is None:
        count = len(listed)
    covered = struct.pack(">hiqqqhi", attributes, last_offset_delta, base_timestamp, max_timestamp, producer_id,
                          producer_epoch, base_sequence) + struct.pack(">i", count) + body  # fmt: skip
    if crc is None:
        crc = crc32c(covered)
    rest = struct.pack(">ibI", leader_epoch, magic, crc) + covered
    return struct.pack(">qi", base_offset, len(rest) if length is None else length) + rest


def batch_of_size(size: int) -> bytes:
    """A correct batch of one record that is exactly `size` bytes long, its first 12 bytes included."""
    value = size - HEADER_BYTES - 8
    while len(built := batch([bytes(value)])) != size:
        value += size - len(built)
    return built


def message_v1(value: bytes, *, magic: int = 1, timestamp: int = 1_700_000_000_000) -> bytes:
    """One uncompressed message of the old formats (magic 0 or 1), as in Kafka before 0.11; the CRC is correct."""
    stamp = struct.pack(">q", timestamp) if magic else b""
    covered = struct.pack(">bb", magic, 0) + stamp + struct.pack(">i", -1) + struct.pack(">i", len(value)) + value
    message = struct.pack(">I", zlib.crc32(covered)) + covered
    return struct.pack(">qi", 0, len(message)) + message


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as read back; `raw` are its bytes, the sums are checked."""

    base_offset: int
    leader_epoch: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: tuple[Record, ...]
    raw: bytes = field(repr=False)

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta


def read_batches(data: bytes) -> tuple[list[Batch], bytes]:
    """All whole batches in `data`, and the bytes of a last one that was cut."""
    found, at = [], 0
    while len(data) - at >= 12:
        (length,) = struct.unpack_from(">i", data, at + 8)
        if len(data) - at < 12 + length:
            break
        found.append(_read_batch(data[at : at + 12 + length]))
        at += 12 + length
    return found, data[at:]


def _read_batch(raw: bytes) -> Batch:
    base_offset, _, leader_epoch, magic, crc = struct.unpack_from(">qiibI", raw)
    assert magic == 2, f"magic {magic} in an answer"
    assert crc == crc32c(raw[21:]), "the CRC of a batch in an answer is wrong"
    attributes, last_delta, first_ts, max_ts, pid, epoch, sequence, count = struct.unpack_from(">hiqqqhii", raw, 21)
    records = _Records(decompress(attributes, raw[HEADER_BYTES:])).all(count)
    return Batch(
        base_offset, leader_epoch, attributes, last_delta, first_ts, max_ts, pid, epoch, sequence, records, raw
    )


class _Records:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def all(self, count: int) -> tuple[Record, ...]:
        records = tuple(self.record() for _ in range(count))
        assert self.at == len(self.data), "bytes after the last record of a batch"
        return records

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)
            shift += 7

    def sized(self) -> bytes | None:
        length = self.varint()
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at]

    def record(self) -> Record:
        end = self.varint() + self.at
        self.at += 1  # attributes of a record: unused
        timestamp_delta, offset_delta = self.varint(), self.varint()
        key, value = self.sized(), self.sized()
        headers = tuple(((self.sized() or b"").decode(), self.sized()) for _ in range(self.varint()))
        assert self.at == end, "a record's length does not match its fields"
        return Record(value, key, headers, timestamp_delta, offset_delta)
