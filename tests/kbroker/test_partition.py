"""Transactions at a partition: who may begin one, how it ends, what consumers see of it meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import FETCH_VERSION, NOW_MS, Gate, batch, fetch, fetch_request, fetched, running, values
from kbroker.batches import KAFKA_BATCHES
from kbroker.env import Env
from kbroker.partition import ActiveProducer
from kbroker_storage import CoordinatorFenced, InvalidProducerEpoch, InvalidTransactionState, Origin
from kbroker_wire import ErrorCode
from kbroker_wire.messages.fetch import AbortedTransaction, FetchRequest
from kbroker_wire.messages.list_offsets import (
    LATEST_TIMESTAMP,
    MAX_TIMESTAMP,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from kbroker_wire.records import batches

RELAXED = {"kbroker.durability": "relaxed"}


@pytest.fixture
async def node():
    async with running(RELAXED) as node:
        await node.create("topic")
        yield node


@pytest.fixture
def partition(node):
    return node.broker.replicas.find("topic", 0)


def write(partition, producer, *texts, epoch=0, sequence=0, verify=True, **options):
    """Records of a transaction; their first offset."""
    frame = bytearray(
        batch(*texts, producer_id=producer, producer_epoch=epoch, base_sequence=sequence, transactional=True, **options)
    )
    token = partition.verification(producer, epoch, sequence) if verify else None
    frames = [(KAFKA_BATCHES.scan(frame), memoryview(frame))]
    return partition.append(frames, NOW_MS, Origin.CLIENT, verified=token).base_offset


def end(partition, producer, *, commit, epoch=0, coordinator_epoch=0, version=1):
    return partition.end_transaction(
        producer,
        epoch,
        commit=commit,
        coordinator_epoch=coordinator_epoch,
        transaction_version=version,
        now_ms=NOW_MS,
    ).base_offset


async def read_committed(client, offset=0, **more):
    return await fetch(client, "topic", offset, isolation_level=1, **more)


# -- beginning and ending


async def test_only_a_verified_transaction_begins(partition):
    with pytest.raises(InvalidTransactionState):
        write(partition, 1, verify=False)
    write(partition, 1)
    assert partition.has_open_transaction(1, 0)
    assert not partition.has_open_transaction(1, 1)
    assert partition.verification(1, 0) is None
    write(partition, 1, sequence=1, verify=False)


async def test_a_marker_makes_what_was_verified_before_it_worthless(partition):
    frame = bytearray(batch(producer_id=1, producer_epoch=0, base_sequence=0, transactional=True))
    token = partition.verification(1, 0)
    end(partition, 1, commit=False)
    with pytest.raises(InvalidTransactionState):
        partition.append([(KAFKA_BATCHES.scan(frame), memoryview(frame))], NOW_MS, Origin.CLIENT, verified=token)
    assert partition.last_stable_offset == partition.high_watermark == 1


async def test_the_setting_takes_the_demand_away():
    async with running({**RELAXED, "transaction.partition.verification.enable": "false"}) as node:
        await node.create("topic")
        partition = node.broker.replicas.find("topic", 0)
        write(partition, 1, verify=False)
        assert partition.has_open_transaction(1, 0)


async def test_markers_are_checked(partition):
    write(partition, 1, epoch=5)
    with pytest.raises(InvalidProducerEpoch):
        end(partition, 1, commit=True, epoch=4)
    with pytest.raises(InvalidProducerEpoch):
        end(partition, 1, commit=True, epoch=5, version=2)
    end(partition, 1, commit=True, epoch=6, version=2, coordinator_epoch=3)
    with pytest.raises(CoordinatorFenced):
        end(partition, 1, commit=True, epoch=6, coordinator_epoch=2)


async def test_a_marker_has_the_kind_of_timestamps_that_its_topic_has(node):
    await node.create("stamped", configs={"message.timestamp.type": "LogAppendTime"})
    partition = node.broker.replicas.find("stamped", 0)
    end(partition, 1, commit=True)
    [marker] = batches(memoryview(bytes((await fetch(node.connect(), "stamped")).records)))
    assert (marker.header.attributes, marker.max_timestamp) == (0x38, NOW_MS)


async def test_producers_are_described(partition):
    write(partition, 1, b"a", b"b", epoch=2)
    write(partition, 2)
    end(partition, 2, commit=True, coordinator_epoch=7)
    assert partition.describe_producers() == [
        ActiveProducer(1, 2, 1, NOW_MS, -1, 0),
        ActiveProducer(2, 0, 0, NOW_MS, 7, -1),
    ]


# -- what consumers see


async def test_committed_readers_stop_before_what_is_open(node, partition):
    write(partition, 1, b"open")
    client = node.connect()
    row = await read_committed(client)
    assert (row.high_watermark, row.last_stable_offset, values(row)) == (1, 0, [])
    assert row.aborted_transactions == []
    row = await fetch(client, "topic")
    assert (row.last_stable_offset, values(row), row.aborted_transactions) == (0, [b"open"], None)


async def test_what_was_aborted_is_named(node, partition):
    write(partition, 1, b"one")
    write(partition, 2, b"two")
    end(partition, 1, commit=False)
    end(partition, 2, commit=True)
    row = await read_committed(node.connect())
    assert row.last_stable_offset == 4
    assert row.aborted_transactions == [AbortedTransaction(producer_id=1, first_offset=0)]
    assert values(row)[:2] == [b"one", b"two"]
    row = await read_committed(node.connect(), 3)
    assert row.aborted_transactions == []


async def test_a_committed_reader_waits_for_the_marker(node, partition):
    write(partition, 1, b"value")
    client = node.connect()
    await client.send(fetch_request("topic", wait_ms=10_000, isolation_level=1), FETCH_VERSION)
    await wait_all_tasks_blocked()
    write(partition, 1, b"more", sequence=1)
    await wait_all_tasks_blocked()
    assert not client.has_answer()
    end(partition, 1, commit=True)
    assert values(fetched(await client.receive()))[:2] == [b"value", b"more"]


async def test_an_incremental_fetch_tells_what_a_marker_has_made_readable(node, partition):
    write(partition, 1, b"value")
    client = node.connect()
    first = await client.ask(fetch_request("topic", isolation_level=1, session_epoch=0), FETCH_VERSION)
    assert (fetched(first).last_stable_offset, values(fetched(first))) == (0, [])
    end(partition, 1, commit=False)
    again = FetchRequest(
        session_id=first.session_id, session_epoch=1, max_wait_ms=0, min_bytes=1, isolation_level=1, topics=[]
    )
    row = fetched(await client.ask(again, FETCH_VERSION))
    assert row.last_stable_offset == 2
    assert row.aborted_transactions == [AbortedTransaction(producer_id=1, first_offset=0)]


async def test_a_marker_counts_when_it_is_durable():
    gate = Gate()
    async with running(env=replace(Env.in_memory(), run_blocking=gate.run, now_ms=lambda: NOW_MS)) as node:
        await node.create("topic")
        partition = node.broker.replicas.find("topic", 0)
        write(partition, 1, b"value")
        await wait_all_tasks_blocked()
        gate.close()
        end(partition, 1, commit=True)
        with trio.move_on_after(1):
            await trio.sleep_forever()
        assert (partition.high_watermark, partition.last_stable_offset) == (1, 0)
        gate.open()
        await wait_all_tasks_blocked()
        assert (partition.high_watermark, partition.last_stable_offset) == (2, 2)


async def test_committed_readers_are_told_offsets_below_the_last_stable_one(node, partition):
    write(partition, 1, b"decided", timestamp=NOW_MS - 5)
    end(partition, 1, commit=True)
    write(partition, 2, b"open", timestamp=NOW_MS + 5)

    async def ask(timestamp, isolation_level):
        asked = ListOffsetsPartition(partition_index=0, timestamp=timestamp)
        request = ListOffsetsRequest(
            replica_id=-1,
            isolation_level=isolation_level,
            topics=[ListOffsetsTopic(name="topic", partitions=[asked])],
        )
        response = await node.connect().ask(request)
        [row] = response.topics[0].partitions
        assert row.error_code == ErrorCode.NONE
        return row.offset, row.timestamp

    assert [await ask(LATEST_TIMESTAMP, level) for level in (0, 1)] == [(3, -1), (2, -1)]
    assert [await ask(MAX_TIMESTAMP, level) for level in (0, 1)] == [(2, NOW_MS + 5), (-1, -1)]
    assert [await ask(NOW_MS + 5, level) for level in (0, 1)] == [(2, NOW_MS + 5), (-1, -1)]


async def test_a_restart_knows_what_is_open_and_what_was_aborted():
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    async with running(RELAXED, env) as node:
        await node.create("topic")
        partition = node.broker.replicas.find("topic", 0)
        write(partition, 1, b"aborted")
        end(partition, 1, commit=False, coordinator_epoch=4)
        write(partition, 1, b"open", sequence=1)
    async with running(RELAXED, env) as node:
        row = await read_committed(node.connect())
        assert (row.high_watermark, row.last_stable_offset) == (3, 2)
        assert row.aborted_transactions == [AbortedTransaction(producer_id=1, first_offset=0)]
        partition = node.broker.replicas.find("topic", 0)
        assert partition.describe_producers() == [ActiveProducer(1, 0, 1, NOW_MS, 4, 2)]
        end(partition, 1, commit=True, coordinator_epoch=4)
        assert partition.last_stable_offset == 4


class Once:
    """Waits for one thing to happen, as a request does; `then` is what comes of that."""

    def __init__(self, partition, then=lambda: None):
        self.told, self._then = 0, then
        partition.waiters[self] = None

    def progressed(self, partition):
        self.told += 1
        del partition.waiters[self]
        self._then()


async def test_who_was_told_is_not_told_again_of_what_happened_before(partition):
    """The first request's answer leads to an append, which fails for good: the second has heard of that by then."""
    first = Once(partition, lambda: partition.failed(OSError(5, "broken")))
    second = Once(partition)
    write(partition, 1, b"a")
    assert (first.told, second.told) == (1, 1)
