"""Producers: every kind of acknowledgement, idempotence with five requests in flight, records as large as allowed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiokafka
import confluent_kafka
import kafka
import kafka.errors
import pytest
from brokers import PATIENCE_S, Broker
from fixture_types import CreateTopic
from python_clients import CLIENTS, Client, KafkaPython, Record, sample_records

# Kafka's default max.message.bytes, and what a batch of one record spends on other things than its value: 61 bytes of
# batch header, 5 varints of one byte, null key, and two lengths of three bytes.
MAX_MESSAGE_BYTES = 1_048_588
OVERHEAD = 61 + 11


@contextmanager
def kafka_python(broker: Broker, **settings: object) -> Iterator[kafka.KafkaProducer]:
    producer = kafka.KafkaProducer(bootstrap_servers=broker.bootstrap, **settings)
    try:
        yield producer
    finally:
        producer.close(PATIENCE_S)


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_kafka_python_with_every_kind_of_acks(broker: Broker, create_topic: CreateTopic, acks: int | str) -> None:
    topic, records = create_topic(), sample_records(100)
    with kafka_python(broker, acks=acks, enable_idempotence=False) as producer:
        futures = [producer.send(topic, r.value, r.key, list(r.headers), 0, r.timestamp_ms) for r in records]
        offsets = [future.get(PATIENCE_S).offset for future in futures]
    if acks != 0:  # without an answer there is no offset to learn
        assert offsets == list(range(100))
    assert KafkaPython().consume(broker.bootstrap, topic, 100) == records


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_confluent_kafka_with_every_kind_of_acks(broker: Broker, create_topic: CreateTopic, acks: int) -> None:
    topic, records, failures = create_topic(), sample_records(100), []
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "acks": acks, "linger.ms": 0})
    for r in records:
        producer.produce(
            topic,
            value=r.value,
            key=r.key,
            headers=list(r.headers),
            partition=0,
            timestamp=r.timestamp_ms,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert producer.flush(PATIENCE_S) == 0
    assert failures == []
    assert KafkaPython().consume(broker.bootstrap, topic, 100) == records


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_aiokafka_with_every_kind_of_acks(broker: Broker, create_topic: CreateTopic, acks: int | str) -> None:
    topic, records = create_topic(), sample_records(100)

    async def produce() -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks=acks)
        await producer.start()
        try:
            for r in records:
                await producer.send(topic, r.value, r.key, 0, r.timestamp_ms, list(r.headers))
            await asyncio.wait_for(producer.flush(), PATIENCE_S)
        finally:
            await producer.stop()

    asyncio.run(produce())
    assert KafkaPython().consume(broker.bootstrap, topic, 100) == records


def test_kafka_pythons_idempotent_producer_keeps_order_with_five_requests_in_flight(
    broker: Broker, create_topic: CreateTopic, count: int
) -> None:
    topic = create_topic()
    with kafka_python(broker, enable_idempotence=True, batch_size=200, linger_ms=0) as producer:
        futures = [producer.send(topic, b"%d" % number, partition=0) for number in range(count)]
        assert [future.get(PATIENCE_S).offset for future in futures] == list(range(count))
    read = KafkaPython().consume(broker.bootstrap, topic, count)
    assert [record.value for record in read] == [b"%d" % number for number in range(count)]


def test_confluents_idempotent_producer_keeps_order_with_five_requests_in_flight(
    broker: Broker, create_topic: CreateTopic, count: int
) -> None:
    topic, offsets = create_topic(), []
    settings = {"enable.idempotence": True, "batch.num.messages": 10, "linger.ms": 0}
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, **settings})
    for number in range(count):
        producer.produce(topic, b"%d" % number, partition=0, on_delivery=lambda _, m: offsets.append(m.offset()))
        producer.poll(0)
    assert producer.flush(PATIENCE_S) == 0
    assert offsets == list(range(count))
    read = KafkaPython().consume(broker.bootstrap, topic, count)
    assert [record.value for record in read] == [b"%d" % number for number in range(count)]


def test_one_producer_fills_many_partitions_of_many_topics(broker: Broker, create_topic: CreateTopic) -> None:
    topics = [create_topic(partitions=5) for _ in range(3)]
    with kafka_python(broker, linger_ms=20) as producer:
        futures = [
            producer.send(topic, b"%s %d %d" % (topic.encode(), partition, number), partition=partition)
            for number in range(20)
            for topic in topics
            for partition in range(5)
        ]
        for future in futures:
            future.get(PATIENCE_S)
    for topic in topics:
        for partition in range(5):
            read = KafkaPython().consume(broker.bootstrap, topic, 20, partition=partition)
            assert [r.value for r in read] == [b"%s %d %d" % (topic.encode(), partition, n) for n in range(20)]


def test_the_same_key_goes_to_the_same_partition_from_every_client(broker: Broker, create_topic: CreateTopic) -> None:
    """The Java client's murmur2 hash of the key, which every client can follow, over the partitions of Metadata."""
    topic, chosen = create_topic(partitions=7), {}
    keys = [b"key-%d" % number for number in range(30)]
    with kafka_python(broker) as producer:
        chosen["kafka-python"] = [producer.send(topic, b"", key).get(PATIENCE_S).partition for key in keys]
    found: list[int | None] = []
    other = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "partitioner": "murmur2"})
    for key in keys:
        other.produce(topic, b"", key, on_delivery=lambda _, m: found.append(m.partition()))
        assert other.flush(PATIENCE_S) == 0
    assert found == chosen["kafka-python"]
    assert len(set(found)) > 1


def test_a_batch_of_exactly_max_message_bytes_is_taken_and_one_byte_more_is_refused(
    broker: Broker, create_topic: CreateTopic
) -> None:
    topic = create_topic()
    largest = bytes(MAX_MESSAGE_BYTES - OVERHEAD)
    with kafka_python(broker, max_request_size=3_000_000, enable_idempotence=False) as producer:
        assert producer.send(topic, largest, partition=0).get(PATIENCE_S).offset == 0
        with pytest.raises(kafka.errors.MessageSizeTooLargeError):
            producer.send(topic, largest + b"+", partition=0).get(PATIENCE_S)
        assert producer.send(topic, b"after", partition=0).get(PATIENCE_S).offset == 1
    for reader in CLIENTS:
        assert [r.value for r in reader.consume(broker.bootstrap, topic, 2)] == [largest, b"after"], reader.name


def test_a_topic_of_its_own_max_message_bytes_takes_larger_records(broker: Broker, create_topic: CreateTopic) -> None:
    topic = create_topic(max_message_bytes=5_000_000)
    errors: list[confluent_kafka.KafkaError | None] = []
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": 9_000_000})
    for size in (4_900_000, 6_000_000):
        producer.produce(topic, bytes(size), partition=0, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(PATIENCE_S) == 0
    codes = [None if error is None else error.code() for error in errors]
    assert codes == [None, confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE]
    assert [len(r.value or b"") for r in KafkaPython().consume(broker.bootstrap, topic, 1)] == [4_900_000]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_producing_to_a_topic_that_does_not_exist_creates_it(
    broker: Broker, admin: kafka.KafkaAdminClient, topic_name: str, client: Client
) -> None:
    assert topic_name not in admin.list_topics()
    assert client.produce(broker.bootstrap, topic_name, [Record(b"k", b"v")]) == [0]
    assert topic_name in admin.list_topics()


def test_a_producer_learns_that_a_partition_does_not_exist(broker: Broker, create_topic: CreateTopic) -> None:
    topic = create_topic(partitions=2)
    errors: list[confluent_kafka.KafkaError | None] = []
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, b"", partition=2, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(PATIENCE_S) == 0
    assert [error and error.code() for error in errors] == [confluent_kafka.KafkaError._UNKNOWN_PARTITION]
