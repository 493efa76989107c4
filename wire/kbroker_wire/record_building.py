"""Making record batches (magic 2): for clients, for internal topics, and where a broker has to write a batch anew."""

from collections.abc import Iterable

from .checksum import crc32c
from .compression import Codec, compress
from .records import (
    CHECKED_FROM,
    CONTROL_FLAG,
    DELETE_HORIZON_FLAG,
    HEADER,
    HEADER_BYTES,
    LENGTH_END,
    LOG_APPEND_TIME_FLAG,
    MAGIC,
    NO_LEADER_EPOCH,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    TRANSACTIONAL_FLAG,
    Header,
    Record,
)
from .varints import write_varint, write_varlong

CRC_AT = 17


def _varint(value: int) -> bytes:
    encoded = bytearray()
    write_varint(encoded, value)
    return bytes(encoded)


# The varints of one byte by their value: -64 to -1 are reached as negative indexes, from the end.
_SHORT = tuple(_varint(value) for value in (*range(64), *range(-64, 0)))


class BatchBuilder:
    """Collects records and makes one batch of them.

    base_offset        of the batch; a record without an offset gets the one after the record before it
    leader_epoch       of the partition's leader, -1 when a client builds
    codec, level       see compression.compress
    producer_id, producer_epoch, base_sequence    of an idempotent producer, all -1 otherwise
    log_append_time    ms: stands for the timestamps of all records (LogAppendTime)
    delete_horizon     ms: when tombstones in the batch may be removed (KIP-534); stands in for the base timestamp

    `size_bytes` is the size of the batch so far, before compression.
    """

    def __init__(
        self,
        *,
        base_offset: int = 0,
        leader_epoch: int = NO_LEADER_EPOCH,
        codec: int = Codec.NONE,
        level: int | None = None,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        transactional: bool = False,
        control: bool = False,
        log_append_time: int | None = None,
        delete_horizon: int | None = None,
    ) -> None:
        self._base_offset, self._leader_epoch = base_offset, leader_epoch
        self._codec, self._level = codec, level
        self._producer = (producer_id, producer_epoch, base_sequence)
        self._log_append_time = log_append_time
        self._base_timestamp = delete_horizon
        self._attributes = (
            int(codec)
            | (TRANSACTIONAL_FLAG if transactional else 0)
            | (CONTROL_FLAG if control else 0)
            | (LOG_APPEND_TIME_FLAG if log_append_time is not None else 0)
            | (DELETE_HORIZON_FLAG if delete_horizon is not None else 0)
        )
        self._parts: list[bytes] = []
        self._count = 0
        self._max_timestamp = -(2**63)
        self._next_offset = base_offset
        self.size_bytes = HEADER_BYTES

    def __len__(self) -> int:
        """How many records there are."""
        return self._count

    def append(self, record: Record) -> int:
        """Add a record, return its offset. Raises ValueError if offsets do not grow or a number does not fit."""
        offset, timestamp = record.offset, record.timestamp
        if offset < 0:
            offset = self._next_offset
        elif offset < self._next_offset:
            raise ValueError(f"offset {offset} comes after offset {self._next_offset - 1}")
        base_timestamp = timestamp if self._base_timestamp is None else self._base_timestamp
        body = _encode(record, timestamp - base_timestamp, offset - self._base_offset)
        length = _varint(len(body))
        self._base_timestamp = base_timestamp
        self._parts += (length, body)
        self.size_bytes += len(length) + len(body)
        self._count += 1
        self._next_offset = offset + 1
        self._max_timestamp = max(self._max_timestamp, timestamp)
        return offset

    def build(self) -> bytes:
        """The batch, complete with its CRC. Raises ValueError if there is no record."""
        if self._base_timestamp is None or not self._count:
            raise ValueError("a record batch has at least one record")
        body = b"".join(self._parts)
        if self._codec != Codec.NONE:
            body = compress(self._codec, body, self._level)
        batch = bytearray(HEADER_BYTES + len(body))
        batch[HEADER_BYTES:] = body
        HEADER.pack_into(
            batch,
            0,
            self._base_offset,
            len(batch) - LENGTH_END,
            self._leader_epoch,
            MAGIC,
            0,
            self._attributes,
            self._next_offset - self._base_offset - 1,
            self._base_timestamp,
            self._max_timestamp if self._log_append_time is None else self._log_append_time,
            *self._producer,
            self._count,
        )
        batch[CRC_AT:CHECKED_FROM] = crc32c(memoryview(batch)[CHECKED_FROM:]).to_bytes(4, "big")
        return bytes(batch)


def build_batch(
    records: Iterable[Record],
    *,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
    codec: int = Codec.NONE,
    level: int | None = None,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    transactional: bool = False,
    control: bool = False,
    log_append_time: int | None = None,
    delete_horizon: int | None = None,
) -> bytes:
    """One batch of all `records`; the options are those of BatchBuilder. Raises ValueError without a record."""
    builder = BatchBuilder(
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        codec=codec,
        level=level,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        transactional=transactional,
        control=control,
        log_append_time=log_append_time,
        delete_horizon=delete_horizon,
    )
    for record in records:
        builder.append(record)
    return builder.build()


def _encode(record: Record, timestamp_delta: int, offset_delta: int) -> bytes:
    """A record without its length."""
    body = bytearray()
    body.append(record.attributes)
    write_varlong(body, timestamp_delta)
    if offset_delta < 64:
        body += _SHORT[offset_delta]
    else:
        write_varint(body, offset_delta)
    _write_bytes(body, record.key)
    _write_bytes(body, record.value)
    headers = record.headers
    if headers:
        _write_headers(body, headers)
    else:
        body.append(0)
    return bytes(body)


def _write_bytes(body: bytearray, data: bytes | None) -> None:
    if data is None:
        body.append(1)
    elif len(data) < 64:
        body += _SHORT[len(data)]
        body += data
    else:
        write_varint(body, len(data))
        body += data


def _write_headers(body: bytearray, headers: Iterable[Header | tuple[str, bytes | None]]) -> None:
    headers = list(headers)
    write_varint(body, len(headers))
    for key, value in headers:
        _write_bytes(body, key.encode())
        _write_bytes(body, value)
