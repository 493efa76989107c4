"""Reading for consumers and followers: one fetch over many partitions, and how it waits for more (KIP-74, KIP-227).

The rules of waiting are Apache Kafka's `DelayedFetch`. A fetch that waits is a `Waiter` at each of its partitions, no
task: what a partition has for it is counted again when that partition moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import trio

from kbroker_storage import Log, OffsetOutOfRange, Slice, StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.schema import Message

from .call import Body, Parked
from .errors import Refusal, code_of
from .partition import Partition
from .replicas import Replicas
from .sessions import INITIAL_EPOCH, SESSIONLESS_EPOCH, Key, Session, SessionCache, Told, Wanted

NO_OFFSET = -1


class Terms(NamedTuple):
    """What a fetch asks for besides its partitions.

    replica_id   of the follower that asks, -1 for a consumer
    uses_ids     topics are named by id (v13 and later)
    """

    session_id: int
    session_epoch: int
    max_wait_s: float
    min_bytes: int
    max_bytes: int
    read_committed: bool
    replica_id: int
    uses_ids: bool


class Read(NamedTuple):
    """The outcome for one partition; offsets are -1 beside an error."""

    wanted: Wanted
    partition: Partition | None
    error: ErrorCode = ErrorCode.NONE
    high_watermark: int = NO_OFFSET
    last_stable: int = NO_OFFSET
    log_start: int = NO_OFFSET
    records: Slice | None = None
    aborted: Sequence[tuple[int, int]] = ()  # (producer id, first offset) of what a read_committed reader must drop
    diverging: tuple[int, int] | None = None  # (epoch, end offset) where the reader's log leaves this one


class Fetches:
    """Opens fetches; keeps their sessions."""

    def __init__(self, replicas: Replicas, sessions: SessionCache, max_bytes: int) -> None:
        """`max_bytes`: fetch.max.bytes, the bound of one answer."""
        self._replicas, self._sessions, self._max_bytes = replicas, sessions, max_bytes

    def open(self, terms: Terms, wanted: list[Wanted], forgotten: Iterable[Key]) -> Fetch:
        """The fetch that a request begins or continues. Raises Refusal for a wrong session."""
        now_ms = round(trio.current_time() * 1000)
        if terms.session_epoch in (INITIAL_EPOCH, SESSIONLESS_EPOCH):
            self._sessions.close(terms.session_id)
            session = None
            if terms.session_epoch == INITIAL_EPOCH:
                session = self._sessions.create(
                    wanted, now_ms, privileged=terms.replica_id >= 0, uses_ids=terms.uses_ids
                )
            return self._fetch(terms, wanted, session, incremental=False)
        session = self._sessions.resume(terms.session_id, terms.session_epoch, now_ms, uses_ids=terms.uses_ids)
        session.update(wanted, forgotten)
        if not session.partitions:
            self._sessions.close(session.id)
            return self._fetch(terms, [], None, incremental=False)
        wanted = [told.wanted for told in session.partitions.values()]
        return self._fetch(terms, wanted, session, incremental=True)

    def _fetch(self, terms: Terms, wanted: list[Wanted], session: Session | None, *, incremental: bool) -> Fetch:
        budget = min(terms.max_bytes, self._max_bytes)
        return Fetch(self._replicas, terms, wanted, session, budget, incremental=incremental)


class Fetch:
    """One request's fetch: what it wants, in the order in which it is served."""

    __slots__ = ("_budget", "_incremental", "_replicas", "_session", "terms", "wanted")

    def __init__(
        self,
        replicas: Replicas,
        terms: Terms,
        wanted: list[Wanted],
        session: Session | None,
        budget: int,
        *,
        incremental: bool,
    ) -> None:
        self._replicas, self._session, self._budget, self._incremental = replicas, session, budget, incremental
        self.terms, self.wanted = terms, wanted

    @property
    def session_id(self) -> int:
        return 0 if self._session is None else self._session.id

    def read(self) -> list[Read]:
        """Each partition once; slices are leased until they are closed."""
        left, reads = self._budget, list[Read]()
        nothing_yet = True
        try:
            for wanted in self.wanted:
                read = self._read(wanted, min(wanted.max_bytes, left), nothing_yet)
                if read.records is not None:
                    nothing_yet = False
                    left = max(0, left - read.records.nbytes)
                reads.append(read)
        except BaseException:
            close_all(reads)
            raise
        return reads

    def _read(self, wanted: Wanted, max_bytes: int, first: bool) -> Read:
        partition = None
        try:
            partition = self.find(wanted)
            partition.check_leader(wanted.leader_epoch)
            return self._read_log(partition, wanted, max_bytes, first)
        except (Refusal, StorageError, OSError) as error:
            return Read(wanted, partition, code_of(error))

    def find(self, wanted: Wanted) -> Partition:
        """Raises Refusal."""
        if isinstance(wanted.topic, bytes):
            return self._replicas.find_by_id(wanted.topic, wanted.partition)
        return self._replicas.find(wanted.topic, wanted.partition)

    def limit(self, partition: Partition) -> int:
        """The offset at which this reader stops."""
        return partition.last_stable_offset if self.terms.read_committed else partition.high_watermark

    def _read_log(self, partition: Partition, wanted: Wanted, max_bytes: int, first: bool) -> Read:
        if self.terms.replica_id >= 0 and self.terms.replica_id not in partition.replicas:
            raise Refusal(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        log = partition.log
        high_watermark = partition.high_watermark
        if wanted.last_fetched_epoch >= 0:
            epoch, end = log.end_for_epoch(wanted.last_fetched_epoch)
            if epoch < wanted.last_fetched_epoch or end < wanted.offset:
                return Read(wanted, partition, diverging=(epoch, end))
        last_stable = log.last_stable_offset(high_watermark)
        end = last_stable if self.terms.read_committed else high_watermark
        if not log.start <= wanted.offset <= log.end:
            raise OffsetOutOfRange(wanted.offset, log.start, log.end)
        records: Slice | None = None
        aborted: Sequence[tuple[int, int]] = ()
        if wanted.offset < end and (first or max_bytes > 0):
            if max_bytes < 0:
                raise Refusal(ErrorCode.INVALID_REQUEST)
            records = log.read(wanted.offset, max_bytes, end)
            if records.nbytes == 0 or (not first and records.nbytes > max_bytes):
                records.close()
                records = None
            elif self.terms.read_committed:
                aborted = _aborted(log, wanted.offset, records)
        return Read(
            wanted,
            partition,
            high_watermark=high_watermark,
            last_stable=last_stable,
            log_start=log.start,
            records=records,
            aborted=aborted,
        )

    def must_wait(self, reads: Sequence[Read]) -> bool:
        """Whether these reads are too little to answer with now.

        Partitions that do not exist are not waited for, and do not end the wait for the others.
        """
        if self.terms.max_wait_s <= 0:
            return False
        known = [read for read in reads if read.partition is not None]
        if not known or any(read.error or read.diverging is not None for read in known):
            return False
        nbytes = sum(read.records.nbytes for read in known if read.records is not None)
        return nbytes < self.terms.min_bytes and not any(map(self._is_far_behind, known))

    def _is_far_behind(self, read: Read) -> bool:
        """Whether the offset lies on an older segment than the end: such a reader is never held up."""
        assert read.partition is not None
        if read.records is None:
            return False
        return read.partition.log.bytes_between(read.wanted.offset, self.limit(read.partition)) is None

    def to_tell(self, reads: list[Read]) -> list[Read]:
        """Which of these the answer lists: all, or in an incremental fetch those with news for the client."""
        session = self._session
        if session is None:
            return reads
        told = []
        for read in reads:
            key = (read.wanted.topic, read.wanted.partition)
            known: Told | None = session.partitions.get(key)
            nbytes = 0 if read.records is None else read.records.nbytes
            if known is None:  # forgotten by another request of the session meanwhile
                close_all([read])
                continue
            news = known.is_news(read.error, read.high_watermark, read.log_start, nbytes)
            if news or read.diverging is not None or not self._incremental:
                told.append(read)
            if nbytes:
                session.served(key)
        return told


def _aborted(log: Log, offset: int, records: Slice) -> list[tuple[int, int]]:
    try:
        return log.aborted(offset, records.nbytes)
    except BaseException:
        records.close()
        raise


def close_all(reads: Iterable[Read]) -> None:
    for read in reads:
        if read.records is not None:
            read.records.close()


class ParkedFetch(Parked):
    """Waits until its partitions together have `min_bytes`, something happens to one of them, or time is up."""

    __slots__ = ("_available", "_fetch", "_respond", "_total", "_wanted")

    def __init__(self, fetch: Fetch, reads: Sequence[Read], respond: Callable[[Fetch], Message | Body]) -> None:
        super().__init__(trio.current_time() + fetch.terms.max_wait_s)
        self._fetch, self._respond = fetch, respond
        self._wanted: dict[Partition, Wanted] = {}
        self._available: dict[Partition, int] = {}
        self._total = 0
        for read in reads:
            if read.partition is not None:
                self._wanted[read.partition] = read.wanted
                self._available[read.partition] = nbytes = 0 if read.records is None else read.records.nbytes
                self._total += nbytes
                read.partition.waiters[self] = None

    def progressed(self, partition: Partition) -> None:
        wanted = self._wanted[partition]
        if partition.deleted or partition.failure is not None or not partition.is_leader:
            self.resolve()
            return
        if wanted.leader_epoch not in (-1, partition.leader_epoch):
            self.resolve()
            return
        try:
            log = partition.log
            if wanted.offset < log.start:  # records were deleted under the reader
                self.resolve()
                return
            nbytes = log.bytes_between(wanted.offset, self._fetch.limit(partition))
        except (StorageError, OSError):  # of this reader's own making: the answer will tell, and nobody else is failed
            nbytes = None
        if nbytes is None:  # the offset lies on an older segment than the end: read it at once
            self.resolve()
            return
        nbytes = min(nbytes, wanted.max_bytes)
        self._total += nbytes - self._available[partition]
        self._available[partition] = nbytes
        if self._total >= self._fetch.terms.min_bytes:
            self.resolve()

    def answer(self) -> Message | Body:
        return self._respond(self._fetch)

    def drop(self) -> None:
        for partition in self._wanted:
            partition.waiters.pop(self, None)
