"""DeleteRecords: what is gone, for whom, and that it stays gone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing

from broker_in_memory import NOW_MS, Gate, batch, fetch, fetch_request, fetched, produce, running
from kbroker.env import Env
from kbroker_storage import MemoryFiles
from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kbroker_wire.messages.list_offsets import (
    EARLIEST_TIMESTAMP,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from storage_faults import FaultyFiles


def request(*wanted, topic="topic"):
    partitions = [DeleteRecordsPartition(partition_index=index, offset=offset) for index, offset in wanted]
    return DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic, partitions=partitions)], timeout_ms=1000)


async def delete(client, *wanted, topic="topic"):
    """(partition, low watermark, code) of each."""
    [told] = (await client.ask(request(*wanted, topic=topic))).topics
    assert told.name == topic
    return [(each.partition_index, each.low_watermark, each.error_code) for each in told.partitions]


async def earliest(client, topic="topic"):
    partition = ListOffsetsPartition(partition_index=0, timestamp=EARLIEST_TIMESTAMP)
    asked = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=topic, partitions=[partition])])
    [told] = (await client.ask(asked)).topics
    return told.partitions[0].offset


def on(files):
    return replace(Env.in_memory(), now_ms=lambda: NOW_MS, files=files)


async def fill(node, configs=None, batches=3):
    """Offsets 0 to 8, three in a batch."""
    await node.create("topic", partitions=2, configs=configs)
    client = node.connect()
    for _ in range(batches):
        await produce(client, "topic", batch(b"a", b"b", b"c", key=b"k"))
    return client


@pytest.fixture
async def client():
    async with running() as node:
        yield await fill(node)


@pytest.fixture
def gate():
    return Gate()


async def test_the_start_moves_up_and_never_back(client):
    assert await delete(client, (0, 4)) == [(0, 4, ErrorCode.NONE)]
    assert await earliest(client) == 4
    assert (await fetch(client, "topic", 3)).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    row = await fetch(client, "topic", 4)
    assert (row.error_code, row.log_start_offset) == (ErrorCode.NONE, 4)
    for lower in (0, 3, 4):
        assert await delete(client, (0, lower)) == [(0, 4, ErrorCode.NONE)]


async def test_minus_one_is_all_that_consumers_can_see(client):
    assert await delete(client, (0, -1)) == [(0, 9, ErrorCode.NONE)]
    assert (await fetch(client, "topic", 9)).error_code == ErrorCode.NONE
    assert (await produce(client, "topic", batch())).base_offset == 9
    assert await delete(client, (1, -1)) == [(1, 0, ErrorCode.NONE)], "nothing was ever there"


@pytest.mark.parametrize("offset", [10, 999, -2, -(1 << 63)])
async def test_beyond_the_high_watermark_is_out_of_range(client, offset):
    assert await delete(client, (0, offset)) == [(0, -1, ErrorCode.OFFSET_OUT_OF_RANGE)]
    assert await earliest(client) == 0


async def test_each_partition_has_its_own_answer(client):
    told = await delete(client, (0, 4), (1, 1), (7, 0), (-1, 0), (0, 5))
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert told == [(0, 5, 0), (1, -1, ErrorCode.OFFSET_OUT_OF_RANGE), (7, -1, unknown), (-1, -1, unknown)]
    assert await delete(client, (0, 0), topic="nope") == [(0, -1, unknown)]
    assert (await client.ask(request())).topics == []


@pytest.mark.parametrize(
    ("policy", "code"),
    [("compact", ErrorCode.POLICY_VIOLATION), ("compact,delete", 0), ("delete", 0), ("", 0)],
)
async def test_what_is_only_compacted_is_not_deleted(policy, code):
    async with running() as node:
        client = await fill(node, {"cleanup.policy": policy})
        assert await delete(client, (0, 3)) == [(0, -1 if code else 3, code)]


async def test_the_topics_of_coordinators_are_theirs(client):
    told = await delete(client, (0, 0), topic="__consumer_offsets")
    assert told == [(0, -1, ErrorCode.INVALID_TOPIC_EXCEPTION)]


async def test_segments_below_the_start_are_renamed_at_once_and_removed_by_and_by(gate, autojump_clock):
    """Removing a large file blocks: 0.3 s a GiB."""
    files = MemoryFiles()
    async with running(env=replace(on(files), run_blocking=gate.run)) as node:
        client = await fill(node, {"internal.segment.bytes": "100"})
        gate.close()
        await client.send(request((0, 7)), 2)
        await trio.sleep(1)
        logs = sorted(name for name in files.entries("/data/topic-0") if ".log" in name)
        assert logs == [f"{0:020}.log.deleted", f"{3:020}.log.deleted", f"{6:020}.log"]
        gate.open()
        await client.receive()
        await trio.sleep(1)
        assert [name for name in files.entries("/data/topic-0") if ".log" in name] == [f"{6:020}.log"]


async def test_what_a_crash_left_of_removed_segments_goes_with_the_next_start(gate):
    files = MemoryFiles()
    async with running(env=replace(on(files), run_blocking=gate.run)) as node:
        client = await fill(node, {"internal.segment.bytes": "100"})
        gate.close()
        await client.send(request((0, 7)), 2)
        await trio.testing.wait_all_tasks_blocked()
        crashed = files.clone()
        gate.open()
    async with running(env=on(crashed)) as node:
        assert not [name for name in crashed.entries("/data/topic-0") if name.endswith(".deleted")]
        assert (await fetch(node.connect(), "topic", 6)).error_code == ErrorCode.NONE


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("offset", [4, 9])
async def test_what_was_answered_as_gone_stays_gone(crash, offset):
    files = MemoryFiles()
    async with running(env=on(files)) as node:
        client = await fill(node)
        assert await delete(client, (0, offset)) == [(0, offset, ErrorCode.NONE)]
        crashed = files.clone()
    async with running(env=on(crashed if crash else files)) as node:
        client = node.connect()
        assert await earliest(client) == offset
        assert (await produce(client, "topic", batch())).base_offset == 9


async def test_without_a_checkpoint_on_disk_nothing_is_promised(caplog):
    files = FaultyFiles()
    async with running(env=on(files)) as node:
        client = await fill(node)
        files.fail("replace", every=True)
        assert await delete(client, (0, 4)) == [(0, -1, ErrorCode.KAFKA_STORAGE_ERROR)]
        files.heal()
    assert "can not write the checkpoints" in caplog.text


async def test_a_reader_that_waits_behind_what_is_gone_is_told(autojump_clock):
    async with running() as node:
        client = await fill(node)
        await client.send(fetch_request("topic", 3, wait_ms=60_000, min_bytes=1_000_000), 12)
        other = node.connect()
        await other.send(fetch_request("topic", 9, wait_ms=60_000, min_bytes=1), 12)
        await trio.sleep(1)
        assert not client.has_answer()
        assert await delete(node.connect(), (0, 9)) == [(0, 9, ErrorCode.NONE)]
        with trio.fail_after(1):
            assert fetched(await client.receive()).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
        assert not other.has_answer(), "the end of the log is still there: this one waits for new records"
        await produce(node.connect(), "topic", batch())
        assert fetched(await other.receive()).error_code == ErrorCode.NONE
