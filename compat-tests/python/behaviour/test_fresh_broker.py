"""The very first questions to a broker that has just said it is ready."""

import pytest
from brokers import own_broker
from raw_kafka.calls import NONE
from raw_kafka.connection import Connection

LOAD_IN_PROGRESS, NOT_AVAILABLE = 14, 15


@pytest.fixture(scope="module")
def fresh(target):
    if target not in ("kbroker", "apache"):
        pytest.skip(f"needs a broker of its own; {target} belongs to somebody else")
    with own_broker(target) as started, Connection(started.host, started.port) as connection:
        yield connection


def test_it_has_no_topics(fresh):
    assert fresh.call("Metadata", 12, topics=None).topics == []


def test_it_gives_producer_ids_at_once(fresh, target):
    """Apache Kafka has yet to fetch its first block of them."""
    answer = fresh.call("InitProducerId", 4, transactional_id=None)
    assert answer.error_code == (LOAD_IN_PROGRESS if target == "apache" else NONE)


@pytest.mark.parametrize("key_type", [0, 1], ids=["of a group", "of a transaction"])
def test_it_names_the_coordinator_at_once(key_type, fresh, target):
    """Apache Kafka has yet to create the topic of its coordinators."""
    answer = fresh.call("FindCoordinator", 6, key_type=key_type, coordinator_keys=["somebody"])
    (found,) = answer.coordinators
    if target == "apache":
        assert (found.error_code, found.node_id) == (NOT_AVAILABLE, -1)
    else:
        assert (found.error_code, found.node_id >= 0) == (NONE, True)
