"""Kafka's record batches as the log's frames, and the checks that a produced batch must pass before it is one.

A batch is opaque on its way: 61 bytes of header are read, its CRC is checked, base offset and leader epoch are patched.
Only what a topic demands (LogAppendTime, another codec, keys) or the setting `kbroker.validate=records` looks further.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from kbroker_storage import Corrupt, Entry, Marker
from kbroker_wire import ErrorCode, ProtocolError
from kbroker_wire.checksum import crc32c
from kbroker_wire.compression import Codec
from kbroker_wire.record_building import build_batch
from kbroker_wire.record_inspection import (
    find_timestamp,
    offset_of_max_timestamp,
    timestamps_outside,
    validate_records,
)
from kbroker_wire.records import (
    CHECKED_FROM,
    COMPRESSION_MASK,
    CONTROL_FLAG,
    HEADER,
    HEADER_BYTES,
    LENGTH_END,
    LOG_APPEND_TIME_FLAG,
    MAGIC,
    SEQUENCES,
    TRANSACTIONAL_FLAG,
    InvalidRecord,
    RecordBatch,
    TimestampType,
)

from .config import TopicConfig
from .errors import Refusal

Buffer = bytes | bytearray | memoryview

_unpack = HEADER.unpack_from
_place_offset = Struct(">q").pack_into
_place_epoch = Struct(">i").pack_into
_length_at = Struct(">i").unpack_from
_magic_at = Struct(">b").unpack_from
NO_HEADER = (-1,) * 13  # in place of the fields of bytes that are too few to have them
NO_EPOCH = -1
NO_SEQUENCE = -1
_new_entry = Entry._make
GZIP_DEFAULT = -1  # compression.gzip.level: whatever gzip holds for its own default
MAGIC_END = 17  # magic is byte 16 in every version of the format
SMALLEST_LENGTH = 14  # of a message of magic 0, which has no timestamp


class KafkaBatches:
    """The `Format` of Kafka topics (magic 2; older message sets are refused at the door)."""

    header_bytes = HEADER_BYTES

    def scan(self, view: Buffer, position: int = 0) -> Entry:
        try:
            (
                base,
                length,
                epoch,
                magic,
                _,
                attributes,
                last_delta,
                _,
                max_timestamp,
                producer,
                producer_epoch,
                sequence,
                _,
            ) = _unpack(view, position)
        except struct_error:
            raise Corrupt(f"{len(view) - position} bytes are too few for a batch header") from None
        if length < HEADER_BYTES - LENGTH_END or magic != MAGIC or last_delta < 0 or base < 0:
            raise Corrupt(
                f"no record batch: length {length}, magic {magic}, base offset {base}, last offset delta {last_delta}"
            )
        return _new_entry(
            (
                base,
                base + last_delta,
                max_timestamp,
                length + LENGTH_END,
                epoch,
                producer,
                producer_epoch,
                sequence,
                (sequence + last_delta) % SEQUENCES if sequence >= 0 else -1,
                attributes & TRANSACTIONAL_FLAG != 0,
                attributes & CONTROL_FLAG != 0,
            )
        )

    def verify(self, frame: memoryview) -> Entry:
        entry = self.scan(frame)
        if entry.size != len(frame):
            raise Corrupt(f"a batch of {entry.size} bytes in a frame of {len(frame)}")
        fields = _unpack(frame)
        if crc32c(frame[CHECKED_FROM:]) != fields[4]:
            raise Corrupt(f"the CRC of the batch at offset {entry.base_offset} does not match its bytes")
        return entry

    def place(self, frame: memoryview, entry: Entry, offset: int, epoch: int) -> None:
        del entry
        _place_offset(frame, 0, offset)
        _place_epoch(frame, 12, epoch)

    def marker(self, frame: memoryview) -> Marker | None:
        from .markers import read_marker  # noqa: PLC0415  most brokers never see one

        return read_marker(frame)

    def find_timestamp(self, frame: memoryview, timestamp: int, first_offset: int = 0) -> tuple[int, int] | None:
        return find_timestamp(RecordBatch(frame), timestamp, from_offset=first_offset)

    def max_timestamp_offset(self, frame: memoryview) -> tuple[int, int]:
        return offset_of_max_timestamp(RecordBatch(frame))


KAFKA_BATCHES = KafkaBatches()


class RecordError(NamedTuple):
    """A record that is to blame for its batch's rejection, by its place in the batch."""

    position: int
    message: str


class Rejected(Refusal):
    """A produced batch that will not be appended.

    reached_log   the batch got as far as the log, so the answer tells where that begins
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str | None = None,
        *,
        reached_log: bool = False,
        records: tuple[RecordError, ...] = (),
    ) -> None:
        super().__init__(code, message)
        self.reached_log, self.records = reached_log, records


def read_produced(records: memoryview | None, version: int, max_bytes: int) -> tuple[Entry, memoryview]:
    """The one batch that a Produce may bring for a partition; its header and CRC are right.

    version     of the Produce request: zstd is allowed from 7 on (KIP-110)
    max_bytes   the topic's max.message.bytes; the whole batch counts

    Raises Rejected.
    """
    if records is None:
        raise Rejected(ErrorCode.INVALID_REQUEST, "the request has no records for this partition")
    try:
        fields = _unpack(records)
    except struct_error:
        fields = NO_HEADER
    if fields[3] != MAGIC or fields[1] + LENGTH_END != len(records):
        records = _only_batch(records)
        fields = _unpack(records)
    base, length, epoch, _, crc, attributes, last_delta, _, newest, producer_id, producer_epoch, sequence, count = (
        fields
    )
    codec = attributes & COMPRESSION_MASK
    if codec == Codec.ZSTD and version < 7:
        raise Rejected(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    if base != 0:
        raise Rejected(ErrorCode.INVALID_RECORD, reached_log=True)
    if length + LENGTH_END > max_bytes:
        raise Rejected(ErrorCode.MESSAGE_TOO_LARGE)
    if crc32c(records[CHECKED_FROM:]) != crc:
        raise Rejected(ErrorCode.CORRUPT_MESSAGE)
    if attributes & CONTROL_FLAG or count <= 0 or last_delta != count - 1 or codec > Codec.ZSTD:
        why = f"Unknown compression type id: {codec}" if codec > Codec.ZSTD else None
        raise Rejected(ErrorCode.INVALID_RECORD, why, reached_log=True)
    last = _last_sequence(producer_epoch, sequence, last_delta) if producer_id >= 0 else NO_SEQUENCE
    transactional = attributes & TRANSACTIONAL_FLAG != 0
    size = length + LENGTH_END
    return _new_entry(
        (0, last_delta, newest, size, epoch, producer_id, producer_epoch, sequence, last, transactional, False)
    ), records


def _last_sequence(producer_epoch: int, sequence: int, last_delta: int) -> int:
    """Of a producer's batch. Raises Rejected when it has no sequence, or an epoch that never was."""
    if sequence < 0:
        raise Rejected(ErrorCode.INVALID_RECORD, reached_log=True)
    if producer_epoch < NO_EPOCH:
        raise Rejected(ErrorCode.INVALID_PRODUCER_EPOCH, reached_log=True)
    return (sequence + last_delta) % SEQUENCES


def _only_batch(records: memoryview) -> memoryview:
    """The first batch, if no second one stands behind it. Raises Rejected."""
    size = _batch_size(records, 0)
    if size is None or records[MAGIC_END - 1] != MAGIC:
        raise Rejected(ErrorCode.INVALID_RECORD)
    if size < HEADER_BYTES:
        raise Rejected(ErrorCode.CORRUPT_MESSAGE)
    try:
        second = _batch_size(records, size)
    except Rejected:
        raise Rejected(ErrorCode.CORRUPT_MESSAGE) from None  # Kafka finds this one late, and gives no reason
    if second is not None:
        raise Rejected(ErrorCode.INVALID_RECORD)  # a second batch; a part of one is ignored, as by Kafka
    return records[:size]


def _batch_size(records: memoryview, position: int) -> int | None:
    """Bytes of the batch at `position`; None if no whole one is there. Raises Rejected for what can be none.

    The order of the checks is that of Kafka's `ByteBufferLogInputStream`.
    """
    left = len(records) - position
    if left < LENGTH_END:
        return None
    (length,) = _length_at(records, position + 8)
    if length < SMALLEST_LENGTH:
        text = f"Record size {length} is less than the minimum record overhead ({SMALLEST_LENGTH})"
        raise Rejected(ErrorCode.CORRUPT_MESSAGE, text)
    if left < MAGIC_END:
        return None
    (magic,) = _magic_at(records, position + MAGIC_END - 1)
    if not 0 <= magic <= MAGIC:
        raise Rejected(ErrorCode.CORRUPT_MESSAGE, f"Invalid magic found in record: {magic}")
    size: int = length + LENGTH_END
    return size if size <= left else None


def make_storable(
    entry: Entry, frame: memoryview, topic: TopicConfig, *, deep: bool, now_ms: int, name: str
) -> tuple[Entry, memoryview]:
    """What the topic's settings make of a produced batch: timestamps checked or set, keys demanded, codec changed.

    deep     look at every record, as Kafka does; a topic that is compacted or changes the codec asks for it by itself
    name     topic-partition, for the messages

    The frame is patched in place unless the codec changes. Raises Rejected.
    """
    codec = None if topic.compression_type == "producer" else _target_codec(topic, frame[22] & COMPRESSION_MASK)
    if deep or topic.compact or codec is not None:
        entry = _inspect(entry, frame, topic, name)
    if topic.log_append_time:
        RecordBatch(frame).set_max_timestamp(TimestampType.LOG_APPEND_TIME, now_ms)
        entry = entry._replace(max_timestamp=now_ms)
    else:
        newest = entry.max_timestamp
        latest = now_ms + topic.message_timestamp_after_max_ms
        if newest > latest or (0 <= newest < now_ms - topic.message_timestamp_before_max_ms):
            raise _timestamps_rejected(frame, now_ms - topic.message_timestamp_before_max_ms, latest)
        if frame[22] & LOG_APPEND_TIME_FLAG:
            RecordBatch(frame).set_max_timestamp(TimestampType.CREATE_TIME, newest)
    if codec is not None:
        frame = _recompress(frame, codec, topic)
        entry = KAFKA_BATCHES.scan(frame)
    return entry, frame


def _target_codec(topic: TopicConfig, codec: int) -> Codec | None:
    """The codec to change to, None if the batch stays as it is."""
    wanted = topic.compression_type
    target = Codec.NONE if wanted == "uncompressed" else Codec[wanted.upper()]
    return None if target == codec else target


def _inspect(entry: Entry, frame: memoryview, topic: TopicConfig, name: str) -> Entry:
    batch = RecordBatch(frame)
    try:
        seen = validate_records(batch, max_bytes=topic.max_decompressed_message_bytes)
    except InvalidRecord:
        raise Rejected(ErrorCode.INVALID_RECORD, reached_log=True) from None
    except ProtocolError as error:  # does not decompress, or to too much: Kafka says UNKNOWN_SERVER_ERROR, we know
        raise Rejected(ErrorCode.INVALID_RECORD, str(error), reached_log=True) from None
    if seen.without_key and topic.compact:
        raise _keys_missing(seen.without_key, name)
    if seen.max_timestamp != entry.max_timestamp and not topic.log_append_time:
        batch.set_max_timestamp(TimestampType.CREATE_TIME, seen.max_timestamp)
        entry = entry._replace(max_timestamp=seen.max_timestamp)
    return entry


def _keys_missing(without_key: list[int], name: str) -> Rejected:
    text = f"Compacted topic cannot accept message without key in topic partition {name}"
    records = tuple(RecordError(index, text) for index in without_key)
    shown = ", ".join(f"RecordError(batchIndex={index}, message='{text}')" for index in without_key[:3])
    return Rejected(
        ErrorCode.INVALID_RECORD,
        f"One or more records have been rejected due to {len(records)} record errors in total, and only showing the "
        f"first three errors at most: [{shown}]",
        reached_log=True,
        records=records,
    )


def _timestamps_rejected(frame: memoryview, earliest: int, latest: int) -> Rejected:
    try:
        outside = timestamps_outside(RecordBatch(frame), earliest, latest)
    except ProtocolError:
        outside = []  # the header alone is reason enough
    return Rejected(
        ErrorCode.INVALID_TIMESTAMP,
        "One or more records have been rejected due to invalid timestamp",
        reached_log=True,
        records=tuple(
            RecordError(
                position,
                f"Timestamp {timestamp} of message with offset {position} is out of range. "
                f"The timestamp should be within [{earliest}, {latest}]",
            )
            for position, timestamp in outside
        ),
    )


def _recompress(frame: memoryview, codec: Codec, topic: TopicConfig) -> memoryview:
    batch = RecordBatch(frame)
    header = batch.header
    levels = {
        Codec.GZIP: None if topic.compression_gzip_level == GZIP_DEFAULT else topic.compression_gzip_level,
        Codec.LZ4: topic.compression_lz4_level,
        Codec.ZSTD: topic.compression_zstd_level,
    }
    built = build_batch(
        batch.records(topic.max_decompressed_message_bytes),
        codec=codec,
        level=levels.get(codec),
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        transactional=header.is_transactional,
        log_append_time=header.max_timestamp if topic.log_append_time else None,
    )
    return memoryview(bytearray(built))
