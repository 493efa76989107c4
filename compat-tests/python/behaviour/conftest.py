"""Connections and topics for the tests of this folder. The broker under test comes from the folder above."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from brokers import Broker, own_broker
from raw_kafka.calls import Topic, create_topic
from raw_kafka.connection import Connection
from raw_kafka.group_calls import find_coordinators


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[[], Connection]]:
    """Opens connections to the broker under test, closed when the test ends."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Connection(broker.host, broker.port))


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    return connect()


@pytest.fixture
def topic(connection: Connection) -> Topic:
    """A fresh topic with one partition and default settings."""
    return create_topic(connection)


@pytest.fixture(scope="session")
def records_broker(target: str, broker: Broker) -> Iterator[Broker]:
    """A broker that checks every record: Apache Kafka always does, kbroker when it is told to."""
    if target != "kbroker":
        yield broker
        return
    with own_broker(target, {"kbroker.validate": "records"}) as strict:
        yield strict


@pytest.fixture
def connect_records(records_broker: Broker) -> Iterator[Callable[[], Connection]]:
    """Opens connections to a broker that checks every record."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Connection(records_broker.host, records_broker.port))


@pytest.fixture(scope="session")
def group_broker(target: str, broker: Broker) -> Iterator[Broker]:
    """A broker whose new groups do not wait for more members, and that has coordinators."""
    with ExitStack() as stack:
        found = broker
        if target == "kbroker":  # Apache Kafka is given the setting wherever it is started
            found = stack.enter_context(own_broker(target, {"group.initial.rebalance.delay.ms": 0}))
        with Connection(found.host, found.port) as connection:
            find_coordinators(connection)
        yield found


@pytest.fixture
def connect_groups(group_broker: Broker) -> Iterator[Callable[[], Connection]]:
    """Opens connections to a broker whose new groups do not wait for more members."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Connection(group_broker.host, group_broker.port))


@pytest.fixture
def groups(connect_groups: Callable[[], Connection]) -> Connection:
    """One such connection."""
    return connect_groups()
