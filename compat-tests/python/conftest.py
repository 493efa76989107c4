"""Fixtures for the tests by Python clients: an admin client, and topics made by it."""

import gc
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from brokers import PATIENCE_S, Broker
from fixture_types import CreateTopic, Settles

if TYPE_CHECKING:  # pytest's warning filters do not cover what a conftest imports, and this import warns
    import kafka


@pytest.fixture(scope="session")
def admin(broker: Broker) -> "Iterator[kafka.KafkaAdminClient]":
    """kafka-python's admin client, one for the session."""
    import kafka  # noqa: PLC0415 - see above

    client = kafka.KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    yield client
    client.close()


@pytest.fixture
def create_topic(admin: "kafka.KafkaAdminClient", topic_name: str) -> CreateTopic:
    """create_topic(partitions, retention_ms=1) makes a topic of a unique name and returns it; _ stands for the dot."""

    def create(partitions: int = 1, **configs: object) -> str:
        settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
        name = f"{topic_name}-{partitions}-{time.monotonic_ns()}"
        admin.create_topics({name: {"num_partitions": partitions, "configs": settings}}, wait_for_metadata=True)
        return name

    return create


@pytest.fixture
def settles(broker: Broker) -> Settles:
    """settles(condition): kbroker must fulfil it at once; a broker whose metadata follows an answer gets a while."""

    def check(holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + (0 if broker.kind == "kbroker" else PATIENCE_S)
        while not (held := holds()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return held

    return check


@pytest.fixture
def forgotten_sockets_are_collected() -> Iterator[None]:
    """kafka-python forgets the sockets of refused connections; they must not be found in a test that forbids that.

    It also logs each refusal with a traceback, through which pytest would hold on to those sockets.
    """
    logger = logging.getLogger("kafka")
    logger.propagate = False
    yield
    logger.propagate = True
    gc.collect()
