"""What the log remembers of idempotent producers, so that a repeated batch is recognised and a lost one noticed.

For each producer id: its epoch and its last five batches, as many as a client may have in flight (Kafka's rule).
A batch is accepted when it continues the sequence, answered from memory when it repeats one of the five, refused
otherwise. A producer that is not known, or is known no more, may begin anywhere.

State that was loaded from a snapshot knows one batch only (that is all Kafka's format holds). The four before it are
read from the log when, and only when, a batch arrives that would otherwise be refused.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from .entry import MAX_SEQUENCE, NO_PRODUCER, NO_SEQUENCE, NO_TIMESTAMP, Entry
from .errors import InvalidProducerEpoch, OutOfOrderSequence

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


def following(sequence: int) -> int:
    """The sequence after this one."""
    return 0 if sequence == MAX_SEQUENCE else sequence + 1


History = Callable[[Producer], list[Batch]]


class Producers:
    """All producers of one log. `history` finds a producer's last batches in the log, oldest first, at most five."""

    __slots__ = ("_history", "_idle_below", "_producers")

    def __init__(self, history: History) -> None:
        self._history = history
        self._producers: dict[int, Producer] = {}
        self._idle_below = 0  # who has no batch from this offset on wrote nothing since the last `expire_idle`

    def __len__(self) -> int:
        return len(self._producers)

    def __iter__(self) -> Iterator[Producer]:
        return iter(self._producers.values())

    def get(self, producer_id: int) -> Producer | None:
        return self._producers.get(producer_id)

    def put(self, producer: Producer) -> None:
        """Take a producer's state from a snapshot."""
        self._producers[producer.producer_id] = producer

    def clear(self) -> None:
        self._producers.clear()

    def check(self, entry: Entry) -> Batch | None:
        """None if the batch may be appended, the stored one if it is a repetition.

        Raises InvalidProducerEpoch, OutOfOrderSequence.
        """
        producer = self._producers.get(entry.producer_id)
        if producer is None:
            return None
        epoch, first = entry.producer_epoch, entry.base_sequence
        if epoch < producer.epoch:
            raise InvalidProducerEpoch(entry.producer_id, epoch, producer.epoch)
        if first == NO_SEQUENCE or entry.control:
            return None
        batches = producer.batches
        last = batches[-1].last_sequence if batches and epoch == producer.epoch else NO_SEQUENCE
        if first == last + 1 or (first == 0 and last == MAX_SEQUENCE):
            return None
        if epoch == producer.epoch:
            repeated = self._repeated(producer, first, entry.last_sequence)
            if repeated is not None:
                return repeated
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

    def check_all(self, entries: Iterable[Entry]) -> list[Batch]:
        """As `check`, for frames that will be appended together: later ones may continue earlier ones.

        Empty if all may be appended, else a stored batch for each. Some repeated and some new is out of order.
        """
        repeated: list[Batch] = []
        ahead: dict[int, tuple[int, int]] = {}  # producer id -> epoch and last sequence, as if appended
        fresh = 0
        for entry in entries:
            if entry.producer_id == NO_PRODUCER:
                fresh += 1
                continue
            before = ahead.get(entry.producer_id)
            if before is None:
                stored = self.check(entry)
                if stored is not None:
                    repeated.append(stored)
                    continue
            else:
                check_behind(entry, *before)
            fresh += 1
            ahead[entry.producer_id] = entry.producer_epoch, entry.last_sequence
            if repeated:
                raise OutOfOrderSequence(
                    entry.producer_id, entry.producer_epoch, entry.base_sequence, following(repeated[-1].last_sequence)
                )
        if repeated and fresh:
            raise OutOfOrderSequence(NO_PRODUCER, -1, repeated[0].base_sequence, NO_SEQUENCE)
        return repeated

    def check_epoch(self, entry: Entry) -> None:
        """Raises InvalidProducerEpoch: all that is asked of control batches and coordinator records."""
        producer = self._producers.get(entry.producer_id)
        if producer is not None and entry.producer_epoch < producer.epoch:
            raise InvalidProducerEpoch(entry.producer_id, entry.producer_epoch, producer.epoch)

    def record(self, entry: Entry, base_offset: int, last_offset: int) -> None:
        """A producer's batch is in the log at these offsets."""
        producer = self._producers.get(entry.producer_id)
        if producer is None:
            producer = self._producers[entry.producer_id] = Producer(entry.producer_id, entry.producer_epoch)
        elif entry.producer_epoch != producer.epoch:
            producer.epoch = entry.producer_epoch
            producer.batches.clear()
            producer.partial = False
        producer.timestamp = entry.max_timestamp
        if entry.control:
            producer.txn_first_offset = NO_OFFSET
            return
        if entry.transactional and producer.txn_first_offset == NO_OFFSET:
            producer.txn_first_offset = base_offset
        if entry.base_sequence != NO_SEQUENCE:
            producer.batches.append(
                Batch(entry.base_sequence, entry.last_sequence, base_offset, last_offset, entry.max_timestamp)
            )

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


def check_behind(entry: Entry, epoch: int, last_sequence: int) -> None:
    """Whether `entry` may stand behind a batch of the same producer in the same append."""
    if entry.producer_epoch < epoch:
        raise InvalidProducerEpoch(entry.producer_id, entry.producer_epoch, epoch)
    expected = following(last_sequence) if entry.producer_epoch == epoch else 0
    if entry.base_sequence not in {NO_SEQUENCE, expected}:
        raise OutOfOrderSequence(entry.producer_id, entry.producer_epoch, entry.base_sequence, expected)
