"""Kafka's ConsumerGroupCommand: what it lists and describes of a group at work and at rest, resets and deletes."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import apache_kafka
import confluent_kafka
import pytest
from brokers import PATIENCE_S, Broker
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from console_tools import GROUPS, OFFSETS, run, table
from python_clients import Confluent, Record
from step_programs import not_served

pytestmark = pytest.mark.skipif(apache_kafka.missing() is not None, reason=str(apache_kafka.missing()))
PROTOCOLS = {"classic": "group-tools", "consumer": "group848-tools"}  # and what asks for the APIs that they need
COMMITTED = {0: 4, 1: 10}
RECORDS = 10  # in each of two partitions


@pytest.fixture
def topic(group_broker: Broker) -> str:
    """Two partitions of RECORDS records each; the group has the same name."""
    if missing := not_served(group_broker.host, group_broker.port, "group-tools"):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")
    name = f"tools-{uuid.uuid4().hex[:10]}"
    admin = AdminClient({"bootstrap.servers": group_broker.bootstrap})
    for created in admin.create_topics([NewTopic(name, 2)]).values():
        created.result(PATIENCE_S)
    for partition in COMMITTED:
        Confluent().produce(group_broker.bootstrap, name, [Record(None, b"v")] * RECORDS, partition=partition)
    return name


@contextmanager
def member(broker: Broker, topic: str, protocol: str = "classic") -> Iterator[confluent_kafka.Consumer]:
    """The only member of a group, at work, that read everything and committed COMMITTED."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": topic,
            "group.protocol": protocol,
            "client.id": "worker",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        found = 0
        while found < 2 * RECORDS:
            messages = consumer.consume(2 * RECORDS, PATIENCE_S)
            assert messages, f"only {found} records"
            found += len(messages)
        offsets = [TopicPartition(topic, partition, offset) for partition, offset in COMMITTED.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
        yield consumer
    finally:
        consumer.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_at_work_is_listed_and_described(group_broker: Broker, topic: str, protocol: str) -> None:
    if missing := not_served(group_broker.host, group_broker.port, PROTOCOLS[protocol]):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")
    tool = partial(run, GROUPS, "--bootstrap-server", group_broker.bootstrap)
    with member(group_broker, topic, protocol):
        assert topic in tool("--list").split()
        assert {"GROUP": topic, "STATE": "Stable"} in table(tool("--list", "--state"))
        assert {"GROUP": topic, "TYPE": protocol.capitalize()} in table(tool("--list", "--type"))

        offsets = table(tool("--describe", "--group", topic))
        seen = {
            int(row["PARTITION"]): tuple(int(row[key]) for key in ("CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"))
            for row in offsets
        }
        assert seen == {0: (4, RECORDS, 6), 1: (10, RECORDS, 0)}
        assert {(row["GROUP"], row["TOPIC"], row["CLIENT-ID"]) for row in offsets} == {(topic, topic, "worker")}
        assert all(row["HOST"].startswith("/") for row in offsets)

        (described,) = table(tool("--describe", "--group", topic, "--members", "--verbose"))
        assert described["CONSUMER-ID"] == offsets[0]["CONSUMER-ID"]
        assert (described["CLIENT-ID"], described["#PARTITIONS"]) == ("worker", "2")
        assert described["CURRENT-ASSIGNMENT"] == f"{topic}:0,1"

        (state,) = table(tool("--describe", "--group", topic, "--state"))
        assert (state["STATE"], state["#MEMBERS"]) == ("Stable", "1")
        assert state["ASSIGNMENT-STRATEGY"] == ("range" if protocol == "classic" else "uniform")
        assert state["COORDINATOR(ID)"].startswith(group_broker.bootstrap + "(")

        assert "GroupNotEmptyException: The group is not empty." in tool("--delete", "--group", topic)
        reset = tool("--group", topic, "--reset-offsets", "--to-earliest", "--topic", topic, "--execute")
        assert f"can only be reset if the group '{topic}' is inactive, but the current state is Stable" in reset


def test_a_group_at_rest_is_reset_and_deleted(group_broker: Broker, topic: str) -> None:
    tool = partial(run, GROUPS, "--bootstrap-server", group_broker.bootstrap)
    with member(group_broker, topic):
        pass

    def reset(*how: str) -> dict[int, int]:
        rows = table(tool("--group", topic, "--reset-offsets", *how))
        return {int(row["PARTITION"]): int(row["NEW-OFFSET"]) for row in rows}

    def committed() -> dict[int, int]:
        rows = table(tool("--describe", "--group", topic))
        assert {row["CONSUMER-ID"] for row in rows} == {"-"}
        return {int(row["PARTITION"]): int(row["CURRENT-OFFSET"]) for row in rows}

    (state,) = table(tool("--describe", "--group", topic, "--state"))
    assert (state["STATE"], state["#MEMBERS"], state["ASSIGNMENT-STRATEGY"]) == ("Empty", "0", "-")
    assert committed() == COMMITTED
    assert reset("--to-earliest", "--topic", topic, "--dry-run") == {0: 0, 1: 0}
    assert committed() == COMMITTED
    assert reset("--to-earliest", "--topic", topic, "--execute") == {0: 0, 1: 0}
    assert committed() == {0: 0, 1: 0}
    assert reset("--shift-by", "7", "--topic", f"{topic}:0", "--execute") == {0: 7}
    assert reset("--to-offset", "5", "--topic", f"{topic}:1", "--execute") == {1: 5}
    assert committed() == {0: 7, 1: 5}
    assert reset("--to-offset", "99", "--all-topics", "--execute") == {0: RECORDS, 1: RECORDS}

    (deleted,) = table(tool("--group", topic, "--delete-offsets", "--topic", f"{topic}:1").partition("\n")[2])
    assert deleted == {"TOPIC": topic, "PARTITION": "1", "STATUS": "Successful"}
    assert committed() == {0: RECORDS}
    assert f"Deletion of requested consumer groups ('{topic}') was successful." in tool("--delete", "--group", topic)
    assert topic not in tool("--list").split()
    assert f"Group {topic} not found." in tool("--describe", "--group", topic)
    assert "GroupIdNotFoundException: The group id does not exist." in tool("--delete", "--group", topic)


def test_get_offset_shell_knows_internal_topics(group_broker: Broker, topic: str) -> None:
    tool = partial(run, OFFSETS, "--bootstrap-server", group_broker.bootstrap)
    with member(group_broker, topic):
        pass
    assert tool("--topic-partitions", f"{topic}:0-2").split() == [f"{topic}:0:{RECORDS}", f"{topic}:1:{RECORDS}"]
    every = dict(line.rsplit(":", 1) for line in tool().split())
    assert every[f"{topic}:1"] == str(RECORDS)
    assert any(int(end) > 0 for partition, end in every.items() if partition.startswith("__consumer_offsets:"))
    assert not [line for line in tool("--exclude-internal-topics").split() if line.startswith("__")]
