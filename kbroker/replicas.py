"""The partitions that this broker holds, by name and by topic id, kept in step with the metadata image.

A partition costs memory only until somebody uses it: its folder appears with its first record, and after a clean stop
its log is opened when it is first asked for.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import trio

from kbroker_storage import Entry, Log, LogConfig, Removal, StorageError
from kbroker_storage.deletion import deleted_name, rename_away
from kbroker_wire import ErrorCode

from .batches import KAFKA_BATCHES
from .config import BrokerConfig, TopicConfig
from .durability import SyncRounds
from .env import Env
from .errors import Refusal
from .folder import PARTITION_METADATA, DataFolder, Key, Offsets
from .metadata.image import TOPIC_RESOURCE, Delta, Image, TopicImage
from .partition import Partition
from .write_back import WriteBack

log = logging.getLogger(__name__)

METADATA_KEY: Key = ("__cluster_metadata", 0)
METADATA_FOLDER = "__cluster_metadata-0"

# What may lie in the page cache unsynced, all partitions together, before the flusher starts a round: a restart after
# a crash scans at most about this much.
NEVER = 2**63 - 1  # flush.ms, as Kafka writes that there is no such limit
COMPLAIN_EVERY_S = 10  # about a disk that is full or broken
MAX_UNSYNCED_BYTES = 256 * 1024 * 1024
# Folders that may be removed or renamed have names of Kafka's making; a data folder may hold other people's, too.
BEING_DELETED = re.compile(r"\.[0-9a-f]{32}-delete\Z")
SEGMENT = re.compile(r"[0-9]{20}\.log")


class Topic(NamedTuple):
    name: str
    id: bytes
    partitions: list[Partition]


class Replicas:
    """All partitions of one broker; the `Host` of each."""

    def __init__(self, env: Env, config: BrokerConfig, folder: DataFolder, rounds: SyncRounds) -> None:
        self.node_id = config.node_id
        self.synced = config.durability == "synced"
        self.by_name: dict[str, Topic] = {}
        self.by_id: dict[bytes, Topic] = {}
        self.unsynced_bytes = 0
        self.write_back = WriteBack(env)
        self._env, self._config, self._folder, self._rounds = env, config, folder, rounds
        self._clean = folder.clean
        self._in_the_way: set[str] = set()  # folders of topics that are gone, which could not be renamed
        self._flush: Callable[[], object] = lambda: None
        self._silent_until = 0.0  # Trio's clock

    def __iter__(self) -> Iterator[Partition]:
        for topic in self.by_name.values():
            yield from topic.partitions

    def on_unsynced(self, flush: Callable[[], object]) -> None:
        """Call `flush` when MAX_UNSYNCED_BYTES wait for the disk."""
        self._flush = flush

    def find(self, name: str, index: int) -> Partition:
        """Raises Refusal (UNKNOWN_TOPIC_OR_PARTITION)."""
        topic = self.by_name.get(name)
        if topic is None or not 0 <= index < len(topic.partitions):
            raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return topic.partitions[index]

    def find_by_id(self, topic_id: bytes, index: int) -> Partition:
        """Raises Refusal (UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION)."""
        topic = self.by_id.get(topic_id)
        if topic is None:
            raise Refusal(ErrorCode.UNKNOWN_TOPIC_ID)
        if not 0 <= index < len(topic.partitions):
            raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return topic.partitions[index]

    # -- following the metadata ------------------------------------------------------------------------------------

    def publish(self, image: Image, delta: Delta) -> list[Removal]:
        """Follow one change; returns the folders to remove, renamed away already."""
        removals: list[Removal] = []
        for topic in delta.removed.values():
            gone = self.by_id.pop(topic.id, None)
            if gone is not None:
                self.by_name.pop(gone.name, None)
                removals += [removal for each in gone.partitions if (removal := self._remove(each)) is not None]
        for topic_id in sorted(delta.topics):  # one order in every process, as sets of bytes and text have not
            self._update(image, image.topics[topic_id])
        for kind, name in sorted(delta.configs):
            if kind == TOPIC_RESOURCE and name in self.by_name:
                self._configure(image, self.by_name[name])
        return removals

    def configure(self, image: Image) -> None:
        """The broker's own settings have changed, and with them the defaults of every topic."""
        for topic in self.by_name.values():
            self._configure(image, topic)

    def _topic_config(self, image: Image, name: str) -> TopicConfig:
        return self._config.topic(image.config(TOPIC_RESOURCE, name))

    def _update(self, image: Image, topic: TopicImage) -> None:
        known = self.by_id.get(topic.id)
        if known is None:
            known = self.by_id[topic.id] = self.by_name[topic.name] = Topic(topic.name, topic.id, [])
        config = self._topic_config(image, topic.name)
        for partition, state in zip(known.partitions, topic.partitions, strict=False):
            partition.follow(state)
        for index in range(len(known.partitions), len(topic.partitions)):
            known.partitions.append(Partition(topic, index, config, self))

    def _configure(self, image: Image, topic: Topic) -> None:
        config = self._topic_config(image, topic.name)
        for partition in topic.partitions:
            partition.configure(config, self._log_config(config))

    def _remove(self, partition: Partition) -> Removal | None:
        """Rename its folder away, also that of a log that nobody has opened."""
        path, token = self._path(partition), self._env.new_uuid().hex()
        self._folder.forget((partition.name, partition.index))
        try:
            return partition.remove(token) or rename_away(self._env.files, path, token)
        except OSError:
            log.exception("can not rename %s, whose topic is deleted; the next start sets it aside", path)
            self._in_the_way.add(path)
            return None

    def _clear_the_way(self, path: str) -> None:
        """A new topic must not find the records of an old one of its name. Raises OSError."""
        if path in self._in_the_way:
            rename_away(self._env.files, path, self._env.new_uuid().hex())  # the next start removes it
            self._in_the_way.discard(path)

    # -- as host of the partitions ----------------------------------------------------------------------------------

    def begin(self, partition: Partition) -> None:
        if (partition.name, partition.index) in self._folder.named:
            self._flush()
            raise OSError(errno.EBUSY, "the checkpoints still speak of an older topic of that name, or of lost records")
        self._env.files.make_directory(self._path(partition))
        self._folder.write_partition_metadata(partition.directory, partition.topic_id)
        partition.log.sync_beside(PARTITION_METADATA)

    def written(self, partition: Partition, frames: Sequence[tuple[Entry, memoryview]]) -> None:
        nbytes = 0
        for entry, _ in frames:
            nbytes += entry.size
        self.unsynced_bytes += nbytes
        opened, topic = partition.log, partition.config
        if partition.waits_for_disk or opened.end - opened.durable_end >= topic.flush_messages:
            self._rounds.due(partition)
        else:
            self.write_back.appended(opened, nbytes)
            if topic.flush_ms != NEVER:
                self._rounds.due_within(partition, topic.flush_ms / 1000)
        if self.unsynced_bytes > MAX_UNSYNCED_BYTES:
            self._flush()

    def undone(self, partition: Partition) -> None:
        self._rounds.due(partition)

    def complain(self, partition: Partition, error: Exception) -> None:
        """Tell the operator that appends fail; clients hear it each time, the log once in a while."""
        now = trio.current_time()
        if now >= self._silent_until:
            self._silent_until = now + COMPLAIN_EVERY_S
            log.error("%s takes no records: %s (said at most every %d s)", partition.directory, error, COMPLAIN_EVERY_S)

    @property
    def verifies_transactions(self) -> bool:
        return self._config.bool("transaction.partition.verification.enable")

    def open_log(self, partition: Partition) -> Log:
        key, path = (partition.name, partition.index), self._path(partition)
        self._clear_the_way(path)
        opened = Log.open(
            self._env.files,
            path,
            KAFKA_BATCHES,
            self._log_config(partition.config),
            recovery_point=self._folder.recovery_points.get(key, 0),
            log_start=self._folder.log_starts.get(key, 0),
            clean=self._clean,
            now_ms=self._env.now_ms(),
        )
        if not self._clean and opened.segments:  # a process that was killed may have written it
            opened.sync_beside(PARTITION_METADATA)
        for sentence in opened.repaired:
            log.warning("%s: %s", partition.directory, sentence)
        if partition.waits_for_disk and opened.durable_end < opened.end:
            self._rounds.due(partition)  # a recovered tail is synced before the high watermark reaches it
        return opened

    def _path(self, partition: Partition) -> str:
        return f"{self._folder.path}/{partition.directory}"

    def _log_config(self, config: TopicConfig) -> LogConfig:
        jitter_ms = min(config.segment_jitter_ms, config.segment_ms)  # drawn for each log: not all roll at once
        return LogConfig(
            segment_bytes=config.segment_bytes,
            segment_ms=config.segment_ms,
            segment_jitter_ms=self._env.rng.randrange(jitter_ms + 1) if jitter_ms else 0,
            segment_index_bytes=config.segment_index_bytes,
            index_interval_bytes=config.index_interval_bytes,
            producer_id_expiration_ms=self._config.int("producer.id.expiration.ms"),
        )

    def size_of(self, partition: Partition) -> int:
        """Bytes of its segments, without opening its log."""
        if partition.opened is not None:
            return sum(segment.size for segment in partition.opened.segments)
        try:
            entries = self._env.files.entries(self._path(partition))
        except OSError:  # nothing was appended yet
            return 0
        return sum(size for name, size in entries.items() if SEGMENT.fullmatch(name))

    # -- start and stop ----------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Before the port opens: look at every folder of a broker that was not stopped cleanly.

        A folder whose topic is gone, or is another one of the same name, is renamed aside and kept; what does not look
        like a folder of a broker is left alone.
        """
        found = {METADATA_KEY}
        for name, size in self._env.files.entries(self._folder.path).items():
            topic, dash, index = name.rpartition("-")
            if size >= 0 or name == METADATA_FOLDER:
                continue
            if BEING_DELETED.search(name):
                self._remove_leftover(f"{self._folder.path}/{name}")
            elif dash and index.isascii() and index.isdecimal() and self._recover_folder(name, topic, int(index)):
                found.add((topic, int(index)))
        for key in self._folder.named - found:  # another partition of that name does not begin where that one was
            self._folder.forget(key)

    def _remove_leftover(self, path: str) -> None:
        try:
            self._env.files.remove_tree(path)
        except OSError as error:
            log.warning("can not remove %s: %s; the next start tries again", path, error)

    def _recover_folder(self, directory: str, name: str, index: int) -> bool:
        """Whether it is a partition's of this broker."""
        topic = self.by_name.get(name)
        topic_id = self._folder.topic_id_of(directory)
        if topic is None or index >= len(topic.partitions) or topic_id not in (None, topic.id):
            if topic_id is not None or self._holds_segments(directory):
                self._set_aside(f"{self._folder.path}/{directory}")
            return False
        if not self._clean:
            try:
                _ = topic.partitions[index].log
            except (StorageError, OSError):
                log.exception("%s can not be recovered; it is offline", directory)
        return True

    def _set_aside(self, path: str) -> None:
        aside = deleted_name(path, self._env.new_uuid().hex(), "-stray")
        try:
            self._env.files.rename(path, aside)
            log.warning("%s belongs to no topic of this broker; it is kept as %s", path, aside)
        except OSError:
            log.exception("%s belongs to no topic of this broker, and can not be renamed", path)
            self._in_the_way.add(path)

    def _holds_segments(self, directory: str) -> bool:
        return any(SEGMENT.fullmatch(name) for name in self._env.files.entries(f"{self._folder.path}/{directory}"))

    def expire_producers(self) -> None:
        """Forget producers that are silent for producer.id.expiration.ms; to be called now and then."""
        now_ms, after_ms = self._env.now_ms(), self._config.int("producer.id.expiration.ms")
        for partition in self:
            opened = partition.opened
            if opened is not None and len(opened.producers):
                opened.producers.expire_idle(opened.end, now_ms, after_ms)

    def flush(self) -> None:
        """Make everything that is not on disk due in the next sync round, with what makes the next start short."""
        self.unsynced_bytes = 0
        for partition in self:
            opened = partition.opened
            if opened is None or partition.failure is not None:
                continue
            try:
                wanting = opened.snapshot_if_due()
            except OSError as error:
                log.warning("%s: can not write a snapshot of its producers: %s", partition.directory, error)
                wanting = False
            if wanting or opened.durable_end < opened.end:
                self._rounds.due(partition)

    def checkpoints(self) -> tuple[Offsets, Offsets, Offsets]:
        """(recovery points, log starts, high watermarks); of what was not opened, as they were at the start."""
        folder = self._folder
        points: dict[tuple[str, int], int] = {}
        starts: dict[tuple[str, int], int] = {}
        marks: dict[tuple[str, int], int] = {}
        for partition in self:
            key = (partition.name, partition.index)
            opened = partition.opened
            if opened is None:
                for offsets, old in (
                    (points, folder.recovery_points),
                    (starts, folder.log_starts),
                    (marks, folder.high_watermarks),
                ):
                    if key in old:
                        offsets[key] = old[key]
            elif opened.end:
                points[key], marks[key] = opened.durable_end, partition.high_watermark
                if opened.start:
                    starts[key] = opened.start
        return points, starts, marks

    def abandon(self) -> None:
        """Let every file go and write nothing."""
        for partition in self:
            if partition.opened is not None:
                partition.opened.close(clean=False)

    def close(self) -> bool:
        """At a stop, after the last sync: close every log. Whether all of them are clean."""
        clean = True
        for partition in self:
            opened = partition.opened
            if opened is None:
                continue
            try:
                clean = clean and opened.durable_end == opened.end and partition.failure is None
                opened.close(clean=True, sync=False)
            except (StorageError, OSError):
                log.exception("%s was not closed cleanly", partition.directory)
                clean = False
        return clean
