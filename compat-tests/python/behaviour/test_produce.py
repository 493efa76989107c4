"""Produce (key 0): what is stored and how it is answered, and what is refused before or while it is appended.

Tests of faults inside the records take `records_broker`, one that looks at every record; faults that the batch header
and its CRC show are found by any broker.
"""

import time

import pytest
from raw_kafka.batches import (
    CONTROL,
    GZIP,
    HEADER_BYTES,
    LOG_APPEND_TIME,
    LZ4,
    SNAPPY,
    TRANSACTIONAL,
    ZSTD,
    Record,
    batch,
    batch_of_size,
    compress,
    encode_record,
    message_v1,
    read_batches,
)
from raw_kafka.calls import (
    NONE,
    create_topic,
    fetch,
    list_offset,
    produce,
    produce_request,
    unknown_topic,
)
from raw_kafka.connection import Closed

UNKNOWN_SERVER_ERROR = -1
CORRUPT_MESSAGE, UNKNOWN_TOPIC_OR_PARTITION, MESSAGE_TOO_LARGE, INVALID_REQUIRED_ACKS = 2, 3, 10, 21
INVALID_TIMESTAMP, INVALID_REQUEST, UNSUPPORTED_COMPRESSION, INVALID_RECORD, UNKNOWN_TOPIC_ID = 32, 42, 76, 87, 100
TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
MAX_MESSAGE_BYTES = 1_048_588  # Kafka's default, the 12 bytes before the length's end included
VERSIONS = range(3, 14)
ONE_RECORD = encode_record(Record(b"some value"), 0)
CODECS = {"none": 0, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
LZ4_BLOCKS_INDEPENDENT = 0x20  # in the flag byte after the magic number of a frame
HOUR_MS = 3_600_000


def stored(connection, topic, offset=0):
    batches, cut = read_batches(fetch(connection, topic, offset).records)
    assert cut == b""
    return batches


def refused(answer, code):
    """An error: no offset and no timestamp were given to the batch."""
    assert answer.error_code == code, answer
    assert (answer.base_offset, answer.log_append_time_ms) == (-1, -1)
    return True


def nothing_stored(connection, topic):
    return list_offset(connection, topic, -1).offset == 0


class TestAccepted:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_in_every_version(self, version, connection, topic):
        first = produce(connection, topic, batch([b"a", b"b"]), version=version)
        second = produce(connection, topic, batch([b"c"]), version=version)
        assert (first.index, first.error_code, first.base_offset, first.log_append_time_ms) == (0, NONE, 0, -1)
        assert (second.error_code, second.base_offset) == (NONE, 2)
        if version >= 5:
            assert second.log_start_offset == 0
        if version >= 8:
            assert (second.record_errors, second.error_message) == ([], None)
        assert [each.values for each in stored(connection, topic)] == [[b"a", b"b"], [b"c"]]

    @pytest.mark.parametrize("version", [10, 13])
    def test_success_says_nothing_about_leaders(self, version, connection, topic):
        answer = connection.call("Produce", version, **produce_request(topic, batch()))
        assert not answer.node_endpoints
        assert not answer.responses[0].partition_responses[0].current_leader

    @pytest.mark.parametrize("acks", [1, -1])
    def test_with_acks(self, acks, connection, topic):
        assert produce(connection, topic, batch(), acks=acks).base_offset == 0

    @pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
    def test_compressed_batches_are_stored_as_they_came(self, codec, connection, topic):
        sent = batch([b"payload " * 50, Record(None, b"key"), Record(b"", b"", [("h", b"1"), ("h", None)])],
                     attributes=codec)  # fmt: skip
        assert produce(connection, topic, sent).error_code == NONE
        (found,) = stored(connection, topic)
        assert found.raw[HEADER_BYTES:] == sent[HEADER_BYTES:]
        assert found.raw[17:HEADER_BYTES] == sent[17:HEADER_BYTES], "CRC and all it covers"
        assert found.values == [b"payload " * 50, None, b""]

    def test_base_offset_and_leader_epoch_are_set_by_the_broker(self, connection, topic):
        for _ in range(2):
            produce(connection, topic, batch([b"x"], leader_epoch=77))
        assert [(each.base_offset, each.leader_epoch) for each in stored(connection, topic)] == [(0, 0), (1, 0)]

    @pytest.mark.parametrize("timestamp", [0, -1])
    def test_timestamps_of_the_epoch_and_none_at_all(self, timestamp, connection, topic):
        assert produce(connection, topic, batch(base_timestamp=timestamp, max_timestamp=timestamp)).error_code == NONE
        assert stored(connection, topic)[0].max_timestamp == timestamp

    def test_the_largest_batch_that_fits(self, connection, topic):
        assert produce(connection, topic, batch_of_size(MAX_MESSAGE_BYTES)).error_code == NONE

    @pytest.mark.parametrize("stray", [b"x", b"garbage at", bytes(11)], ids=len)
    def test_fewer_than_12_stray_bytes_after_a_batch_are_ignored(self, stray, connection, topic):
        assert produce(connection, topic, batch([b"kept"]) + stray).error_code == NONE
        assert [each.values for each in stored(connection, topic)] == [[b"kept"]]

    def test_a_client_may_set_the_log_append_time_bit(self, connection, topic):
        """On a topic with CreateTime it is just a bit: the answer has no time of appending."""
        answer = produce(connection, topic, batch(attributes=LOG_APPEND_TIME))
        assert (answer.error_code, answer.log_append_time_ms) == (NONE, -1)

    def test_several_topics_and_partitions_in_one_request(self, connection, topic):
        wide = create_topic(connection, partitions=2)
        parts = [(topic, 0, batch([b"1"])), (wide, 1, batch([b"2"])), (unknown_topic(), 0, batch())]
        answer = connection.call("Produce", 9, **produce_request(parts))
        codes = {response.name: response.partition_responses[0].error_code for response in answer.responses}
        assert codes == {topic.name: NONE, wide.name: NONE, parts[2][0].name: UNKNOWN_TOPIC_OR_PARTITION}
        assert fetch(connection, wide, 0, partition=1).high_watermark == 1

    def test_a_partition_that_comes_twice_is_written_once(self, connection, topic):
        parts = [(topic, 0, batch([b"first"])), (topic, 0, batch([b"last"]))]
        (response,) = connection.call("Produce", 9, **produce_request(parts)).responses
        assert len(response.partition_responses) == 1
        assert [each.values for each in stored(connection, topic)] == [[b"last"]]

    def test_nothing_to_write_is_answered_with_nothing(self, connection):
        assert connection.call("Produce", 9, acks=-1, timeout_ms=1000, topic_data=[]).responses == []


class TestTopicSettings:
    def test_log_append_time_is_the_brokers_clock(self, connection):
        topic = create_topic(connection, configs={"message.timestamp.type": "LogAppendTime"})
        before = time.time_ns() // 1_000_000
        answer = produce(connection, topic, batch([b"x", Record(b"y", timestamp_delta=7)], base_timestamp=5))
        assert answer.error_code == NONE
        assert before - 1000 <= answer.log_append_time_ms <= time.time_ns() // 1_000_000 + 1000
        (found,) = stored(connection, topic)
        assert found.attributes & LOG_APPEND_TIME
        assert found.max_timestamp == answer.log_append_time_ms

    @pytest.mark.parametrize(("name", "codec"), [(name, codec) for name, codec in CODECS.items() if codec])
    def test_a_topic_may_insist_on_its_compression(self, name, codec, connection):
        topic = create_topic(connection, configs={"compression.type": name})
        assert produce(connection, topic, batch([b"a" * 100, Record(b"b", b"k", [("h", b"v")])])).error_code == NONE
        (found,) = stored(connection, topic)
        assert found.attributes == codec
        if codec == LZ4:
            assert found.raw[HEADER_BYTES + 4] & LZ4_BLOCKS_INDEPENDENT, "Kafka's Java clients read no other"
        assert found.values == [b"a" * 100, b"b"]
        assert (found.records[1].key, list(found.records[1].headers)) == (b"k", [("h", b"v")])

    def test_a_topic_may_insist_on_no_compression(self, connection):
        topic = create_topic(connection, configs={"compression.type": "uncompressed"})
        assert produce(connection, topic, batch([b"a" * 100], attributes=ZSTD)).error_code == NONE
        (found,) = stored(connection, topic)
        assert (found.attributes, found.values) == (0, [b"a" * 100])

    def test_a_topic_has_its_own_largest_batch(self, connection):
        topic = create_topic(connection, configs={"max.message.bytes": "500"})
        assert refused(produce(connection, topic, batch_of_size(501)), MESSAGE_TOO_LARGE)
        assert produce(connection, topic, batch_of_size(500)).error_code == NONE

    def test_a_topic_may_take_timestamps_from_the_far_future(self, connection):
        topic = create_topic(connection, configs={"message.timestamp.after.max.ms": str(2**63 - 1)})
        far = time.time_ns() // 1_000_000 + 1000 * HOUR_MS
        assert produce(connection, topic, batch(base_timestamp=far)).error_code == NONE


class TestNoAcks:
    def test_is_not_answered(self, connection, topic):
        connection.send("Produce", 9, **produce_request(topic, batch([b"quiet"]), acks=0))
        connection.forget_last()
        assert connection.call("ApiVersions", 0).error_code == NONE, "the next answer is to the next request"
        found = fetch(connection, topic, 0, max_wait_ms=120_000, min_bytes=1)  # it may become readable a little later
        assert [each.values for each in read_batches(found.records)[0]] == [[b"quiet"]]

    @pytest.mark.parametrize("fault", ["unknown topic", "bad CRC", "unknown partition"])
    def test_an_error_can_only_be_told_by_hanging_up(self, fault, connection, topic):
        records = batch(crc=1) if fault == "bad CRC" else batch()
        target = unknown_topic() if fault == "unknown topic" else topic
        partition = 9 if fault == "unknown partition" else 0
        connection.send("Produce", 9, **produce_request(target, records, acks=0, partition=partition))
        assert connection.is_closed()


class TestRefusedBeforeTheLog:
    @pytest.mark.parametrize("acks", [2, -2, 100])
    @pytest.mark.parametrize("version", [3, 9, 13])
    def test_acks_that_do_not_exist(self, version, acks, connection, topic):
        answer = produce(connection, topic, batch(), version=version, acks=acks)
        assert refused(answer, INVALID_REQUIRED_ACKS)
        assert getattr(answer, "log_start_offset", -1) == -1
        assert nothing_stored(connection, topic)

    @pytest.mark.parametrize("version", VERSIONS)
    def test_an_unknown_topic(self, version, connection):
        answer = produce(connection, unknown_topic(), batch(), version=version)
        assert refused(answer, UNKNOWN_TOPIC_ID if version >= 13 else UNKNOWN_TOPIC_OR_PARTITION)
        assert getattr(answer, "log_start_offset", -1) == -1

    @pytest.mark.parametrize("partition", [1, -1, 2**31 - 1])
    @pytest.mark.parametrize("version", [9, 13])
    def test_an_unknown_partition(self, version, partition, connection, topic):
        answer = produce(connection, topic, batch(), version=version, partition=partition)
        assert refused(answer, UNKNOWN_TOPIC_OR_PARTITION)
        assert (answer.index, answer.log_start_offset) == (partition, -1)

    def test_zstd_before_version_7(self, connection, topic):
        assert refused(produce(connection, topic, batch(attributes=ZSTD), version=6), UNSUPPORTED_COMPRESSION)
        assert produce(connection, topic, batch(attributes=ZSTD), version=7).error_code == NONE

    def test_null_records(self, connection, topic, broker):
        if broker.kind == "apache":
            pytest.skip("Apache Kafka never answers")
        try:
            answer = produce(connection, topic, None)
        except Closed:
            return
        assert refused(answer, INVALID_REQUEST)

    def test_a_transactional_batch_without_a_transactional_id(self, connection, topic):
        answer = produce(connection, topic, batch(attributes=TRANSACTIONAL))
        assert refused(answer, TRANSACTIONAL_ID_AUTHORIZATION_FAILED)


# What the 61 bytes of the header and the CRC show. The third value: does the answer carry the log's start offset,
# because the fault was found at the log, or -1, because the bytes did not get that far?
HEADER_FAULTS = {
    "a wrong CRC": (batch(crc=0xDEADBEEF), CORRUPT_MESSAGE, -1),
    "magic 3": (batch(magic=3), CORRUPT_MESSAGE, -1),
    "magic -1": (batch(magic=-1), CORRUPT_MESSAGE, -1),
    "magic 1 in a batch": (batch(magic=1), INVALID_RECORD, -1),
    "a message of the old format": (message_v1(b"old"), INVALID_RECORD, -1),
    "a message of the oldest format": (message_v1(b"oldest", magic=0), INVALID_RECORD, -1),
    "no bytes": (b"", INVALID_RECORD, -1),
    "fewer bytes than a batch has": (b"\0" * 11, INVALID_RECORD, -1),
    "two batches": (batch() + batch(), INVALID_RECORD, -1),
    "a batch cut short": (batch([b"x" * 100])[:-1], INVALID_RECORD, -1),
    "a length below any message's": (batch(length=10), CORRUPT_MESSAGE, -1),
    "a length below a batch header's": (batch(length=48), CORRUPT_MESSAGE, -1),
    "12 stray bytes after a batch": (batch() + bytes(12), CORRUPT_MESSAGE, -1),
    "a negative length": (batch(length=-5), CORRUPT_MESSAGE, -1),
    "a base offset": (batch(base_offset=55), INVALID_RECORD, 0),
    "more records counted than there are": (batch(count=5), INVALID_RECORD, 0),
    "fewer records counted than there are": (batch([b"a", b"b"], count=1), INVALID_RECORD, 0),
    "no records": (batch([]), INVALID_RECORD, 0),
    "a negative count": (batch(count=-1), INVALID_RECORD, 0),
    "a last offset beyond the count": (batch(last_offset_delta=7), INVALID_RECORD, 0),
    "a last offset before the first": (batch(last_offset_delta=-1), INVALID_RECORD, 0),
    "a control batch": (batch(attributes=CONTROL), INVALID_RECORD, 0),
    "one byte more than fits": (batch_of_size(MAX_MESSAGE_BYTES + 1), MESSAGE_TOO_LARGE, -1),
}


class TestRefusedByTheHeader:
    @pytest.mark.parametrize(("records", "code", "start"), HEADER_FAULTS.values(), ids=HEADER_FAULTS.keys())
    def test_for(self, records, code, start, connection, topic):
        answer = produce(connection, topic, records)
        assert refused(answer, code)
        assert (answer.log_start_offset, answer.record_errors) == (start, [])
        assert nothing_stored(connection, topic)

    def test_one_bad_partition_does_not_keep_others_from_being_stored(self, connection, topic):
        other = create_topic(connection)
        parts = [(topic, 0, batch(crc=1)), (other, 0, batch([b"fine"]))]
        answer = connection.call("Produce", 9, **produce_request(parts))
        codes = {response.name: response.partition_responses[0].error_code for response in answer.responses}
        assert codes == {topic.name: CORRUPT_MESSAGE, other.name: NONE}

    def test_a_timestamp_too_far_ahead(self, connection, topic):
        """message.timestamp.after.max.ms is an hour unless the topic says otherwise."""
        ahead = time.time_ns() // 1_000_000 + 2 * HOUR_MS
        answer = produce(connection, topic, batch([b"now", Record(b"later", timestamp_delta=1)], base_timestamp=ahead))
        assert refused(answer, INVALID_TIMESTAMP)
        assert answer.log_start_offset == 0
        assert nothing_stored(connection, topic)

    def test_a_timestamp_half_an_hour_ahead_is_fine(self, connection, topic):
        ahead = time.time_ns() // 1_000_000 + HOUR_MS // 2
        assert produce(connection, topic, batch(base_timestamp=ahead)).error_code == NONE

    def test_magic_is_named_in_the_message(self, connection, topic):
        assert produce(connection, topic, batch(magic=3)).error_message == "Invalid magic found in record: 3"

    def test_an_unknown_compression(self, connection, topic, broker):
        answer = produce(connection, topic, batch(attributes=5))
        allowed = [UNKNOWN_SERVER_ERROR] if broker.kind == "apache" else [CORRUPT_MESSAGE, INVALID_RECORD]
        assert answer.error_code in allowed
        assert nothing_stored(connection, topic)


class TestRefusedByTheRecords:
    """On a broker that looks into every batch."""

    @pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
    def test_a_body_that_does_not_decompress(self, codec, connect_records, broker):
        connection = connect_records()
        topic = create_topic(connection)
        answer = produce(connection, topic, batch(attributes=codec, body=b"this is not compressed at all"))
        allowed = (CORRUPT_MESSAGE, INVALID_RECORD)
        if broker.kind == "apache":
            allowed = (UNKNOWN_SERVER_ERROR, CORRUPT_MESSAGE, INVALID_RECORD)
        assert answer.error_code in allowed
        assert answer.base_offset == -1
        assert nothing_stored(connection, topic)

    @pytest.mark.parametrize("codec", [0, GZIP, ZSTD])
    def test_counts_that_do_not_match_the_records(self, codec, connect_records):
        """Header and CRC agree with each other, not with what is inside."""
        connection = connect_records()
        topic = create_topic(connection)
        answer = produce(connection, topic, batch([b"a", b"b"], attributes=codec, count=5, last_offset_delta=4))
        assert refused(answer, INVALID_RECORD)
        assert nothing_stored(connection, topic)

    def test_a_compressed_record_at_the_wrong_offset(self, connect_records, broker):
        connection = connect_records()
        topic = create_topic(connection)
        answer = produce(connection, topic, batch([b"a", Record(b"b", offset_delta=5)], attributes=GZIP))
        assert refused(answer, UNKNOWN_SERVER_ERROR if broker.kind == "apache" else INVALID_RECORD)
        assert nothing_stored(connection, topic)

    @pytest.mark.parametrize("codec", [0, GZIP])
    @pytest.mark.parametrize(
        "body",
        [ONE_RECORD + b"more", ONE_RECORD[:-2], ONE_RECORD[:4] + b"\x7e\x7e\x7e"],
        ids=["bytes after the last record", "a record cut short", "a key beyond its record"],
    )
    def test_records_that_do_not_parse(self, body, codec, connect_records):
        connection = connect_records()
        topic = create_topic(connection)
        answer = produce(connection, topic, batch(attributes=codec, body=compress(codec, body)))
        assert refused(answer, INVALID_RECORD)
        assert nothing_stored(connection, topic)

    def test_a_future_timestamp_names_the_record(self, connect_records):
        connection = connect_records()
        topic = create_topic(connection)
        records = [b"fine", Record(b"from the future", timestamp_delta=2 * HOUR_MS)]
        answer = produce(connection, topic, batch(records, base_timestamp=time.time_ns() // 1_000_000))
        assert refused(answer, INVALID_TIMESTAMP)
        assert answer.error_message == "One or more records have been rejected due to invalid timestamp"
        (error,) = answer.record_errors
        assert error.batch_index == 1
        assert "is out of range. The timestamp should be within [" in error.batch_index_error_message

    def test_a_null_key_on_a_compacted_topic_names_the_record(self, connect_records):
        connection = connect_records()
        topic = create_topic(connection, configs={"cleanup.policy": "compact"})
        answer = produce(connection, topic, batch([Record(b"v", b"k"), Record(b"keyless")]))
        assert refused(answer, INVALID_RECORD)
        reason = f"Compacted topic cannot accept message without key in topic partition {topic.name}-0"
        assert [(e.batch_index, e.batch_index_error_message) for e in answer.record_errors] == [(1, reason)]
        assert answer.error_message == (
            "One or more records have been rejected due to 1 record errors in total, and only showing the first three "
            f"errors at most: [RecordError(batchIndex=1, message='{reason}')]"
        )
        assert produce(connection, topic, batch([Record(b"v", b"k")])).error_code == NONE

    def test_the_message_names_the_first_three_of_many_null_keys(self, connect_records):
        connection = connect_records()
        topic = create_topic(connection, configs={"cleanup.policy": "compact"})
        answer = produce(connection, topic, batch([b"a", b"b", b"c", b"d"]))
        assert [each.batch_index for each in answer.record_errors] == [0, 1, 2, 3]
        assert "due to 4 record errors in total" in answer.error_message
        assert "batchIndex=2" in answer.error_message
        assert "batchIndex=3" not in answer.error_message
