"""A whole broker for tests, in memory or in a folder, and clients that speak to it in frames.

Clients made by `connect` are one half of a socket pair: bytes are there as soon as they were sent, so the autojump
clock never runs ahead of them. `dial` goes through the broker's listening socket.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import trio

from kbroker.broker import Broker, run
from kbroker.config import BrokerConfig
from kbroker.connection import Connection
from kbroker.env import Env, run_inline
from kbroker.receiving import ReceiveBudget
from kbroker.transport import NATIVE, SendCalls
from kbroker_storage import DiskFiles
from kbroker_storage.platform_calls import Calls
from kbroker_wire.headers import RequestHeader, decode_response_header, encode_request_header
from kbroker_wire.messages import message_pair
from kbroker_wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kbroker_wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from kbroker_wire.messages.produce import (
    PartitionProduceResponse,
    ProducePartition,
    ProduceRequest,
    ProduceResponse,
    ProduceTopic,
)
from kbroker_wire.record_building import build_batch
from kbroker_wire.records import Record, batches
from kbroker_wire.schema import Message

T = TypeVar("T")

IN_MEMORY = {"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/data", "kbroker.durability": "synced"}
TOLD = ("told.example", 19092)
NOW_MS = 1_700_000_000_000
FRAME_LIMIT = 100 * 1024 * 1024


def settings(more: Mapping[str, str] | None = None) -> BrokerConfig:
    return BrokerConfig.parse({**IN_MEMORY, **(more or {})})


def disk_env(calls: Calls | None = None, limit: int = 64) -> Env:
    """Files on disk, every blocking call made on the loop: one order of events."""
    return replace(Env.in_memory(), files=DiskFiles(limit, calls), now_ms=lambda: NOW_MS)


class Gate:
    """Blocking work, sync rounds for one, that waits until a test lets it through; open at first."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()
        self.held = 0

    def close(self) -> None:
        self._open = trio.Event()

    def open(self) -> None:
        self._open.set()

    async def run(self, work: Callable[[], T]) -> T:
        self.held += 1
        with trio.move_on_after(60):  # a broker shields this work: a test that fails would never end otherwise
            await self._open.wait()
        self.held -= 1
        return await run_inline(work)


class Client:
    """One connection: requests out, responses back in their order."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._asked: deque[tuple[int, int, int]] = deque()
        self._correlation = 0
        self._received = b""

    async def send(self, request: Message, version: int) -> None:
        await self.stream.send_all(self.frame(request, version))

    def frame(self, request: Message, version: int, *, answered: bool = True) -> bytes:
        """The request's bytes, length first; its answer is expected from now on, if it has one."""
        key = type(request).key
        assert key is not None
        self._correlation += 1
        if answered:
            self._asked.append((key, version, self._correlation))
        header = encode_request_header(RequestHeader(key, version, self._correlation, "test"))
        frame = header + request.encode(version)
        return len(frame).to_bytes(4, "big") + frame

    async def receive(self) -> Message:
        """The answer to the oldest request that has none yet."""
        key, version, correlation = self._asked.popleft()
        frame = await self.receive_frame()
        got, position = decode_response_header(frame, key, version)
        assert got == correlation
        return message_pair(key)[1].decode(frame, version, position)

    async def receive_frame(self) -> bytes:
        size = int.from_bytes(await self._exactly(4), "big")
        return await self._exactly(size)

    async def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            more = await self.stream.receive_some()
            assert more, "the broker closed the connection"
            self._received += more
        data, self._received = self._received[:count], self._received[count:]
        return data

    async def ask(self, request: Message, version: int | None = None) -> Message:
        await self.send(request, type(request).versions[-1] if version is None else version)
        return await self.receive()

    async def is_closed(self) -> bool:
        """Wait until the broker has closed the connection; False if it sends something first."""
        try:
            return not self._received and not await self.stream.receive_some(1)
        except trio.BrokenResourceError:
            return True

    def has_answer(self) -> bool:
        """Whether bytes are there to be received, without waiting for them."""
        try:
            return bool(self.stream.socket._sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.stream.socket.close()


class Node:
    """A running broker."""

    def __init__(self, broker: Broker, nursery: trio.Nursery, stop: trio.Event) -> None:
        self.broker, self._nursery, self._stop = broker, nursery, stop
        self.connections: list[Connection] = []
        self.clients: list[Client] = []

    def connect(
        self,
        *,
        calls: SendCalls = NATIVE,
        limit: int = FRAME_LIMIT,
        listener: str = "PLAINTEXT",
        peer: str = "10.0.0.1",
        send_buffer: int | None = None,
    ) -> Client:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        if send_buffer is not None:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        connection = Connection(
            theirs,
            self.broker,
            listener=listener,
            told=TOLD,
            peer=peer,
            budget=ReceiveBudget(-1),
            max_frame_bytes=limit,
            calls=calls,
        )
        self.connections.append(connection)
        self._nursery.start_soon(connection.serve)
        return self._client(ours)

    def _client(self, sock: socket.socket) -> Client:
        client = Client(sock)
        self.clients.append(client)
        return client

    def dial(self) -> Client:
        host, _, port = self.broker.addresses[0].rpartition(":")
        return self._client(socket.create_connection((host, int(port))))  # the kernel accepts: it does not block

    def stop(self) -> None:
        self._stop.set()

    async def create(self, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> bytes:
        """A new topic's id."""
        client = self.connect()
        response = await client.ask(topic_request(name, partitions, configs=configs))
        assert response.topics[0].error_code == 0, response
        client.close()
        return response.topics[0].topic_id


@asynccontextmanager
async def running(more: Mapping[str, str] | None = None, env: Env | None = None) -> AsyncIterator[Node]:
    """A broker that is stopped in the end, cleanly unless the test failed."""
    stop = trio.Event()
    if env is None:
        env = replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    async with trio.open_nursery() as clients, trio.open_nursery() as nursery:
        broker = await nursery.start(run, settings(more), env, stop)
        node = Node(broker, clients, stop)
        try:
            yield node
        finally:
            for client in node.clients:
                client.close()
        stop.set()


# -- requests that many tests make


def topic_request(
    name: str, partitions: int = 1, factor: int = 1, configs: Mapping[str, str] | None = None
) -> CreateTopicsRequest:
    topic = CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=factor,
        assignments=[],
        configs=[CreatableTopicConfig(name=key, value=value) for key, value in (configs or {}).items()],
    )
    return CreateTopicsRequest(topics=[topic], timeout_ms=10_000)


def batch(*values: bytes, timestamp: int = NOW_MS, key: bytes | None = None, **options: int) -> bytes:
    return build_batch([Record(i, timestamp, key, value) for i, value in enumerate(values or (b"value",))], **options)


def produce_request(
    topic: str, records: bytes | Sequence[bytes], *, acks: int = -1, timeout_ms: int = 30_000, partition: int = 0
) -> ProduceRequest:
    """`records`: of partition `partition`, or of several partitions from it on."""
    several = [records] if isinstance(records, bytes) else records
    data = [ProducePartition(index=partition + i, records=each) for i, each in enumerate(several)]
    return ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=[ProduceTopic(name=topic, partition_data=data)])


PRODUCE_VERSION = 12  # the newest that names topics by name


async def produce(
    client: Client, topic: str, records: bytes, *, acks: int = -1, version: int = PRODUCE_VERSION, partition: int = 0
) -> PartitionProduceResponse:
    request = produce_request(topic, records, acks=acks, partition=partition)
    return produced(await client.ask(request, version))


def produced(response: Message) -> PartitionProduceResponse:
    """The only row of a response."""
    assert isinstance(response, ProduceResponse)
    [topic] = response.responses
    [row] = topic.partition_responses
    return row


def fetch_request(
    topic: str, offset: int = 0, *, wait_ms: int = 0, min_bytes: int = 1, max_bytes: int = 1 << 20, **more: int
) -> FetchRequest:
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
    for name in [name for name in more if name in {"partition", "current_leader_epoch", "last_fetched_epoch"}]:
        setattr(partition, name, more.pop(name))
    return FetchRequest(
        max_wait_ms=wait_ms,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        topics=[FetchTopic(topic=topic, partitions=[partition])],
        **more,
    )


FETCH_VERSION = 12  # the newest that names topics by name


async def fetch(client: Client, topic: str, offset: int = 0, **more: int) -> PartitionData:
    return fetched(await client.ask(fetch_request(topic, offset, **more), FETCH_VERSION))


def fetched(response: Message) -> PartitionData:
    """The only row of a response."""
    assert isinstance(response, FetchResponse)
    [topic] = response.responses
    [row] = topic.partitions
    return row


def values(row: PartitionData) -> list[bytes | None]:
    """The values of all whole batches that came."""
    return [record.value for each in batches(memoryview(bytes(row.records))) for record in each.records()]
