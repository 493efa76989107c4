"""What is not a Kafka broker, or none that answers, is told in one line."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from asking import Asker
from kbroker.commands.connection import Address, Connection
from kbroker.commands.failures import Unreachable
from kbroker_wire import ErrorCode
from kbroker_wire.messages.api_versions import ApiVersionsResponse

TLS_ALERT = bytes.fromhex("15 03 01 00 02 02 46")
TWO = (2).to_bytes(4)  # a correlation id that was not asked


@asynccontextmanager
async def answering(answer):
    """The address of a listener that says `answer` to whatever comes first; None says nothing and stays."""

    async def serve(stream):
        async with stream:
            await stream.receive_some()
            if answer is None:
                await trio.sleep_forever()
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def framed(data):
    return len(data).to_bytes(4) + data


REFUSED = ApiVersionsResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED, api_keys=[]).encode(5)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection instead of answering ApiVersions; if its listener wants TLS or SASL: only plain"),
        (TLS_ALERT, "closed the connection instead of answering ApiVersions; if its listener wants TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak Kafka's protocol: a frame of 1213486160 bytes"),
        (framed(b"\0\0"), "does not speak Kafka's protocol: response header"),
        (framed(b"\0\0\0\1\0\0"), "does not speak Kafka's protocol: ApiVersionsResponse v5"),
        (framed(TWO + bytes(20)), "answered request 2, not 1"),
        (framed(b"\0\0\0\1" + REFUSED), "Cluster authorization failed. (CLUSTER_AUTHORIZATION_FAILED)"),
    ],
)
async def test_what_is_no_broker_is_told_in_one_line(answer, words, capsys):
    async with answering(answer) as address:
        line = await Asker(address, capsys).refused("group", "list")
    assert address in line
    assert words in line


async def test_silence_is_waited_for_no_longer_than_was_said():
    async with answering(None) as address:
        host, _, port = address.rpartition(":")
        with pytest.raises(Unreachable, match=f"^{address} did not answer ApiVersions: no answer in time$"):
            await trio.to_thread.run_sync(partial(Connection, Address(host, int(port)), 0.05, address))


async def test_names_that_lead_nowhere(capsys):
    line = await Asker("x" * 70 + ".example:1", capsys).refused("group", "list")
    assert line.startswith("can not connect to xxx")
    assert "no host can have this name" in line


def test_addresses_of_ipv6_are_written_in_brackets():
    assert str(Address("::1", 9092)) == "[::1]:9092"
    assert str(Address("localhost", 9092)) == "localhost:9092"
