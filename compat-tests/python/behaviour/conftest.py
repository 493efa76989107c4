"""Connections and topics for the tests of this folder. The broker under test comes from the folder above."""

from collections.abc import Callable, Iterator

import pytest
from raw_kafka.calls import Topic, create_topic
from raw_kafka.connection import Connection


@pytest.fixture
def connect(broker) -> Iterator[Callable[[], Connection]]:
    """Opens connections to the broker under test, closed when the test ends."""
    opened: list[Connection] = []

    def open_one() -> Connection:
        opened.append(Connection(broker.host, broker.port))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    return connect()


@pytest.fixture
def topic(connection: Connection) -> Topic:
    """A fresh topic with one partition and default settings."""
    return create_topic(connection)
