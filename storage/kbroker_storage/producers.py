"""What the log remembers of idempotent producers, so that a repeated batch is recognised and a lost one noticed.

For each producer id: its epoch and its last five batches, as many as a client may have in flight (Kafka's rule).
A batch is accepted when it continues the sequence, answered from memory when it repeats one of the five, refused
otherwise. A producer that is not known, or is known no more, may begin anywhere.

State that was loaded from a snapshot knows one batch only (that is all Kafka's format holds). The four before it are
read from the log when, and only when, a batch arrives that would otherwise be refused.

A transaction's first batch in this log must have been verified (KIP-890): the transaction coordinator was asked and
said that this partition is part of the producer's transaction. As asking takes time, the asker gets a token first, and
brings it with the batch; a marker or a batch that came in between has made it worthless, so what is late for its
transaction can not open one that nobody will ever end.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final, NamedTuple

from .entry import MAX_SEQUENCE, NO_PRODUCER, NO_SEQUENCE, NO_TIMESTAMP, Entry, Marker
from .errors import CoordinatorFenced, InvalidProducerEpoch, InvalidTransactionState, OutOfOrderSequence
from .transactions import Aborted, Undecided

REMEMBERED_BATCHES = 5  # max.in.flight.requests.per.connection of an idempotent producer is at most this
NO_OFFSET = -1


class Batch(NamedTuple):
    """One batch as it was stored. Sequences wrap, so last_sequence may be below base_sequence."""

    base_sequence: int
    last_sequence: int
    base_offset: int
    last_offset: int
    timestamp: int  # ms, the batch's max timestamp


class Producer:
    """One producer id's state in one log.

    partial            older batches of this epoch may be in the log: the state came from a snapshot
    timestamp          ms of its newest batch; what expiry counts from
    coordinator_epoch  of the transaction coordinator that wrote the last marker; -1 if none
    txn_first_offset   where its open transaction begins; -1 if there is none
    """

    __slots__ = ("batches", "coordinator_epoch", "epoch", "partial", "producer_id", "timestamp", "txn_first_offset")

    def __init__(self, producer_id: int, epoch: int) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        self.batches: deque[Batch] = deque(maxlen=REMEMBERED_BATCHES)
        self.partial = False
        self.timestamp = NO_TIMESTAMP
        self.coordinator_epoch = -1
        self.txn_first_offset = NO_OFFSET

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE


class VerificationToken:
    """What is known of a producer whose transaction is being verified.

    lowest_sequence  of the batches that waited for it: later ones must not get in before that one
    implicit         the coordinator adds the partition by itself (transaction version 2): then a new transaction has a
                     new epoch, and its first sequence is 0
    old              it was there at the last `expire_idle`
    """

    __slots__ = ("epoch", "implicit", "lowest_sequence", "old")

    def __init__(self, epoch: int, sequence: int, *, implicit: bool) -> None:
        self.epoch, self.lowest_sequence, self.implicit = epoch, sequence, implicit
        self.old = False

    def join(self, epoch: int, sequence: int, *, implicit: bool) -> None:
        """Another batch waits for it."""
        if epoch > self.epoch:
            self.epoch, self.lowest_sequence, self.implicit = epoch, sequence, implicit
        elif epoch == self.epoch:
            self.lowest_sequence = min(self.lowest_sequence, sequence)


UNASKED: Final = VerificationToken(-1, NO_SEQUENCE, implicit=False)  # the log is told to demand none


def following(sequence: int) -> int:
    """The sequence after this one."""
    return 0 if sequence == MAX_SEQUENCE else sequence + 1


History = Callable[[Producer], list[Batch]]


class Producers:
    """All producers of one log. `history` finds a producer's last batches in the log, oldest first, at most five."""

    __slots__ = ("_history", "_idle_below", "_producers", "_verifications", "undecided")

    def __init__(self, history: History) -> None:
        self._history = history
        self._producers: dict[int, Producer] = {}
        self._verifications: dict[int, VerificationToken] = {}
        self.undecided = Undecided()
        self._idle_below = 0  # who has no batch from this offset on wrote nothing since the last `expire_idle`

    def __len__(self) -> int:
        return len(self._producers)

    def __iter__(self) -> Iterator[Producer]:
        return iter(self._producers.values())

    def get(self, producer_id: int) -> Producer | None:
        return self._producers.get(producer_id)

    def load(self, producers: Iterable[Producer]) -> None:
        """Take the state from a snapshot."""
        self.clear()
        for producer in sorted(producers, key=lambda each: each.txn_first_offset):
            self._producers[producer.producer_id] = producer
            if producer.txn_first_offset != NO_OFFSET:
                self.undecided.begin(producer.producer_id, producer.txn_first_offset)

    def clear(self) -> None:
        self._producers.clear()
        self._verifications.clear()
        self.undecided.clear()

    # -- what may be appended

    def check(self, entry: Entry, verified: VerificationToken | None = UNASKED) -> Batch | None:
        """None if the batch may be appended, the stored one if it is a repetition.

        Raises InvalidProducerEpoch, OutOfOrderSequence, InvalidTransactionState.
        """
        producer = self._producers.get(entry.producer_id)
        if producer is None:
            if entry.transactional:
                self._check_transaction(entry, verified, None)
            return None
        epoch, first = entry.producer_epoch, entry.base_sequence
        if epoch < producer.epoch:
            raise InvalidProducerEpoch(entry.producer_id, epoch, producer.epoch)
        if first == NO_SEQUENCE:
            self._check_transaction(entry, verified, producer)
            return None
        batches = producer.batches
        last = batches[-1].last_sequence if batches and epoch == producer.epoch else NO_SEQUENCE
        if first == last + 1 or (first == 0 and last == MAX_SEQUENCE):
            if entry.transactional or producer.txn_first_offset != NO_OFFSET:
                self._check_transaction(entry, verified, producer)
            return None
        if epoch == producer.epoch:
            repeated = self._repeated(producer, first, entry.last_sequence)
            if repeated is not None:
                return repeated
        if entry.transactional:
            self._check_transaction(entry, verified, producer)
        raise OutOfOrderSequence(entry.producer_id, epoch, first, following(last))

    def _repeated(self, producer: Producer, first: int, last: int) -> Batch | None:
        for batch in producer.batches:
            if batch.base_sequence == first and batch.last_sequence == last:
                return batch
        if not producer.partial:
            return None
        producer.partial = False
        known = self._history(producer)
        if known and known[-1] == producer.batches[-1]:
            producer.batches.clear()
            producer.batches.extend(known)
        return self._repeated(producer, first, last)

    def check_all(self, entries: Iterable[Entry], verified: VerificationToken | None = UNASKED) -> list[Batch]:
        """As `check`, for frames that will be appended together: later ones may continue earlier ones.

        Empty if all may be appended, else a stored batch for each. Some repeated and some new is out of order.
        """
        repeated: list[Batch] = []
        ahead: dict[int, Entry] = {}  # producer id -> its newest entry, as if appended
        fresh = 0
        for entry in entries:
            if entry.producer_id == NO_PRODUCER:
                fresh += 1
                continue
            before = ahead.get(entry.producer_id)
            if before is None:
                stored = self.check(entry, verified)
                if stored is not None:
                    repeated.append(stored)
                    continue
            else:
                check_behind(entry, before)
            fresh += 1
            ahead[entry.producer_id] = entry
            if repeated:
                raise OutOfOrderSequence(
                    entry.producer_id, entry.producer_epoch, entry.base_sequence, following(repeated[-1].last_sequence)
                )
        if repeated and fresh:
            raise OutOfOrderSequence(NO_PRODUCER, -1, repeated[0].base_sequence, NO_SEQUENCE)
        return repeated

    def check_coordinated(self, entry: Entry, verified: VerificationToken | None = UNASKED) -> None:
        """A coordinator's batch on behalf of a producer, which has no sequence; of a marker see `check_marker`.

        Raises InvalidProducerEpoch, InvalidTransactionState.
        """
        producer = self._producers.get(entry.producer_id)
        if producer is not None and entry.producer_epoch < producer.epoch:
            raise InvalidProducerEpoch(entry.producer_id, entry.producer_epoch, producer.epoch)
        self._check_transaction(entry, verified, producer)

    def check_marker(self, entry: Entry, marker: Marker, transaction_version: int) -> None:
        """A transaction's end. From version 2 on its epoch is above that of the transaction, so that one which comes
        late can not end the next; one that is written again, as nobody knew that it was, ends nothing (KIP-1228).

        Raises InvalidProducerEpoch, CoordinatorFenced.
        """
        producer = self._producers.get(entry.producer_id)
        if producer is None:
            return
        epoch, current = entry.producer_epoch, producer.epoch
        late = transaction_version >= 2 and epoch == current and producer.txn_first_offset != NO_OFFSET
        if epoch < current or late:
            raise InvalidProducerEpoch(entry.producer_id, epoch, current)
        if marker.coordinator_epoch < producer.coordinator_epoch:
            raise CoordinatorFenced(entry.producer_id, marker.coordinator_epoch, producer.coordinator_epoch)

    def has_open_transaction(self, producer_id: int, producer_epoch: int) -> bool:
        """Whether a batch of this epoch would go on with a transaction that has begun here."""
        producer = self._producers.get(producer_id)
        return producer is not None and producer.txn_first_offset != NO_OFFSET and producer.epoch == producer_epoch

    def _check_transaction(self, entry: Entry, verified: VerificationToken | None, producer: Producer | None) -> None:
        """Raises InvalidTransactionState, OutOfOrderSequence."""
        producer_id, epoch = entry.producer_id, entry.producer_epoch
        if not entry.transactional:
            if producer is not None and producer.txn_first_offset != NO_OFFSET:
                raise InvalidTransactionState(producer_id, epoch, "not transactional, but its transaction is open")
            return
        if verified is UNASKED or self.has_open_transaction(producer_id, epoch):
            return
        known = self._verifications.get(producer_id)
        if known is None or known is not verified:
            raise InvalidTransactionState(producer_id, epoch, "its transaction is neither open nor verified here")
        first = entry.base_sequence
        if first > known.lowest_sequence:
            raise OutOfOrderSequence(producer_id, epoch, first, known.lowest_sequence)
        if known.implicit and first > 0 and (producer is None or not producer.batches):
            raise OutOfOrderSequence(producer_id, epoch, first, 0)

    def verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, implicit: bool
    ) -> VerificationToken | None:
        """What the batch that begins at `base_sequence` must bring once its transaction is verified; None if that need
        not be, as the transaction is open here, or makes no difference, as the epoch is fenced.

        implicit  see VerificationToken
        """
        producer = self._producers.get(producer_id)
        if producer is not None and producer_epoch < producer.epoch:
            return None
        if self.has_open_transaction(producer_id, producer_epoch):
            return None
        known = self._verifications.get(producer_id)
        if known is None:
            known = self._verifications[producer_id] = VerificationToken(
                producer_epoch, base_sequence, implicit=implicit
            )
        else:
            known.join(producer_epoch, base_sequence, implicit=implicit)
        return known

    # -- what was appended

    def record(self, entry: Entry, base_offset: int, last_offset: int) -> None:
        """A producer's batch is in the log at these offsets."""
        producer = self._seen(entry)
        if entry.transactional:
            self._verifications.pop(entry.producer_id, None)
            if producer.txn_first_offset == NO_OFFSET:
                producer.txn_first_offset = base_offset
                self.undecided.begin(entry.producer_id, base_offset)
        if entry.base_sequence != NO_SEQUENCE:
            producer.batches.append(
                Batch(entry.base_sequence, entry.last_sequence, base_offset, last_offset, entry.max_timestamp)
            )

    def end(self, entry: Entry, marker: Marker, offset: int) -> Aborted | None:
        """A marker is in the log at `offset`: the transaction that it aborts, if there is one."""
        producer = self._seen(entry)
        self._verifications.pop(entry.producer_id, None)
        producer.coordinator_epoch = marker.coordinator_epoch
        first_offset = producer.txn_first_offset
        if first_offset == NO_OFFSET:
            return None
        producer.txn_first_offset = NO_OFFSET
        stable = self.undecided.end(entry.producer_id, offset)
        return None if marker.commit else Aborted(entry.producer_id, first_offset, offset, stable)

    def _seen(self, entry: Entry) -> Producer:
        """The entry's producer, now at its epoch and time."""
        producer = self._producers.get(entry.producer_id)
        if producer is None:
            producer = self._producers[entry.producer_id] = Producer(entry.producer_id, entry.producer_epoch)
        elif entry.producer_epoch != producer.epoch:
            producer.epoch = entry.producer_epoch
            producer.batches.clear()
            producer.partial = False
        producer.timestamp = entry.max_timestamp
        return producer

    # -- who is forgotten

    def expire(self, now_ms: int, after_ms: int, spare: Container[int] = ()) -> None:
        """Forget producers that wrote nothing for `after_ms`, unless a transaction of theirs is open or in `spare`.

        The time is that of their records, which may be much older than the append was.
        """
        expired = [
            producer.producer_id
            for producer in self
            if producer.txn_first_offset == NO_OFFSET
            and now_ms - producer.timestamp >= after_ms
            and producer.producer_id not in spare
        ]
        for producer_id in expired:
            del self._producers[producer_id]

    def expire_idle(self, end: int, now_ms: int, after_ms: int) -> None:
        """As `expire`, sparing who wrote since the last call: one that writes old timestamps is not forgotten at work.

        end  of the log
        """
        active = {
            each.producer_id for each in self if each.batches and each.batches[-1].last_offset >= self._idle_below
        }
        self._idle_below = end
        self.expire(now_ms, after_ms, spare=active)
        self._verifications = {key: known for key, known in self._verifications.items() if not known.old}
        for known in self._verifications.values():
            known.old = True


def check_behind(entry: Entry, before: Entry) -> None:
    """Whether `entry` may stand behind `before`, a batch of the same producer, in the same append."""
    epoch = before.producer_epoch
    if entry.producer_epoch < epoch:
        raise InvalidProducerEpoch(entry.producer_id, entry.producer_epoch, epoch)
    if entry.transactional != before.transactional:
        raise InvalidTransactionState(entry.producer_id, epoch, "within and without a transaction in one append")
    expected = following(before.last_sequence) if entry.producer_epoch == epoch else 0
    if entry.base_sequence not in {NO_SEQUENCE, expected}:
        raise OutOfOrderSequence(entry.producer_id, entry.producer_epoch, entry.base_sequence, expected)
