"""Kafka's batches as the log's frames, and what a produced batch must be before it is one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_in_memory import NOW_MS, batch
from kbroker.batches import KAFKA_BATCHES, Rejected, make_storable, read_produced
from kbroker.config import BrokerConfig
from kbroker_storage import Corrupt
from kbroker_wire import ErrorCode
from kbroker_wire.checksum import crc32c
from kbroker_wire.compression import Codec
from kbroker_wire.record_building import build_batch
from kbroker_wire.records import Record, RecordBatch, TimestampType
from record_strategies import record_lists

CONFIG = BrokerConfig.parse({})
MAX = 1_048_588


def topic(**settings):
    return CONFIG.topic({name.replace("_", "."): value for name, value in settings.items()})


def rejected(data, version=9, max_bytes=MAX):
    with pytest.raises(Rejected) as refusal:
        read_produced(None if data is None else memoryview(bytearray(data)), version, max_bytes)
    return refusal.value


def patched(data, at, form, value, *, crc=True):
    """`data` with one field changed, and its CRC made right again."""
    data = bytearray(data)
    struct.pack_into(form, data, at, value)
    if crc:
        struct.pack_into(">I", data, 17, crc32c(memoryview(data)[21:]))
    return bytes(data)


def storable(data, settings, *, deep=False, now_ms=NOW_MS, version=9):
    entry, frame = read_produced(memoryview(bytearray(data)), version, MAX)
    return make_storable(entry, frame, settings, deep=deep, now_ms=now_ms, name="topic-0")


# -- frames


@given(record_lists(), st.sampled_from([Codec.NONE, Codec.LZ4]))
def test_what_a_client_may_produce_scans_and_verifies_alike(records, codec):
    frame = memoryview(bytearray(build_batch(records, codec=codec)))
    entry, same = read_produced(frame, 9, 1 << 30)
    assert bytes(same) == bytes(frame)
    assert entry == KAFKA_BATCHES.scan(frame) == KAFKA_BATCHES.verify(frame)
    assert (entry.last_offset, entry.size) == (len(records) - 1, len(frame))


@given(st.integers(0, 2**62), st.integers(0, 2**31 - 1))
def test_placing_a_batch_touches_offset_and_epoch_and_no_checksum(offset, epoch):
    frame = memoryview(bytearray(batch(b"a", b"b")))
    KAFKA_BATCHES.place(frame, KAFKA_BATCHES.scan(frame), offset, epoch)
    entry = KAFKA_BATCHES.verify(frame)
    assert (entry.base_offset, entry.last_offset, entry.epoch) == (offset, offset + 1, epoch)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_batch_are_corrupt_and_nothing_else(data):
    try:
        KAFKA_BATCHES.scan(data)
    except Corrupt:
        pass


@given(st.integers(0, 500), st.integers(1, 255))
def test_a_changed_byte_under_the_checksum_never_verifies(at, change):
    data = bytearray(batch(b"v" * 450))
    at = 21 + at % (len(data) - 21)
    data[at] ^= change
    with pytest.raises(Corrupt):
        KAFKA_BATCHES.verify(memoryview(data))


def test_sequences_wrap():
    frame = batch(b"a", b"b", b"c", producer_id=1, producer_epoch=0, base_sequence=2**31 - 2)
    assert KAFKA_BATCHES.scan(frame).last_sequence == 0
    entry, _ = read_produced(memoryview(bytearray(frame)), 9, MAX)
    assert entry.last_sequence == 0


# -- what is refused


GOOD = batch(b"one", b"two")
NAMES = [
    "null",
    "empty",
    "cut-header",
    "cut",
    "two",
    "magic-1",
    "crc",
    "base-offset",
    "empty-batch",
    "count-high",
    "count-low",
    "delta-high",
    "delta-low",
    "control",
    "codec-5",
    "producer-without-sequence",
]


@pytest.mark.parametrize(
    ("data", "code", "reached_log"),
    [
        (None, ErrorCode.INVALID_REQUEST, False),
        (b"", ErrorCode.INVALID_RECORD, False),
        (GOOD[:40], ErrorCode.INVALID_RECORD, False),
        (GOOD[:-1], ErrorCode.INVALID_RECORD, False),
        (GOOD + GOOD, ErrorCode.INVALID_RECORD, False),
        (patched(GOOD, 16, ">b", 1, crc=False), ErrorCode.INVALID_RECORD, False),
        (patched(GOOD, 17, ">I", 12345, crc=False), ErrorCode.CORRUPT_MESSAGE, False),
        (patched(GOOD, 0, ">q", 5), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 57, ">i", 0), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 57, ">i", 3), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 57, ">i", -1), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 23, ">i", 7), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 23, ">i", -1), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 21, ">h", 0x20), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 21, ">h", 5), ErrorCode.INVALID_RECORD, True),
        (patched(GOOD, 43, ">q", 7), ErrorCode.INVALID_RECORD, True),
    ],
    ids=NAMES,
)
def test_what_is_no_batch_that_a_client_may_produce_is_refused(data, code, reached_log):
    refusal = rejected(data)
    assert (refusal.code, refusal.reached_log) == (code, reached_log)


@given(st.binary(max_size=200) | st.integers(0, len(GOOD)).map(lambda cut: GOOD[:cut]))
def test_no_other_error_escapes(data):
    try:
        read_produced(memoryview(bytearray(data)), 9, MAX)
    except Rejected:
        pass


def test_the_whole_batch_counts_against_the_largest_message():
    assert read_produced(memoryview(bytearray(GOOD)), 9, len(GOOD))
    assert rejected(GOOD, max_bytes=len(GOOD) - 1).code == ErrorCode.MESSAGE_TOO_LARGE


def test_a_few_stray_bytes_behind_a_batch_are_ignored():
    _, frame = read_produced(memoryview(bytearray(GOOD + b"stray")), 9, MAX)
    assert bytes(frame) == GOOD


def test_zstd_came_with_version_7():
    data = batch(b"v" * 100, codec=Codec.ZSTD)
    assert rejected(data, version=6).code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert read_produced(memoryview(bytearray(data)), 7, MAX)


# -- what a topic makes of it


def test_a_batch_that_asks_for_nothing_special_is_stored_as_it_came():
    entry, frame = storable(GOOD, topic())
    assert bytes(frame) == GOOD
    assert entry == KAFKA_BATCHES.scan(GOOD)


def test_log_append_time_sets_the_brokers_time_and_keeps_the_checksum_right():
    entry, frame = storable(GOOD, topic(message_timestamp_type="LogAppendTime"), now_ms=NOW_MS + 5)
    assert KAFKA_BATCHES.verify(frame) == entry
    assert entry.max_timestamp == NOW_MS + 5
    assert RecordBatch(frame).header.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert {record.timestamp for record in RecordBatch(frame).records()} == {NOW_MS + 5}


def test_a_clients_log_append_time_bit_is_cleared_where_the_topic_has_create_time():
    data = batch(b"a", log_append_time=NOW_MS - 7)
    entry, frame = storable(data, topic())
    assert KAFKA_BATCHES.verify(frame) == entry
    assert RecordBatch(frame).header.timestamp_type is TimestampType.CREATE_TIME


@pytest.mark.parametrize(
    ("timestamp", "settings", "fine"),
    [
        (NOW_MS + 3_600_000, {}, True),
        (NOW_MS + 3_600_001, {}, False),
        (NOW_MS - 1000, {"message_timestamp_before_max_ms": "1000"}, True),
        (NOW_MS - 1001, {"message_timestamp_before_max_ms": "1000"}, False),
        (0, {}, True),
        (-1, {}, True),
        (-1, {"message_timestamp_before_max_ms": "1000"}, True),
        (NOW_MS + 10**9, {"message_timestamp_type": "LogAppendTime"}, True),
    ],
)
def test_timestamps_too_far_off_are_refused_with_the_records_to_blame(timestamp, settings, fine):
    data = build_batch([Record(0, NOW_MS, None, b"fine"), Record(1, timestamp, None, b"odd")])
    if timestamp < NOW_MS:
        data = build_batch([Record(0, timestamp, None, b"odd")])
    if fine:
        storable(data, topic(**settings))
        return
    with pytest.raises(Rejected) as refusal:
        storable(data, topic(**settings))
    assert refusal.value.code == ErrorCode.INVALID_TIMESTAMP
    [error] = refusal.value.records
    assert error.position == (1 if timestamp > NOW_MS else 0)
    assert f"Timestamp {timestamp} of message with offset {error.position} is out of range." in error.message


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD, Codec.NONE])
@pytest.mark.parametrize("source", [Codec.NONE, Codec.ZSTD])
def test_a_topics_codec_is_what_is_stored_and_everything_else_stays(codec, source):
    options = {"producer_id": 7, "producer_epoch": 1, "base_sequence": 3}
    data = batch(b"v" * 500, b"w" * 500, key=b"k", codec=source, **options)
    name = "uncompressed" if codec is Codec.NONE else codec.name.lower()
    entry, frame = storable(data, topic(compression_type=name))
    header = RecordBatch(frame).header
    assert KAFKA_BATCHES.verify(frame) == entry
    assert header.attributes & 7 == codec
    assert list(RecordBatch(frame).records()) == list(RecordBatch(memoryview(data)).records())
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 1, 3)
    if codec == source:
        assert bytes(frame) == data


def test_a_compacted_topic_demands_keys_and_names_the_records_without():
    settings = topic(cleanup_policy="compact")
    storable(batch(b"v", key=b"k"), settings)
    data = build_batch([Record(0, NOW_MS, b"k", b"v"), Record(1, NOW_MS, None, b"v"), Record(2, NOW_MS, None, b"w")])
    with pytest.raises(Rejected) as refusal:
        storable(data, settings)
    assert refusal.value.code == ErrorCode.INVALID_RECORD
    assert [error.position for error in refusal.value.records] == [1, 2]
    text = "Compacted topic cannot accept message without key in topic partition topic-0"
    assert {error.message for error in refusal.value.records} == {text}


@pytest.mark.parametrize("deep", [False, True])
def test_what_only_the_records_show_is_seen_when_every_record_is_looked_at(deep):
    body = bytearray(GOOD)
    body[61] ^= 0x40  # the first record's length
    data = patched(bytes(body), 21, ">h", 0)
    if deep:
        with pytest.raises(Rejected) as refusal:
            storable(data, topic(), deep=True)
        assert refusal.value.code == ErrorCode.INVALID_RECORD
    else:
        storable(data, topic())


def test_a_body_that_does_not_decompress_is_refused_when_it_is_looked_at():
    data = patched(GOOD, 21, ">h", Codec.ZSTD)
    with pytest.raises(Rejected) as refusal:
        storable(data, topic(), deep=True)
    assert refusal.value.code == ErrorCode.INVALID_RECORD
