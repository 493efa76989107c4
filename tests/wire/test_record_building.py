"""Built batches are what independent implementations read, and theirs are what we read."""

import pytest
from hypothesis import given, settings

from kbroker_wire.compression import Codec
from kbroker_wire.record_building import BatchBuilder, build_batch
from kbroker_wire.record_inspection import validate_records
from kbroker_wire.records import Record, RecordBatch, TimestampType
from other_codecs import AiokafkaBatch, AiokafkaBatchBuilder, KafkaBatch, KafkaBatchBuilder
from record_strategies import record_lists

PRODUCER = {"producer_id": 77, "producer_epoch": 2, "base_sequence": 5}
READERS = [(KafkaBatch, [Codec.NONE, Codec.GZIP]), (AiokafkaBatch, list(Codec))]
WRITERS = [(KafkaBatchBuilder, [Codec.NONE, Codec.GZIP]), (AiokafkaBatchBuilder, list(Codec))]
PAIRS_OF_READERS = [(reader, codec) for reader, codecs in READERS for codec in codecs]
PAIRS_OF_WRITERS = [(writer, codec) for writer, codecs in WRITERS for codec in codecs]


@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize(("reader", "codec"), PAIRS_OF_READERS)
@given(records=record_lists(gaps=True))
def test_others_read_what_we_build(reader: type, codec: Codec, records: list[Record]) -> None:
    theirs = reader(build_batch(records, codec=codec, transactional=True, **PRODUCER))
    assert theirs.validate_crc()
    assert theirs.is_transactional
    assert (theirs.producer_id, theirs.producer_epoch, theirs.base_sequence) == (77, 2, 5)
    assert theirs.next_offset == records[-1].offset + 1
    assert theirs.max_timestamp == max(record.timestamp for record in records)
    read = [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in theirs]
    assert read == [tuple(record)[:5] for record in records]


@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize(("writer", "codec"), PAIRS_OF_WRITERS)
@given(records=record_lists())
def test_we_read_what_others_build(writer: type, codec: Codec, records: list[Record]) -> None:
    records = [record._replace(timestamp=max(0, record.timestamp)) for record in records]  # aiokafka has a use for -1
    theirs = writer(2, int(codec), True, 77, 2, 5, 2**30)
    for record in records:
        headers = [(key, value) for key, value in record.headers]
        assert theirs.append(record.offset, record.timestamp, record.key, record.value, headers)
    batch = RecordBatch(bytes(theirs.build()))
    assert batch.crc_ok()
    assert list(batch.records()) == records
    assert validate_records(batch).max_timestamp == batch.max_timestamp
    if codec == Codec.NONE:
        epoch = batch.header.partition_leader_epoch  # the broker's business: one writes 0, the other -1
        assert bytes(batch.view) == build_batch(records, leader_epoch=epoch, transactional=True, **PRODUCER)


def test_records_are_numbered_from_the_base_offset_unless_they_say_otherwise() -> None:
    builder = BatchBuilder(base_offset=100)
    assert [builder.append(Record(value=b"x")) for _ in range(2)] == [100, 101]
    assert builder.append(Record(offset=200)) == 200
    assert builder.append(Record()) == 201
    assert len(builder) == 4
    batch = RecordBatch(builder.build())
    assert [record.offset for record in batch.records()] == [100, 101, 200, 201]
    assert (batch.base_offset, batch.last_offset, batch.record_count) == (100, 201, 4)


@pytest.mark.parametrize("offset", [99, 100, 104])
def test_offsets_only_grow(offset: int) -> None:
    builder = BatchBuilder(base_offset=100)
    builder.append(Record(offset=104))
    with pytest.raises(ValueError, match=f"offset {offset} comes after offset 104"):
        builder.append(Record(offset=offset))
    assert len(builder) == 1


def test_size_bytes_is_the_size_before_compression() -> None:
    builder = BatchBuilder()
    assert builder.size_bytes == 61
    for size in (0, 1, 63, 64, 8191, 8192, 100_000):
        builder.append(Record(timestamp=size, value=bytes(size)))
        assert builder.size_bytes == len(builder.build())


def test_a_record_that_does_not_fit_the_format_is_refused_and_leaves_the_builder_as_it_was() -> None:
    builder = BatchBuilder()
    builder.append(Record(timestamp=0))
    before = builder.build()
    for unfit in (Record(offset=2**31), Record(timestamp=2**63), Record(attributes=256)):
        with pytest.raises(ValueError):
            builder.append(unfit)
        assert builder.build() == before


def test_a_batch_has_a_record() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        build_batch([])


def test_log_append_time_and_delete_horizon_are_said_in_the_header() -> None:
    batch = RecordBatch(build_batch([Record(timestamp=10), Record(timestamp=30)], log_append_time=99))
    assert batch.header.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert batch.max_timestamp == 99
    assert [record.timestamp for record in batch.records()] == [99, 99]

    batch = RecordBatch(build_batch([Record(timestamp=10), Record(timestamp=30)], delete_horizon=5000))
    assert batch.header.has_delete_horizon
    assert batch.header.base_timestamp == 5000
    assert [record.timestamp for record in batch.records()] == [10, 30]
    assert batch.max_timestamp == 30


def test_a_producer_picks_the_level() -> None:
    records = [Record(value=b"%d bottles" % n) for n in range(2000)]
    fast, small = (build_batch(records, codec=Codec.ZSTD, level=level) for level in (1, 19))
    assert len(small) < len(fast)
    assert len(list(RecordBatch(small).records())) == 2000
