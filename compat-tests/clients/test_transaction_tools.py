"""Kafka's TransactionsCommand: what it lists and describes of open and ended transactions, finds hanging, aborts."""

import time
import uuid
from functools import partial

import apache_kafka
import confluent_kafka
import pytest
from brokers import PATIENCE_S, Broker
from confluent_kafka.admin import AdminClient, NewTopic
from console_tools import TRANSACTIONS, refused, run, table
from fixture_types import StartBroker
from raw_kafka.batches import TRANSACTIONAL, batch
from raw_kafka.calls import NONE, create_topic, fetch, produce
from raw_kafka.connection import Connection
from step_programs import not_served

pytestmark = pytest.mark.skipif(apache_kafka.missing() is not None, reason=str(apache_kafka.missing()))
INVALID_TXN_STATE = 48
READ_COMMITTED = 1
RECORDS = 5  # in each of two partitions
OLD = ("--max-transaction-timeout", "0")  # minutes: any transaction is old enough to be looked at


def skip_unless_served(broker: Broker) -> None:
    if missing := not_served(broker.host, broker.port, "transaction-tools"):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")


def test_a_transaction_is_seen_open_and_ended(group_broker: Broker) -> None:
    skip_unless_served(group_broker)
    at = ("--bootstrap-server", group_broker.bootstrap)
    tool = partial(run, TRANSACTIONS, *at)
    name = f"tools-{uuid.uuid4().hex[:10]}"
    producer = _open_transaction(group_broker, name)

    (listed,) = (row for row in table(tool("list")) if row["TransactionalId"] == name)
    assert listed["TransactionState"] == "Ongoing"
    assert name not in {row["TransactionalId"] for row in table(tool("list", "--duration-filter", "3600000"))}
    (described,) = table(tool("describe", "--transactional-id", name))
    assert described["ProducerId"] == listed["ProducerId"]
    assert described["CoordinatorId"] == listed["Coordinator"]
    assert (described["TransactionState"], described["TransactionTimeoutMs"]) == ("Ongoing", "60000")
    assert abs(int(described["CurrentTransactionStartTimeMs"]) / 1000 - time.time()) < 60
    assert sorted(described["TopicPartitions"].split(",")) == [f"{name}-0", f"{name}-1"]

    describe_producers = ("describe-producers", "--topic", name, "--partition", "1")
    (writing,) = table(tool(*describe_producers))
    assert (writing["ProducerId"], writing["LastSequence"]) == (listed["ProducerId"], str(RECORDS - 1))
    assert writing["CurrentTransactionStartOffset"] == "0"
    # open, but known to its coordinator: it does not hang
    assert table(tool("find-hanging", "--topic", name, *OLD)) == []

    producer.commit_transaction(PATIENCE_S)
    (described,) = table(tool("describe", "--transactional-id", name))
    assert (described["TransactionState"], described["TopicPartitions"]) == ("CompleteCommit", "")
    (written,) = table(tool(*describe_producers))
    assert written["CurrentTransactionStartOffset"] == "None"
    assert int(written["LatestCoordinatorEpoch"]) >= 0
    no_such = refused(TRANSACTIONS, *at, "describe", "--transactional-id", f"no-{name}")
    assert f"transactionalId `no-{name}` failed because the ID could not be found" in no_such
    none_open = refused(TRANSACTIONS, *at, "abort", "--topic", name, "--partition", "1", "--start-offset", "0")
    assert f"Could not find any open transactions starting at offset 0 on partition {name}-1" in none_open


def _open_transaction(broker: Broker, name: str) -> confluent_kafka.Producer:
    """RECORDS records in each of two partitions of a new topic, the transactional id its name."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for created in admin.create_topics([NewTopic(name, 2)]).values():
        created.result(PATIENCE_S)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": name})
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    for partition in range(2):
        for _ in range(RECORDS):
            producer.produce(name, b"v", partition=partition)
    assert producer.flush(PATIENCE_S) == 0
    return producer


def test_abort_ends_a_transaction_on_one_partition(group_broker: Broker) -> None:
    skip_unless_served(group_broker)
    name = f"tools-{uuid.uuid4().hex[:10]}"
    tool = partial(run, TRANSACTIONS, "--bootstrap-server", group_broker.bootstrap)
    producer = _open_transaction(group_broker, name)
    tool("abort", "--topic", name, "--partition", "0", "--start-offset", "0")
    starts = {}
    for partition in ("0", "1"):
        (row,) = table(tool("describe-producers", "--topic", name, "--partition", partition))
        starts[partition] = row["CurrentTransactionStartOffset"]
    assert starts == {"0": "None", "1": "0"}
    (described,) = table(tool("describe", "--transactional-id", name))
    assert described["TransactionState"] == "Ongoing"  # the coordinator was not asked
    producer.abort_transaction(PATIENCE_S)


def test_a_transaction_its_coordinator_does_not_know_is_refused_or_found_hanging_and_aborted(
    start_broker: StartBroker,
) -> None:
    broker = start_broker({"transaction.partition.verification.enable": "false"})
    skip_unless_served(broker)
    tool = partial(run, TRANSACTIONS, "--bootstrap-server", broker.bootstrap)
    with Connection(broker.host, broker.port) as connection:
        topic = create_topic(connection)
        # its timestamp is of 2023, so that it hangs for long
        written = batch([b"v"], attributes=TRANSACTIONAL, producer_id=4711, producer_epoch=3, base_sequence=0)
        answer = produce(connection, topic, written, version=11, transactional_id="nobody's")  # type: ignore[arg-type]
        if answer.error_code == INVALID_TXN_STATE:  # a broker that asks its coordinator anyway: nothing can hang
            assert table(tool("find-hanging", "--topic", topic.name, *OLD)) == []
            return
        assert answer.error_code == NONE
        assert not fetch(connection, topic, 0, isolation_level=READ_COMMITTED).records
        (hanging,) = table(tool("find-hanging", "--topic", topic.name, *OLD))
        assert (hanging["Topic"], hanging["Partition"], hanging["StartOffset"]) == (topic.name, "0", "0")
        assert (hanging["ProducerId"], hanging["ProducerEpoch"]) == ("4711", "3")
        tool("abort", "--topic", topic.name, "--partition", "0", "--start-offset", "0")
        ended = fetch(connection, topic, 0, isolation_level=READ_COMMITTED)
        assert [(each.producer_id, each.first_offset) for each in ended.aborted_transactions] == [(4711, 0)]
    assert table(tool("find-hanging", "--topic", topic.name, *OLD)) == []
