"""Who waits for a socket hears of every byte once, whichever way the broker waits."""

import gc
import socket
from functools import partial

import pytest
import trio
from trio.lowlevel import current_task
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import (
    batch,
    fetch,
    fetch_request,
    fetched,
    produce,
    produce_request,
    produced,
    running,
    values,
)
from kbroker.connection import TURN_BYTES
from kbroker.readiness import Readiness
from kbroker_wire import ErrorCode
from kbroker_wire.messages.metadata import MetadataRequest

BOTH_WAYS = pytest.mark.parametrize("native", [True, False], ids=["epoll", "trio"])


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
async def readiness(nursery):
    readiness = Readiness()
    nursery.start_soon(readiness.run)
    yield readiness
    nursery.cancel_scope.cancel()
    readiness.close()


async def test_news_that_come_before_the_wait_are_not_lost(readiness, pair, autojump_clock):
    ours, theirs = pair
    readable = readiness.of(ours)
    theirs.send(b"early")
    await wait_all_tasks_blocked()
    with trio.fail_after(1):
        await readable.wait()
    assert ours.recv(10) == b"early"


async def test_what_is_served_on_the_spot_does_not_end_the_wait(readiness, pair, nursery):
    ours, theirs = pair
    readable, got, ended = readiness.of(ours), [], trio.Event()

    def serve() -> bool:
        got.append(ours.recv(10))
        return got[-1] != b"enough"

    async def wait() -> None:
        await readable.wait(serve)
        ended.set()

    nursery.start_soon(wait)
    for word in (b"one", b"two", b"enough"):
        await wait_all_tasks_blocked()
        assert not ended.is_set()
        theirs.send(word)
    await ended.wait()
    assert got == [b"one", b"two", b"enough"]


async def test_a_busy_task_can_have_others_served_in_between(readiness, pair, nursery):
    ours, theirs = pair
    readable, got = readiness.of(ours), []

    def serve() -> bool:
        got.append(ours.recv(10))
        return True

    nursery.start_soon(readable.wait, serve)
    await wait_all_tasks_blocked()
    assert not readiness.tell_news()
    theirs.send(b"little")
    assert readiness.tell_news()
    assert got == [b"little"]


async def test_who_sends_much_lets_others_in_between(monkeypatch):
    asked = set()

    def tell_news(self, original=Readiness.tell_news):
        asked.add(current_task().name)
        return original(self)

    monkeypatch.setattr(Readiness, "tell_news", tell_news)
    async with running() as node:
        await node.create("topic")
        client = node.dial()
        little, much = asked.copy(), produce_request("topic", batch(b"v" * TURN_BYTES))
        assert produced(await client.ask(much, 12)).error_code == ErrorCode.NONE
        assert [name for name in asked - little if name.endswith("Connections._serve")]


class Turns(trio.abc.Instrument):
    """Writes down each time Trio looks for what the system has to tell."""

    def __init__(self, order):
        self.order = order

    def before_io_wait(self, timeout):
        self.order.append("turn")


@pytest.mark.parametrize(("length_s", "same"), [(60.0, True), (0.0, False)])
async def test_what_comes_meanwhile_is_served_in_the_same_turn_if_that_is_short(
    readiness, pair, monkeypatch, length_s, same
):
    monkeypatch.setattr("kbroker.readiness.TURN_S", length_s)
    first, theirs = pair
    second, peer = socket.socketpair()
    second.setblocking(False)
    order = []

    def serve_first() -> bool:
        order.append(first.recv(10))
        peer.send(b"second")
        return True

    def serve_second() -> bool:
        order.append(second.recv(10))
        return False

    turns = Turns(order)
    with second, peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.of(first).wait, serve_first)
            await wait_all_tasks_blocked()
            trio.lowlevel.add_instrument(turns)
            theirs.send(b"first")
            await readiness.of(second).wait(serve_second)
            trio.lowlevel.remove_instrument(turns)
            nursery.cancel_scope.cancel()
    between = order[order.index(b"first") + 1 : order.index(b"second")]
    assert (not between) is same


async def test_what_is_due_soon_comes_right_behind_what_let_it_go_on(readiness, pair):
    ours, theirs = pair
    readable, order = readiness.of(ours), []

    def serve() -> bool:
        ours.recv(10)
        readiness.soon(partial(order.append, "soon"))
        order.append("served")
        return False

    readiness.soon(partial(order.append, "forgotten: no socket has told anything"))
    theirs.send(b"x")
    await readable.wait(serve)
    assert order == ["served", "soon"]


@BOTH_WAYS
async def test_closing_ends_the_wait(native, pair, nursery):
    readiness = Readiness(native=native)
    nursery.start_soon(readiness.run)
    ours, _ = pair
    readable = readiness.of(ours)

    async def close() -> None:
        await wait_all_tasks_blocked()
        readable.close()

    nursery.start_soon(close)
    with pytest.raises(trio.ClosedResourceError):
        await readable.wait()
    nursery.cancel_scope.cancel()
    readiness.close()


async def test_a_cancelled_wait_leaves_the_news_to_the_next(readiness, pair, autojump_clock):
    ours, theirs = pair
    readable = readiness.of(ours)
    with trio.move_on_after(1):
        await readable.wait()
    theirs.send(b"later")
    with trio.fail_after(1):
        await readable.wait()
    assert ours.recv(10) == b"later"


async def test_a_peer_that_hangs_up_is_seen_behind_what_nobody_reads(readiness, pair, autojump_clock):
    ours, theirs = pair
    readable = readiness.of(ours)
    for _ in range(3):  # news that are not read do not end it, and are not lost
        theirs.send(b"unread")
        with trio.move_on_after(1) as waited:
            await readable.hang_up()
        assert waited.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readable.hang_up)
        await wait_all_tasks_blocked()
        theirs.send(b"last")
        theirs.shutdown(socket.SHUT_WR)
    await readable.hang_up()  # and it stays so
    with trio.fail_after(1):
        await readable.wait()
    assert ours.recv(100) == b"unread" * 3 + b"last"


@BOTH_WAYS
async def test_closing_ends_the_wait_for_the_peer_to_hang_up(native, pair, nursery, autojump_clock):
    readiness = Readiness(native=native)
    nursery.start_soon(readiness.run)
    ours, _ = pair
    readable = readiness.of(ours)
    with trio.move_on_after(5) as waited:
        nursery.start_soon(trio.sleep, 1)
        async with trio.open_nursery() as closing:

            @closing.start_soon
            async def _() -> None:
                await wait_all_tasks_blocked()
                readable.close()

            with pytest.raises(trio.ClosedResourceError):
                await readable.hang_up()
    assert waited.cancelled_caught is not native, "Trio's own way hears of nothing but data"
    nursery.cancel_scope.cancel()
    readiness.close()


async def test_a_descriptor_that_is_used_again_is_a_new_one(readiness):
    for _ in range(50):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            readable = readiness.of(ours)
            theirs.send(b"x")
            await readable.wait()
            readable.close()
    gc.collect()
    assert not readiness._registered


@BOTH_WAYS
async def test_a_broker_serves_the_same_either_way(native, monkeypatch, autojump_clock):
    monkeypatch.setattr("kbroker.broker.Readiness", partial(Readiness, native=native))
    async with running({"kbroker.durability": "relaxed"}) as node:
        await node.create("topic")
        writer, reader = node.connect(), node.connect()
        for number in range(5):  # one at a time: answered on the spot once the handlers are loaded
            assert (await produce(writer, "topic", batch(b"%d" % number))).base_offset == number
            assert values(await fetch(reader, "topic", number)) == [b"%d" % number]
        await reader.send(fetch_request("topic", 5, wait_ms=60_000), 12)  # parked, and woken by the next
        await wait_all_tasks_blocked()
        frames = [writer.frame(produce_request("topic", batch(b"more")), 12) for _ in range(200)]
        await writer.stream.send_all(b"".join(frames))  # more than one turn
        assert [produced(await writer.receive()).base_offset for _ in range(200)] == list(range(5, 205))
        assert (await reader.receive()).responses[0].partitions[0].high_watermark > 5
        for size in (20_000, 900_000):  # answers that are copied, and ones that are not
            where = (await produce(writer, "topic", batch(b"x" * size))).base_offset
            assert values(await fetch(reader, "topic", where)) == [b"x" * size]
        one_byte_at_a_time = writer.frame(MetadataRequest(topics=[]), 12)
        for position in range(len(one_byte_at_a_time)):
            await writer.stream.send_all(one_byte_at_a_time[position : position + 1])
            await wait_all_tasks_blocked()
        assert (await writer.receive()).topics == []


@BOTH_WAYS
async def test_a_peer_that_does_not_read_gets_its_answers_when_it_does(native, monkeypatch, autojump_clock):
    monkeypatch.setattr("kbroker.broker.Readiness", partial(Readiness, native=native))
    async with running({"kbroker.durability": "relaxed"}) as node:
        await node.create("topic")
        client = node.connect(send_buffer=4096)
        await produce(client, "topic", batch(b"y" * 8000))
        for _ in range(100):
            await client.send(fetch_request("topic"), 12)
            await wait_all_tasks_blocked()
        got = [(await client.receive()).responses[0].partitions[0] for _ in range(100)]
        assert all(values(row) == [b"y" * 8000] for row in got)


async def test_a_long_poll_is_answered_before_its_task_has_its_turn():
    """What a producer brings is sent to who waits for it in the same turn, without a task of Trio in between."""
    async with running({"kbroker.durability": "relaxed"}) as node:
        await node.create("topic")
        reader, writer = node.connect(), node.connect()
        for offset in range(2):
            await reader.send(fetch_request("topic", offset, wait_ms=10_000), 12)
            await wait_all_tasks_blocked()
            waiting = node.connections[-2]
            writer.stream.socket._sock.send(writer.frame(produce_request("topic", batch()), 12))
            told = node.broker.readiness._registered[node.connections[-1]._sock.fileno()]
            node.broker.readiness._tell(told)
            assert reader.has_answer()
            assert not waiting.parked
            assert produced(await writer.receive()).base_offset == offset
            assert values(fetched(await reader.receive())) == [b"value"]


@pytest.mark.parametrize("size", [10, 20_000, 500_000])
async def test_a_long_poll_whose_answer_the_socket_does_not_take_at_once_is_answered_whole(size):
    async with running({"kbroker.durability": "relaxed"}) as node:
        await node.create("topic")
        reader, writer = node.connect(send_buffer=1), node.connect()
        await reader.send(fetch_request("topic", wait_ms=10_000), 12)
        await wait_all_tasks_blocked()
        await produce(writer, "topic", batch(bytes(size)))
        assert values(fetched(await reader.receive())) == [bytes(size)]
        assert values(await fetch(reader, "topic")) == [bytes(size)]
