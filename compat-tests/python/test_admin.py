"""Topics and configurations through the admin clients of kafka-python and confluent-kafka."""

import re
import uuid
from typing import Any

import confluent_kafka
import kafka
import kafka.admin
import kafka.errors
import pytest
from brokers import PATIENCE_S, Broker
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
)
from fixture_types import CreateTopic, Settles
from python_clients import KafkaPython, Record


@pytest.fixture
def confluent(broker: Broker) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap})


def partitions_of(admin: kafka.KafkaAdminClient, topic: str) -> list[int]:
    """Partition numbers in order; empty if the topic does not exist."""
    (found,) = admin.describe_topics([topic])
    return sorted(partition["partition_index"] for partition in found["partitions"])


def test_kafka_python_creates_describes_grows_and_deletes_a_topic(
    admin: kafka.KafkaAdminClient, topic_name: str, settles: Settles
) -> None:
    (made,) = admin.create_topics({topic_name: {"num_partitions": 3}})["topics"]
    assert (made["num_partitions"], made["replication_factor"]) == (3, 1)
    assert settles(lambda: partitions_of(admin, topic_name) == [0, 1, 2])
    (described,) = admin.describe_topics([topic_name])
    assert described["topic_id"] == made["topic_id"]
    assert described["is_internal"] is False
    for partition in described["partitions"]:
        assert partition["leader_id"] == partition["replica_nodes"][0] == partition["isr_nodes"][0]
    assert settles(lambda: topic_name in admin.list_topics())

    admin.create_partitions({topic_name: 5})
    assert settles(lambda: partitions_of(admin, topic_name) == [0, 1, 2, 3, 4])
    with pytest.raises(kafka.errors.InvalidPartitionsError, match="currently has 5 partition"):
        admin.create_partitions({topic_name: 2})

    admin.delete_topics([topic_name])
    assert settles(lambda: topic_name not in admin.list_topics())
    with pytest.raises(kafka.errors.UnknownTopicOrPartitionError):
        admin.delete_topics([topic_name])


def test_confluent_kafka_creates_describes_grows_and_deletes_a_topic(
    confluent: AdminClient, topic_name: str, settles: Settles
) -> None:
    def partitions() -> list[int]:
        return sorted(confluent.list_topics(timeout=PATIENCE_S).topics.get(topic_name, NoTopic).partitions)

    confluent.create_topics([NewTopic(topic_name, 3, 1)])[topic_name].result(PATIENCE_S)
    assert settles(lambda: partitions() == [0, 1, 2])
    asked = confluent_kafka.TopicCollection([topic_name])
    described = confluent.describe_topics(asked)[topic_name].result(PATIENCE_S)
    assert [partition.leader.id for partition in described.partitions] == [described.partitions[0].leader.id] * 3
    assert not described.is_internal

    confluent.create_partitions([NewPartitions(topic_name, 5)])[topic_name].result(PATIENCE_S)
    assert settles(lambda: partitions() == [0, 1, 2, 3, 4])

    confluent.delete_topics([topic_name])[topic_name].result(PATIENCE_S)
    assert settles(lambda: partitions() == [])
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        confluent.delete_topics([topic_name])[topic_name].result(PATIENCE_S)
    assert refused.value.args[0].code() == confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART


class NoTopic:
    """Stands for the metadata of a topic that is not there."""

    partitions: tuple[int, ...] = ()


def test_a_topic_can_not_be_created_twice(admin: kafka.KafkaAdminClient, create_topic: CreateTopic) -> None:
    topic = create_topic()
    with pytest.raises(kafka.errors.TopicAlreadyExistsError, match=f"Topic '{re.escape(topic)}' already exists"):
        admin.create_topics([topic])


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("no blanks", {}, kafka.errors.InvalidTopicError),
        ("..", {}, kafka.errors.InvalidTopicError),
        ("x" * 250, {}, kafka.errors.InvalidTopicError),
        (None, {"num_partitions": 0}, kafka.errors.InvalidPartitionsError),
        (None, {"num_partitions": 1, "replication_factor": 99}, kafka.errors.InvalidReplicationFactorError),
        (None, {"configs": {"retention.ms": "soon"}}, kafka.errors.InvalidConfigurationError),
        (None, {"configs": {"no.such.key": "1"}}, kafka.errors.InvalidConfigurationError),
    ],
)
def test_a_topic_that_can_not_be_is_refused_with_its_reason(
    admin: kafka.KafkaAdminClient, topic_name: str, name: str | None, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        admin.create_topics({name or topic_name: options})
    assert (name or topic_name) not in admin.list_topics()


def test_validate_only_creates_nothing(admin: kafka.KafkaAdminClient, topic_name: str) -> None:
    (answer,) = admin.create_topics({topic_name: {"num_partitions": 2}}, validate_only=True)["topics"]
    assert answer["num_partitions"] == 2
    assert topic_name not in admin.list_topics()


def test_a_topic_created_again_has_another_id_and_no_records(
    broker: Broker, admin: kafka.KafkaAdminClient, topic_name: str, settles: Settles
) -> None:
    def topic_id() -> str | None:
        (found,) = admin.describe_topics([topic_name])
        return found["topic_id"] if found["error_code"] == 0 else None

    admin.create_topics([topic_name], wait_for_metadata=True)
    first = topic_id()
    KafkaPython().produce(broker.bootstrap, topic_name, [Record(None, b"of the first")])
    admin.delete_topics([topic_name])
    assert settles(lambda: topic_id() is None)
    admin.create_topics([topic_name], wait_for_metadata=True)
    second = topic_id()
    assert second not in (None, first)
    assert uuid.UUID(second).int > 1
    assert KafkaPython().produce(broker.bootstrap, topic_name, [Record(None, b"of the second")]) == [0]
    assert [r.value for r in KafkaPython().consume(broker.bootstrap, topic_name, 1)] == [b"of the second"]


def test_topics_are_described_by_name_and_by_id(admin: kafka.KafkaAdminClient, create_topic: CreateTopic) -> None:
    topic = create_topic(partitions=2)
    (by_name,) = admin.describe_topics([topic])
    (by_id,) = admin.describe_topics([uuid.UUID(by_name["topic_id"])])
    assert by_id == by_name
    (paged,) = admin.describe_topic_partitions([topic])["topics"]
    assert str(paged["topic_id"]) == by_name["topic_id"]
    assert [partition["partition_index"] for partition in paged["partitions"]] == [0, 1]


def test_configs_given_at_creation_are_described_with_their_source(
    admin: kafka.KafkaAdminClient, create_topic: CreateTopic
) -> None:
    topic = create_topic(retention_ms=123_456, cleanup_policy="compact,delete", segment_bytes=1_048_576)
    asked = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic)
    modified = admin.describe_configs([asked])["topic"][topic]
    assert {key: config["value"] for key, config in modified.items()} == {
        "retention.ms": "123456",
        "cleanup.policy": "compact,delete",
        "segment.bytes": "1048576",
    }
    assert {config["config_source"] for config in modified.values()} == {"DYNAMIC_TOPIC_CONFIG"}
    everything = admin.describe_configs([asked], config_filter="all")["topic"][topic]
    assert everything["max.message.bytes"]["value"] == "1048588"
    assert everything["max.message.bytes"]["config_source"] == "DEFAULT_CONFIG"


def test_confluent_kafka_describes_the_configs_of_a_topic_and_of_the_broker(
    confluent: AdminClient, create_topic: CreateTopic
) -> None:
    topic = create_topic(retention_ms=123_456)
    asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
    configs = confluent.describe_configs([asked])[asked].result(PATIENCE_S)
    assert configs["retention.ms"].value == "123456"
    assert not configs["retention.ms"].is_default
    assert configs["compression.type"].value == "producer"
    assert configs["compression.type"].is_default
    node = next(iter(confluent.list_topics(timeout=PATIENCE_S).brokers))
    asked = ConfigResource(ConfigResource.Type.BROKER, str(node))
    configs = confluent.describe_configs([asked])[asked].result(PATIENCE_S)
    assert configs["node.id"].value == str(node)
    assert configs["node.id"].is_read_only


def test_every_client_sees_the_same_cluster(
    broker: Broker, admin: kafka.KafkaAdminClient, confluent: AdminClient
) -> None:
    first = admin.describe_cluster()
    second = confluent.describe_cluster().result(PATIENCE_S)
    metadata = confluent.list_topics(timeout=PATIENCE_S)
    assert first["cluster_id"] == second.cluster_id == metadata.cluster_id
    nodes = [(node["broker_id"], node["host"], node["port"]) for node in first["brokers"]]
    assert nodes == [(node.id, node.host, node.port) for node in second.nodes]
    assert nodes == [(node.id, node.host, node.port) for node in metadata.brokers.values()]
    assert (broker.host, broker.port) in {(host, port) for _, host, port in nodes}
    assert first["controller_id"] == second.controller.id == metadata.controller_id


def test_asking_for_a_topic_creates_it_only_if_the_client_allows_that(
    broker: Broker, admin: kafka.KafkaAdminClient, topic_name: str, settles: Settles
) -> None:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"})
    try:
        found: Any = consumer.list_topics(topic_name, PATIENCE_S).topics[topic_name]
        assert found.error.code() == confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART
    finally:
        consumer.close()
    assert topic_name not in admin.list_topics()

    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    producer.list_topics(topic_name, PATIENCE_S)
    assert settles(lambda: partitions_of(admin, topic_name) == [0])
