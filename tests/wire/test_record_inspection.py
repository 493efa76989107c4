"""The fast walk agrees with reading every record, and refuses what contradicts itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire.compression import Codec, CorruptCompression, TooLarge, UnsupportedCodec
from kbroker_wire.record_building import build_batch
from kbroker_wire.record_inspection import (
    find_timestamp,
    offset_of_max_timestamp,
    timestamps_outside,
    validate_records,
)
from kbroker_wire.records import HEADER, HEADER_BYTES, InvalidRecord, Record, RecordBatch, TimestampType
from kbroker_wire.varints import write_varint
from record_strategies import record_lists


def changed(batch: bytes, body: bytes | None = None, **fields: int) -> RecordBatch:
    """The batch with other header fields or another body. The CRC is left as it was: nothing here looks at it."""
    header = RecordBatch(batch).header
    body = batch[HEADER_BYTES:] if body is None else body
    header = header._replace(**{"batch_length": 49 + len(body), **fields})
    return RecordBatch(HEADER.pack(*header) + body)


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("codec", Codec)
@given(records=record_lists(max_size=100), base=st.integers(0, 2**40))
def test_the_walk_sees_what_reading_every_record_sees(codec: Codec, records: list[Record], base: int) -> None:
    batch = RecordBatch(bytearray(build_batch(records, codec=codec)))
    batch.set_base_offset(base)
    seen = validate_records(batch)
    stamps = [record.timestamp for record in records]
    assert (seen.min_timestamp, seen.max_timestamp) == (min(stamps), max(stamps))
    assert seen.offset_of_max_timestamp == base + stamps.index(max(stamps))
    assert seen.without_key == [index for index, record in enumerate(records) if record.key is None]
    assert seen.body_bytes == len(batch.body())


def test_numbers_of_every_width_are_walked() -> None:
    """Offsets and lengths of one, two and three bytes; timestamps going forth and back by all widths."""
    records = [
        Record(index, 2**40 + (-1) ** index * 2 ** (index % 40), value=bytes(index % 70)) for index in range(20_000)
    ]
    sizes = [63, 64, 8191, 8192, 2**21]
    records += [Record(20_000 + index, 2**40, bytes(size), bytes(size)) for index, size in enumerate(sizes)]
    seen = validate_records(RecordBatch(build_batch(records)))
    assert seen.max_timestamp == max(record.timestamp for record in records)
    assert seen.min_timestamp == min(record.timestamp for record in records)
    assert len(seen.without_key) == 20_000


def test_all_records_of_log_append_time_have_the_batch_s_timestamp() -> None:
    batch = RecordBatch(build_batch([Record(timestamp=5), Record(timestamp=9)], log_append_time=70))
    assert validate_records(batch)[:3] == (70, 70, 0)
    assert offset_of_max_timestamp(batch) == (0, 70)
    assert find_timestamp(batch, 70) == (0, 70)
    assert find_timestamp(batch, 70, from_offset=1) == (1, 70)
    assert find_timestamp(batch, 71) is None


TWO = build_batch([Record(timestamp=1000, key=b"a", value=b"1"), Record(timestamp=1001, key=b"b", value=b"2")])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"record_count": 0, "last_offset_delta": -1}, r"Inconsistent batch offset range \[0, -1\]"),
        ({"record_count": -1}, "count of records -1"),
        ({"record_count": 5}, r"range \[0, 1\] and count of records 5"),
        ({"last_offset_delta": 7}, r"range \[0, 7\] and count of records 2"),
        ({"record_count": 3, "last_offset_delta": 2}, "record 2 of 3 is cut off"),
        ({"record_count": 1, "last_offset_delta": 0}, "9 bytes follow the last of 1 records"),
    ],
)
def test_header_and_records_must_agree(fields: dict[str, int], problem: str) -> None:
    with pytest.raises(InvalidRecord, match=problem):
        validate_records(changed(TWO, **fields))


SOUND = bytes([2 * 6, 0, 0, 0, 1, 1, 0])


@pytest.mark.parametrize("delta", [0, 2, -1, 300, 2**31 - 1, -(2**31)])
def test_offset_deltas_count_up_from_zero(delta: int) -> None:
    record = bytearray([0, 0])
    write_varint(record, delta)
    record += bytes([1, 1, 0])
    body = SOUND + bytes([2 * len(record)]) + record
    with pytest.raises(InvalidRecord, match=f"record 1 has offset delta {delta}$"):
        validate_records(changed(TWO, body))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "record 0 of 1 is cut off"),
        (SOUND[:-1], "record 0 of 1 is cut off"),
        (bytes([1]) + SOUND[1:], "record 0 has a negative length"),
        (bytes([2 * 5]) + SOUND[1:], "record 0 ends 1 bytes behind its announced end"),
        (bytes([2 * 7]) + SOUND[1:] + b"\0", "record 0 ends -1 bytes behind its announced end"),
        (bytes([2 * 20, 0, 0, 0, 2 * 14, 1, 0]), "cut off"),
        (bytes([2 * 16, 0, 0, 0, 1, 2 * 10, 0]), "cut off"),
        (bytes([2 * 6, 0, 0, 0, 1, 1, 1]), "-1 headers are announced"),
        (bytes([2 * 8, 0, 0, 0, 1, 1, 2, 1, 1]), "a header has no key"),
        (bytes([2 * 6, 0, 0, 0, 1, 1, 2 * 60]), "60 headers are announced"),
        (b"\xff" * 6, "record 0 is malformed"),
        (bytes([2 * 9, 0]) + b"\x80" * 10, "record 0 is malformed"),
    ],
)
def test_a_record_must_be_whole_and_end_where_it_says(body: bytes, problem: str) -> None:
    with pytest.raises(InvalidRecord, match=problem):
        validate_records(changed(build_batch([Record()]), body))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), records=record_lists(max_size=3))
def test_the_walk_refuses_whatever_reading_refuses(data: st.DataObject, records: list[Record]) -> None:
    """And accepts nothing that reading refuses: both see the same records in damaged bytes."""
    body = bytearray(build_batch(records)[HEADER_BYTES:])
    position = data.draw(st.integers(0, min(len(body), 40) - 1))
    body[position] = data.draw(st.integers(0, 255))
    batch = changed(build_batch(records), bytes(body))
    try:
        read = list(batch.records())
    except InvalidRecord:
        with pytest.raises(InvalidRecord):
            validate_records(batch)
        return
    if [record.offset for record in read] == list(range(len(read))):
        seen = validate_records(batch)
        assert seen.max_timestamp == max(record.timestamp for record in read)
        assert seen.without_key == [index for index, record in enumerate(read) if record.key is None]
    else:
        with pytest.raises(InvalidRecord, match="has offset delta"):
            validate_records(batch)


def test_decompression_is_bounded() -> None:
    batch = RecordBatch(build_batch([Record(value=bytes(10_000))], codec=Codec.ZSTD))
    assert validate_records(batch, max_bytes=10_100).body_bytes > 10_000
    for inspect in (validate_records, offset_of_max_timestamp):
        with pytest.raises(TooLarge):
            inspect(batch, max_bytes=10_000)
    with pytest.raises(CorruptCompression):
        validate_records(changed(TWO, attributes=Codec.LZ4))
    with pytest.raises(UnsupportedCodec):
        validate_records(changed(TWO, attributes=6))


@settings(max_examples=60, deadline=None)
@given(records=record_lists(gaps=True), wanted=st.integers(-2, 2**53), start=st.integers(0, 3000))
def test_the_search_by_timestamp_finds_the_first_record_that_is_new_enough(
    records: list[Record], wanted: int, start: int
) -> None:
    batch = RecordBatch(build_batch(records))
    found = [(r.offset, r.timestamp) for r in records if r.timestamp >= wanted and r.offset >= start]
    assert find_timestamp(batch, wanted, from_offset=start) == (found[0] if found else None)
    newest = max(record.timestamp for record in records)
    assert offset_of_max_timestamp(batch) == next((r.offset, newest) for r in records if r.timestamp == newest)


def test_the_search_does_not_open_a_batch_that_is_too_old() -> None:
    unreadable = changed(TWO, attributes=Codec.GZIP)
    assert find_timestamp(unreadable, 1002) is None
    with pytest.raises(CorruptCompression):
        find_timestamp(unreadable, 1001)


def test_records_outside_the_allowed_time_are_listed_but_not_those_without_a_timestamp() -> None:
    stamps = [100, -1, 99, 201, 200]
    batch = RecordBatch(build_batch([Record(timestamp=stamp) for stamp in stamps]))
    assert timestamps_outside(batch, 100, 200) == [(2, 99), (3, 201)]
    batch = RecordBatch(bytearray(build_batch([Record(timestamp=stamp) for stamp in stamps])))
    batch.set_max_timestamp(TimestampType.LOG_APPEND_TIME, 150)
    assert timestamps_outside(batch, 100, 200) == []


def test_a_batch_without_records_has_no_newest_one() -> None:
    with pytest.raises(InvalidRecord, match="without records"):
        offset_of_max_timestamp(changed(TWO, b"", record_count=0))


@pytest.mark.parametrize("length", [-1, 1, 7, 100])
def test_the_search_refuses_a_record_of_impossible_length(length: int) -> None:
    body = bytearray()
    write_varint(body, length)
    with pytest.raises(InvalidRecord, match=f"record 0 has an impossible length of {length} bytes"):
        offset_of_max_timestamp(changed(build_batch([Record()]), bytes(body) + SOUND[1:]))


def test_the_search_refuses_a_record_that_is_cut_off() -> None:
    with pytest.raises(InvalidRecord, match="record 0 is malformed"):
        offset_of_max_timestamp(changed(build_batch([Record()]), SOUND[:3]))
