"""Message sets of magic 0 and 1, which came before record batches: reading only, Kafka 4 writes no more of them.

A message set is a row of entries, int64 offset, int32 size and a message of that size:

    uint32 CRC-32 of what follows, int8 magic, int8 attributes, in magic 1 int64 timestamp (ms, KIP-32),
    int32 key length, key, int32 value length, value; a length of -1 is null

A message whose attributes name a codec is a wrapper: its value is a whole compressed message set. The wrapper has the
offset of its last inner message. Inner offsets are absolute in magic 0 and relative in magic 1 (KIP-31); a wrapper that
was stamped by the broker (LogAppendTime) lends its timestamp to all messages in it.
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from .compression import Codec, UnsupportedCodec, decompress
from .records import (
    COMPRESSION_MASK,
    LOG_APPEND_TIME_FLAG,
    MAX_DECOMPRESSED_BYTES,
    NO_TIMESTAMP,
    CorruptBatch,
    InvalidRecord,
    TimestampType,
    UnsupportedMagic,
)
from .varints import Buffer

_ENTRY = Struct(">qi")
_MESSAGE = Struct(">Ibb")
_TIMESTAMP = Struct(">q")
_LENGTH = Struct(">i")
CHECKED_FROM = 4  # the CRC covers a message from its magic on
SMALLEST = (14, 22)  # bytes of a message with neither key nor value, by magic


class LegacyMessage(NamedTuple):
    """One message, as it would be a record today: wrappers are opened, offsets absolute."""

    offset: int
    timestamp: int  # ms, -1 in magic 0
    key: bytes | None
    value: bytes | None
    timestamp_type: TimestampType
    magic: int


class _Entry(NamedTuple):
    """A message as it stands in its set."""

    offset: int
    message: memoryview
    magic: int
    attributes: int
    timestamp: int


def read_messages(
    data: Buffer, *, strict: bool = False, max_bytes: int = MAX_DECOMPRESSED_BYTES
) -> Iterator[LegacyMessage]:
    """All messages in `data`, a message set of magic 0 and 1, with those inside wrappers. CRCs are checked.

    strict       a last entry that is cut off raises; without, it is left out, as consumers do
    max_bytes    bound of the decompressed size of one wrapper

    Raises CorruptBatch for a wrong CRC or an impossible size, UnsupportedMagic for another format, InvalidRecord for
    messages that contradict themselves, and what `compression.decompress` raises.
    """
    for entry in _entries(memoryview(data), strict=strict):
        if entry.attributes & COMPRESSION_MASK:
            yield from _unwrap(entry, max_bytes)
        else:
            yield _message(entry, entry.offset, entry)


def _entries(data: memoryview, *, strict: bool) -> Iterator[_Entry]:
    position, end = 0, len(data)
    while position < end:
        if end - position >= _ENTRY.size + CHECKED_FROM + 1:
            offset, size = _ENTRY.unpack_from(data, position)
            magic = data[position + _ENTRY.size + CHECKED_FROM]
            if magic > 1:
                raise UnsupportedMagic(magic)
            if size < SMALLEST[magic]:
                raise CorruptBatch(f"a message of {size} bytes is smaller than the smallest, {SMALLEST[magic]}")
            start = position + _ENTRY.size
            position = start + size
            if position <= end:
                yield _entry(offset, data[start:position])
                continue
        if strict:
            raise CorruptBatch("the message set ends inside a message")
        return


def _entry(offset: int, message: memoryview) -> _Entry:
    crc, magic, attributes = _MESSAGE.unpack_from(message)
    if crc32(message[CHECKED_FROM:]) != crc:
        raise CorruptBatch(f"the CRC of the message at offset {offset} does not match")
    timestamp = _TIMESTAMP.unpack_from(message, _MESSAGE.size)[0] if magic else NO_TIMESTAMP
    return _Entry(offset, message, magic, attributes, timestamp)


def _message(entry: _Entry, offset: int, clock: _Entry) -> LegacyMessage:
    """`entry` at its absolute offset. `clock` has the timestamp if a broker set it: the wrapper, or else the entry."""
    key, position = _field(entry, SMALLEST[entry.magic] - 2 * _LENGTH.size)
    value, position = _field(entry, position)
    if position != len(entry.message):
        raise InvalidRecord(f"{len(entry.message) - position} bytes follow the message at offset {offset}")
    if clock.magic and clock.attributes & LOG_APPEND_TIME_FLAG:
        return LegacyMessage(offset, clock.timestamp, key, value, TimestampType.LOG_APPEND_TIME, entry.magic)
    return LegacyMessage(offset, entry.timestamp, key, value, TimestampType.CREATE_TIME, entry.magic)


def _field(entry: _Entry, position: int) -> tuple[bytes | None, int]:
    """A key or a value, and where it ends."""
    message = entry.message
    start = position + _LENGTH.size
    if start > len(message):
        raise InvalidRecord(f"the message at offset {entry.offset} is cut off")
    length: int = _LENGTH.unpack_from(message, position)[0]
    if length < 0:
        return None, start
    if start + length > len(message):
        raise InvalidRecord(f"the message at offset {entry.offset} is cut off in a field of {length} bytes")
    return bytes(message[start : start + length]), start + length


def _unwrap(wrapper: _Entry, max_bytes: int) -> Iterator[LegacyMessage]:
    """The messages in a wrapper. Two passes: the offset of the last one tells where relative offsets begin."""
    codec = wrapper.attributes & COMPRESSION_MASK
    if codec > Codec.LZ4:
        raise UnsupportedCodec(codec)
    compressed = _message(wrapper, wrapper.offset, wrapper).value
    if compressed is None:
        raise InvalidRecord(f"the compressed message at offset {wrapper.offset} has a null value")
    if codec == Codec.LZ4 and wrapper.magic == 0:
        compressed = _with_lz4_checksum(compressed)
    inner = memoryview(decompress(codec, compressed, max_bytes))
    last = None
    for last in _entries(inner, strict=True):
        if last.magic != wrapper.magic:
            raise InvalidRecord(f"a message of magic {last.magic} is in a wrapper of magic {wrapper.magic}")
        if last.attributes & COMPRESSION_MASK:
            raise InvalidRecord(f"a compressed message is inside the wrapper at offset {wrapper.offset}")
    if last is None:
        raise InvalidRecord(f"the compressed message at offset {wrapper.offset} holds no message")
    base = wrapper.offset - last.offset if wrapper.magic else 0
    for entry in _entries(inner, strict=True):
        yield _message(entry, base + entry.offset, wrapper)


def _with_lz4_checksum(frame: bytes) -> bytes:
    """`frame` with a right header checksum: producers of magic 0 took the frame's magic number in (KIP-57)."""
    if len(frame) < 7:
        return frame
    end = 14 if frame[4] & 0x08 else 6  # eight bytes of content size may follow the two of flags
    return frame[:end] + bytes([(_xxh32(frame[4:end]) >> 8) & 0xFF]) + frame[end + 1 :]


def _xxh32(data: bytes) -> int:
    """xxHash-32 with seed 0, of less than 16 bytes."""
    digest = 0x165667B1 + len(data)
    whole = len(data) & ~3
    for position in range(0, whole, 4):
        digest += int.from_bytes(data[position : position + 4], "little") * 0xC2B2AE3D
        digest = _rotated(digest, 17) * 0x27D4EB2F
    for byte in data[whole:]:
        digest = _rotated(digest + byte * 0x165667B1, 11) * 0x9E3779B1
    digest &= 0xFFFFFFFF
    digest = (digest ^ digest >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    digest = (digest ^ digest >> 13) * 0xC2B2AE3D & 0xFFFFFFFF
    return digest ^ digest >> 16


def _rotated(number: int, bits: int) -> int:
    number &= 0xFFFFFFFF
    return number << bits | number >> (32 - bits)
