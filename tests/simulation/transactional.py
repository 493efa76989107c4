"""Transactional producers of both versions of transactions, their ends in all ways, and zombies that come back."""

from __future__ import annotations

from collections import Counter
from math import inf

import trio
from history import Partition
from transaction_history import Transaction

from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from kbroker_wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from kbroker_wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from kbroker_wire.messages.find_coordinator import TRANSACTION, FindCoordinatorRequest
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.produce import ProduceResponse
from kbroker_wire.schema import Message

from .client import PASSING, Actor, Lost, name_of
from .ledger import Ledger
from .records import ProducerState, batch_of, produce_request, produced, value_of
from .world import World

TIMEOUT_MS = 1500  # of a transaction
GIVES_UP = 0.2  # chance that a producer whose connection broke is not the one that comes back
LEFT_OPEN = 0.1  # of the transactions: a successor, or their timeout, ends them
ABORTED = 0.2
RETURNS = 0.5  # chance that a producer that has a successor does not know it
NEW, OLD = 2, 1  # versions of transactions


class Refused(Exception):
    """What this producer may do no more, or not now: its transaction will not be committed."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: {name_of(code)}")
        self.code = code


class TransactionalProducer(Actor):
    """One producer at a time of a transactional id; `tv` is the version of transactions it speaks."""

    def __init__(self, world: World, ledger: Ledger, name: str, tv: int) -> None:
        super().__init__(world, ledger, name)
        self._tv = tv
        self.is_new = tv == NEW
        self.state = ProducerState(-1, -1)
        self.latest: Transaction | None = None
        self._sequences: Counter[Partition] = Counter()
        self._added: set[Partition] = set()

    # -- requests

    async def persist(self, request: Message, version: int) -> Message:
        """Ask until there is an answer; Lost only if this producer is the one that ends."""
        while True:
            try:
                return await self.ask(request, version)
            except Lost:
                if self.draw.random() < GIVES_UP:
                    raise
            await self.pause()

    async def initialise(self) -> None:
        """Become the one producer of the id: what no predecessor had asked to commit is aborted by that."""
        await self.ask_again(FindCoordinatorRequest(coordinator_keys=[self.name], key_type=TRANSACTION), 4)
        request = InitProducerIdRequest(transactional_id=self.name, transaction_timeout_ms=TIMEOUT_MS)
        answer = await self.ask_again(
            request,
            5 if self.is_new else 4,
            lambda answer: answer.error_code in PASSING,  # type: ignore[attr-defined]
        )
        assert isinstance(answer, InitProducerIdResponse)
        if answer.error_code != ErrorCode.NONE:
            self.world.anomaly(f"{self.name}: InitProducerId is refused with {name_of(answer.error_code)}")
            raise Refused("InitProducerId", answer.error_code)
        self._becomes(ProducerState(answer.producer_id, answer.producer_epoch))
        if self.latest is not None and self.latest.asked_at == inf:
            self.latest.aborted = True

    def begin(self) -> Transaction:
        self.latest = self.ledger.begin(self.name)
        return self.latest

    def _becomes(self, state: ProducerState) -> None:
        if state != self.state:
            self._sequences.clear()
        self.state = state
        self._added.clear()

    async def produce(self, partition: Partition, values: list[bytes]) -> None:
        """Raises Refused, Lost."""
        if not self.is_new and partition not in self._added:
            await self._add(partition)
        frame = batch_of(values, self.world.now_ms(), self.state, self._sequences[partition], transactional=True)
        self._sequences[partition] += len(values)
        while True:
            version = 12 if self.is_new else 11
            answer = await self.persist(produce_request(partition, frame, self.name), version)
            assert isinstance(answer, ProduceResponse)
            code, offset = produced(answer)
            self.world.note(self.name, f"{values[0]!r} in {partition}: {code} at {offset}")
            if code == ErrorCode.NONE:
                return
            if code not in PASSING and code != ErrorCode.KAFKA_STORAGE_ERROR:
                raise Refused("Produce", code)
            await self.pause()

    async def _add(self, partition: Partition) -> None:
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.name,
            v3_and_below_producer_id=self.state.id,
            v3_and_below_producer_epoch=self.state.epoch,
            v3_and_below_topics=[AddPartitionsToTxnTopic(name=partition[0], partitions=[partition[1]])],
        )
        while True:
            answer = await self.persist(request, 3)
            assert isinstance(answer, AddPartitionsToTxnResponse)
            code = answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
            if code == ErrorCode.NONE:
                self._added.add(partition)
                return
            if code not in PASSING:
                raise Refused("AddPartitionsToTxn", code)
            await self.pause()

    async def add_offsets(self, group: str) -> None:
        """Before TxnOffsetCommit, where that does not do it by itself. Raises Refused, Lost."""
        if self.is_new:
            return
        request = AddOffsetsToTxnRequest(
            transactional_id=self.name,
            producer_id=self.state.id,
            producer_epoch=self.state.epoch,
            group_id=group,
        )
        while True:
            answer = await self.persist(request, 3)
            assert isinstance(answer, AddOffsetsToTxnResponse)
            if answer.error_code == ErrorCode.NONE:
                return
            if answer.error_code not in PASSING:
                raise Refused("AddOffsetsToTxn", answer.error_code)
            await self.pause()

    async def end(self, transaction: Transaction, *, commit: bool) -> None:
        """Raises Refused, Lost."""
        request = EndTxnRequest(
            transactional_id=self.name,
            producer_id=self.state.id,
            producer_epoch=self.state.epoch,
            committed=commit,
        )
        if commit:
            self.ledger.asks_to_commit(transaction)
        while True:
            answer = await self.persist(request, 5 if self.is_new else 4)
            assert isinstance(answer, EndTxnResponse)
            if answer.error_code == ErrorCode.NONE:
                transaction.committed, transaction.aborted = commit, not commit
                self.ledger.progress["transactions committed" if commit else "transactions aborted"] += 1
                new = self.is_new
                self._becomes(ProducerState(answer.producer_id, answer.producer_epoch) if new else self.state)
                return
            if answer.error_code not in PASSING:
                raise Refused("EndTxn", answer.error_code)
            await self.pause()


class Writer(TransactionalProducer):
    """Writes transactions over several partitions."""

    def __init__(self, world: World, ledger: Ledger, name: str, tv: int, partitions: list[Partition]) -> None:
        super().__init__(world, ledger, name, tv)
        self._partitions = partitions

    async def run(self) -> None:
        async with trio.open_nursery() as zombies:
            while not self.world.over:
                try:
                    await self.initialise()
                    while not self.world.over:
                        await self._transaction(zombies)
                        await trio.sleep(self.draw.expovariate(10))
                except (Lost, Refused) as reason:
                    self.world.note(self.name, repr(reason))
                    self.ledger.progress["transactional producers that ended"] += 1
                    self.hang_up()

    async def _transaction(self, zombies: trio.Nursery) -> None:
        transaction = self.begin()
        await self._write(transaction, self.draw.randint(1, 5))
        way = self.draw.random()
        if way < LEFT_OPEN:
            if self.draw.random() < RETURNS:
                zombie = Zombie(self.world, self.ledger, self.name, self._tv, self.state, transaction)
                zombies.start_soon(zombie.run)
            else:
                await trio.sleep(self.draw.uniform(0, 2 * TIMEOUT_MS / 1000))
            raise Refused("left open", ErrorCode.NONE)
        await self.end(transaction, commit=way > LEFT_OPEN + ABORTED)

    async def _write(self, transaction: Transaction, batches: int) -> None:
        for _ in range(batches):
            partition = self.draw.choice(self._partitions)
            first = len(transaction.records)
            transaction.records += [partition] * self.draw.randint(1, 3)
            numbers = range(first, len(transaction.records))
            await self.produce(partition, [value_of(transaction.name, number) for number in numbers])


class Zombie(TransactionalProducer):
    """A producer that has a successor, and does not know it: it writes on, and asks to commit."""

    def __init__(
        self, world: World, ledger: Ledger, name: str, tv: int, state: ProducerState, transaction: Transaction
    ) -> None:
        super().__init__(world, ledger, name, tv)
        self.draw = world.rng(f"zombie of {transaction.name}")
        self.state, self._transaction = state, transaction

    async def run(self) -> None:
        await trio.sleep(self.draw.uniform(0.5, 2.0))
        try:
            if self.draw.random() < 0.5:
                number = len(self._transaction.records)
                partition = self._transaction.records[0]
                self._transaction.records.append(partition)
                self._sequences[partition] = sum(each == partition for each in self._transaction.records) - 1
                await self.produce(partition, [value_of(self._transaction.name, number)])
            fenced = self._transaction.aborted
            await self.end(self._transaction, commit=True)
            if fenced:
                self.world.anomaly(f"a fenced producer committed {self._transaction.name}")
        except (Lost, Refused) as reason:
            self.ledger.progress["zombies refused"] += 1
            self.world.note(self.name, f"zombie: {reason!r}")
        finally:
            self.hang_up()
