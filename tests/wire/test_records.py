"""Views of record batches: header facts, patches in place, iteration, and bytes that are no batch."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire.checksum import crc32c
from kbroker_wire.compression import Codec, CorruptCompression, TooLarge, UnsupportedCodec, compress
from kbroker_wire.errors import ProtocolError
from kbroker_wire.record_building import build_batch
from kbroker_wire.record_inspection import find_timestamp, offset_of_max_timestamp, validate_records
from kbroker_wire.records import (
    HEADER,
    HEADER_BYTES,
    CorruptBatch,
    InvalidRecord,
    Record,
    RecordBatch,
    TimestampType,
    UnsupportedMagic,
    batches,
    place,
    read_header,
)
from record_strategies import record_lists

THREE = [
    Record(0, 1000, b"k0", b"v0"),
    Record(1, 1002, None, b"v1", (("h", b"1"), ("h", None))),
    Record(2, 1001, b"k2", None),
]


def raw_batch(body: bytes, *, count: int = 1, last_offset_delta: int = 0, attributes: int = 0, magic: int = 2) -> bytes:
    """A batch with a right CRC around whatever `body` is."""
    checked = struct.pack(">hiqqqhii", attributes, last_offset_delta, 1000, 1000, -1, -1, -1, count) + body
    return struct.pack(">qiibI", 0, 9 + len(checked), -1, magic, crc32c(checked)) + checked


def test_a_batch_is_what_the_format_says_byte_by_byte() -> None:
    batch = build_batch([Record(timestamp=1000, key=b"k", value=b"v", headers=[("h", None)])], base_offset=7)
    body = bytes([2 * 11, 0, 0, 0, 2, ord("k"), 2, ord("v"), 2, 2, ord("h"), 1])
    expected = struct.pack(">hiqqqhii", 0, 0, 1000, 1000, -1, -1, -1, 1) + body
    assert batch == struct.pack(">qiibI", 7, 49 + len(body), -1, 2, crc32c(expected)) + expected


def test_the_header_tells_all_its_facts() -> None:
    data = build_batch(
        THREE,
        base_offset=0,
        leader_epoch=4,
        codec=Codec.ZSTD,
        producer_id=9,
        producer_epoch=3,
        base_sequence=2**31 - 2,
        transactional=True,
        control=True,
    )
    header = read_header(b"..." + data, 3)
    assert (header.base_offset, header.last_offset, header.next_offset, header.record_count) == (0, 2, 3, 3)
    assert (header.base_timestamp, header.max_timestamp, header.partition_leader_epoch) == (1000, 1002, 4)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (9, 3, 2**31 - 2)
    assert header.last_sequence == 0  # behind 2**31 - 1
    assert header.compression == Codec.ZSTD
    assert header.is_transactional
    assert header.is_control
    assert not header.has_delete_horizon
    assert header.timestamp_type is TimestampType.CREATE_TIME
    assert header.size_bytes == len(data)
    assert HEADER.size == HEADER_BYTES == 61


def test_a_batch_without_a_producer_has_no_sequence() -> None:
    header = read_header(build_batch(THREE))
    assert header.base_sequence == header.last_sequence == -1
    assert not header.is_transactional
    assert not header.is_control


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("codec", Codec)
@given(records=record_lists(gaps=True))
def test_what_is_built_is_read(codec: Codec, records: list[Record]) -> None:
    batch = RecordBatch(build_batch(records, codec=codec))
    assert batch.crc_ok()
    assert list(batch.records()) == records
    assert batch.last_offset == records[-1].offset
    assert batch.max_timestamp == max(record.timestamp for record in records)


def test_place_and_setters_patch_the_memory_of_the_batch_and_its_crc_stays_right() -> None:
    data = bytearray(b"head" + build_batch(THREE))
    batch = RecordBatch(memoryview(data)[4:])
    batch.set_base_offset(500)
    batch.set_leader_epoch(7)
    assert (batch.base_offset, batch.last_offset, batch.header.partition_leader_epoch) == (500, 502, 7)
    assert read_header(data, 4) == batch.header
    assert batch.crc_ok()
    assert [record.offset for record in batch.records()] == [500, 501, 502]
    place(data, 900, 8, 4)
    header = read_header(data, 4)
    assert (header.base_offset, header.partition_leader_epoch) == (900, 8)
    assert RecordBatch(memoryview(data)[4:]).crc_ok()


def test_log_append_time_stands_for_every_timestamp_and_renews_the_crc() -> None:
    data = bytearray(build_batch(THREE))
    batch = RecordBatch(data)
    batch.set_max_timestamp(TimestampType.LOG_APPEND_TIME, 5555)
    assert batch.crc_ok()
    assert RecordBatch(data).header == batch.header
    assert batch.header.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert {record.timestamp for record in batch.records()} == {5555}
    batch.set_max_timestamp(TimestampType.CREATE_TIME, 1002)
    assert bytes(data) == build_batch(THREE)


def test_a_flipped_bit_behind_the_leader_epoch_breaks_the_crc() -> None:
    data = build_batch(THREE)
    for position in range(17, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        assert not RecordBatch(damaged).crc_ok()


def test_batches_stand_one_behind_the_other_and_a_cut_one_is_left_out() -> None:
    first, second = build_batch(THREE), build_batch(THREE[:1], base_offset=3 - 3)
    stream = first + second
    assert [bytes(batch.view) for batch in batches(stream, strict=True)] == [first, second]
    assert list(batches(b"", strict=True)) == []
    for end in range(1, len(stream)):
        whole = [first] if end >= len(first) else []
        assert [bytes(batch.view) for batch in batches(stream[:end])] == whole
        if end != len(first):
            with pytest.raises(CorruptBatch, match="are no whole record batch"):
                list(batches(stream[:end], strict=True))


@pytest.mark.parametrize("length", [-(2**31), -13, -1, 0, 48])
def test_a_length_that_holds_no_header_is_corrupt(length: int) -> None:
    data = bytearray(build_batch(THREE))
    data[8:12] = struct.pack(">i", length)
    with pytest.raises(CorruptBatch, match=f"announces {12 + length} bytes"):
        list(batches(data))
    with pytest.raises(CorruptBatch, match=f"announces {12 + length} bytes"):
        RecordBatch(data)


@pytest.mark.parametrize("magic", [0, 1, 3, 127, -1])
def test_another_magic_is_named(magic: int) -> None:
    data = raw_batch(b"", magic=magic)
    for attempt in (lambda: RecordBatch(data), lambda: list(batches(data)), lambda: list(batches(data[:17]))):
        with pytest.raises(UnsupportedMagic, match=f"Invalid magic found in record: {magic}") as caught:
            attempt()
        assert caught.value.magic == magic


def test_a_header_that_is_cut_off_says_how_much_is_there() -> None:
    for attempt in (read_header, RecordBatch):
        with pytest.raises(ProtocolError, match="61 bytes, 60 are there"):
            attempt(build_batch(THREE)[:60])


def recorded() -> list[tuple[str, bytes]]:
    """(client, batch) as real clients sent them."""
    text = (Path(__file__).parents[1] / "data" / "record-batches.txt").read_text()
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return [(client, bytes.fromhex(batch)) for client, batch in lines]


@pytest.mark.parametrize(("client", "data"), recorded())
def test_batches_of_real_clients_are_sound_and_can_be_built_again(client: str, data: bytes) -> None:
    [batch] = batches(data, strict=True)
    header = batch.header
    assert batch.crc_ok()
    assert header.is_control == (client == "broker")
    records = list(batch.records())
    seen = validate_records(batch)
    assert len(records) == header.record_count
    assert seen.max_timestamp == header.max_timestamp
    again = build_batch(
        records,
        base_offset=header.base_offset,
        leader_epoch=header.partition_leader_epoch,
        codec=header.compression,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        transactional=header.is_transactional,
        control=header.is_control,
    )
    if header.compression == Codec.NONE:
        assert again == data
    assert list(RecordBatch(again).records()) == records


def test_the_recorded_batches_cover_every_codec_of_every_kind_of_client() -> None:
    seen = {(client, read_header(batch).compression) for client, batch in recorded()}
    for client in ("java-client", "confluent-kafka", "aiokafka", "kafka-python"):
        assert {codec for who, codec in seen if who == client} == set(Codec)


SOUND = bytes([2 * 6, 0, 0, 0, 1, 1, 0])


@pytest.mark.parametrize(
    ("body", "count", "problem"),
    [
        (b"", 1, "record 0 is malformed: the data ends"),
        (SOUND, 2, "record 1 is malformed: the data ends"),
        (SOUND * 2, 1, "7 bytes follow the last of 1 records"),
        (SOUND[:-1], 1, "record 0 is malformed: the data ends"),
        (SOUND[:1], 1, "record 0 is cut off"),
        (bytes([2 * 7]) + SOUND[1:] + b"\0", 1, "1 bytes|end -1 bytes behind"),
        (bytes([2 * 5]) + SOUND[1:], 1, "end 1 bytes behind"),
        (bytes([1]) + SOUND[1:], 1, "its -1 bytes end 7 bytes behind"),
        (bytes([2 * 6, 0, 0, 0, 1, 2 * 9, 0]), 1, "a field of 9 bytes is cut off"),
        (bytes([2 * 6, 0, 0, 0, 1, 1, 1]), 1, "-1 headers are announced"),
        (bytes([2 * 6, 0, 0, 0, 1, 1, 2 * 50]), 1, "50 headers are announced"),
        (bytes([2 * 8, 0, 0, 0, 1, 1, 2, 1, 1]), 1, "a header has no key"),
        (b"\xff\xff\xff\xff\xff\xff", 1, "does not end within 32 bits"),
    ],
)
def test_records_that_contradict_themselves_are_invalid(body: bytes, count: int, problem: str) -> None:
    batch = RecordBatch(raw_batch(body, count=count, last_offset_delta=count - 1))
    with pytest.raises(InvalidRecord, match=problem):
        list(batch.records())


def test_a_count_that_no_body_could_hold_costs_nothing() -> None:
    batch = RecordBatch(raw_batch(SOUND, count=2**31 - 1, last_offset_delta=2**31 - 2))
    for attempt in (lambda: list(batch.records()), lambda: validate_records(batch)):
        with pytest.raises(InvalidRecord):
            attempt()


def test_a_header_key_that_is_no_utf8_is_shown_with_replacement_characters() -> None:
    batch = RecordBatch(raw_batch(bytes([2 * 9, 0, 0, 0, 1, 1, 2, 2, 0xFF, 1])))
    assert [record.headers for record in batch.records()] == [(("\ufffd", None),)]


def test_decompression_is_bounded_and_unknown_codecs_are_refused() -> None:
    large = build_batch([Record(value=bytes(100_000))], codec=Codec.GZIP)
    with pytest.raises(TooLarge):
        list(RecordBatch(large).records(max_bytes=100_000))
    assert len(list(RecordBatch(large).records(max_bytes=100_100))) == 1
    with pytest.raises(CorruptCompression):
        list(RecordBatch(raw_batch(SOUND, attributes=Codec.GZIP)).records())
    with pytest.raises(UnsupportedCodec):
        list(RecordBatch(raw_batch(SOUND, attributes=5)).records())
    assert len(list(RecordBatch(raw_batch(compress(Codec.LZ4, SOUND), attributes=Codec.LZ4)).records())) == 1


@settings(max_examples=250, deadline=None)
@given(data=st.data(), records=record_lists(max_size=3), codec=st.sampled_from(Codec))
def test_any_damage_raises_protocol_errors_only(data: st.DataObject, records: list[Record], codec: Codec) -> None:
    batch = bytearray(build_batch(records, codec=codec))
    for _ in range(data.draw(st.integers(1, 3))):
        near = data.draw(st.sampled_from([61, 80, len(batch)]))
        batch[data.draw(st.integers(0, min(near, len(batch)) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(batch), data.draw(st.integers(0, len(batch)))]))
    for use in (
        lambda batch: list(batch.records(100_000)),
        lambda batch: validate_records(batch, max_bytes=100_000),
        lambda batch: find_timestamp(batch, 0, max_bytes=100_000),
        lambda batch: offset_of_max_timestamp(batch, max_bytes=100_000),
    ):
        try:
            for found in batches(batch[:end], strict=True):
                use(found)
        except ProtocolError:
            pass
