"""What asks for the end of a log counts what was acknowledged with acks=1 before, on disk or not yet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from broker_in_memory import NOW_MS, Gate, batch, produce, running
from kbroker.env import Env
from kbroker.visibility import WAITS_S
from kbroker_storage import MemoryFiles
from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kbroker_wire.messages.list_offsets import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    MAX_TIMESTAMP,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from storage_faults import FaultyFiles


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def files():
    return FaultyFiles(MemoryFiles())


@pytest.fixture
async def node(gate, files):
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run, files=files)
    async with running({"kbroker.durability": "synced"}, env=env) as node:
        await node.create("topic", partitions=2)
        await produce(node.connect(), "topic", batch(b"on disk"))
        gate.close()
        await produce(node.connect(), "topic", batch(b"not yet", timestamp=NOW_MS + 10), acks=1)
        yield node
        gate.open()


def offsets_request(timestamp, isolation_level=0, replica_id=-1):
    partitions = [ListOffsetsPartition(partition_index=index, timestamp=timestamp) for index in (0, 1)]
    topics = [ListOffsetsTopic(name="topic", partitions=partitions)]
    return ListOffsetsRequest(replica_id=replica_id, isolation_level=isolation_level, topics=topics, timeout_ms=0)


def delete_request(offset):
    partitions = [DeleteRecordsPartition(partition_index=0, offset=offset)]
    return DeleteRecordsRequest(topics=[DeleteRecordsTopic(name="topic", partitions=partitions)], timeout_ms=1000)


async def open_in_time(gate, client, request):
    """The answer to a request that has to wait until the gate opens, well before patience ends."""
    await client.send(request, type(request).versions[-1])
    await trio.sleep(WAITS_S / 2)
    assert not client.has_answer()
    gate.open()
    return (await client.receive()).topics[0].partitions[0]


@pytest.mark.parametrize("isolation_level", [0, 1])
@pytest.mark.parametrize(("timestamp", "offset"), [(LATEST_TIMESTAMP, 2), (MAX_TIMESTAMP, 1), (NOW_MS + 1, 1)])
async def test_offsets_count_what_was_acknowledged_before(
    node, gate, timestamp, offset, isolation_level, autojump_clock
):
    row = await open_in_time(gate, node.connect(), offsets_request(timestamp, isolation_level))
    assert (row.error_code, row.offset) == (ErrorCode.NONE, offset)


@pytest.mark.parametrize("offset", [-1, 2])
async def test_what_was_acknowledged_can_be_deleted(node, gate, offset, autojump_clock):
    row = await open_in_time(gate, node.connect(), delete_request(offset))
    assert (row.error_code, row.low_watermark) == (ErrorCode.NONE, 2)


@pytest.mark.parametrize(
    ("timestamp", "replica_id", "offset"), [(EARLIEST_TIMESTAMP, -1, 0), (LATEST_TIMESTAMP, -2, 2)]
)
async def test_what_does_not_depend_on_visibility_waits_for_nothing(
    node, timestamp, replica_id, offset, autojump_clock
):
    began = trio.current_time()
    response = await node.connect().ask(offsets_request(timestamp, replica_id=replica_id))
    assert response.topics[0].partitions[0].offset == offset
    assert trio.current_time() == began


async def test_a_slow_disk_is_not_waited_for_longer(node, autojump_clock):
    began = trio.current_time()
    [row, _] = (await node.connect().ask(offsets_request(LATEST_TIMESTAMP))).topics[0].partitions
    assert (row.error_code, row.offset) == (ErrorCode.NONE, 1)
    assert trio.current_time() == began + WAITS_S
    assert not node.broker.replicas.find("topic", 0).waiters


async def test_what_comes_later_is_not_waited_for(node, gate, autojump_clock):
    client, other = node.connect(), node.connect()
    await client.send(offsets_request(LATEST_TIMESTAMP), 10)
    await trio.sleep(WAITS_S / 2)
    await produce(other, "topic", batch(b"later"), acks=1, partition=1)
    gate.open()
    [row, second] = (await client.receive()).topics[0].partitions
    assert (row.offset, second.error_code) == (2, ErrorCode.NONE)


async def test_a_disk_that_fails_ends_the_wait(node, gate, files, autojump_clock):
    client = node.connect()
    await client.send(offsets_request(LATEST_TIMESTAMP), 10)
    await trio.sleep(WAITS_S / 2)
    files.fail("sync", every=True)
    gate.open()
    began = trio.current_time()
    [row, _] = (await client.receive()).topics[0].partitions
    assert row.error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert trio.current_time() == began
