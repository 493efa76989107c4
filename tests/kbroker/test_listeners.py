"""Accepting connections: what clients are told, how many there may be, and which are closed for being idle."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import batch, fetch_request, produce, produce_request, running
from kbroker.config import ConfigError
from kbroker.listeners import BACK_OFF_S, SEND_BUFFER_BYTES, told_address
from kbroker.settings.listeners import parse_overrides
from kbroker_wire import ErrorCode
from kbroker_wire.messages.api_versions import ApiVersionsRequest
from kbroker_wire.messages.describe_cluster import DescribeClusterRequest
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.metadata import MetadataRequest

VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")


def connected_to(address):
    return SimpleNamespace(getsockname=lambda: address)


@pytest.mark.parametrize(
    ("advertised", "bound", "local", "told"),
    [
        (("kafka.example", 1), "0.0.0.0", ("10.0.0.5", 9092), ("kafka.example", 1)),
        (None, "broker.example", ("10.0.0.5", 9092), ("broker.example", 9092)),
        (None, "10.0.0.5", ("10.0.0.5", 9092), ("10.0.0.5", 9092)),
        (None, "0.0.0.0", ("10.0.0.5", 9092), ("10.0.0.5", 9092)),
        (None, "", ("10.0.0.5", 9092), ("10.0.0.5", 9092)),
        (None, "::", ("fe80::1", 9092, 0, 0), ("fe80::1", 9092)),
        (None, "127.0.0.1", ("127.0.0.1", 9092), ("127.0.0.1", 9092)),
        (None, "localhost", ("::1", 9092, 0, 0), ("::1", 9092)),
    ],
)
def test_clients_are_told_an_address_that_works_for_them(advertised, bound, local, told):
    assert told_address(advertised, bound, connected_to(local)) == told


async def test_every_answer_that_names_this_broker_tells_the_same_address():
    async with running({"advertised.listeners": "PLAINTEXT://kafka.example:4711"}) as node:
        client = node.dial()
        [metadata] = (await client.ask(MetadataRequest(topics=[]))).brokers
        [cluster] = (await client.ask(DescribeClusterRequest(include_cluster_authorized_operations=False))).brokers
        [found] = (await client.ask(FindCoordinatorRequest(key_type=0, coordinator_keys=["group"]))).coordinators
        assert {(each.host, each.port) for each in (metadata, cluster, found)} == {("kafka.example", 4711)}


async def test_a_loopback_listener_tells_its_own_port():
    async with running() as node:
        [broker] = (await node.dial().ask(MetadataRequest(topics=[]))).brokers
        assert f"{broker.host}:{broker.port}" == node.broker.addresses[0]


# -- how many


async def test_an_address_has_no_more_connections_than_it_may_have():
    async with running({"max.connections.per.ip": "3"}) as node:
        clients = [node.dial() for _ in range(8)]
        served, refused = [], 0
        for client in clients:
            try:
                await client.ask(VERSIONS, 3)
                served.append(client)
            except (AssertionError, trio.BrokenResourceError):
                refused += 1
        assert (len(served), refused) == (3, 5)
        served[0].close()
        while len(node.broker.connections) == 3:
            await trio.lowlevel.checkpoint()
        assert (await node.dial().ask(VERSIONS, 3)).error_code == ErrorCode.NONE
        assert len(node.broker.connections) == 3


async def test_an_override_goes_before_the_limit_of_all_addresses():
    more = {"max.connections.per.ip": "0", "max.connections.per.ip.overrides": "127.0.0.1:2"}
    async with running(more) as node:
        clients = [node.dial() for _ in range(3)]
        assert [(await client.ask(VERSIONS, 3)).error_code for client in clients[:2]] == [0, 0]
        assert await clients[2].is_closed()


async def test_beyond_max_connections_clients_wait_in_the_backlog_until_there_is_room():
    async with running({"max.connections": "2"}) as node:
        first, second, third = (node.dial() for _ in range(3))
        for client in (first, second):
            await client.ask(VERSIONS, 3)
        await third.send(VERSIONS, 3)
        assert len(node.broker.connections) == 2
        assert not third.has_answer()
        first.close()
        assert (await third.receive()).error_code == ErrorCode.NONE
        assert len(node.broker.connections) == 2


def test_overrides_are_read_as_kafka_writes_them():
    assert parse_overrides("") == {}
    assert parse_overrides("10.0.0.1:7, ::1:3") == {"10.0.0.1": 7, "::1": 3}


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.1:many", ":5", "10.0.0.1:-2"])
async def test_overrides_that_make_no_sense_are_a_clear_error(text):
    with pytest.raises((ConfigError, BaseExceptionGroup)) as caught:
        async with running({"max.connections.per.ip.overrides": text}):
            pass
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert isinstance(error, ConfigError)
    assert "max.connections.per.ip.overrides" in str(error)


async def test_out_of_descriptors_accepting_pauses_and_goes_on(monkeypatch):
    async with running() as node:
        first = node.dial()
        await first.ask(VERSIONS, 3)
        failures = 0
        accept = socket.socket.accept

        def no_descriptor(self):
            nonlocal failures
            failures += 1
            raise OSError(errno.EMFILE, "too many open files")

        monkeypatch.setattr(socket.socket, "accept", no_descriptor)
        second = node.dial()
        await second.send(VERSIONS, 3)
        began = trio.current_time()
        while failures < 2:
            assert (await first.ask(VERSIONS, 3)).error_code == ErrorCode.NONE
        assert trio.current_time() - began >= BACK_OFF_S, "no busy loop"
        monkeypatch.setattr(socket.socket, "accept", accept)
        assert (await second.receive()).error_code == ErrorCode.NONE


async def test_a_crowd_is_accepted_within_few_turns():
    """On a busy broker a turn is long, and a request in a connection that is not accepted is not read."""
    async with running() as node:
        crowd = [node.dial() for _ in range(20)]
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert len(node.broker.connections) == len(crowd)


# -- idle


async def serve_through_connections(node, **options):
    """A client over memory whose connection is one of those the broker watches."""
    client = node.connect(**options)
    await wait_all_tasks_blocked()
    node.broker.connections._open[node.connections[-1]] = None
    return client


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(autojump_clock):
    async with running({"connections.max.idle.ms": "10000"}) as node:
        idle, busy = await serve_through_connections(node), await serve_through_connections(node)
        await idle.ask(VERSIONS, 3)
        for _ in range(5):
            await busy.ask(VERSIONS, 3)
            await trio.sleep(4)
        assert await idle.is_closed()
        assert (await busy.ask(VERSIONS, 3)).error_code == ErrorCode.NONE


async def test_a_connection_that_waits_for_an_answer_is_not_idle(autojump_clock):
    async with running({"connections.max.idle.ms": "10000"}) as node:
        await node.create("topic")
        client = await serve_through_connections(node)
        await client.send(fetch_request("topic", wait_ms=60_000), 12)
        await trio.sleep(30)
        assert (await produce(node.connect(), "topic", batch())).error_code == ErrorCode.NONE
        assert (await client.receive()).responses[0].partitions[0].high_watermark == 1


@pytest.mark.parametrize("size", [9_000, 900_000])  # in memory: of small pieces, and of one large one
async def test_who_reads_one_large_answer_slowly_is_not_idle(size, autojump_clock):
    async with running({"connections.max.idle.ms": "10000"}) as node:
        await node.create("topic")
        client = await serve_through_connections(node, send_buffer=4096)
        for _ in range(900_000 // size):
            await client.ask(produce_request("topic", batch(b"x" * size)), 12)
        await client.send(fetch_request("topic", max_bytes=10_000_000), 12)
        began, left = trio.current_time(), int.from_bytes(await client._exactly(4), "big")
        while left > 0:
            await trio.sleep(1)
            left -= len(await client._exactly(min(left, 25_000)))
        client._asked.popleft()
        assert trio.current_time() - began > 20
        assert (await client.ask(VERSIONS, 3)).error_code == ErrorCode.NONE


async def test_who_reads_nothing_of_a_large_answer_is_idle(autojump_clock):
    async with running({"connections.max.idle.ms": "10000"}) as node:
        await node.create("topic")
        client = await serve_through_connections(node, send_buffer=4096)
        await client.ask(produce_request("topic", batch(b"x" * 900_000)), 12)
        await client.send(fetch_request("topic"), 12)
        await trio.sleep(30)
        assert node.connections[-1]._sock.fileno() == -1


@pytest.mark.parametrize("setting", [30_000, 102_401, 102_400, -1])
async def test_send_buffers_are_as_large_as_set_and_larger_than_kafkas_by_default(setting):
    async with running({"socket.send.buffer.bytes": str(setting)}) as node:
        await node.dial().ask(VERSIONS)
        [connection] = node.broker.connections._open
        size = connection._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        if setting == -1:
            assert size not in {SEND_BUFFER_BYTES, 2 * SEND_BUFFER_BYTES}
        elif setting == 102_400:
            assert 204_800 < size <= 2 * SEND_BUFFER_BYTES, "as far as the system allows"
        else:
            assert size in {setting, 2 * setting}, "Linux tells twice what was set"
