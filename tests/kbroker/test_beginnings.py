"""A Produce for many partitions that were never written: their logs are made before it, while others are served."""

from __future__ import annotations

import pytest
import trio
from trio.lowlevel import checkpoint
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import batch, fetch, produce_request, running, values
from kbroker.beginnings import AT_ONCE, IN_A_TURN, begin, unbegun
from kbroker.call import Call
from kbroker_storage import MemoryFiles
from kbroker_wire import ErrorCode
from kbroker_wire.messages.api_versions import ApiVersionsRequest
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest
from kbroker_wire.messages.produce import ProducePartition

VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")
COUNT = 3 * AT_ONCE


@pytest.fixture
async def node():
    async with running() as node:
        await node.create("topic", COUNT)
        yield node


def partitions_of(node):
    return node.broker.replicas.by_name["topic"].partitions


def folders(node):
    return {name for name in node.broker.env.files.entries("/data") if name.startswith("topic-")}


def wide(value=b"value", count=COUNT, **more):
    return produce_request("topic", [batch(value)] * count, **more)


def to_begin(node, request):
    return unbegun(request, Call(9, None, "PLAINTEXT", ("here", 9092)), node.broker)


async def test_every_partition_of_a_wide_produce_gets_its_records(node):
    client = node.connect()
    [topic] = (await client.ask(wide(), 9)).responses
    assert [(row.index, row.error_code, row.base_offset) for row in topic.partition_responses] == [
        (index, 0, 0) for index in range(COUNT)
    ]
    [topic] = (await client.ask(wide(), 9)).responses
    assert {row.base_offset for row in topic.partition_responses} == {1}
    assert folders(node) == {f"topic-{index}" for index in range(COUNT)}


async def test_others_are_served_while_logs_are_made(node, monkeypatch):
    made_when_answered = []
    wide_client, other = node.connect(), node.connect()
    partitions = partitions_of(node)
    make_directory = MemoryFiles.make_directory

    def made_and_asked(self, path):
        if path.endswith("topic-0"):
            other.stream.socket._sock.send(other.frame(VERSIONS, 3))
        return make_directory(self, path)

    monkeypatch.setattr(MemoryFiles, "make_directory", made_and_asked)
    await wide_client.send(wide(), 9)

    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _():
            await other.receive()
            made_when_answered.append(sum(each.has_files for each in partitions))

        await wide_client.receive()
    assert made_when_answered[0] < COUNT


async def test_what_is_pipelined_behind_is_appended_behind(node):
    client = node.connect()
    first = client.frame(wide(b"first"), 9)
    second = client.frame(produce_request("topic", batch(b"second"), partition=COUNT - 1), 9)
    third = client.frame(wide(b"third"), 9)
    await client.stream.send_all(first + second + third)
    for _ in range(3):
        [topic] = (await client.receive()).responses
        assert {row.error_code for row in topic.partition_responses} == {0}
    assert values(await fetch(client, "topic", partition=COUNT - 1)) == [b"first", b"second", b"third"]


async def test_one_turn_makes_a_few_logs(node):
    turns = 0
    waiting = to_begin(node, wide())
    assert [each.index for each in waiting] == list(range(COUNT))

    async def count():
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await begin(waiting, node.broker)
        nursery.cancel_scope.cancel()
    assert turns >= COUNT // IN_A_TURN - 3  # Trio draws who goes first in a turn
    assert to_begin(node, wide()) == ()


async def test_few_partitions_or_such_as_have_their_logs_wait_for_nothing(node):
    assert to_begin(node, wide(count=AT_ONCE)) == ()
    await begin(partitions_of(node)[AT_ONCE:], node.broker)
    assert to_begin(node, wide()) == ()
    assert len(to_begin(node, wide(count=AT_ONCE + 1))) == 0  # all but AT_ONCE of them are there
    empty = wide()
    empty.topic_data[0].partition_data = [ProducePartition(index=each, records=None) for each in range(COUNT)]
    assert to_begin(node, empty) == ()


async def test_a_topic_that_is_deleted_meanwhile_leaves_no_folder_behind(node):
    waiting = to_begin(node, wide())
    client = node.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin, waiting, node.broker)
        await checkpoint()
        await client.ask(DeleteTopicsRequest(topic_names=["topic"], timeout_ms=1000), 5)
    await wait_all_tasks_blocked()
    assert not folders(node)


async def test_logs_that_were_made_and_never_appended_to_survive_a_restart():
    async with running() as node:
        await node.create("topic", COUNT)
        await begin(to_begin(node, wide()), node.broker)
        env = node.broker.env
    async with running(env=env) as node:
        [topic] = (await node.connect().ask(wide(), 9)).responses
        assert {(row.error_code, row.base_offset) for row in topic.partition_responses} == {(0, 0)}


async def test_why_a_log_can_not_be_made_is_said_by_the_append(node, monkeypatch):
    make_directory = MemoryFiles.make_directory

    def full(self, path):
        if path.endswith("topic-5"):
            raise OSError(28, "No space left on device")
        return make_directory(self, path)

    monkeypatch.setattr(MemoryFiles, "make_directory", full)
    [topic] = (await node.connect().ask(wide(), 9)).responses
    codes = {row.index: row.error_code for row in topic.partition_responses}
    assert codes.pop(5) == ErrorCode.KAFKA_STORAGE_ERROR
    assert set(codes.values()) == {0}
