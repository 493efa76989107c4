"""Consumers with partitions assigned by hand: look-ups by time, seeking, long polls, and changing what is read."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiokafka
import confluent_kafka
import kafka
import kafka.errors
import pytest
from brokers import PATIENCE_S, Broker
from fixture_types import CreateTopic
from kafka.admin import OffsetSpec
from python_clients import KafkaPython, Record

PATIENCE_MS = int(PATIENCE_S * 1000)
WRITER = KafkaPython()


@contextmanager
def consumer_of(broker: Broker, *partitions: kafka.TopicPartition, **settings: object) -> Iterator[kafka.KafkaConsumer]:
    """kafka-python's consumer, at the beginning of `partitions`."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False, **settings)
    try:
        consumer.assign(partitions)
        for each in partitions:
            consumer.seek(each, 0)
        yield consumer
    finally:
        consumer.close(autocommit=False)


def take(consumer: kafka.KafkaConsumer, count: int) -> dict[kafka.TopicPartition, list[bytes]]:
    """The values of the next `count` records, per partition."""
    found: dict[kafka.TopicPartition, list[bytes]] = {}
    while (have := sum(map(len, found.values()))) < count:
        polled = consumer.poll(timeout_ms=PATIENCE_MS)
        assert polled, f"got {have} of {count} records"
        for where, batch in polled.items():
            found.setdefault(where, []).extend(m.value for m in batch)
    return found


@pytest.fixture
def timed(broker: Broker, create_topic: CreateTopic) -> tuple[str, int]:
    """A topic of ten records 100 ms apart, one batch each, and the time of the first."""
    topic, first_ms = create_topic(), int(time.time() * 1000) - 10_000
    for number in range(10):
        WRITER.produce(broker.bootstrap, topic, [Record(None, b"%d" % number, (), first_ms + 100 * number)])
    return topic, first_ms


# When a look-up by time names 50 ms after the first record, the second is the answer; and so on.
LOOK_UPS = [(0, 0), (50, 1), (100, 1), (101, 2), (900, 9), (-5000, 0)]


def test_kafka_python_finds_offsets_by_time(broker: Broker, timed: tuple[str, int]) -> None:
    topic, first_ms = timed
    where = kafka.TopicPartition(topic, 0)
    with consumer_of(broker, where) as consumer:
        assert consumer.beginning_offsets([where]) == {where: 0}
        assert consumer.end_offsets([where]) == {where: 10}
        for after_ms, offset in LOOK_UPS:
            found = consumer.offsets_for_times({where: first_ms + after_ms})[where]
            assert (found.offset, found.timestamp) == (offset, first_ms + 100 * offset)
        assert consumer.offsets_for_times({where: first_ms + 901}) == {where: None}


def test_confluent_kafka_finds_offsets_by_time(broker: Broker, timed: tuple[str, int]) -> None:
    topic, first_ms = timed
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"})
    try:
        assert consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), PATIENCE_S) == (0, 10)
        for after_ms, offset in LOOK_UPS:
            asked = confluent_kafka.TopicPartition(topic, 0, first_ms + after_ms)
            assert [found.offset for found in consumer.offsets_for_times([asked], PATIENCE_S)] == [offset]
        late = confluent_kafka.TopicPartition(topic, 0, first_ms + 901)
        assert [found.offset for found in consumer.offsets_for_times([late], PATIENCE_S)] == [
            confluent_kafka.OFFSET_END
        ]
    finally:
        consumer.close()


def test_aiokafka_finds_offsets_by_time(broker: Broker, timed: tuple[str, int]) -> None:
    topic, first_ms = timed
    where = aiokafka.TopicPartition(topic, 0)

    async def look_up() -> None:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            assert await consumer.beginning_offsets([where]) == {where: 0}
            assert await consumer.end_offsets([where]) == {where: 10}
            for after_ms, offset in LOOK_UPS:
                found = (await consumer.offsets_for_times({where: first_ms + after_ms}))[where]
                assert (found.offset, found.timestamp) == (offset, first_ms + 100 * offset)
            assert await consumer.offsets_for_times({where: first_ms + 901}) == {where: None}
        finally:
            await consumer.stop()

    asyncio.run(look_up())


def test_the_admin_client_finds_the_record_of_the_greatest_timestamp(
    broker: Broker, admin: kafka.KafkaAdminClient, create_topic: CreateTopic
) -> None:
    topic, now_ms = create_topic(), int(time.time() * 1000)
    where = kafka.TopicPartition(topic, 0)
    assert admin.list_partition_offsets({where: OffsetSpec.MAX_TIMESTAMP})[where].offset == -1
    for timestamp_ms in (now_ms - 500, now_ms, now_ms - 300):
        WRITER.produce(broker.bootstrap, topic, [Record(None, b"", (), timestamp_ms)])
    found = admin.list_partition_offsets({where: OffsetSpec.MAX_TIMESTAMP})[where]
    assert (found.offset, found.timestamp) == (1, now_ms)
    assert admin.list_partition_offsets({where: OffsetSpec.EARLIEST})[where].offset == 0
    assert admin.list_partition_offsets({where: OffsetSpec.LATEST})[where].offset == 3


def test_seeking_reads_from_any_offset_in_a_batch(broker: Broker, create_topic: CreateTopic) -> None:
    where = kafka.TopicPartition(create_topic(), 0)
    WRITER.produce(broker.bootstrap, where.topic, [Record(None, b"%d" % n) for n in range(500)])
    with consumer_of(broker, where) as consumer:
        for offset in (499, 0, 250, 1, 498):
            consumer.seek(where, offset)
            assert take(consumer, 1)[where][0] == b"%d" % offset
        consumer.seek_to_end(where)
        assert consumer.position(where) == 500
        consumer.seek_to_beginning(where)
        assert consumer.position(where) == 0


@pytest.mark.parametrize(("reset", "position"), [("earliest", 0), ("latest", 3)])
def test_a_position_beyond_the_end_is_reset(
    broker: Broker, create_topic: CreateTopic, reset: str, position: int
) -> None:
    where = kafka.TopicPartition(create_topic(), 0)
    WRITER.produce(broker.bootstrap, where.topic, [Record(None, b"%d" % n) for n in range(3)])
    with consumer_of(broker, where, auto_offset_reset=reset) as consumer:
        consumer.seek(where, 1000)
        deadline = time.monotonic() + PATIENCE_S
        while consumer.position(where) == 1000 and time.monotonic() < deadline:
            consumer.poll(timeout_ms=50, update_offsets=False)
        assert consumer.position(where) == position


def test_a_position_beyond_the_end_is_an_error_for_who_wants_no_reset(
    broker: Broker, create_topic: CreateTopic
) -> None:
    where = kafka.TopicPartition(create_topic(), 0)
    with consumer_of(broker, where, auto_offset_reset="none") as consumer:
        consumer.seek(where, 1000)
        with pytest.raises(kafka.errors.OffsetOutOfRangeError):
            consumer.poll(timeout_ms=PATIENCE_MS)


def test_a_consumer_in_a_long_poll_gets_a_record_long_before_its_wait_is_over(
    broker: Broker, create_topic: CreateTopic
) -> None:
    where = kafka.TopicPartition(create_topic(), 0)
    with consumer_of(broker, where, fetch_max_wait_ms=4 * PATIENCE_MS, request_timeout_ms=8 * PATIENCE_MS) as consumer:
        assert consumer.poll(timeout_ms=200) == {}  # its Fetch is on its way and stays with the broker
        WRITER.produce(broker.bootstrap, where.topic, [Record(None, b"awaited")])
        assert take(consumer, 1) == {where: [b"awaited"]}


def test_a_fetch_waits_for_its_minimum_of_bytes(broker: Broker, create_topic: CreateTopic) -> None:
    where = kafka.TopicPartition(create_topic(), 0)
    wait = {"fetch_max_wait_ms": 4 * PATIENCE_MS, "request_timeout_ms": 8 * PATIENCE_MS}
    with consumer_of(broker, where, fetch_min_bytes=5000, **wait) as consumer:
        assert consumer.poll(timeout_ms=100) == {}
        WRITER.produce(broker.bootstrap, where.topic, [Record(None, bytes(1000))])
        assert consumer.poll(timeout_ms=100) == {}
        WRITER.produce(broker.bootstrap, where.topic, [Record(None, bytes(6000))])
        assert [len(value) for value in take(consumer, 2)[where]] == [1000, 6000]


def test_a_record_larger_than_the_consumer_asked_for_comes_all_the_same(
    broker: Broker, create_topic: CreateTopic
) -> None:
    """KIP-74: the first batch of an answer is given whole, else a consumer could never get past it."""
    where = kafka.TopicPartition(create_topic(), 0)
    sizes = [10, 900_000, 20, 800_000]
    for size in sizes:
        WRITER.produce(broker.bootstrap, where.topic, [Record(None, bytes(size))])
    with consumer_of(broker, where, max_partition_fetch_bytes=1000, fetch_max_bytes=2000) as consumer:
        assert [len(value) for value in take(consumer, 4)[where]] == sizes


def test_a_consumer_changes_its_partitions_while_it_reads(broker: Broker, create_topic: CreateTopic) -> None:
    """With a fetch session (KIP-227) only the changes travel; nothing may be missed or come twice."""
    topic = create_topic(partitions=4)
    a, b, c, d = (kafka.TopicPartition(topic, partition) for partition in range(4))

    def write(text: bytes) -> None:
        for each in (a, b, c, d):
            WRITER.produce(broker.bootstrap, topic, [Record(None, text)], partition=each.partition)

    write(b"one")
    with consumer_of(broker, a, b) as consumer:
        assert take(consumer, 2) == {a: [b"one"], b: [b"one"]}
        consumer.assign([b, c])
        consumer.seek(b, 1)
        consumer.seek(c, 0)
        assert take(consumer, 1) == {c: [b"one"]}
        write(b"two")
        assert take(consumer, 2) == {b: [b"two"], c: [b"two"]}
        consumer.pause(b)
        write(b"three")
        assert take(consumer, 1) == {c: [b"three"]}
        consumer.assign([a, b, c, d])
        for where, offset in ((a, 2), (b, 2), (c, 3), (d, 0)):
            consumer.seek(where, offset)
        consumer.resume(b)
        assert take(consumer, 5) == {a: [b"three"], b: [b"three"], d: [b"one", b"two", b"three"]}


def test_many_partitions_are_read_in_small_answers(broker: Broker, create_topic: CreateTopic) -> None:
    """An answer of limited size must not starve the partitions at the end of the request."""
    topic = create_topic(partitions=20)
    partitions = [kafka.TopicPartition(topic, number) for number in range(20)]
    producer = kafka.KafkaProducer(bootstrap_servers=broker.bootstrap)
    for number in range(50):
        for each in partitions:
            producer.send(topic, b"%d %s" % (number, bytes(1000)), partition=each.partition)
    producer.close(PATIENCE_S)
    with consumer_of(broker, *partitions, fetch_max_bytes=10_000, max_partition_fetch_bytes=5_000) as consumer:
        found = take(consumer, 50 * 20)
    assert {where: [int(value.split()[0]) for value in values] for where, values in found.items()} == {
        where: list(range(50)) for where in partitions
    }


def test_two_consumers_read_the_same_partition_side_by_side(broker: Broker, create_topic: CreateTopic) -> None:
    where = kafka.TopicPartition(create_topic(), 0)
    WRITER.produce(broker.bootstrap, where.topic, [Record(None, b"%d" % n) for n in range(100)])
    with consumer_of(broker, where) as first, consumer_of(broker, where) as second:
        assert take(first, 100) == take(second, 100) == {where: [b"%d" % n for n in range(100)]}
