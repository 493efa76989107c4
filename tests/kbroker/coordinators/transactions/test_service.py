"""Transactions through a whole broker in memory: from requests to markers in partitions, through failures, crashes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import pytest
import trio

from broker_in_memory import NOW_MS, Client, Gate, Node, batch, fetch_request, fetched, produced, running
from kbroker.coordinators.transactions.service import SEND_AGAIN_MOST_S
from kbroker.coordinators.transactions.shard import WAITS_S
from kbroker.env import Env
from kbroker.partition import Partition
from kbroker_storage import MemoryFiles, WriteFailed
from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from kbroker_wire.messages.add_partitions_to_txn import AddPartitionsToTxnRequest, AddPartitionsToTxnTopic
from kbroker_wire.messages.describe_transactions import DescribeTransactionsRequest, TransactionState
from kbroker_wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.list_transactions import ListTransactionsRequest
from kbroker_wire.messages.produce import ProducePartition, ProduceRequest, ProduceTopic
from kbroker_wire.messages.write_txn_markers import WriteTxnMarkersRequest
from kbroker_wire.records import batches

T = TypeVar("T")

TOPIC = "topic"
OLD = 3  # EndTxn before version 2 of transactions
READ_COMMITTED = 1


def in_memory(files: MemoryFiles, gate: Gate | None = None) -> Env:
    env = replace(Env.in_memory(), files=files, now_ms=lambda: NOW_MS)
    return env if gate is None else replace(env, run_blocking=gate.run)


class ReadingGate(Gate):
    """Lets reads through."""

    async def run(self, work: Callable[[], T]) -> T:
        return work() if getattr(work, "__name__", "") == "read" else await super().run(work)


class ClosingGate(Gate):
    """Closes itself behind the next `left`."""

    left = -1

    async def run(self, work: Callable[[], T]) -> T:
        if self.left == 0:
            self.close()
        self.left -= 1
        return await super().run(work)


@dataclass
class Producer:
    """One transactional producer, as clients of version 2 of transactions are."""

    client: Client
    transactional_id: str = "t"
    id: int = -1
    epoch: int = -1
    written: list[int] = field(default_factory=list)  # partitions that have had records of this epoch

    async def init(self, timeout_ms: int = 60_000) -> int:
        answer = await self.client.ask(
            InitProducerIdRequest(transactional_id=self.transactional_id, transaction_timeout_ms=timeout_ms)
        )
        assert isinstance(answer, InitProducerIdResponse)
        self.id, self.epoch = answer.producer_id, answer.producer_epoch
        self.written.clear()
        return answer.error_code

    async def write(self, value: bytes, partition: int = 0, version: int = 12) -> int:
        sequence = self.written.count(partition)
        records = batch(
            value, producer_id=self.id, producer_epoch=self.epoch, base_sequence=sequence, transactional=True
        )
        self.written.append(partition)
        data = [ProducePartition(index=partition, records=records)]
        request = ProduceRequest(
            transactional_id=self.transactional_id,
            acks=-1,
            timeout_ms=30_000,
            topic_data=[ProduceTopic(name=TOPIC, partition_data=data)],
        )
        return produced(await self.client.ask(request, version)).error_code

    async def add(self, *partitions: int) -> list[int]:
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.transactional_id,
            v3_and_below_producer_id=self.id,
            v3_and_below_producer_epoch=self.epoch,
            v3_and_below_topics=[AddPartitionsToTxnTopic(name=TOPIC, partitions=list(partitions))],
        )
        [topic] = (await self.client.ask(request, 3)).results_by_topic_v3_and_below
        return [row.partition_error_code for row in topic.results_by_partition]

    async def send_end(self, *, commit: bool, version: int = 5) -> None:
        request = EndTxnRequest(
            transactional_id=self.transactional_id, producer_id=self.id, producer_epoch=self.epoch, committed=commit
        )
        await self.client.send(request, version)

    async def ended(self) -> int:
        answer = await self.client.receive()
        assert isinstance(answer, EndTxnResponse)
        if answer.producer_id >= 0:
            self.written.clear()
            self.id, self.epoch = answer.producer_id, answer.producer_epoch
        return answer.error_code

    async def end(self, *, commit: bool, version: int = 5) -> int:
        await self.send_end(commit=commit, version=version)
        return await self.ended()


async def describe(client: Client, transactional_id: str = "t") -> TransactionState:
    [state] = (await client.ask(DescribeTransactionsRequest(transactional_ids=[transactional_id]))).transaction_states
    return state


async def committed(client: Client, partition: int = 0) -> list[bytes | None]:
    """What a reader of committed records sees; as consumers sort out the aborted ones."""
    row = fetched(await client.ask(fetch_request(TOPIC, partition=partition, isolation_level=READ_COMMITTED), 12))
    seen = []
    aborted = {each.producer_id: each.first_offset for each in row.aborted_transactions or ()}
    for each in batches(memoryview(bytes(row.records))):
        producer_id = each.header.producer_id
        begun = aborted.get(producer_id, 1 << 63)
        if each.header.is_control and each.header.base_offset > begun:
            del aborted[producer_id]
        elif not each.header.is_control and each.header.base_offset < begun:
            seen += [record.value for record in each.records()]
    return seen


def stable(node: Node, partition: int = 0) -> bool:
    """Readers of committed records are kept from nothing."""
    found = node.broker.replicas.find(TOPIC, partition)
    return found.last_stable_offset == found.log.end


@contextmanager
def failing(partition: Partition) -> Iterator[None]:
    """Every append fails as on a full disk."""
    opened, full = partition.log, WriteFailed("/data", OSError(errno.ENOSPC, "full"))

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(opened, name)

        def append_leader(self, *_: object, **__: object) -> None:
            raise full

    partition._log = Full()  # type: ignore[assignment]
    try:
        yield
    finally:
        partition._log = opened


@pytest.fixture
async def node():
    async with running(env=in_memory(MemoryFiles())) as broker:
        await broker.create(TOPIC, partitions=2)
        yield broker


async def test_readers_of_committed_records_see_all_of_a_transaction_or_nothing(node):
    producer, reader = Producer(node.connect()), node.connect()
    assert await producer.init() == ErrorCode.NONE
    for value, commit in ((b"one", True), (b"aborted", False), (b"two", True)):
        assert [await producer.write(value, partition) for partition in (0, 1)] == [0, 0]
        assert not stable(node)
        assert await producer.end(commit=commit) == ErrorCode.NONE
        assert stable(node, 0)
        assert stable(node, 1)
    for partition in (0, 1):
        assert await committed(reader, partition) == [b"one", b"two"]
    assert producer.epoch == 3
    state = await describe(reader)
    assert (state.transaction_state, state.producer_epoch, state.topics) == ("CompleteCommit", 3, [])


async def test_old_clients_never_meet_their_last_transaction(node):
    """Apache Kafka answers EndTxn before the markers, and the next request with CONCURRENT_TRANSACTIONS."""
    producer = Producer(node.connect())
    await producer.init()
    for _ in range(3):
        assert await producer.add(0, 1) == [0, 0]
        assert await producer.write(b"old", version=11) == ErrorCode.NONE
        assert await producer.end(commit=True, version=OLD) == ErrorCode.NONE
    assert (producer.epoch, stable(node)) == (0, True)


async def test_a_group_is_added_as_the_partition_of_its_offsets(node):
    producer = Producer(node.connect())
    await producer.init()
    request = AddOffsetsToTxnRequest(
        transactional_id="t", producer_id=producer.id, producer_epoch=producer.epoch, group_id="g"
    )
    assert (await producer.client.ask(request)).error_code == ErrorCode.NONE
    [topic] = (await describe(node.connect())).topics
    assert (topic.topic, topic.partitions) == ("__consumer_offsets", [node.broker.groups.partition_of("g")])
    assert await producer.end(commit=True) == ErrorCode.NONE


@pytest.mark.parametrize("slow_start", [False, True])
async def test_markers_are_written_after_a_crash(autojump_clock, slow_start):
    """The disk was slow just when the end was decided; it may be so again when the log is read."""
    files, gate = MemoryFiles(), Gate()
    async with running(env=in_memory(files, gate)) as node:
        await node.create(TOPIC, partitions=2)
        producer = Producer(node.connect())
        await producer.init()
        await producer.write(b"one")
        gate.close()
        await producer.send_end(commit=True)
        await trio.sleep(1)
        crashed = files.clone()
        gate.open()
        assert await producer.ended() == ErrorCode.NONE
    later = ReadingGate()
    if slow_start:
        later.close()
    async with running(env=in_memory(crashed, later)) as node:
        client = node.connect()
        await trio.sleep(1)
        later.open()
        await trio.sleep(1)
        state = await describe(client)
        assert (state.transaction_state, state.producer_epoch) == ("CompleteCommit", 1)
        assert stable(node)
        assert await committed(client) == [b"one"]


async def test_an_end_is_answered_when_its_markers_are_on_disk(autojump_clock):
    """What comes behind them, that it is complete, follows from them."""
    gate = ClosingGate()
    async with running({"kbroker.durability": "synced"}, in_memory(MemoryFiles(), gate)) as node:
        await node.create(TOPIC, partitions=2)
        producer = Producer(node.connect())
        await producer.init()
        await producer.write(b"one")
        gate.left, started = 2, trio.current_time()  # the end as it is decided, and the marker
        assert await producer.end(commit=True) == ErrorCode.NONE
        assert (stable(node), gate.held) == (True, 1)
        assert trio.current_time() == started
        assert await committed(node.connect()) == [b"one"]
        gate.open()
        assert await producer.write(b"two") == ErrorCode.NONE


async def test_a_transaction_that_a_crash_left_open_is_aborted_in_time(autojump_clock):
    files = MemoryFiles()
    async with running(env=in_memory(files)) as node:
        await node.create(TOPIC, partitions=2)
        producer = Producer(node.connect())
        await producer.init(timeout_ms=10_000)
        await producer.write(b"aborted")
        crashed = files.clone()
    async with running(env=in_memory(crashed)) as node:
        client = node.connect()
        assert not stable(node)
        await trio.sleep(9)
        assert (await describe(client)).transaction_state == "Ongoing"
        await trio.sleep(2)
        assert (await describe(client)).transaction_state == "CompleteAbort"
        assert stable(node)
        assert await committed(client) == []


async def test_markers_that_can_not_be_written_are_sent_again(node, autojump_clock, caplog):
    producer, other = Producer(node.connect()), Producer(node.connect())
    await producer.init()
    assert [await producer.write(b"one", partition) for partition in (0, 1)] == [0, 0]
    started = trio.current_time()
    with failing(node.broker.replicas.find(TOPIC, 1)):
        assert await producer.end(commit=True) == ErrorCode.NONE
        assert trio.current_time() == pytest.approx(started + WAITS_S)
        assert (stable(node, 0), stable(node, 1)) == (True, False)
        [topic] = (await describe(node.connect())).topics
        assert topic.partitions == [1]
        assert await other.init() == ErrorCode.CONCURRENT_TRANSACTIONS
    await trio.sleep(SEND_AGAIN_MOST_S + 0.1)
    assert stable(node, 1)
    assert await other.init() == ErrorCode.NONE
    assert other.epoch == producer.epoch + 1
    assert "trying again" in caplog.text


async def test_markers_are_sent_again_at_once_and_then_now_and_then(node, autojump_clock, caplog, monkeypatch):
    """A partition may be offline until the broker's restart; one line in the log for each transaction tells."""
    sent, ask = [], node.broker.peers.ask

    def asked(leader, request, *more):
        if isinstance(request, WriteTxnMarkersRequest):
            sent.append(trio.current_time())
        ask(leader, request, *more)

    monkeypatch.setattr(node.broker.peers, "ask", asked)
    first, second = Producer(node.connect()), Producer(node.connect(), "second")
    for each in (first, second):
        await each.init(timeout_ms=600_000)
        await each.write(b"one")
    with failing(node.broker.replicas.find(TOPIC, 0)):
        assert await first.end(commit=True) == ErrorCode.NONE
        await trio.sleep(60)
        pauses = [round(later - earlier, 1) for earlier, later in pairwise(sent)]
        assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
        assert set(pauses[7:]) == {5.0}
        sent.clear()
        assert await second.end(commit=True) == ErrorCode.NONE
        assert len(sent) >= 4, "the second does not wait as long as the first by now"
    assert caplog.text.count("trying again") == 2
    await trio.sleep(SEND_AGAIN_MOST_S + 0.1)
    assert stable(node, 0)


async def test_a_topic_that_is_deleted_meanwhile_needs_no_markers(node, autojump_clock):
    producer = Producer(node.connect())
    await producer.init()
    await producer.write(b"one")
    [topic] = [each for each in node.broker.image.topics.values() if each.name == TOPIC]
    await node.broker.controller.delete_topics([topic])
    assert await producer.end(commit=True) == ErrorCode.NONE
    assert (await describe(node.connect())).transaction_state == "CompleteCommit"


async def test_ids_are_listed_by_what_is_asked(node, autojump_clock):
    for name in ("one", "two"):
        await Producer(node.connect(), name).init()
    writer = Producer(node.connect(), "two")
    await writer.init()
    await writer.write(b"open")
    client = node.connect()

    async def listed(**wanted: object) -> tuple[int, list[str], list[str]]:
        request = ListTransactionsRequest(
            state_filters=wanted.pop("states", []), producer_id_filters=wanted.pop("ids", []), **wanted
        )
        answer = await client.ask(request)
        names = sorted(each.transactional_id for each in answer.transaction_states)
        return answer.error_code, answer.unknown_state_filters, names

    assert await listed() == (0, [], ["one", "two"])
    assert await listed(states=["Ongoing", "Dead", "ongoing"]) == (0, ["ongoing"], ["two"])
    assert await listed(states=["None"]) == (0, ["None"], [])
    assert await listed(ids=[writer.id, 99]) == (0, [], ["two"])
    assert await listed(duration_filter=0) == (0, [], ["one"]), "an open transaction of no age; none has any age"
    assert await listed(transactional_id_pattern="t.*") == (0, [], ["two"])
    assert await listed(transactional_id_pattern="t") == (0, [], [])
    assert await listed(transactional_id_pattern="(") == (ErrorCode.INVALID_REGULAR_EXPRESSION, [], [])
