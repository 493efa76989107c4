"""Apache Kafka's console tools: topics, offsets, performance, the console producer and consumer."""

import re

import apache_kafka
import pytest
from brokers import Broker
from console_tools import OFFSETS, TOPICS, refused, run
from python_clients import Confluent, Record

pytestmark = pytest.mark.skipif(apache_kafka.missing() is not None, reason=str(apache_kafka.missing()))


def test_topic_command_creates_describes_grows_and_deletes_a_topic(broker: Broker, topic_name: str) -> None:
    at, topic = ("--bootstrap-server", broker.bootstrap), ("--topic", topic_name)
    create = ("--create", *topic, "--partitions", "2", "--config", "retention.ms=123456")
    assert f"Created topic {topic_name}." in run(TOPICS, *at, *create)
    assert f"Topic '{topic_name}' already exists." in refused(TOPICS, *at, *create)
    assert topic_name in run(TOPICS, *at, "--list").splitlines()

    described = run(TOPICS, *at, "--describe", *topic)
    assert re.search(rf"Topic: {topic_name}\s+TopicId: \S{{22}}\s+PartitionCount: 2\s+ReplicationFactor: 1", described)
    assert "retention.ms=123456" in described
    partitions = re.findall(r"Partition: (\d+)\s+Leader: (\d+)\s+Replicas: (\d+)\s+Isr: (\d+)", described)
    assert [number for number, *_ in partitions] == ["0", "1"]
    assert {len(set(nodes)) for _, *nodes in partitions} == {1}

    run(TOPICS, *at, "--alter", *topic, "--partitions", "4")
    assert "PartitionCount: 4" in run(TOPICS, *at, "--describe", *topic)
    assert "currently has 4 partition(s); 3 would not be an increase" in refused(
        TOPICS, *at, "--alter", *topic, "--partitions", "3"
    )

    run(TOPICS, *at, "--delete", *topic)
    assert topic_name not in run(TOPICS, *at, "--list").splitlines()
    assert f"Topic '{topic_name}' does not exist" in refused(TOPICS, *at, "--describe", *topic)


def test_get_offset_shell_tells_offsets(broker: Broker, topic_name: str) -> None:
    Confluent().produce(broker.bootstrap, topic_name, [Record(None, b"%d" % number) for number in range(7)])
    shell = (OFFSETS, "--bootstrap-server", broker.bootstrap, "--topic", topic_name)
    assert run(*shell).split() == [f"{topic_name}:0:7"]
    assert run(*shell, "--time", "earliest").split() == [f"{topic_name}:0:0"]
    assert run(*shell, "--time", "max-timestamp").split()[0].startswith(f"{topic_name}:0:")
    assert run(*shell, "--time", "4102444800000").split() == []  # the year 2100: no record is as late


def test_producer_performance_sends_all_its_records(broker: Broker, topic_name: str) -> None:
    report = run(
        "org.apache.kafka.tools.ProducerPerformance",
        *("--bootstrap-server", broker.bootstrap, "--topic", topic_name, "--num-records", "20000"),
        *("--record-size", "200", "--throughput", "-1"),
    )
    assert "20000 records sent" in report
    read = Confluent().consume(broker.bootstrap, topic_name, 20000)
    assert {len(record.value or b"") for record in read} == {200}


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_the_console_producer_and_consumer(broker: Broker, topic_name: str, codec: str) -> None:
    at = ("--bootstrap-server", broker.bootstrap, "--topic", topic_name)
    lines = [f"key-{number}:value {number}" for number in range(50)]
    run(
        "org.apache.kafka.tools.ConsoleProducer",
        *(*at, "--compression-codec", codec, "--reader-property", "parse.key=true"),
        *("--reader-property", "key.separator=:"),
        stdin="\n".join(lines) + "\n",
    )
    sent = [Record(r.key, r.value) for r in Confluent().consume(broker.bootstrap, topic_name, 50)]
    assert sent == [Record(b"key-%d" % number, b"value %d" % number) for number in range(50)]
    read = run(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *(*at, "--partition", "0", "--offset", "earliest", "--max-messages", "50", "--timeout-ms", "30000"),
        *("--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"),
    )
    assert read.splitlines() == lines
