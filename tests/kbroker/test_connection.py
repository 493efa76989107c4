"""One connection: order, parking, limits, failing handlers, and what hostile bytes do."""

from __future__ import annotations

import logging
import select
import struct
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import (
    Gate,
    batch,
    disk_env,
    fetch,
    fetch_request,
    fetched,
    produce,
    produce_request,
    produced,
    running,
    topic_request,
    values,
)
from kbroker.batches import KAFKA_BATCHES
from kbroker.connection import MOST_ELEMENTS, READ_AHEAD_BYTES
from kbroker.env import Env
from kbroker.transport import PORTABLE
from kbroker_storage.platform_calls import portable
from kbroker_wire import ErrorCode
from kbroker_wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kbroker_wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kbroker_wire.messages.metadata import MetadataRequest, MetadataResponse
from kbroker_wire.messages.produce import ProducePartition, ProduceRequest, ProduceTopic

VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
async def node(gate):
    async with running(env=replace(Env.in_memory(), run_blocking=gate.run)) as node:
        await node.create("topic")
        yield node
        gate.open()


def partition_of(node, name="topic", index=0):
    return node.broker.replicas.find(name, index)


# -- frames and order


async def test_a_request_may_come_one_byte_at_a_time(node):
    client = node.connect()
    for byte in client.frame(VERSIONS, 3):
        await client.stream.send_all(bytes([byte]))
        await wait_all_tasks_blocked()
    assert (await client.receive()).error_code == ErrorCode.NONE


async def test_many_requests_in_one_send_are_answered_in_order(node):
    client = node.connect()
    sent = b"".join(client.frame(VERSIONS if i % 3 else MetadataRequest(topics=[]), 3) for i in range(200))
    await client.stream.send_all(sent)
    for i in range(200):
        answer = await client.receive()  # checks the correlation id
        assert isinstance(answer, ApiVersionsResponse if i % 3 else MetadataResponse)


async def test_a_frame_of_exactly_the_limit_is_served_and_one_byte_more_closes_at_once(node):
    frame = node.connect().frame(VERSIONS, 3)
    size = len(frame) - 4
    exact, short = node.connect(limit=size), node.connect(limit=size - 1)
    assert (await exact.ask(VERSIONS, 3)).error_code == ErrorCode.NONE
    await short.stream.send_all(frame[:4])  # the size alone: the body is not waited for
    assert await short.is_closed()


@pytest.mark.parametrize("size", [-(2**31), -1, 0, 1, 7])
async def test_an_impossible_size_closes_the_connection_without_a_traceback(node, size, caplog):
    client = node.connect()
    await client.stream.send_all(struct.pack(">i", size) + bytes(max(0, size)))
    assert await client.is_closed()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "frame",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        bytes.fromhex("160301020001 0001fc0303") + bytes(80),  # a TLS hello
        struct.pack(">ihhih", 10, 999, 0, 1, -1),  # no such API
        struct.pack(">ihhih", 10, 3, 99, 1, -1),  # no such version of Metadata
        struct.pack(">ihhih", 10, 0, 2, 1, -1),  # Produce v2: advertised, and not served
        struct.pack(">ihhih", 10, 3, -1, 1, -1),
        struct.pack(">ihhih", 10, 3, 1, 1, 500),  # a client id longer than the frame
        struct.pack(">ihhihi", 14, 3, 1, 1, -1, 2**31 - 1),  # an array that can not be there
    ],
)
async def test_what_is_no_request_closes_the_connection_without_an_answer(node, frame, caplog):
    client, other = node.connect(), node.connect()
    await client.stream.send_all(frame)
    assert await client.is_closed()
    assert (await other.ask(VERSIONS, 3)).error_code == ErrorCode.NONE
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def partitions(count):
    """A Produce frame of that many partitions without records."""
    data = [ProducePartition(index=0, records=None)] * count
    return ProduceRequest(acks=1, timeout_ms=1000, topic_data=[ProduceTopic(name="t", partition_data=data)])


async def test_a_request_of_too_many_elements_closes_the_connection(node, caplog):
    client, other = node.connect(), node.connect()
    assert (await client.ask(partitions(2000), 9)).responses
    await client.stream.send_all(client.frame(partitions(MOST_ELEMENTS + 1000), 9))
    assert await client.is_closed()
    assert (await other.ask(VERSIONS, 3)).error_code == ErrorCode.NONE
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_bytes_behind_a_request_body_are_ignored(node):
    client = node.connect()
    frame = client.frame(VERSIONS, 3)[4:] + b"more"
    await client.stream.send_all(len(frame).to_bytes(4, "big") + frame)
    assert (await client.receive()).error_code == ErrorCode.NONE


async def test_a_peer_that_leaves_in_the_middle_of_a_frame_leaves_nothing(node):
    client = node.connect()
    await client.stream.send_all(client.frame(VERSIONS, 3)[:-1])
    await wait_all_tasks_blocked()
    client.close()
    await wait_all_tasks_blocked()
    assert node.connections[-1]._sock.fileno() == -1


# -- parked requests


async def test_a_produce_behind_a_parked_produce_is_appended_before_the_first_is_answered(node, gate):
    client = node.connect()
    gate.close()
    for value in (b"first", b"second", b"third"):
        await client.send(produce_request("topic", batch(value)), 12)
    await wait_all_tasks_blocked()
    assert partition_of(node).log.end == 3
    assert partition_of(node).high_watermark == 0
    assert not client.has_answer()
    gate.open()
    assert [produced(await client.receive()).base_offset for _ in range(3)] == [0, 1, 2]


async def test_only_so_many_produces_are_appended_ahead_of_their_sync(node, gate, monkeypatch):
    monkeypatch.setattr("kbroker.connection.MOST_PARKED", 3)
    client = node.connect()
    gate.close()
    for number in range(5):
        await client.send(produce_request("topic", batch(str(number).encode())), 12)
        await wait_all_tasks_blocked()
    assert partition_of(node).log.end == 3
    gate.open()
    assert [produced(await client.receive()).base_offset for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_a_fetch_behind_a_parked_produce_waits_its_turn(node, gate):
    client = node.connect()
    gate.close()
    await client.send(produce_request("topic", batch(b"first")), 12)
    await client.send(fetch_request("topic"), 12)
    await client.send(produce_request("topic", batch(b"second")), 12)
    await wait_all_tasks_blocked()
    assert partition_of(node).log.end == 1, "the Produce behind the Fetch is not appended before the Fetch is served"
    gate.open()
    assert produced(await client.receive()).base_offset == 0
    assert values(fetched(await client.receive())) == [b"first"]
    assert produced(await client.receive()).base_offset == 1


async def test_answers_that_are_ready_wait_for_the_parked_ones_before_them(node, gate):
    client = node.connect()
    gate.close()
    await client.send(produce_request("topic", batch(b"safe")), 12)
    await client.send(produce_request("topic", batch(b"quick"), acks=1), 12)
    await client.send(produce_request("nowhere", batch()), 12)
    await wait_all_tasks_blocked()
    assert not client.has_answer()
    gate.open()
    codes = [produced(await client.receive()).error_code for _ in range(3)]
    assert codes == [ErrorCode.NONE, ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]


async def test_a_request_behind_a_long_poll_is_answered_after_it(node, autojump_clock):
    client, other = node.connect(), node.connect()
    began = trio.current_time()
    await client.send(fetch_request("topic", wait_ms=1500), 12)
    await client.send(VERSIONS, 3)
    assert (await other.ask(VERSIONS, 3)).error_code == ErrorCode.NONE
    assert trio.current_time() == began
    assert fetched(await client.receive()).error_code == ErrorCode.NONE
    assert (await client.receive()).error_code == ErrorCode.NONE
    assert trio.current_time() == pytest.approx(began + 1.5)


@pytest.mark.parametrize("behind", [0, 3, 1000])
async def test_a_closed_connection_drops_a_parked_fetch_at_once(node, behind, autojump_clock):
    client = node.connect()
    await client.send(fetch_request("topic", wait_ms=600_000), 12)
    for _ in range(behind):  # what is read ahead does not keep the broker from seeing the peer leave
        await client.send(VERSIONS, 3)
    await wait_all_tasks_blocked()
    assert len(partition_of(node).waiters) == 1
    client.close()
    await wait_all_tasks_blocked()
    assert not partition_of(node).waiters
    assert trio.current_time() == 0


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="elsewhere it is noticed when the time is up")
async def test_a_peer_that_leaves_behind_more_than_is_read_ahead_is_noticed(node, autojump_clock):
    client = node.connect()
    await client.send(fetch_request("topic", wait_ms=600_000), 12)
    await client.stream.send_all(client.frame(VERSIONS, 3) * (READ_AHEAD_BYTES // 16))
    await wait_all_tasks_blocked()
    assert node.connections[-1]._buffer.buffered >= READ_AHEAD_BYTES
    client.close()
    await wait_all_tasks_blocked()
    assert not partition_of(node).waiters
    assert trio.current_time() == 0


async def test_what_a_peer_sent_before_it_left_is_appended_behind_produces_that_wait(node, gate, autojump_clock):
    client = node.connect()
    gate.close()
    await client.send(produce_request("topic", batch(b"first")), 12)
    await wait_all_tasks_blocked()
    await client.send(fetch_request("topic"), 12)
    await client.send(produce_request("topic", batch(b"x" * READ_AHEAD_BYTES)), 12)
    await client.stream.send_eof()
    await wait_all_tasks_blocked()
    gate.open()
    await wait_all_tasks_blocked()
    assert partition_of(node).log.end == 2


async def test_a_closed_connection_drops_parked_produces_at_once(node, gate, autojump_clock):
    client = node.connect()
    gate.close()
    for _ in range(3):
        await client.send(produce_request("topic", batch()), 12)
    await wait_all_tasks_blocked()
    assert len(partition_of(node).waiters) == 3
    client.close()
    await wait_all_tasks_blocked()
    assert not partition_of(node).waiters


async def test_a_produce_that_is_not_safe_in_time_says_so_and_the_records_stay(node, gate, autojump_clock):
    client = node.connect()
    gate.close()
    await client.send(produce_request("topic", batch(b"late"), timeout_ms=7000), 12)
    row = produced(await client.receive())
    assert (row.error_code, row.base_offset) == (ErrorCode.REQUEST_TIMED_OUT, 0)
    assert trio.current_time() == pytest.approx(7)
    assert not partition_of(node).waiters
    gate.open()
    assert values(await fetch(client, "topic", wait_ms=1000)) == [b"late"]


# -- failures


async def test_a_handler_that_throws_answers_unknown_server_error_and_the_connection_goes_on(node, monkeypatch):
    client = node.connect()
    await client.ask(MetadataRequest(topics=[]))  # loads the handler

    def broken(request, call, broker):
        raise RuntimeError("a mistake of ours")

    served = node.broker.dispatch[1]
    monkeypatch.setattr(served, "handle", broken)
    monkeypatch.setattr(served, "answer", broken)
    assert fetched(await client.ask(fetch_request("topic"), 12)).error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert (await client.ask(VERSIONS, 3)).error_code == ErrorCode.NONE


async def test_an_answer_that_can_not_be_encoded_closes_only_its_connection(node, monkeypatch):
    client, other = node.connect(), node.connect()

    async def wrong(request, call, broker):
        return MetadataResponse(brokers=[], topics=[], cluster_id=17)

    monkeypatch.setattr(node.broker.dispatch[3], "handle", wrong)
    await client.send(MetadataRequest(topics=[]), 12)
    assert await client.is_closed()
    assert (await other.ask(VERSIONS, 3)).error_code == ErrorCode.NONE


@pytest.mark.parametrize("wait_ms", [0, 1000])
async def test_an_answer_that_can_not_be_encoded_gives_its_leases_back(tmp_path, wait_ms, monkeypatch, autojump_clock):
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env()) as node:
        await node.create("topic", 3)
        client = node.connect()
        await client.ask(produce_request("topic", [batch(), batch(), batch()]), 12)
        await fetch(client, "topic")
        monkeypatch.setattr("kbroker.fetching.Fetch.session_id", "no number")
        partitions = [FetchPartition(partition=each, fetch_offset=0, partition_max_bytes=1000) for each in range(3)]
        topics = [FetchTopic(topic="topic", partitions=partitions)]
        request = FetchRequest(max_wait_ms=wait_ms, min_bytes=10**6, topics=topics)
        await client.send(request, 12)
        assert await client.is_closed()
        files = [partition_of(node, index=index).log.segments[-1].store.file for index in range(3)]
        assert not any(file.leased() for file in files)


async def test_a_parked_request_that_fails_is_answered_alone(node, monkeypatch, autojump_clock, caplog):
    client = node.connect()
    await client.send(fetch_request("topic", wait_ms=1000), 12)
    await wait_all_tasks_blocked()

    def broken(self):
        raise KeyError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("kbroker.fetching.Fetch.read", broken)
        answer = await client.receive()
        assert (answer.error_code, fetched(answer).error_code) == (ErrorCode.UNKNOWN_SERVER_ERROR,) * 2
    assert any("Fetch v12" in record.message and record.exc_info for record in caplog.records)
    assert not partition_of(node).waiters
    assert (await fetch(client, "topic")).error_code == ErrorCode.NONE


async def test_a_parked_produce_that_fails_behind_its_append_closes_the_connection(node, gate, monkeypatch):
    client = node.connect()
    gate.close()
    await client.send(produce_request("topic", batch()), 12)
    await wait_all_tasks_blocked()

    def broken(self):
        raise KeyError("broken")

    monkeypatch.setattr("kbroker.committing.Committing.answer", broken)
    gate.open()
    assert await client.is_closed()


async def test_a_failed_produce_without_acks_closes_the_connection(node):
    client = node.connect()
    frame = client.frame(produce_request("nowhere", batch(), acks=0), 12, answered=False)
    await client.stream.send_all(frame)
    assert await client.is_closed()


async def test_a_produce_without_acks_hears_nothing(node, autojump_clock):
    client = node.connect()
    frame = client.frame(produce_request("topic", batch(b"silent"), acks=0), 12, answered=False)
    await client.stream.send_all(frame)
    assert values(await fetch(client, "topic", wait_ms=1000)) == [b"silent"]


# -- large answers


@pytest.mark.parametrize("portably", [False, True])
async def test_a_fetch_larger_than_the_sockets_buffer_arrives_whole(tmp_path, portably):
    env = disk_env(portable() if portably else None)
    options = {"calls": PORTABLE} if portably else {}
    async with running({"log.dirs": str(tmp_path / "data")}, env) as node:
        await node.create("topic")
        client = node.connect(send_buffer=4096, **options)
        sent = [bytes([65 + i]) * 300_000 for i in range(6)]
        for value in sent:
            await produce(client, "topic", batch(value))
        for version in (4, 12):  # in 4 the records end the answer, in 12 tagged fields follow them
            await client.send(fetch_request("topic", max_bytes=10_000_000), version)
            await client.send(VERSIONS, 3)
            row = fetched(await client.receive())
            assert values(row) == sent
            assert (await client.receive()).error_code == ErrorCode.NONE


async def test_a_reader_that_leaves_in_the_middle_of_an_answer_gives_its_lease_back(tmp_path):
    env = disk_env()
    async with running({"log.dirs": str(tmp_path / "data")}, env) as node:
        await node.create("topic")
        client = node.connect(send_buffer=4096)
        await produce(client, "topic", batch(bytes(900_000)))
        await client.send(fetch_request("topic"), 12)
        await wait_all_tasks_blocked()
        file = partition_of(node).log.segments[-1].store.file
        assert file.leased()
        client.close()
        await wait_all_tasks_blocked()
        assert not file.leased()


async def test_a_file_that_ends_early_closes_the_connection_instead_of_sending_other_bytes(tmp_path):
    env = disk_env()
    async with running({"log.dirs": str(tmp_path / "data")}, env) as node:
        await node.create("topic")
        client = node.connect(send_buffer=4096)
        await produce(client, "topic", batch(bytes(900_000)))
        frame = client.frame(fetch_request("topic"), 12)
        await client.stream.send_all(frame)
        await wait_all_tasks_blocked()
        partition_of(node).log.segments[-1].store.file.truncate(500_000)
        size = int.from_bytes(await client._exactly(4), "big")
        got = b""
        while more := await client.stream.receive_some():
            got += more
        assert len(got) < size


async def test_a_slow_reader_of_a_deleted_segment_gets_its_bytes_with_hardly_a_descriptor_to_spare(tmp_path):
    env = disk_env(limit=2)
    async with running({"log.dirs": str(tmp_path / "data")}, env) as node:
        await node.create("slow")
        await node.create("other", partitions=8)
        reader, writer = node.connect(send_buffer=4096), node.connect()
        sent = [bytes([97 + i]) * 400_000 for i in range(3)]
        for value in sent:
            await produce(writer, "slow", batch(value))
        await reader.send(fetch_request("slow", max_bytes=10_000_000), 12)
        await wait_all_tasks_blocked()  # stuck in the middle of the answer
        slow = partition_of(node, "slow").log
        slow.roll(now_ms=0)
        slow.append_leader([_entry(batch(b"new"))], 0, 0)
        slow.delete_before(3)
        for index in range(8):  # each wants the descriptor that the reader still holds
            await produce(writer, "other", batch(b"x" * 50_000), partition=index)
        assert env.files.open_descriptors <= 2
        assert values(fetched(await reader.receive())) == sent
        assert [segment.base for segment in slow.segments] == [3]


def _entry(data):
    frame = memoryview(bytearray(data))
    return KAFKA_BATCHES.scan(frame), frame


async def test_topics_created_in_one_request_are_there_in_the_next_of_the_same_send(node):
    client = node.connect()
    await client.stream.send_all(
        client.frame(topic_request("new"), 7) + client.frame(produce_request("new", batch()), 12)
    )
    assert (await client.receive()).topics[0].error_code == ErrorCode.NONE
    assert produced(await client.receive()).base_offset == 0
