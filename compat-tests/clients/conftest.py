"""Fixtures for the clients and tools of other languages: where their programs are built, a broker quick with groups."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from apache_kafka import KafkaUnavailable
from brokers import QUICK_GROUPS, Broker, own_broker


@pytest.fixture(scope="session")
def programs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where client programs are built, each once in a session."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="session")
def group_broker(target: str, request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker with QUICK_GROUPS, shared by the session; a broker that somebody else started is taken as it is."""
    if target not in ("kbroker", "apache"):
        yield request.getfixturevalue("broker")
        return
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(own_broker(target, QUICK_GROUPS))
        except KafkaUnavailable as reason:
            pytest.skip(str(reason))
        yield broker
