"""Who may do what to a transactional id, and how a refusal is called: decided here, carried out by the shard.

The checks and their order are Apache Kafka 4.4's, where clients can see it. PRODUCER_FENCED stands for every epoch that
is not the present one; that old clients read INVALID_PRODUCER_EPOCH instead is for the handlers of their requests.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from kbroker_wire import ErrorCode
from kbroker_wire.records import NO_PRODUCER_EPOCH

from ...errors import Refusal
from .transaction import EPOCH_RISES, LAST_EPOCH, Partitions, Transaction, TransactionState

COMMITTED = frozenset((TransactionState.PREPARE_COMMIT, TransactionState.COMPLETE_COMMIT))
ABORTED = frozenset((TransactionState.PREPARE_ABORT, TransactionState.COMPLETE_ABORT))


class Verdict(Enum):
    WAIT = auto()  # the transaction is ending: ask again when it has ended
    DO = auto()
    DONE = auto()  # it is so already, or will be when the transaction has ended: the request came twice


class Producer(NamedTuple):
    """An id and an epoch, as requests present them."""

    id: int
    epoch: int


class Identity(NamedTuple):
    """What InitProducerId gives: `producer_id` is None for one that nobody has had."""

    producer_id: int | None
    producer_epoch: int
    last_producer_epoch: int


def check_add(
    transaction: Transaction | None, producer: Producer, partitions: Partitions, *, verify_only: bool = False
) -> Verdict:
    """AddPartitionsToTxn, AddOffsetsToTxn. With `verify_only` DONE is the answer, for partitions to be looked at one
    by one. Raises Refusal."""
    if transaction is None:
        raise Refusal(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if transaction.is_ending and not verify_only:
        return Verdict.WAIT
    _check_present(transaction, producer)
    if verify_only:
        return Verdict.WAIT if transaction.is_ending else Verdict.DONE
    known = transaction.state is TransactionState.ONGOING and transaction.holds(partitions)
    return Verdict.DONE if known else Verdict.DO


def check_end(transaction: Transaction | None, producer: Producer, *, commit: bool, client_version: int) -> Verdict:
    """EndTxn. Raises Refusal."""
    if transaction is None:
        raise Refusal(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    check = _check_end if client_version >= EPOCH_RISES else _check_old_end
    return check(transaction, producer, commit=commit)


def _check_end(transaction: Transaction, producer: Producer, *, commit: bool) -> Verdict:
    """The epoch tells which transaction is meant (KIP-890): the one before the present epoch ends, or has ended.

    An abort without a transaction raises the epoch too: so a producer that does not know whether its records came in
    shuts them out.
    """
    if _ended_before(transaction, producer):
        return _ended_so(transaction, commit=commit)
    if transaction.is_ending:
        return Verdict.WAIT
    _check_present(transaction, producer)
    if commit and transaction.state is not TransactionState.ONGOING:
        raise Refusal(ErrorCode.INVALID_TXN_STATE)
    return Verdict.DO


def _ended_before(transaction: Transaction, producer: Producer) -> bool:
    """The producer's transaction is the last one that was to end. Its next epoch must be one that it can be told."""
    if not transaction.raised_epoch or transaction.identity[1] > LAST_EPOCH:
        return False
    if transaction.producer_epoch == 0:
        return producer == (transaction.previous_producer_id, LAST_EPOCH)
    return producer == (transaction.producer_id, transaction.producer_epoch - 1)


def _check_old_end(transaction: Transaction, producer: Producer, *, commit: bool) -> Verdict:
    """Before version 2 of transactions the epoch is that of all the producer's transactions.

    So what comes while one ends means that one: if it waited, it might end the next.
    """
    _check_present(transaction, producer)
    if transaction.state is TransactionState.ONGOING:
        return Verdict.DO
    return _ended_so(transaction, commit=commit)


def _ended_so(transaction: Transaction, *, commit: bool) -> Verdict:
    if transaction.state in (COMMITTED if commit else ABORTED):
        return Verdict.DONE
    raise Refusal(ErrorCode.INVALID_TXN_STATE)


def _check_present(transaction: Transaction, producer: Producer) -> None:
    """The producer is the one that may write and end."""
    if producer.id != transaction.producer_id:
        raise Refusal(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if producer.epoch != transaction.producer_epoch or producer.epoch > LAST_EPOCH:
        raise Refusal(ErrorCode.PRODUCER_FENCED)


def must_abort(transaction: Transaction, expected: Producer | None) -> bool:
    """InitProducerId of an id that is known: whether there is an open transaction that has to be aborted first.

    expected   what the producer had, if it means to go on (KIP-360)

    Apache Kafka aborts an open transaction even for a producer that turns out to be shut out; here that one is refused
    and harms nobody. Raises Refusal.
    """
    if transaction.state is not TransactionState.ONGOING:
        return False
    if expected is not None and expected != (transaction.producer_id, transaction.producer_epoch):
        raise Refusal(ErrorCode.PRODUCER_FENCED)
    return True


def next_identity(transaction: Transaction, expected: Producer | None) -> Identity:
    """What the producer gets while no transaction is open: with the same id as long as there are epochs.

    Raises Refusal (PRODUCER_FENCED) for one that has been followed by another.
    """
    now = Producer(transaction.producer_id, transaction.producer_epoch)
    if expected is None or expected == now:
        last = NO_PRODUCER_EPOCH if expected is None else now.epoch
        return Identity(None, 0, last) if transaction.is_exhausted else Identity(now.id, now.epoch + 1, last)
    if not _had_before(transaction, expected):
        raise Refusal(ErrorCode.PRODUCER_FENCED)
    if transaction.producer_epoch > LAST_EPOCH:
        return Identity(None, 0, expected.epoch)
    return Identity(now.id, now.epoch, expected.epoch)


def _had_before(transaction: Transaction, expected: Producer) -> bool:
    """This very producer was given the present identity: it asks again, or its transaction was aborted meanwhile."""
    last = transaction.last_producer_epoch
    owner = transaction.producer_id if transaction.producer_epoch else transaction.previous_producer_id
    return last != NO_PRODUCER_EPOCH and expected == (owner, last)
