"""One replica of a partition on this broker: its log, its place in the cluster, and how far records are visible.

The high watermark is the smallest log end over the in-sync replicas, this broker's own end being the durable one where
the broker promises durability, else the log's end. Consumers read below it, acks=all waits for it - also where it
always equals the log's end, so that no code asks whether this is the only node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from kbroker_storage import (
    UNASKED,
    Appended,
    Entry,
    Log,
    LogConfig,
    OffsetOutOfRange,
    Origin,
    Removal,
    StorageError,
    VerificationToken,
    WriteFailed,
)
from kbroker_storage.entry import MAX_SEQUENCE
from kbroker_wire import ErrorCode

from .batches import KAFKA_BATCHES
from .config import TopicConfig
from .errors import Refusal, out_of_descriptors
from .markers import build_marker
from .metadata.image import PartitionImage, TopicImage


class Waiter(Protocol):
    """A parked request that wants to know when something changed at a partition it stands at."""

    def progressed(self, partition: Partition) -> None:
        """The high watermark rose, or the partition was deleted, went offline or changed its leader epoch."""


class Host(Protocol):
    """What a partition needs of the broker around it."""

    node_id: int
    synced: bool

    @property
    def verifies_transactions(self) -> bool:
        """Whether a transaction must be known to its coordinator before its first record is appended (KIP-890)."""
        ...

    def open_log(self, partition: Partition) -> Log: ...
    def begin(self, partition: Partition) -> None:
        """The first record is about to be appended: make the folder and say in it whose it is. Raises OSError, also
        while a start after a crash would believe what is not so of that record."""

    def written(self, partition: Partition, frames: Sequence[tuple[Entry, memoryview]]) -> None:
        """`frames` were appended."""

    def undone(self, partition: Partition) -> None:
        """A write failed, and what the file got of it was cut off again: that is not on the disk before a sync."""


class ActiveProducer(NamedTuple):
    """What DescribeProducers tells of one producer of a partition; -1 where there is nothing to tell."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp: int  # ms
    coordinator_epoch: int  # of the coordinator that wrote its last marker
    current_txn_start_offset: int


class Partition:
    __slots__ = (
        "_has_folder",
        "_host",
        "_log",
        "_replica_ends",
        "config",
        "deleted",
        "failure",
        "high_watermark",
        "index",
        "isr",
        "leader",
        "leader_epoch",
        "name",
        "replicas",
        "topic_id",
        "waiters",
    )

    def __init__(self, topic: TopicImage, index: int, config: TopicConfig, host: Host) -> None:
        self.name = topic.name
        self.topic_id = topic.id
        self.index = index
        self.config = config
        self._host = host
        self._log: Log | None = None
        self._has_folder = False  # known to be there, and to say whose it is
        self.failure: Exception | None = None  # why this replica is offline; until restart
        self.deleted = False
        self.waiters: dict[Waiter, None] = {}  # in the order they came
        self.high_watermark = 0
        self._replica_ends: dict[int, int] = {}
        image = topic.partitions[index]
        self.leader, self.leader_epoch = image.leader, image.leader_epoch
        self.replicas, self.isr = image.replicas, image.isr

    def __repr__(self) -> str:
        return f"<Partition {self.directory} epoch {self.leader_epoch} high watermark {self.high_watermark}>"

    @property
    def directory(self) -> str:
        return f"{self.name}-{self.index}"

    @property
    def is_leader(self) -> bool:
        return self.leader == self._host.node_id

    @property
    def opened(self) -> Log | None:
        """The log if it was opened since the start; asking does not open it."""
        return self._log

    @property
    def log(self) -> Log:
        """Opened on first use. Raises StorageError or OSError, and then on every later use too; but for want of a
        descriptor only now."""
        if self._log is None:
            if self.failure is not None:
                raise self.failure
            try:
                self._log = self._host.open_log(self)
            except (StorageError, OSError) as error:
                if not out_of_descriptors(error):
                    self.failed(error)
                raise
            self._advance()
        return self._log

    @property
    def last_stable_offset(self) -> int:
        """Where read_committed consumers stop: below it all is decided, and below the high watermark."""
        log, high_watermark = self._log, self.high_watermark
        return high_watermark if log is None else log.last_stable_offset(high_watermark)

    def follow(self, image: PartitionImage) -> None:
        """Take over leader, epoch and replicas from the cluster's metadata."""
        changed = image.leader_epoch != self.leader_epoch
        self.leader, self.leader_epoch = image.leader, image.leader_epoch
        self.replicas, self.isr = image.replicas, image.isr
        if changed:
            self._replica_ends.clear()
            self._wake()

    def configure(self, config: TopicConfig, log_config: LogConfig) -> None:
        self.config = config
        if self._log is not None:
            self._log.config = log_config

    def check_leader(self, known_epoch: int = -1) -> None:
        """Refuse what only the leader may answer, and a client whose leader epoch is not this one (KIP-320)."""
        if self.failure is not None:
            raise Refusal(ErrorCode.KAFKA_STORAGE_ERROR)
        if not self.is_leader:
            raise Refusal(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if known_epoch not in (-1, self.leader_epoch):
            raise Refusal(
                ErrorCode.FENCED_LEADER_EPOCH if known_epoch < self.leader_epoch else ErrorCode.UNKNOWN_LEADER_EPOCH
            )

    def append(
        self,
        frames: Sequence[tuple[Entry, memoryview]],
        now_ms: int,
        origin: Origin,
        *,
        verified: VerificationToken | None = None,
        transaction_version: int = 0,
    ) -> Appended:
        """As leader; see `Log.append_leader`. In relaxed mode the records are visible when this returns.

        verified  what `verification` gave, if the transaction's coordinator has said since that the partition is part
                  of it: without, or if it was ended meanwhile, no transaction can begin here
        """
        log = self.log
        if log.end == 0:
            self._make_folder()
        if verified is None and frames[0][0].transactional and not self._host.verifies_transactions:
            verified = UNASKED
        try:
            appended = log.append_leader(
                frames,
                self.leader_epoch,
                now_ms,
                origin,
                verified=verified,
                transaction_version=transaction_version,
            )
        except Exception as error:
            if log.poisoned is not None and self.failure is None:
                self.failed(log.poisoned)
            elif isinstance(error, WriteFailed):
                self._host.undone(self)
            raise
        if not appended.duplicate:
            self._host.written(self, frames)
            if not self.waits_for_disk:
                self._advance()
        return appended

    @property
    def has_files(self) -> bool:
        """Whether an append would find all it needs: the log is open, and has its first segment."""
        return self._log is not None and bool(self._log.segments)

    def begin(self, now_ms: int) -> None:
        """Make what the first append would make, if the partition is here and takes appends. Raises as `append`."""
        if self.deleted or not self.is_leader or self.has_files:
            return
        log = self.log
        if not log.segments:
            self._make_folder()
            log.roll(now_ms, self.leader_epoch)

    def _make_folder(self) -> None:
        if not self._has_folder:
            self._host.begin(self)
            self._has_folder = True

    # -- transactions

    def has_open_transaction(self, producer_id: int, producer_epoch: int) -> bool:
        """Whether records of that transaction are here. Raises StorageError, OSError if the log can not be opened."""
        return self.log.producers.has_open_transaction(producer_id, producer_epoch)

    def verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int = MAX_SEQUENCE, *, implicit: bool = False
    ) -> VerificationToken | None:
        """What an append must bring as `verified`, to be taken before the transaction's coordinator is asked.

        base_sequence  of the batch that is to be appended: those behind it will not get in before it
        implicit       asking adds the partition to the transaction (version 2 of transactions)

        None if nobody needs to be asked: the transaction is open here, or the append will say what is wrong.
        """
        try:
            producers = self.log.producers
        except (StorageError, OSError):
            return None
        return producers.verification(producer_id, producer_epoch, base_sequence, implicit=implicit)

    def end_transaction(
        self,
        producer_id: int,
        producer_epoch: int,
        *,
        commit: bool,
        coordinator_epoch: int,
        transaction_version: int,
        now_ms: int,
    ) -> Appended:
        """Append the marker; readers are told when the high watermark has passed it.

        Raises InvalidProducerEpoch, CoordinatorFenced, and what `Log.append_leader` raises.
        """
        batch = build_marker(
            producer_id,
            producer_epoch,
            commit=commit,
            coordinator_epoch=coordinator_epoch,
            now_ms=now_ms,
            log_append_time=self.config.log_append_time,
        )
        frame = memoryview(batch)
        return self.append(
            [(KAFKA_BATCHES.scan(frame), frame)], now_ms, Origin.COORDINATOR, transaction_version=transaction_version
        )

    def describe_producers(self) -> list[ActiveProducer]:
        """Raises StorageError, OSError if the log can not be opened."""
        return [
            ActiveProducer(
                each.producer_id,
                each.epoch,
                each.last_sequence,
                each.timestamp,
                each.coordinator_epoch,
                each.txn_first_offset,
            )
            for each in self.log.producers
        ]

    # -- what becomes of it

    @property
    def waits_for_disk(self) -> bool:
        """Whether records are visible and acknowledged only after a sync: always, or as flush.messages=1 asks."""
        return self._host.synced or self.config.flush_messages == 1

    def synced(self) -> None:
        """A sync round has moved the log's durable end."""
        self._advance()

    def failed(self, error: Exception) -> None:
        """This replica is offline until restart: nothing above its durable end is served or acknowledged."""
        self.failure = error
        self._wake()

    def remove(self, token: str) -> Removal | None:
        """The topic was deleted: its folder is renamed away with `token`; returns what removes it, if there is one."""
        self.deleted = True
        try:
            return None if self._log is None else self._log.delete(token)
        finally:
            self._wake()

    def delete_before(self, offset: int, aside: list[Removal]) -> int:
        """As leader: nothing below `offset` can be read any more, -1 standing for the high watermark.

        aside   gets what removes the files that are not needed any more

        Returns the low watermark: the log's start, which may lie higher already. Whoever waits for more behind records
        that are gone is answered. Raises Refusal, StorageError, OSError; also OSError when the start has moved, but a
        file could not be removed.
        """
        log = self.log
        if self.config.compact and not self.config.delete:
            raise Refusal(ErrorCode.POLICY_VIOLATION)
        if offset == -1:
            offset = self.high_watermark
        if not 0 <= offset <= self.high_watermark:
            raise OffsetOutOfRange(offset, log.start, self.high_watermark)
        if offset > log.start:
            try:
                log.delete_before(offset, aside)
            finally:
                self._wake()
        return log.start

    def epoch_at(self, offset: int) -> int:
        """Leader epoch of the record at `offset`; of the present leader where no record is."""
        log = self.log
        return log.epoch_at(offset) if offset < log.end else self.leader_epoch

    def end_for_epoch(self, epoch: int) -> tuple[int, int]:
        """(epoch, its end offset); (-1, -1) when undefined. The present epoch ends where the log does (KIP-279)."""
        return (epoch, self.log.end) if epoch == self.leader_epoch else self.log.end_for_epoch(epoch)

    def _advance(self) -> None:
        log = self._log
        if log is None:
            return
        end = log.durable_end if self.waits_for_disk else log.end
        if len(self.isr) > 1:
            me, ends = self._host.node_id, self._replica_ends
            end = min(end, *(ends.get(node, 0) for node in self.isr if node != me))
        if end > self.high_watermark:
            self.high_watermark = end
            if self.waiters:
                self._wake()

    def _wake(self) -> None:
        for waiter in list(self.waiters):
            if waiter in self.waiters:  # else one before it made more happen here, and it has heard of that
                waiter.progressed(self)
