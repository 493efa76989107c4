"""A transactional id: the producer that has it, and the transaction that is open, ending, or was the last.

What is durable changes by records alone: a transition makes the record that the log gets and applies it, as replaying
the log does later. Epochs rise for two reasons: a new instance of the producer shuts the old one out; and with version
2 of transactions (KIP-890) each end raises it, so that nothing that belongs to the ended one gets into the next.
An epoch above `LAST_EPOCH` is nobody's: it only shuts out, and the next producer gets another id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from kbroker_wire import ErrorCode, ProtocolError
from kbroker_wire.messages.transaction_records import TransactionLogKey, TransactionLogValue, TransactionPartitions
from kbroker_wire.records import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from kbroker_wire.schema import Message

from ..machine import Now, Record, Step

LAST_EPOCH = (1 << 15) - 2  # the highest that a producer is given: the coordinator can always go one above
NO_TIME = -1
EPOCH_RISES = 2  # the version of transactions from which on every end raises the epoch


class TransactionState(IntEnum):
    """As it is written down."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6  # never in a log: an id that is about to be forgotten
    PREPARE_EPOCH_FENCE = 7  # never in a log: an abort that is about to be prepared

    @property
    def title(self) -> str:
        """As DescribeTransactions and ListTransactions call it."""
        return self.name.title().replace("_", "")


STATES: Mapping[str, TransactionState] = {state.title: state for state in TransactionState}
PREPARED = frozenset((TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT))
COMPLETED = frozenset((TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT))

Partitions = Mapping[str, Set[int]]


@dataclass(slots=True, eq=False)
class Markers:
    """What the leaders of a transaction's partitions are to write; each order is an object of its own.

    producer_epoch       of the markers: with version 2 of transactions one above that of the records
    coordinator_epoch    leader epoch of the coordinator's partition: of two coordinators the later one is believed
    """

    transactional_id: str
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool
    partitions: list[tuple[str, int]]
    transaction_version: int


@dataclass(slots=True)
class TransactionStep(Step):
    """`markers`: to be sent when the records are committed; `TransactionShard.markers_written` is told of each."""

    markers: list[Markers] = field(default_factory=list)


class Later(NamedTuple):
    """A request has to wait until its transaction has ended.

    answer   what it is answered then, or when it takes too long; None: it is decided anew then, and told
             CONCURRENT_TRANSACTIONS if that takes too long
    """

    answer: Message | None = None


Decide = Callable[[TransactionStep, Now], Message | Later]
Refused = Callable[[ErrorCode, str | None], Message]


@dataclass(slots=True)
class Waiting:
    """A request that waits for the end.

    until     Trio's clock: how long
    decide    may raise Refusal, of which `refused` makes an answer
    """

    until: float
    ticket: object
    decide: Decide
    refused: Refused
    answer: Message | None = None

    def too_late(self) -> Message:
        return self.refused(ErrorCode.CONCURRENT_TRANSACTIONS, None) if self.answer is None else self.answer


@dataclass(slots=True)
class Transaction:
    """State of one transactional id.

    producer_epoch        the one that may write and end; -1 until the first producer has been told
    last_producer_epoch   what the producer had before, if it is the same producer that got the present one: an
                          InitProducerId that comes again is known by it. Not written down, -1 if not known
    previous_producer_id  before the last change of ids; the present one if there was none
    next_producer_id      what the id changes to when the prepared end is complete
    client_version        of transactions, that the client began or ended with
    partitions            of the open transaction; of one that ends, those that lack their marker
    started_ms            of the open transaction, or the last; -1 after InitProducerId
    times_out_s           Trio's clock: when an open transaction is aborted
    markers               what is being written, while the transaction ends
    waiting               requests that wait for the end, the oldest first
    """

    id: str
    producer_id: int
    producer_epoch: int = NO_PRODUCER_EPOCH
    timeout_ms: int = 0
    state: TransactionState = TransactionState.EMPTY
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    client_version: int = 0
    partitions: dict[str, set[int]] = field(default_factory=dict)
    started_ms: int = NO_TIME
    updated_ms: int = NO_TIME
    last_producer_epoch: int = NO_PRODUCER_EPOCH
    times_out_s: float = 0.0
    markers: Markers | None = None
    waiting: deque[Waiting] = field(default_factory=deque)

    @property
    def is_ending(self) -> bool:
        return self.state in PREPARED

    @property
    def is_exhausted(self) -> bool:
        """There is no higher epoch that a producer could have."""
        return self.producer_epoch >= LAST_EPOCH

    @property
    def raised_epoch(self) -> bool:
        """The end that is prepared or complete raised the epoch: who brings the one before it repeats a request."""
        return self.client_version >= EPOCH_RISES and (self.state in COMPLETED or self.state in PREPARED)

    @property
    def identity(self) -> tuple[int, int]:
        """Producer id and epoch for the transaction after this one."""
        if self.next_producer_id != NO_PRODUCER_ID:
            return self.next_producer_id, 0
        return self.producer_id, self.producer_epoch

    # -- transitions, each by a record

    def initialized(
        self, producer_id: int, producer_epoch: int, last_producer_epoch: int, timeout_ms: int, now_ms: int
    ) -> Record:
        """A producer begins with this id and epoch; `last_producer_epoch` is what it presented, -1 if nothing."""
        record = self._advance(
            TransactionState.EMPTY,
            now_ms,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            timeout_ms=timeout_ms,
            partitions=None,
            started_ms=NO_TIME,
        )
        self.last_producer_epoch = last_producer_epoch
        return record

    def added(self, partitions: Partitions, client_version: int, now_ms: int) -> Record:
        """Partitions become part of the transaction, which begins if there was none."""
        together: dict[str, Set[int]] = dict(self.partitions)
        for topic, indexes in partitions.items():
            together[topic] = together.get(topic, frozenset()) | indexes
        return self._advance(
            TransactionState.ONGOING,
            now_ms,
            partitions=together,
            started_ms=self.started_ms if self.state is TransactionState.ONGOING else now_ms,
            client_version=client_version,
        )

    def prepared(self, *, commit: bool, client_version: int, next_producer_id: int, now_ms: int) -> Record:
        """From now on it ends like this, whatever happens."""
        state = TransactionState.PREPARE_COMMIT if commit else TransactionState.PREPARE_ABORT
        return self._advance(
            state,
            now_ms,
            producer_epoch=self.producer_epoch + (client_version >= EPOCH_RISES),
            next_producer_id=next_producer_id,
            partitions=self.partitions,
            started_ms=self.started_ms if self.state is TransactionState.ONGOING else now_ms,
            client_version=client_version,
        )

    def completed(self, now_ms: int) -> Record:
        """Every partition has its marker."""
        commit = self.state is TransactionState.PREPARE_COMMIT
        producer_id, producer_epoch = self.identity
        return self._advance(
            TransactionState.COMPLETE_COMMIT if commit else TransactionState.COMPLETE_ABORT,
            now_ms,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            partitions={},
        )

    def _advance(
        self,
        state: TransactionState,
        now_ms: int,
        *,
        partitions: Partitions | None,
        producer_id: int | None = None,
        producer_epoch: int | None = None,
        next_producer_id: int = NO_PRODUCER_ID,
        timeout_ms: int | None = None,
        started_ms: int | None = None,
        client_version: int | None = None,
    ) -> Record:
        """The record of a transition, applied; what is not given stays."""
        keeps_id = producer_id is None or producer_id == self.producer_id
        keeps_previous = keeps_id and self.previous_producer_id != NO_PRODUCER_ID
        value = TransactionLogValue(
            producer_id=self.producer_id if producer_id is None else producer_id,
            previous_producer_id=self.previous_producer_id if keeps_previous else self.producer_id,
            next_producer_id=next_producer_id,
            producer_epoch=self.producer_epoch if producer_epoch is None else producer_epoch,
            transaction_timeout_ms=self.timeout_ms if timeout_ms is None else timeout_ms,
            transaction_status=state,
            transaction_partitions=None if partitions is None else _listed(partitions),
            transaction_last_update_timestamp_ms=now_ms,
            transaction_start_timestamp_ms=self.started_ms if started_ms is None else started_ms,
            client_transaction_version=self.client_version if client_version is None else client_version,
        )
        self.apply(value)
        return Record(TransactionLogKey(transactional_id=self.id), value)

    def apply(self, value: TransactionLogValue) -> None:
        """What a record says, just made or read from the log. Raises ProtocolError for a state that nobody has."""
        try:
            state = TransactionState(value.transaction_status)
        except ValueError:
            raise ProtocolError(f"{value.transaction_status} is no state of a transaction") from None
        self.state = TransactionState.ONGOING if state is TransactionState.PREPARE_EPOCH_FENCE else state
        self.producer_id, self.producer_epoch = value.producer_id, value.producer_epoch
        self.previous_producer_id, self.next_producer_id = value.previous_producer_id, value.next_producer_id
        self.client_version = value.client_transaction_version
        self.timeout_ms = value.transaction_timeout_ms
        self.partitions = {each.topic: set(each.partition_ids) for each in value.transaction_partitions or ()}
        self.started_ms = value.transaction_start_timestamp_ms
        self.updated_ms = value.transaction_last_update_timestamp_ms
        if self.raised_epoch:
            self.last_producer_epoch = self.producer_epoch - 1 if self.producer_epoch else LAST_EPOCH
        elif state is TransactionState.EMPTY:
            self.last_producer_epoch = NO_PRODUCER_EPOCH

    def holds(self, partitions: Partitions) -> bool:
        """All of them are part of the transaction."""
        mine = self.partitions
        return all(indexes <= mine.get(topic, frozenset()) for topic, indexes in partitions.items())

    def order(self, coordinator_epoch: int) -> Markers:
        """The markers that the prepared end needs; what is said of earlier ones counts no more."""
        self.markers = Markers(
            self.id,
            self.producer_id,
            self.producer_epoch,
            coordinator_epoch,
            self.state is TransactionState.PREPARE_COMMIT,
            [(topic, index) for topic, indexes in self.partitions.items() for index in sorted(indexes)],
            self.client_version,
        )
        return self.markers

    def marked(self, partitions: Iterable[tuple[str, int]]) -> None:
        """These have their marker, or are gone for ever."""
        for topic, index in partitions:
            indexes = self.partitions.get(topic)
            if indexes is not None:
                indexes.discard(index)
                if not indexes:
                    del self.partitions[topic]


def _listed(partitions: Partitions) -> list[TransactionPartitions]:
    return [TransactionPartitions(topic=topic, partition_ids=sorted(indexes)) for topic, indexes in partitions.items()]
