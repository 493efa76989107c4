"""Connections and topics for the tests of this folder. The broker under test comes from the folder above."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from brokers import Broker, own_broker
from raw_kafka.calls import Topic, create_topic
from raw_kafka.connection import Connection


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
