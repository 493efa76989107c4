"""Record batches (magic 2, KIP-98): a view of one batch where it lies, and the records in it.

A batch is a header of 61 bytes and its records, compressed together or not at all. The CRC-32C covers everything from
the attributes on: what a broker assigns, base offset and leader epoch, lies before it and is patched in place.

    offset  bytes                              offset  bytes
    0       8  base offset                     27      8  base timestamp, ms
    8       4  batch length, after this field  35      8  max timestamp, ms
    12      4  partition leader epoch          43      8  producer id
    16      1  magic                           51      2  producer epoch
    17      4  CRC-32C of bytes 21 ...         53      4  base sequence
    21      2  attributes                      57      4  number of records
    23      4  last offset - base offset       61         records

A record is its length and then, in variable-length integers (see varints.py) unless said otherwise: attributes (1 byte,
unused), timestamp - base timestamp, offset - base offset, key length (negative: null), key, value length, value, number
of headers, and for each header key length, key (UTF-8), value length, value.

`record_building.py` makes batches, `record_inspection.py` checks and searches them without making records.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from .checksum import crc32c
from .compression import decompress
from .errors import ProtocolError
from .varints import Buffer, read_varint, read_varlong

MAGIC = 2
HEADER = Struct(">qiibIhiqqqhii")
HEADER_BYTES = HEADER.size
PREFIX = Struct(">qiib")  # what tells how long a batch is and of which format: base offset, length, leader epoch, magic
LENGTH_END = 12  # the batch length counts from here
CHECKED_FROM = 21  # where the CRC begins: at the attributes

COMPRESSION_MASK = 0x07
LOG_APPEND_TIME_FLAG = 0x08
TRANSACTIONAL_FLAG = 0x10
CONTROL_FLAG = 0x20
DELETE_HORIZON_FLAG = 0x40

NO_TIMESTAMP = -1
NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1
NO_SEQUENCE = -1
NO_LEADER_EPOCH = -1
SEQUENCES = 2**31  # a sequence number follows 2**31 - 1 with 0

MAX_DECOMPRESSED_BYTES = 100 * 1024 * 1024  # Kafka's default socket.request.max.bytes: what could be sent uncompressed

_unpack_header = HEADER.unpack_from
_put_int64 = Struct(">q").pack_into
_put_int32 = Struct(">i").pack_into
_put_int16 = Struct(">h").pack_into
_put_uint32 = Struct(">I").pack_into


class CorruptBatch(ProtocolError):
    """A batch that is damaged: the CRC does not match, or the length is impossible (Kafka's CORRUPT_MESSAGE)."""


class UnsupportedMagic(ProtocolError):
    """A batch of another format: 0 and 1 are the message sets of legacy.py, more than 2 does not exist."""

    def __init__(self, magic: int) -> None:
        super().__init__(f"Invalid magic found in record: {magic}")
        self.magic = magic


class InvalidRecord(ProtocolError):
    """The records inside a batch contradict themselves or the header (Kafka's INVALID_RECORD)."""


class TimestampType(IntEnum):
    """Whose clock the timestamps come from."""

    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


class Header(NamedTuple):
    """A header of a record: the key may repeat, and is never null."""

    key: str
    value: bytes | None


class Record(NamedTuple):
    """One record. A builder numbers a record without an offset (-1); timestamp is in ms, -1 for none."""

    offset: int = -1
    timestamp: int = NO_TIMESTAMP
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[Header | tuple[str, bytes | None]] = ()
    attributes: int = 0


class BatchHeader(NamedTuple):
    """The 61 bytes in the order of the wire, and what follows from them."""

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size_bytes(self) -> int:
        """The whole batch, as announced."""
        return LENGTH_END + self.batch_length

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """Sequence number of the last record; -1 where the batch has none."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) % SEQUENCES

    @property
    def compression(self) -> int:
        """A `compression.Codec`, or a number from 5 to 7 that no codec has."""
        return self.attributes & COMPRESSION_MASK

    @property
    def timestamp_type(self) -> TimestampType:
        return TimestampType.LOG_APPEND_TIME if self.attributes & LOG_APPEND_TIME_FLAG else TimestampType.CREATE_TIME

    @property
    def is_transactional(self) -> bool:
        return self.attributes & TRANSACTIONAL_FLAG != 0

    @property
    def is_control(self) -> bool:
        return self.attributes & CONTROL_FLAG != 0

    @property
    def has_delete_horizon(self) -> bool:
        """The base timestamp says when the tombstones in this batch may go (KIP-534)."""
        return self.attributes & DELETE_HORIZON_FLAG != 0


def read_header(view: Buffer, position: int = 0) -> BatchHeader:
    """The header at `position`, as it stands there: nothing is checked but that 61 bytes are there (ProtocolError)."""
    try:
        return BatchHeader._make(_unpack_header(view, position))
    except struct_error:
        there = len(view) - position
        raise ProtocolError(f"a record batch header has {HEADER_BYTES} bytes, {there} are there") from None


def place(view: memoryview | bytearray, base_offset: int, leader_epoch: int, position: int = 0) -> None:
    """Give the batch at `position` its place in a log. The CRC does not cover these fields."""
    _put_int64(view, position, base_offset)
    _put_int32(view, position + LENGTH_END, leader_epoch)


class RecordBatch:
    """One whole batch, a view of memory that belongs to somebody else.

    data       starts with the batch; what follows it is left out
    view       exactly the batch; writable if `data` is, and then the batch may be patched in place
    header     what the header says, read once

    Raises CorruptBatch if the announced size is impossible or not there, UnsupportedMagic for another format. Nothing
    else is checked here: see `crc_ok` and record_inspection.py.
    """

    __slots__ = ("header", "view")

    def __init__(self, data: Buffer) -> None:
        view = memoryview(data)
        self.header = read_header(view)
        if self.header.magic != MAGIC:
            raise UnsupportedMagic(self.header.magic)
        size = self.header.size_bytes
        if not HEADER_BYTES <= size <= len(view):
            raise CorruptBatch(f"a record batch announces {size} bytes; {HEADER_BYTES} to {len(view)} are possible")
        self.view = view if size == len(view) else view[:size]

    def __repr__(self) -> str:
        return f"<RecordBatch {self.base_offset}..{self.last_offset}, {self.size_bytes} bytes>"

    @property
    def size_bytes(self) -> int:
        return self.header.size_bytes

    @property
    def base_offset(self) -> int:
        return self.header.base_offset

    @property
    def last_offset(self) -> int:
        return self.header.last_offset

    @property
    def next_offset(self) -> int:
        return self.header.next_offset

    @property
    def record_count(self) -> int:
        return self.header.record_count

    @property
    def max_timestamp(self) -> int:
        return self.header.max_timestamp

    def crc_ok(self) -> bool:
        """Does the checksum match the bytes?"""
        return crc32c(self.view[CHECKED_FROM:]) == self.header.crc

    def set_base_offset(self, base_offset: int) -> None:
        _put_int64(self.view, 0, base_offset)
        self.header = self.header._replace(base_offset=base_offset)

    def set_leader_epoch(self, leader_epoch: int) -> None:
        _put_int32(self.view, LENGTH_END, leader_epoch)
        self.header = self.header._replace(partition_leader_epoch=leader_epoch)

    def set_max_timestamp(self, timestamp_type: TimestampType, max_timestamp: int) -> None:
        """Say whose clock the timestamps are from, and the newest (of LOG_APPEND_TIME: every) one. Renews the CRC."""
        attributes = self.header.attributes & ~LOG_APPEND_TIME_FLAG
        if timestamp_type == TimestampType.LOG_APPEND_TIME:
            attributes |= LOG_APPEND_TIME_FLAG
        _put_int16(self.view, 21, attributes)
        _put_int64(self.view, 35, max_timestamp)
        crc = crc32c(self.view[CHECKED_FROM:])
        _put_uint32(self.view, 17, crc)
        self.header = self.header._replace(attributes=attributes, max_timestamp=max_timestamp, crc=crc)

    def body(self, max_bytes: int = MAX_DECOMPRESSED_BYTES) -> bytes:
        """The bytes of the records, decompressed: at most `max_bytes`, else TooLarge. Raises CorruptCompression too."""
        return decompress(self.header.compression, self.view[HEADER_BYTES:], max_bytes)

    def records(self, max_bytes: int = MAX_DECOMPRESSED_BYTES) -> Iterator[Record]:
        """All records in the order of the batch. `max_bytes` bounds the decompressed size.

        Raises InvalidRecord when it comes to a record that is cut off or contradicts its length, or to bytes left over;
        and what `body` raises. Header keys that are no UTF-8 get replacement characters, as in the Java client.
        """
        data = self.body(max_bytes)
        position = 0
        for index in range(self.header.record_count):
            try:
                record, position = self._read_record(data, position)
            except IndexError:
                raise InvalidRecord(f"record {index} is cut off") from None
            except ProtocolError as error:
                raise InvalidRecord(f"record {index} is malformed: {error}") from None
            yield record
        if position != len(data):
            raise InvalidRecord(f"{len(data) - position} bytes follow the last of {self.header.record_count} records")

    def _read_record(self, data: bytes, position: int) -> tuple[Record, int]:
        header = self.header
        length, position = read_varint(data, position)
        end = position + length
        attributes = data[position]
        timestamp_delta, position = read_varlong(data, position + 1)
        offset_delta, position = read_varint(data, position)
        key, position = _read_bytes(data, position)
        value, position = _read_bytes(data, position)
        count, position = read_varint(data, position)
        headers: tuple[Header, ...] = ()
        if count:
            headers, position = _read_headers(data, position, count)
        if position != end:
            raise ProtocolError(f"its {length} bytes end {position - end} bytes behind their announced end")
        if header.attributes & LOG_APPEND_TIME_FLAG:
            timestamp = header.max_timestamp
        else:
            timestamp = header.base_timestamp + timestamp_delta
        return Record(header.base_offset + offset_delta, timestamp, key, value, headers, attributes), position


def batches(data: Buffer, *, strict: bool = False) -> Iterator[RecordBatch]:
    """The batches that stand one behind the other in `data`, as in a Produce or Fetch.

    A last batch that is cut is left out, as Kafka's consumers do: a broker cuts at the size that was asked for. With
    `strict` it raises CorruptBatch. An impossible length or another magic raises (see RecordBatch) in both cases.
    """
    view = memoryview(data)
    position, end = 0, len(view)
    while position < end:
        left = end - position
        if left >= PREFIX.size:
            _, length, _, magic = PREFIX.unpack_from(view, position)
            if magic != MAGIC:
                raise UnsupportedMagic(magic)
            size = LENGTH_END + length
            if size < HEADER_BYTES:
                raise CorruptBatch(f"a record batch announces {size} bytes; its header alone has {HEADER_BYTES}")
            if size <= left:
                yield RecordBatch(view[position : position + size])
                position += size
                continue
        if strict:
            raise CorruptBatch(f"the last {left} bytes are no whole record batch")
        return


def _read_bytes(data: bytes, position: int) -> tuple[bytes | None, int]:
    length, position = read_varint(data, position)
    if length < 0:
        return None, position
    end = position + length
    if end > len(data):
        raise ProtocolError(f"a field of {length} bytes is cut off")
    return data[position:end], end


def _read_headers(data: bytes, position: int, count: int) -> tuple[tuple[Header, ...], int]:
    if not 0 <= count <= len(data) - position:
        raise ProtocolError(f"{count} headers are announced")
    headers = []
    for _ in range(count):
        key, position = _read_bytes(data, position)
        if key is None:
            raise ProtocolError("a header has no key")
        value, position = _read_bytes(data, position)
        headers.append(Header(key.decode("utf-8", "replace"), value))
    return tuple(headers), position
