"""A format of frames for the log's tests: Kafka's record batch v2 layout, one varint-framed value a record."""

import struct
from collections.abc import Iterator, Sequence

from crc32c import crc32c

from kbroker_storage import Corrupt, Entry, Marker

HEADER = struct.Struct(">qiibIhiqqqhii")
PLACE_OFFSET = struct.Struct(">q")
PLACE_EPOCH = struct.Struct(">i")
TRANSACTIONAL, CONTROL = 16, 32
MARKER = struct.Struct(">?i")  # the value of a control record: commit or abort, coordinator epoch


class Frames:
    """See kbroker_storage.Format."""

    header_bytes = HEADER.size

    def scan(self, view: bytes | bytearray | memoryview, position: int = 0) -> Entry:
        try:
            (base, length, epoch, magic, _, attributes, delta, _, newest, producer, producer_epoch, sequence, _) = (
                HEADER.unpack_from(view, position)
            )
        except struct.error:
            raise Corrupt("cut within a header") from None
        if magic != 2 or length < HEADER.size - 12 or delta < 0 or base < 0:
            raise Corrupt(f"magic {magic}, length {length}, delta {delta}")
        last_sequence = (sequence + delta) % 2**31 if sequence >= 0 else -1
        return Entry(
            base,
            base + delta,
            newest,
            length + 12,
            epoch,
            producer,
            producer_epoch,
            sequence,
            last_sequence,
            bool(attributes & TRANSACTIONAL),
            bool(attributes & CONTROL),
        )

    def verify(self, frame: memoryview) -> Entry:
        entry = self.scan(frame)
        if entry.size != len(frame):
            raise Corrupt(f"{len(frame)} bytes for a frame of {entry.size}")
        if crc32c(frame[21:]) != int.from_bytes(frame[17:21], "big"):
            raise Corrupt("wrong checksum")
        return entry

    def place(self, frame: memoryview, entry: Entry, offset: int, epoch: int) -> None:
        PLACE_OFFSET.pack_into(frame, 0, offset)
        PLACE_EPOCH.pack_into(frame, 12, epoch)

    def marker(self, frame: memoryview) -> Marker | None:
        value = next(records(frame))[2]
        return Marker(*MARKER.unpack(value)) if len(value) == MARKER.size else None

    def find_timestamp(self, frame: memoryview, timestamp: int, first_offset: int = 0) -> tuple[int, int] | None:
        for offset, at, _ in records(frame):
            if at >= timestamp and offset >= first_offset:
                return offset, at
        return None

    def max_timestamp_offset(self, frame: memoryview) -> tuple[int, int]:
        newest = max(at for _, at, _ in records(frame))
        return next((offset, at) for offset, at, _ in records(frame) if at == newest)


FORMAT = Frames()


def varint(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def record(delta: int, timestamp_delta: int, value: bytes) -> bytes:
    body = b"\0" + varint(timestamp_delta) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def records(frame: bytes | memoryview) -> Iterator[tuple[int, int, bytes]]:
    """(offset, timestamp, value) of each record."""
    view = memoryview(frame)
    base, first = int.from_bytes(view[:8], "big"), int.from_bytes(view[27:35], "big", signed=True)
    at = HEADER.size
    while at < len(view):
        length, at = read_varint(view, at)
        end = at + length
        timestamp_delta, position = read_varint(view, at + 1)
        delta, position = read_varint(view, position)
        _, position = read_varint(view, position)
        size, position = read_varint(view, position)
        yield base + delta, first + timestamp_delta, bytes(view[position : position + size])
        at = end


def build(
    values: Sequence[bytes] = (b"value",),
    timestamps: Sequence[int] | int = 1_000,
    *,
    producer: int = -1,
    producer_epoch: int = -1,
    sequence: int = -1,
    transactional: bool = False,
    control: bool = False,
    base_offset: int = 0,
    epoch: int = -1,
) -> bytearray:
    """One frame."""
    if isinstance(timestamps, int):
        timestamps = [timestamps] * len(values)
    body = b"".join(record(i, timestamps[i] - timestamps[0], value) for i, value in enumerate(values))
    attributes = TRANSACTIONAL * transactional | CONTROL * control
    frame = bytearray(HEADER.size) + body
    fields = (
        attributes,
        len(values) - 1,
        timestamps[0],
        max(timestamps),
        producer,
        producer_epoch,
        sequence,
        len(values),
    )
    HEADER.pack_into(frame, 0, base_offset, len(frame) - 12, epoch, 2, 0, *fields)
    struct.pack_into(">I", frame, 17, crc32c(frame[21:]))
    return frame


def build_marker(commit: bool, producer: int, producer_epoch: int, coordinator_epoch: int = 0) -> bytearray:
    """The control frame at a transaction's end."""
    value = MARKER.pack(commit, coordinator_epoch)
    return build([value], producer=producer, producer_epoch=producer_epoch, transactional=True, control=True)


def entry_of(frame: bytearray) -> tuple[Entry, memoryview]:
    """What an append wants."""
    return FORMAT.scan(frame), memoryview(frame)


def split(data: bytes) -> list[bytes]:
    """The whole frames at the beginning of `data`."""
    frames, at = [], 0
    while len(data) - at >= HEADER.size:
        size = FORMAT.scan(data, at).size
        if at + size > len(data):
            break
        frames.append(data[at : at + size])
        at += size
    return frames
