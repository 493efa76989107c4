"""Configurations, deleted records and questions about the cluster, through kafka-python and confluent-kafka."""

import time
import uuid

import confluent_kafka
import kafka
import kafka.admin
import kafka.errors
import pytest
from brokers import PATIENCE_S, Broker
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from fixture_types import CreateTopic, Settles
from kafka.admin import ConfigResource as KafkaResource
from kafka.admin import ConfigResourceType
from python_clients import Confluent, Record


@pytest.fixture
def confluent(broker: Broker) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap})


def value(admin: kafka.KafkaAdminClient, topic: str, name: str) -> str:
    asked = KafkaResource(ConfigResourceType.TOPIC, topic, [name])
    shown: str = admin.describe_configs([asked], config_filter="all")["topic"][topic][name]["value"]
    return shown


def test_kafka_python_changes_and_resets_single_settings(
    admin: kafka.KafkaAdminClient, create_topic: CreateTopic, settles: Settles
) -> None:
    topic = create_topic()
    wanted = {"retention.ms": "5000", "cleanup.policy": ("APPEND", "compact")}
    admin.alter_configs([KafkaResource(ConfigResourceType.TOPIC, topic, wanted)])
    assert settles(lambda: value(admin, topic, "retention.ms") == "5000")
    assert value(admin, topic, "cleanup.policy") == "delete,compact"
    admin.reset_configs([KafkaResource(ConfigResourceType.TOPIC, topic, ["retention.ms"])])
    assert settles(lambda: value(admin, topic, "retention.ms") == "604800000")
    assert value(admin, topic, "cleanup.policy") == "delete,compact"


def test_kafka_python_may_replace_a_whole_configuration(
    admin: kafka.KafkaAdminClient, create_topic: CreateTopic, settles: Settles
) -> None:
    topic = create_topic(retention_ms=123_456)
    admin.alter_configs([KafkaResource(ConfigResourceType.TOPIC, topic, {"flush.ms": "9"})], incremental=False)
    assert settles(lambda: value(admin, topic, "flush.ms") == "9")


def test_kafka_python_hears_why_not(admin: kafka.KafkaAdminClient, create_topic: CreateTopic) -> None:
    topic = create_topic()
    refused = admin.alter_configs([KafkaResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "x"})])
    assert "Not a number of type LONG" in str(refused["topic"][topic])


def test_confluent_kafka_changes_settings_of_topics_and_groups(
    confluent: AdminClient, create_topic: CreateTopic, settles: Settles
) -> None:
    topic, group = create_topic(), f"g-{uuid.uuid4().hex[:8]}"

    def change(name: str, to: str, how: AlterConfigOpType, kind: ConfigResource.Type, of: str) -> None:
        entry = ConfigEntry(name, to, incremental_operation=how)
        resource = ConfigResource(kind, of, incremental_configs=[entry])
        confluent.incremental_alter_configs([resource])[resource].result(PATIENCE_S)

    def shown(name: str, kind: ConfigResource.Type, of: str) -> str:
        asked = ConfigResource(kind, of)
        entry: str = confluent.describe_configs([asked])[asked].result(PATIENCE_S)[name].value
        return entry

    topics, groups = ConfigResource.Type.TOPIC, ConfigResource.Type.GROUP
    change("cleanup.policy", "compact", AlterConfigOpType.APPEND, topics, topic)
    change("consumer.session.timeout.ms", "50000", AlterConfigOpType.SET, groups, group)
    assert settles(lambda: shown("cleanup.policy", topics, topic) == "delete,compact")
    assert settles(lambda: shown("consumer.session.timeout.ms", groups, group) == "50000")
    with pytest.raises(confluent_kafka.KafkaException, match="must be in the range 45000 to 60000"):
        change("consumer.session.timeout.ms", "5", AlterConfigOpType.SET, groups, group)


def test_both_clients_delete_records(
    broker: Broker, admin: kafka.KafkaAdminClient, confluent: AdminClient, create_topic: CreateTopic
) -> None:
    topic = create_topic()
    Confluent().produce(broker.bootstrap, topic, [Record(None, b"%d" % number) for number in range(9)])
    partition = kafka.TopicPartition(topic, 0)
    assert admin.delete_records({partition: 4})[partition]["low_watermark"] == 4
    consumer = kafka.KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=None, auto_offset_reset="earliest")
    try:
        consumer.assign([partition])
        consumer.seek(partition, 0)  # is gone: back to the earliest there is
        found: list[bytes] = []
        while len(found) < 5 and (polled := consumer.poll(timeout_ms=int(PATIENCE_S * 1000))):
            found += [message.value for message in polled[partition]]
        assert found == [b"4", b"5", b"6", b"7", b"8"]
    finally:
        consumer.close()
    everything = confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_END)
    (deleted,) = confluent.delete_records([everything]).values()
    assert deleted.result(PATIENCE_S).low_watermark == 9
    with pytest.raises(kafka.errors.OffsetOutOfRangeError):
        admin.delete_records({partition: 99})


def test_kafka_python_asks_about_the_cluster(
    broker: Broker, admin: kafka.KafkaAdminClient, create_topic: CreateTopic
) -> None:
    topic = create_topic()
    Confluent().produce(broker.bootstrap, topic, [Record(None, b"x" * 100)])
    (node,) = admin.describe_log_dirs([topic])
    (folder,) = node["log_dirs"]
    assert folder["topics"][0]["partitions"][0]["partition_size"] > 100
    (quorum,) = admin.describe_metadata_quorum()["topics"]
    assert quorum["partitions"][0]["leader_id"] == node["broker"]
    assert admin.list_partition_reassignments() == {}
    assert admin.describe_user_scram_credentials() == {}
    assert topic in admin.list_config_resources(["TOPIC"])["topic"]
    assert "metadata.version" in admin.describe_features()
    elected = admin.elect_leaders(0, {topic: [0]}, raise_errors=False)
    assert elected.replica_election_results[0].partition_result[0].error_code == 84


def test_without_an_authorizer_both_clients_hear_that_there_are_no_acls(
    admin: kafka.KafkaAdminClient, confluent: AdminClient
) -> None:
    pattern = kafka.admin.ResourcePatternFilter(
        kafka.admin.ResourceType.ANY, None, kafka.admin.ACLResourcePatternType.ANY
    )
    asked = kafka.admin.ACLFilter(None, None, kafka.admin.ACLOperation.ANY, kafka.admin.ACLPermissionType.ANY, pattern)
    with pytest.raises(kafka.errors.SecurityDisabledError):
        admin.describe_acls(asked)
    acl = AclBinding(
        *(ResourceType.TOPIC, "x", ResourcePatternType.LITERAL),
        *("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW),
    )
    with pytest.raises(confluent_kafka.KafkaException, match="No Authorizer is configured"):
        confluent.create_acls([acl])[acl].result(PATIENCE_S)


def test_a_waiting_consumer_notices_new_partitions(
    broker: Broker, admin: kafka.KafkaAdminClient, create_topic: CreateTopic
) -> None:
    """One that is in the middle of a long poll goes on, and sees what its next look at the metadata shows."""
    topic = create_topic()
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=broker.bootstrap, metadata_max_age_ms=200, group_id=None, fetch_max_wait_ms=500
    )
    try:
        consumer.assign([kafka.TopicPartition(topic, 0)])
        consumer.poll(timeout_ms=100)
        admin.create_partitions({topic: 3})
        deadline = time.monotonic() + PATIENCE_S
        while consumer.partitions_for_topic(topic) != {0, 1, 2} and time.monotonic() < deadline:
            assert consumer.poll(timeout_ms=100) == {}
        new = kafka.TopicPartition(topic, 2)
        consumer.assign([new])
        consumer.seek_to_beginning(new)
        Confluent().produce(broker.bootstrap, topic, [Record(None, b"new")], partition=2)
        (message,) = consumer.poll(timeout_ms=int(PATIENCE_S * 1000))[new]
        assert message.value == b"new"
    finally:
        consumer.close()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_gets_new_partitions(
    protocol: str, broker: Broker, admin: kafka.KafkaAdminClient, create_topic: CreateTopic
) -> None:
    topic = create_topic()
    settings = {"group.id": f"g-{uuid.uuid4().hex[:8]}", "group.protocol": protocol, "auto.offset.reset": "earliest"}
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.bootstrap, "topic.metadata.refresh.interval.ms": 200, **settings}
    )
    try:
        consumer.subscribe([topic])
        Confluent().produce(broker.bootstrap, topic, [Record(None, b"first")])
        first = consumer.poll(PATIENCE_S)
        assert first is not None
        assert (first.partition(), first.value()) == (0, b"first")
        admin.create_partitions({topic: 3})
        Confluent().produce(broker.bootstrap, topic, [Record(None, b"second")], partition=2)
        second = consumer.poll(PATIENCE_S)
        assert second is not None
        assert (second.partition(), second.value()) == (2, b"second")
        assert {each.partition for each in consumer.assignment()} == {0, 1, 2}
    finally:
        consumer.close()
