"""DeleteRecords (key 21): the start of a partition moves up, and readers of what is gone are told."""

import time

import pytest
from raw_kafka.batches import Record, batch
from raw_kafka.calls import (
    NONE,
    READY_WITHIN_S,
    create_topic,
    fetch,
    fetch_request,
    list_offset,
    produce,
    unknown_topic,
)
from raw_kafka.connection import Connection

OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC, POLICY_VIOLATION = 1, 3, 17, 44
EARLIEST, LATEST = -2, -1


def delete(connection, topic, *wanted, version=2):
    """(partition, low watermark, code) of each, in the order of partitions."""
    partitions = [{"partition_index": index, "offset": offset} for index, offset in wanted]
    asked = [{"name": topic.name, "partitions": partitions}]
    (answer,) = connection.call("DeleteRecords", version, topics=asked, timeout_ms=10_000).topics
    assert answer.name == topic.name
    return sorted((each.partition_index, each.low_watermark, each.error_code) for each in answer.partitions)


@pytest.fixture
def filled(connection):
    """Offsets 0 to 8 of partition 0, three to a batch; nothing in partition 1."""
    topic = create_topic(connection, partitions=2)
    for _ in range(3):
        produce(connection, topic, batch([Record(b"a"), Record(b"b"), Record(b"c")]))
    return topic


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_start_moves_up(version, connection, filled):
    assert delete(connection, filled, (0, 4), version=version) == [(0, 4, NONE)]
    assert list_offset(connection, filled, EARLIEST).offset == 4
    assert fetch(connection, filled, 3).error_code == OFFSET_OUT_OF_RANGE
    row = fetch(connection, filled, 4)
    assert (row.error_code, row.log_start_offset) == (NONE, 4)
    assert int.from_bytes(row.records[:8], "big") == 3, "the batch that holds it comes whole"


def test_and_never_back(connection, filled):
    assert delete(connection, filled, (0, 4)) == [(0, 4, NONE)]
    assert delete(connection, filled, (0, 2)) == [(0, 4, NONE)]
    assert delete(connection, filled, (0, 0)) == [(0, 4, NONE)]


def test_minus_one_is_the_high_watermark(connection, filled):
    assert delete(connection, filled, (0, -1), (1, -1)) == [(0, 9, NONE), (1, 0, NONE)]
    assert list_offset(connection, filled, LATEST).offset == 9
    assert produce(connection, filled, batch([Record(b"d")])).base_offset == 9


@pytest.mark.parametrize("offset", [10, -2, (1 << 63) - 1])
def test_out_of_range(offset, connection, filled):
    assert delete(connection, filled, (0, offset)) == [(0, -1, OFFSET_OUT_OF_RANGE)]
    assert list_offset(connection, filled, EARLIEST).offset == 0


def test_each_partition_has_its_own_answer(connection, filled):
    assert delete(connection, filled, (0, 3), (1, 1), (7, 0)) == [
        (0, 3, NONE),
        (1, -1, OFFSET_OUT_OF_RANGE),
        (7, -1, UNKNOWN_TOPIC_OR_PARTITION),
    ]
    assert delete(connection, unknown_topic(), (0, 0)) == [(0, -1, UNKNOWN_TOPIC_OR_PARTITION)]


@pytest.mark.parametrize(
    ("policy", "code"), [("compact", POLICY_VIOLATION), ("compact,delete", NONE), ("delete", NONE), ("", NONE)]
)
def test_what_is_only_compacted_stays(policy, code, connection):
    topic = create_topic(connection, configs={"cleanup.policy": policy})
    produce(connection, topic, batch([Record(b"v", b"k")]))
    assert delete(connection, topic, (0, 1)) == [(0, -1 if code else 1, code)]


def test_a_reader_that_waits_behind_what_is_gone_is_told(connect, connection, filled):
    """Apache Kafka tells it at the end of its wait, or when the next records come."""
    reader = connect()
    asked = fetch_request([(filled, 0, 3)], max_wait_ms=2_000, min_bytes=1 << 20)
    reader.send("Fetch", 12, **asked)
    assert delete(connection, filled, (0, 9)) == [(0, 9, NONE)]
    (topic,) = reader.answer().responses
    assert topic.partitions[0].error_code == OFFSET_OUT_OF_RANGE


def test_what_is_gone_stays_gone(start_broker):
    """Apache Kafka writes down the new start within a minute, and on a clean stop."""
    broker = start_broker()
    with Connection(broker.host, broker.port) as connection:
        topic = create_topic(connection)
        produce(connection, topic, batch([Record(b"a"), Record(b"b"), Record(b"c")]))
        assert delete(connection, topic, (0, 2)) == [(0, 2, NONE)]
    if broker.kind == "apache":
        broker.stop()
    else:
        broker.kill()
    broker.start()
    with Connection(broker.host, broker.port) as connection:
        deadline = time.monotonic() + READY_WITHIN_S
        while (found := list_offset(connection, topic, EARLIEST)).error_code:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        assert found.offset == 2
        assert produce(connection, topic, batch([Record(b"d")])).base_offset == 3
