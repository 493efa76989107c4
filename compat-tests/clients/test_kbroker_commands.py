"""`kbroker group` and `kbroker txn`, which speak to any broker: beside Kafka's own tools they give the same numbers."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apache_kafka
import confluent_kafka
import pytest
from brokers import PATIENCE_S, Broker
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from console_tools import GROUPS, TRANSACTIONS, run, table
from fixture_types import StartBroker
from python_clients import Confluent, Record
from raw_kafka.batches import TRANSACTIONAL, batch
from raw_kafka.calls import NONE, create_topic, fetch, produce
from raw_kafka.connection import Connection
from step_programs import not_served

pytestmark = pytest.mark.skipif(apache_kafka.missing() is not None, reason=str(apache_kafka.missing()))
PROTOCOLS = {"classic": "group-tools", "consumer": "group848-tools"}  # and what asks for the APIs that they need
COMMITTED = {0: 4, 1: 10}
RECORDS = 10  # in each of two partitions
INVALID_TXN_STATE = 48
READ_COMMITTED = 1


def kbroker(broker: Broker, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kbroker", *arguments, "--bootstrap", broker.bootstrap]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def told(broker: Broker, *arguments: str) -> Any:
    """What the command prints for machines."""
    done = kbroker(broker, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(broker: Broker, *arguments: str) -> str:
    """The one line of a command that could not do it."""
    done = kbroker(broker, *arguments)
    assert (done.returncode, done.stdout) == (1, ""), done
    [line] = done.stderr.splitlines()
    return line.removeprefix("kbroker: ")


@pytest.fixture
def topic(group_broker: Broker) -> str:
    """Two partitions of RECORDS records each; the group has the same name."""
    if missing := not_served(group_broker.host, group_broker.port, "group-tools"):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")
    name = f"commands-{uuid.uuid4().hex[:10]}"
    _create(group_broker, name)
    for partition in COMMITTED:
        Confluent().produce(group_broker.bootstrap, name, [Record(None, b"v")] * RECORDS, partition=partition)
    return name


def _create(broker: Broker, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for created in admin.create_topics([NewTopic(name, 2)]).values():
        created.result(PATIENCE_S)


@contextmanager
def member(broker: Broker, topic: str, protocol: str = "classic") -> Iterator[None]:
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
        yield
    finally:
        consumer.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_describe_says_what_kafkas_tool_says(group_broker: Broker, topic: str, protocol: str) -> None:
    if missing := not_served(group_broker.host, group_broker.port, PROTOCOLS[protocol]):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")
    with member(group_broker, topic, protocol):
        theirs = table(run(GROUPS, "--bootstrap-server", group_broker.bootstrap, "--describe", "--group", topic))
        [ours] = told(group_broker, "group", "describe", topic)
        assert ours["state"] == "Stable"
        assert ours["type"] == protocol
        assert ours["lag"] == sum(int(row["LAG"]) for row in theirs) == 6
        names = {
            "topic": "TOPIC",
            "partition": "PARTITION",
            "current_offset": "CURRENT-OFFSET",
            "log_end_offset": "LOG-END-OFFSET",
            "lag": "LAG",
            "member_id": "CONSUMER-ID",
            "client_id": "CLIENT-ID",
            "host": "HOST",
        }
        assert [{names[name]: str(cell) for name, cell in row.items()} for row in ours["partitions"]] == sorted(
            ({name: row[name] for name in names.values()} for row in theirs), key=lambda row: row["PARTITION"]
        )
        [only] = ours["members"]
        assert [each["partition"] for each in only["assignment"]] == [0, 1]

        lines = kbroker(group_broker, "group", "describe", topic).stdout.splitlines()
        assert [row["LAG"] for row in table("\n".join(lines[1:-1]))] == ["6", "0"]
        assert lines[-1] == "total lag 6"
        members = kbroker(group_broker, "group", "describe", topic, "--members").stdout
        assert f"{topic}:0,1" in members

        listed = {row["group_id"]: row for row in told(group_broker, "group", "list", "--state", "stable")}
        assert (listed[topic]["type"], listed[topic]["protocol_type"]) == (protocol, "consumer")
        for arguments in (
            ("delete", topic),
            ("reset-offsets", topic, "--topic", topic, "--to-earliest", "--execute"),
        ):
            line = refused(group_broker, "group", *arguments)
            assert line.startswith(f"group {topic} ")
            assert line.endswith("stop them first")
        line = refused(group_broker, "group", "delete-offsets", topic, "--topic", f"{topic}:1")
        assert line.endswith(f"group {topic} is subscribed to {topic}: stop its members first")
        assert {each["current_offset"] for each in told(group_broker, "group", "describe", topic)[0]["partitions"]} == {
            4,
            10,
        }


def test_a_group_at_rest_is_reset_and_deleted(group_broker: Broker, topic: str) -> None:
    with member(group_broker, topic):
        pass

    def reset(*how: str) -> dict[int, int]:
        rows = told(group_broker, "group", "reset-offsets", topic, *how)["partitions"]
        return {row["partition"]: row["new_offset"] for row in rows}

    def committed() -> dict[int, int]:
        [group] = told(group_broker, "group", "describe", topic)
        return {row["partition"]: row["current_offset"] for row in group["partitions"]}

    assert reset("--to-earliest", "--topic", topic) == {0: 0, 1: 0}
    assert committed() == COMMITTED
    assert reset("--shift-by", "-3", "--topic", f"{topic}:0", "--execute") == {0: 1}
    assert reset("--to-datetime", "2999-01-01T00:00Z", "--topic", f"{topic}:1", "--execute") == {1: RECORDS}
    rows = table(run(GROUPS, "--bootstrap-server", group_broker.bootstrap, "--describe", "--group", topic))
    assert {int(row["PARTITION"]): int(row["CURRENT-OFFSET"]) for row in rows} == committed() == {0: 1, 1: RECORDS}

    deleted = told(group_broker, "group", "delete-offsets", topic, "--topic", f"{topic}:1")
    assert deleted == [{"partition": f"{topic}:1", "deleted": True, "error": None}]
    assert committed() == {0: 1}
    assert kbroker(group_broker, "group", "delete", topic).stdout == f"deleted {topic}\n"
    for arguments in (("describe", topic), ("delete", topic), ("delete-offsets", topic, "--topic", topic)):
        assert refused(group_broker, "group", *arguments) == f"group {topic} does not exist"
    assert reset("--to-latest", "--topic", topic, "--execute") == {0: RECORDS, 1: RECORDS}  # makes the group
    assert committed() == {0: RECORDS, 1: RECORDS}


def test_a_transaction_is_seen_and_aborted_and_its_producer_fenced(group_broker: Broker) -> None:
    if missing := not_served(group_broker.host, group_broker.port, "transaction-tools"):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")
    name = f"commands-{uuid.uuid4().hex[:10]}"
    _create(group_broker, name)
    producer = confluent_kafka.Producer({"bootstrap.servers": group_broker.bootstrap, "transactional.id": name})
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    for partition in range(2):
        producer.produce(name, b"v", partition=partition)
    assert producer.flush(PATIENCE_S) == 0

    at = ("--bootstrap-server", group_broker.bootstrap)
    [theirs] = table(run(TRANSACTIONS, *at, "describe", "--transactional-id", name))
    ours = told(group_broker, "txn", "describe", name)
    assert [ours["state"], ours["timeout_ms"], ours["producer_id"], ours["producer_epoch"]] == [
        theirs["TransactionState"],
        int(theirs["TransactionTimeoutMs"]),
        int(theirs["ProducerId"]),
        int(theirs["ProducerEpoch"]),
    ]
    assert str(ours["started_ms"]) == theirs["CurrentTransactionStartTimeMs"]
    assert ours["partitions"] == [{"topic": name, "partition": partition} for partition in range(2)]
    [listed] = [
        row for row in told(group_broker, "txn", "list", "--state", "Ongoing") if row["transactional_id"] == name
    ]
    assert listed["producer_id"] == ours["producer_id"]
    [written] = told(group_broker, "txn", "describe", "--topic", name, "--partition", "1")
    assert (written["producer_id"], written["start_offset"]) == (ours["producer_id"], 0)

    line = refused(group_broker, "txn", "abort", "--topic", name, "--partition", "1", "--start-offset", "0")
    assert line.startswith(f"this transaction does not hang, it is that of {name}: ")
    assert told(group_broker, "txn", "abort", name)["aborted"]["state"] == "Ongoing"
    [ended] = told(group_broker, "txn", "describe", "--topic", name, "--partition", "1")
    assert ended["start_offset"] is None
    assert refused(group_broker, "txn", "abort", name).startswith(f"{name} has no open transaction: its state is ")
    with pytest.raises(confluent_kafka.KafkaException) as failed:
        producer.commit_transaction(PATIENCE_S)
    assert failed.value.args[0].fatal()
    assert refused(group_broker, "txn", "abort", f"no-{name}") == f"there is no transactional id no-{name}"


def test_what_hangs_in_a_partition_is_aborted_there(start_broker: StartBroker) -> None:
    broker = start_broker({"transaction.partition.verification.enable": "false"})
    if missing := not_served(broker.host, broker.port, "transaction-tools"):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")
    with Connection(broker.host, broker.port) as connection:
        topic = create_topic(connection)
        at = ("--topic", topic.name, "--partition", "0")
        assert refused(broker, "txn", "abort", *at, "--start-offset", "0") == (
            f"no open transaction starts at offset 0 of {topic.name}:0"
        )
        written = batch([b"v"], attributes=TRANSACTIONAL, producer_id=4711, producer_epoch=3, base_sequence=0)
        answer = produce(connection, topic, written, version=11, transactional_id="nobody's")  # type: ignore[arg-type]
        if answer.error_code == INVALID_TXN_STATE:  # a broker that asks its coordinator anyway: nothing can hang
            return
        assert answer.error_code == NONE
        [hanging] = told(broker, "txn", "describe", *at)
        assert (hanging["producer_id"], hanging["producer_epoch"], hanging["start_offset"]) == (4711, 3, 0)
        assert kbroker(broker, "txn", "abort", *at, "--start-offset", "0").returncode == 0
        ended = fetch(connection, topic, 0, isolation_level=READ_COMMITTED)
        assert [(each.producer_id, each.first_offset) for each in ended.aborted_transactions] == [(4711, 0)]
