"""What a Produce is refused with before it reaches a log."""

from __future__ import annotations

import pytest

from broker_in_memory import batch, produce, running
from kbroker_wire import ErrorCode
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest


@pytest.mark.parametrize("topic", ["__consumer_offsets", "__transaction_state"])
async def test_only_coordinators_write_to_their_topics(topic):
    """What anybody else wrote there would be taken for state, or keep it from being loaded ever again."""
    async with running({"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1"}) as node:
        client = node.connect()
        await client.ask(FindCoordinatorRequest(coordinator_keys=["g"]))
        await client.ask(InitProducerIdRequest(transactional_id="t", transaction_timeout_ms=1000))
        end = node.broker.replicas.find(topic, 0).log.end
        for _ in range(3):  # the second is recognised as one like the first
            row = await produce(client, topic, batch(b"not a record of ours", key=b"\0\1"))
            assert (row.error_code, row.base_offset) == (ErrorCode.INVALID_TOPIC_EXCEPTION, -1)
        row = await produce(client, topic, batch(b"transactional", key=b"k", producer_id=0, producer_epoch=0), acks=1)
        assert row.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert node.broker.replicas.find(topic, 0).log.end == end
