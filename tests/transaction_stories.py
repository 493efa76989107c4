"""A transaction coordinator's machine with what it needs around it: a log, a clock, and partitions that get markers.

Requests are made in a line each and give their answer, or a `Waits` that has it later. Nothing is answered twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from kbroker.coordinators.machine import Now
from kbroker.coordinators.transactions.partitions import result
from kbroker.coordinators.transactions.settings import TransactionSettings
from kbroker.coordinators.transactions.shard import TransactionShard
from kbroker.coordinators.transactions.transaction import Markers, Transaction, TransactionStep
from kbroker.errors import Refusal
from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from kbroker_wire.messages.coordinator_records import encode_record
from kbroker_wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.schema import Message

START_MS = 1_700_000_000_000
FIRST_ID = 1000  # the first producer id; the next ones follow
TV1, TV2 = 0, 2  # versions of transactions, as requests tell them: there is no 1 on the wire


class Producer(NamedTuple):
    """What InitProducerId and EndTxn of version 5 answer."""

    id: int
    epoch: int

    def at(self, epoch: int) -> Producer:
        return Producer(self.id, epoch)


Outcome = Producer | ErrorCode | dict[tuple[str, int], ErrorCode]


@dataclass(eq=False)
class Waits:
    """A request without an answer yet."""

    answer: Outcome | None = None


@dataclass
class Story:
    """The machine and its surroundings; `say` on demand what is done at which second.

    log       what was appended, encoded as it is in the partition
    markers   orders that have not been carried out
    """

    settings: TransactionSettings = field(default_factory=TransactionSettings)
    log: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    markers: list[Markers] = field(default_factory=list)
    s: float = 100.0
    ms: int = START_MS
    epoch: int = 1
    ids_at_hand: bool = True
    open: dict[int, Waits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ids, self._tickets = count(FIRST_ID), count()
        self.machine = self._machine()

    def _machine(self) -> TransactionShard:
        return TransactionShard(self.settings, self.epoch, lambda: next(self._ids) if self.ids_at_hand else None)

    @property
    def now(self) -> Now:
        return Now(self.s, self.ms)

    def __getitem__(self, transactional_id: str) -> Transaction:
        return self.machine.transactions[transactional_id]

    # -- requests

    def init(
        self, transactional_id: str, expected: Producer | None = None, timeout_ms: int = 60_000
    ) -> Outcome | Waits:
        given = expected or Producer(-1, -1)
        request = InitProducerIdRequest(
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            producer_id=given.id,
            producer_epoch=given.epoch,
        )
        return self._ask(lambda ticket: self.machine.init_producer_id(request, ticket, _refused, self.now))

    def add(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Mapping[str, Iterable[int]],
        version: int = TV2,
        *,
        verify_only: bool = False,
    ) -> Outcome | Waits:
        asked = AddPartitionsToTxnTransaction(
            transactional_id=transactional_id,
            producer_id=producer.id,
            producer_epoch=producer.epoch,
            verify_only=verify_only,
            topics=[AddPartitionsToTxnTopic(name=name, partitions=list(each)) for name, each in partitions.items()],
        )

        def refused(code: ErrorCode, _: str | None) -> Message:
            return result(asked, code)

        return self._ask(lambda ticket: self.machine.add_partitions(asked, version, ticket, refused, self.now))

    def end(self, transactional_id: str, producer: Producer, version: int = TV2, *, commit: bool) -> Outcome | Waits:
        request = EndTxnRequest(
            transactional_id=transactional_id,
            producer_id=producer.id,
            producer_epoch=producer.epoch,
            committed=commit,
        )
        return self._ask(lambda ticket: self.machine.end(request, version, ticket, _refused, self.now))

    def commit(self, transactional_id: str, producer: Producer, version: int = TV2) -> Outcome | Waits:
        return self.end(transactional_id, producer, version, commit=True)

    def abort(self, transactional_id: str, producer: Producer, version: int = TV2) -> Outcome | Waits:
        return self.end(transactional_id, producer, version, commit=False)

    def _ask(self, ask: Callable[[int], TransactionStep]) -> Outcome | Waits:
        ticket, waits = next(self._tickets), Waits()
        records = len(self.log)
        try:
            step = ask(ticket)
        except Refusal as refusal:
            assert len(self.log) == records
            return refusal.code
        self.open[ticket] = waits
        self._take(step)
        if step.response is None:
            return waits
        del self.open[ticket]
        return _outcome(step.response)

    def _take(self, step: TransactionStep) -> None:
        self.log += [encode_record(record.key, record.value) for record in step.records]
        self.markers += step.markers
        for ticket, response in (*step.safe_replies, *step.replies):
            assert isinstance(ticket, int)
            waits = self.open.pop(ticket)  # KeyError: answered twice, or never asked
            waits.answer = _outcome(response)

    # -- what happens besides

    def write_markers(self) -> list[Markers]:
        """Carry out all orders, whole; what they were."""
        written, self.markers = self.markers, []
        for order in written:
            self.wrote(order, order.partitions)
        return written

    def wrote(self, order: Markers, partitions: Iterable[tuple[str, int]]) -> None:
        self._take(self.machine.markers_written(order, partitions, self.now))

    def pass_s(self, seconds: float) -> None:
        """Time goes by; the machine has its turns when it wants them."""
        end = self.s + seconds
        while (deadline := self.machine.deadline) is not None and deadline <= end:
            self._go_to(max(deadline, self.s))
            self._take(self.machine.tick(self.now))
        self._go_to(end)

    def _go_to(self, s: float) -> None:
        self.ms += round((s - self.s) * 1000)
        self.s = s

    def restart(self) -> None:
        """The broker crashed, and another machine reads what this one has written. Nobody waits any more."""
        self.open.clear()
        self.markers.clear()
        self.epoch += 1
        self.machine = self._machine()
        for key, value in self.log:
            self.machine.replay(key, value, -1)
        self._take(self.machine.loaded(self.now))


def _refused(code: ErrorCode, message: str | None) -> Message:
    assert message is None
    return EndTxnResponse(error_code=code)


def _outcome(response: Message) -> Outcome:
    if isinstance(response, AddPartitionsToTxnResult):
        return {
            (topic.name, each.partition_index): ErrorCode(each.partition_error_code)
            for topic in response.topic_results
            for each in topic.results_by_partition
        }
    assert isinstance(response, (InitProducerIdResponse, EndTxnResponse))
    if response.error_code:
        return ErrorCode(response.error_code)
    return Producer(response.producer_id, response.producer_epoch)
