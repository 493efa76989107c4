"""The machine of one partition of `__transaction_state`: all transactional ids that hash to it (KIP-98, 360, 890).

A transaction is committed, or aborted, in two steps: a record says how it will end (Prepare), markers go to all of its
partitions, and a record says that they are there (Complete). From the first on nothing but that end is possible, after
a crash too: whoever loads the partition has the markers written again.

Meanwhile nothing else can happen to the transactional id. Apache Kafka answers such requests with
CONCURRENT_TRANSACTIONS, for clients to try again; here they wait until the transaction has ended and are decided then,
and EndTxn is answered when the markers are written. If that takes longer than `WAITS_S` they are answered as by Kafka.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_partitions_to_txn import AddPartitionsToTxnTransaction
from kbroker_wire.messages.coordinator_records import TRANSACTION_RECORDS, UnknownCoordinatorRecord, decode_record
from kbroker_wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.list_transactions import TransactionState as ListedTransaction
from kbroker_wire.messages.transaction_records import TransactionLogKey, TransactionLogValue
from kbroker_wire.records import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from kbroker_wire.schema import Message

from ...errors import Refusal
from ..machine import Now, Record, Reply
from ..timers import Timers
from .listing import Filter, describe, list_one
from .partitions import asked_partitions, verified
from .rules import Identity, Producer, Verdict, check_add, check_end, must_abort, next_identity
from .settings import TransactionSettings
from .transaction import (
    EPOCH_RISES,
    Decide,
    Later,
    Markers,
    Refused,
    Transaction,
    TransactionState,
    TransactionStep,
    Waiting,
)

log = logging.getLogger(__name__)

WAITS_S = 1.0  # a client that hears nothing for longer may as well try again
DUE_AT_ONCE = 1000  # transactional ids that one batch of records is about; the others have their turn right after


class TransactionShard:
    """The Machine of one partition; see there for `replay`, `tick` and the like.

    Each request brings its `ticket` and `refused`, which makes the answer for a Refusal that comes later. Methods raise
    Refusal for one that comes at once.
    """

    def __init__(
        self, settings: TransactionSettings, coordinator_epoch: int, take_producer_id: Callable[[], int | None]
    ) -> None:
        """`coordinator_epoch` is the leader epoch of the partition.

        take_producer_id   an id that no producer has had; None if there is none at hand just now
        """
        self.settings = settings
        self.transactions: dict[str, Transaction] = {}
        self._coordinator_epoch = coordinator_epoch
        self._take_producer_id = take_producer_id
        self._timers: Timers[str] = Timers()  # one an id: what it is for depends on the state, see `_schedule`

    # -- requests

    def init_producer_id(
        self, request: InitProducerIdRequest, ticket: object, refused: Refused, now: Now
    ) -> TransactionStep:
        """Give the producer an id and an epoch, and shut out whoever had the transactional id before."""
        transactional_id = request.transactional_id
        assert transactional_id is not None, "not a transactional producer"
        given = Producer(request.producer_id, request.producer_epoch)
        expected = None if given == (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) else given

        def decide(step: TransactionStep, now: Now) -> Message | Later:
            transaction = self.transactions.get(transactional_id)
            if transaction is None:
                transaction = self.transactions[transactional_id] = Transaction(
                    transactional_id, self._new_producer_id()
                )
                identity = Identity(transaction.producer_id, 0, NO_PRODUCER_EPOCH)
            else:
                if must_abort(transaction, expected):
                    self._end(transaction, step, now, commit=False)
                if transaction.is_ending:
                    return Later()
                identity = next_identity(transaction, expected)
            producer_id = self._new_producer_id() if identity.producer_id is None else identity.producer_id
            epochs = identity.producer_epoch, identity.last_producer_epoch
            step.records.append(transaction.initialized(producer_id, *epochs, request.transaction_timeout_ms, now.ms))
            return InitProducerIdResponse(
                error_code=ErrorCode.NONE, producer_id=producer_id, producer_epoch=identity.producer_epoch
            )

        return self._ask(transactional_id, decide, ticket, refused, now)

    def add_partitions(
        self,
        asked: AddPartitionsToTxnTransaction,
        client_version: int,
        ticket: object,
        refused: Refused,
        now: Now,
    ) -> TransactionStep:
        """Make partitions part of the producer's transaction, or tell which ones are (`verify_only`).

        client_version   of transactions: 2 when Produce or TxnOffsetCommit adds them, as only then it does

        `refused` makes all answers but that to `verify_only`, which is an AddPartitionsToTxnResult.
        """
        producer, partitions = Producer(asked.producer_id, asked.producer_epoch), asked_partitions(asked)

        def decide(step: TransactionStep, now: Now) -> Message | Later:
            transaction = self.transactions.get(asked.transactional_id)
            verdict = check_add(transaction, producer, partitions, verify_only=asked.verify_only)
            assert transaction is not None, "refused"
            if verdict is Verdict.WAIT:
                return Later()
            if asked.verify_only:
                return verified(asked, transaction)
            if verdict is Verdict.DO:
                if transaction.state is not TransactionState.ONGOING:
                    transaction.times_out_s = now.s + transaction.timeout_ms / 1000
                step.records.append(transaction.added(partitions, client_version, now.ms))
            return refused(ErrorCode.NONE, None)

        return self._ask(asked.transactional_id, decide, ticket, refused, now)

    def end(
        self, request: EndTxnRequest, client_version: int, ticket: object, refused: Refused, now: Now
    ) -> TransactionStep:
        """Commit or abort; answered when the markers are written."""
        producer = Producer(request.producer_id, request.producer_epoch)

        def decide(step: TransactionStep, now: Now) -> Message | Later:
            transaction = self.transactions.get(request.transactional_id)
            verdict = check_end(transaction, producer, commit=request.committed, client_version=client_version)
            assert transaction is not None, "refused"
            if verdict is Verdict.DO:
                next_id = NO_PRODUCER_ID
                if client_version >= EPOCH_RISES and transaction.is_exhausted:
                    next_id = self._new_producer_id()
                self._end(
                    transaction,
                    step,
                    now,
                    commit=request.committed,
                    client_version=client_version,
                    next_producer_id=next_id,
                )
            if verdict is Verdict.WAIT:
                return Later()
            return Later(_ended(transaction)) if transaction.is_ending else _ended(transaction)

        return self._ask(request.transactional_id, decide, ticket, refused, now)

    def describe(self, transactional_id: str) -> TransactionStep:
        """The response is a TransactionState of DescribeTransactions. Raises Refusal (TRANSACTIONAL_ID_NOT_FOUND)."""
        transaction = self.transactions.get(transactional_id)
        if transaction is None:
            raise Refusal(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
        return TransactionStep(describe(transaction))

    def listed(self, wanted: Filter, now_ms: int) -> list[ListedTransaction]:
        """Transactional ids that pass, in no order."""
        return [list_one(each) for each in self.transactions.values() if wanted.passes(each, now_ms)]

    def _ask(
        self, transactional_id: str, decide: Decide, ticket: object, refused: Refused, now: Now
    ) -> TransactionStep:
        """Decide on a request, or have it wait for the end of its transaction."""
        step = TransactionStep()
        try:
            outcome = decide(step, now)
        except Refusal as refusal:
            if not step.records:
                raise
            outcome = refused(refusal.code, refusal.message)
        if isinstance(outcome, Later):
            waiting = Waiting(now.s + WAITS_S, ticket, decide, refused, outcome.answer)
            self.transactions[transactional_id].waiting.append(waiting)
        else:
            step.response = outcome
        self._schedule(transactional_id, now)
        return step

    def _new_producer_id(self) -> int:
        """Raises Refusal, with a code that clients try again after."""
        producer_id = self._take_producer_id()
        if producer_id is None:
            raise Refusal(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return producer_id

    # -- the end of a transaction

    def _end(
        self,
        transaction: Transaction,
        step: TransactionStep,
        now: Now,
        *,
        commit: bool,
        client_version: int = EPOCH_RISES,
        next_producer_id: int = NO_PRODUCER_ID,
    ) -> None:
        record = transaction.prepared(
            commit=commit, client_version=client_version, next_producer_id=next_producer_id, now_ms=now.ms
        )
        step.records.append(record)
        self._order(transaction, step, now)

    def _order(self, transaction: Transaction, step: TransactionStep, now: Now) -> None:
        markers = transaction.order(self._coordinator_epoch)
        if markers.partitions:
            step.markers.append(markers)
        else:
            self._complete(transaction, step, now)

    def _complete(self, transaction: Transaction, step: TransactionStep, now: Now) -> None:
        transaction.markers = None
        step.records.append(transaction.completed(now.ms))

    def markers_written(self, markers: Markers, partitions: Iterable[tuple[str, int]], now: Now) -> TransactionStep:
        """These partitions have their marker, or are deleted; what was said before, or of older orders, is no news."""
        step = TransactionStep()
        if not self.awaits(markers):
            return step
        transaction = self.transactions[markers.transactional_id]
        transaction.marked(partitions)
        if not transaction.partitions:
            self._complete(transaction, step, now)
            self._go_on(transaction, step, now)
            self._schedule(transaction.id, now)
        return step

    def awaits(self, markers: Markers) -> bool:
        """The order still stands. One that does not must not be sent again: before version 2 of transactions all those
        of a producer have the same epoch, so that old markers would end the next one."""
        transaction = self.transactions.get(markers.transactional_id)
        return transaction is not None and transaction.markers is markers

    def _go_on(self, transaction: Transaction, step: TransactionStep, now: Now) -> None:
        """Answer those who waited for this end, then decide on the others, until one of them ends the next one.

        The answers wait for the markers alone: whoever reads of a prepared end sends them again, and completes it.
        """
        waited, transaction.waiting = transaction.waiting, deque()
        undecided: deque[Waiting] = deque()
        for waiting in waited:
            if waiting.answer is None:
                undecided.append(waiting)
            else:
                step.safe_replies.append(Reply(waiting.ticket, waiting.answer))
        while undecided and not transaction.is_ending:
            waiting = undecided.popleft()
            outcome: Message | Later
            try:
                outcome = waiting.decide(step, now)
            except Refusal as refusal:
                outcome = waiting.refused(refusal.code, refusal.message)
            if isinstance(outcome, Later):
                waiting.answer = outcome.answer
                undecided.appendleft(waiting)
            else:
                step.replies.append(Reply(waiting.ticket, outcome))
        transaction.waiting = undecided

    # -- time

    @property
    def deadline(self) -> float | None:
        return self._timers.deadline

    def _schedule(self, transactional_id: str, now: Now) -> None:
        """Set the timer of what is next: the end of somebody's patience, the transaction's timeout, or oblivion."""
        transaction = self.transactions.get(transactional_id)
        if transaction is None:
            return
        if transaction.state is TransactionState.ONGOING:
            self._timers.set(transactional_id, transaction.times_out_s)
        elif not transaction.is_ending:
            self._timers.set(transactional_id, now.s + self.settings.expiration_ms / 1000)
        elif transaction.waiting:
            self._timers.set(transactional_id, transaction.waiting[0].until)
        else:
            self._timers.cancel(transactional_id)

    def tick(self, now: Now) -> TransactionStep:
        step = TransactionStep()
        for transactional_id in islice(self._timers.due(now.s), DUE_AT_ONCE):
            transaction = self.transactions[transactional_id]
            if transaction.state is TransactionState.ONGOING:
                log.info("the transaction of %s is aborted: it took longer than its timeout", transactional_id)
                self._end(transaction, step, now, commit=False)
            elif transaction.is_ending:
                while transaction.waiting and transaction.waiting[0].until <= now.s:
                    waiting = transaction.waiting.popleft()
                    step.replies.append(Reply(waiting.ticket, waiting.too_late()))
            else:
                step.records.append(Record(TransactionLogKey(transactional_id=transactional_id), None))
                del self.transactions[transactional_id]
            self._schedule(transactional_id, now)
        return step

    # -- loading

    def replay(self, key: bytes | memoryview, value: bytes | memoryview | None, producer_id: int) -> None:
        del producer_id  # nobody writes this topic in transactions
        try:
            decoded_key, decoded = decode_record(TRANSACTION_RECORDS, key, value)
        except UnknownCoordinatorRecord:
            return
        assert isinstance(decoded_key, TransactionLogKey)
        transactional_id = decoded_key.transactional_id
        assert decoded is None or isinstance(decoded, TransactionLogValue)
        if decoded is None or decoded.transaction_status == TransactionState.DEAD:
            self.transactions.pop(transactional_id, None)
            return
        transaction = self.transactions.get(transactional_id)
        if transaction is None:
            transaction = self.transactions[transactional_id] = Transaction(transactional_id, decoded.producer_id)
        transaction.apply(decoded)

    def replay_end(self, producer_id: int, *, commit: bool) -> None:
        """Nobody writes this topic in transactions."""

    def loaded(self, now: Now) -> TransactionStep:
        """Markers of what was ending are ordered again. Timeouts and expiry count on from what is written, but no
        longer than from now: a wall clock that was set back keeps no transaction open."""
        step = TransactionStep()
        for transaction in self.transactions.values():
            if transaction.is_ending:
                self._order(transaction, step, now)
            if transaction.state is TransactionState.ONGOING:
                transaction.times_out_s = now.s + _left_s(transaction.started_ms, transaction.timeout_ms, now)
                self._timers.set(transaction.id, transaction.times_out_s)
            elif not transaction.is_ending:
                left_s = _left_s(transaction.updated_ms, self.settings.expiration_ms, now)
                self._timers.set(transaction.id, now.s + left_s)
        return step


def _left_s(since_ms: int, lasts_ms: int, now: Now) -> float:
    return min(max(since_ms + lasts_ms - now.ms, 0), lasts_ms) / 1000


def _ended(transaction: Transaction) -> EndTxnResponse:
    """With the id and epoch for the next transaction; versions of the request before 5 have no place for them."""
    producer_id, producer_epoch = transaction.identity
    return EndTxnResponse(error_code=ErrorCode.NONE, producer_id=producer_id, producer_epoch=producer_epoch)
