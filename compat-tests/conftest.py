"""Options and fixtures of every compatibility test: the broker under test, the number of records, names of topics."""

import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from apache_kafka import KafkaUnavailable
from brokers import Broker, OwnBroker, any_broker, own_broker
from fixture_types import StartBroker

# Warnings are errors, except these, which only the clients' own code can cure: message and category of each.
CLIENTS_WARNINGS = ("(read|open)_text is deprecated:DeprecationWarning",)  # kafka-python, importlib.resources

SMALL, FULL = 1_000, 10_000  # records in a round trip


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kbroker-compat")
    group.addoption("--broker", default="kbroker", help="kbroker (default), apache, or HOST:PORT of a running broker")
    group.addoption("--full", action="store_true", help=f"round trips of {FULL:,} records instead of {SMALL:,}")


def pytest_configure(config: pytest.Config) -> None:
    for theirs in CLIENTS_WARNINGS:
        config.addinivalue_line("filterwarnings", f"ignore:{theirs}")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> str:
    """The word after --broker."""
    return str(request.config.getoption("--broker"))


@pytest.fixture(scope="session")
def broker(target: str) -> Iterator[Broker]:
    """The broker under test, one for the whole session: tests share it and keep to topics of their own."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(any_broker(target))
        except KafkaUnavailable as reason:
            pytest.skip(str(reason))
        yield found


@pytest.fixture
def start_broker(target: str) -> Iterator[StartBroker]:
    """start_broker({"key": "value"}) gives a broker for this test alone, to be stopped, killed and started at will.

    The test is skipped if the target is a broker that somebody else started.
    """
    with ExitStack() as stack:

        def start(settings: dict[str, object] | None = None, port: int = 0) -> OwnBroker:
            if target not in ("kbroker", "apache"):
                pytest.skip(f"needs a broker of its own; {target} belongs to somebody else")
            try:
                return stack.enter_context(own_broker(target, settings, port))
            except KafkaUnavailable as reason:
                pytest.skip(str(reason))

        yield start


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> str:
    """A topic name no other test and no earlier run uses; the topic does not exist."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")
    return f"{words[:100]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def count(request: pytest.FixtureRequest) -> int:
    """How many records a round trip sends."""
    return FULL if request.config.getoption("--full") else SMALL
