"""The memory that all connections together may hold of requests that have not arrived whole."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import running
from kbroker.errors import CloseConnection
from kbroker.receiving import OWN_LIMIT_BYTES, PATIENCE_S, ReceiveBudget
from kbroker_wire import ErrorCode
from kbroker_wire.messages.api_versions import ApiVersionsRequest

VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")


async def test_who_finds_no_room_waits_until_others_give_theirs_back(autojump_clock):
    budget = ReceiveBudget(100)
    await budget.room()
    budget.count(100)
    done = []

    async def wait():
        await budget.room()
        done.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await trio.sleep(5)
        assert not done
        budget.count(-1)
    assert len(done) == 3


async def test_who_waits_too_long_is_closed(autojump_clock):
    budget = ReceiveBudget(100)
    budget.count(100)
    began = trio.current_time()
    with pytest.raises(CloseConnection, match="100 bytes are waiting"):
        await budget.room()
    assert trio.current_time() == pytest.approx(began + PATIENCE_S)


def test_without_a_limit_there_is_one_of_our_own():
    assert ReceiveBudget(-1).limit_bytes == OWN_LIMIT_BYTES


async def test_a_broker_out_of_room_goes_on_serving_small_requests_and_is_free_in_the_end(autojump_clock):
    async with running({"queued.max.request.bytes": "600000"}) as node:
        large = [node.dial() for _ in range(6)]
        small = node.dial()
        for client in large:
            with trio.move_on_after(1):  # what the broker does not take stays in the kernel's buffers
                await client.stream.send_all((10_000_000).to_bytes(4, "big") + bytes(400_000))
        await wait_all_tasks_blocked()
        assert (await small.ask(VERSIONS, 3)).error_code == ErrorCode.NONE
        for client in large:
            client.close()
        small.close()
        await trio.sleep(PATIENCE_S + 1)
        assert len(node.broker.connections) == 0
        assert node.broker.connections._budget.held_bytes == 0
