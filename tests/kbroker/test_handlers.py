"""Every handler, given any request that its tables can express: it answers, and never by accident."""

from __future__ import annotations

import logging

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from broker_in_memory import batch, produce, running
from kbroker.apis import APIS, Dispatch
from kbroker_wire.schema import ZERO_UUID
from message_tables import at_version, message_strategy

TOPIC = "topic"
NAMES = {"topic", "name", "topic_name", "resource_name", "transactional_id", "key"}
SMALL = {"partition", "partition_index", "index", "acks", "current_leader_epoch", "leader_epoch", "count", "key_type"}
TIMES = {"timeout_ms", "max_wait_ms", "transaction_timeout_ms"}
FLAGS = {"isolation_level", "num_partitions", "replication_factor", "session_epoch", "endpoint_type"}


def leaf(field):
    """Values that reach further than any would: names and partitions that are there."""
    if field.name in NAMES:
        return st.sampled_from([TOPIC, TOPIC, "other", "", "b a d", "1", "cleanup.policy", "interval.ms"])
    if field.name == "resource_type":
        return st.sampled_from([0, 2, 4, 8, 16, 32, 99])
    if field.name == "config_operation":
        return st.integers(-1, 4)
    if field.name in SMALL:
        return st.integers(-2, 2)
    if field.name in TIMES:
        return st.integers(-1, 2000)
    if field.name in FLAGS:
        return st.sampled_from([-2, -1, 0, 1, 2, 4])
    if field.name == "topic_id":
        return st.sampled_from([ZERO_UUID, bytes(range(16))])
    if field.kind == "records":
        return st.sampled_from([None, b"", b"junk", batch(), batch(b"a", b"b"), batch() + batch()])
    return None


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_no_request_makes_a_handler_fail(api, data):
    table = Dispatch()[api.key].request
    asked = []
    for _ in range(3):
        version = data.draw(st.integers(api.first, api.last))
        message = data.draw(message_strategy(table, leaf))
        message = at_version(message, version, version >= table.flexible_from)
        asked.append((version, message))

    async def ask():
        async with running({"message.max.bytes": "1000000"}) as node:
            await node.create(TOPIC, partitions=2)
            await produce(node.connect(), TOPIC, batch(b"there"))
            for version, message in asked:
                client = node.connect()
                await client.send(message, version)
                with trio.move_on_after(10) as patience:
                    await client.is_closed()  # or an answer begins
                assert not patience.cancelled_caught or getattr(message, "acks", None) == 0
                client.close()

    with Failures() as failures:
        trio.run(ask, clock=MockClock(autojump_threshold=0))
    assert not failures.records


class Failures(logging.Handler):
    """What the broker logs as errors meanwhile: handlers that failed, answers that could not be encoded."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append((record.getMessage(), record.exc_info and repr(record.exc_info[1])))

    def __enter__(self):
        logging.getLogger("kbroker").addHandler(self)
        return self

    def __exit__(self, *_):
        logging.getLogger("kbroker").removeHandler(self)
