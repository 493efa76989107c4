"""One log: ordered segments behind one start and one end.

Appends go check -> place -> roll if need be -> write -> remember, and nothing is remembered of an append that failed.
Nothing here waits but for the file system, and nothing is safe to call from two threads; the one thing made for a
thread is `FlushPlan.run`.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from errno import EDQUOT, ENOSPC
from typing import NamedTuple

from . import snapshots
from .config import LogConfig
from .deletion import Removal, deleted_name
from .entry import NO_PRODUCER, NO_TIMESTAMP, Buffer, Entry, Format, Origin
from .epochs import FILE_NAME as EPOCHS_FILE
from .epochs import Epochs
from .errors import (
    Closed,
    Corrupt,
    DiskFull,
    EpochWentBack,
    FramesTooLarge,
    OffsetOutOfRange,
    Poisoned,
    StorageError,
    UnexpectedOffset,
    WriteFailed,
)
from .files import EMPTY, Files, Slice
from .flush import FlushPlan
from .index import ENTRY_BYTES as INDEX_ENTRY_BYTES
from .producers import REMEMBERED_BATCHES, Batch, Producer, Producers
from .recovery import Opened, open_segments
from .segment import MAX_RELATIVE, Segment, file_name
from .timeindex import ENTRY_BYTES as TIME_ENTRY_BYTES

HISTORY_INDEX_ENTRIES = 256  # how far back a producer's older batches are looked for, in index entries


class Appended(NamedTuple):
    """Where an append went; of a duplicate, where the original did."""

    base_offset: int
    last_offset: int
    log_start: int
    timestamp: int  # ms: the newest of the frames; of a duplicate, the original batch's
    duplicate: bool


def write_failed(directory: str, error: OSError) -> WriteFailed:
    return (DiskFull if error.errno in {ENOSPC, EDQUOT} else WriteFailed)(directory, error)


class Log:
    """Frames of one format in one folder; the folder comes into being with the first append.

    start        the oldest offset that may be read
    end          the next append's offset
    durable_end  everything below is known to be on disk
    epochs       leader epoch history
    producers    idempotent producers' state as of `end`
    segments     ascending, without gaps but holes may follow a segment's last frame; the last is the active one
    config       may be replaced at any time
    repaired     what opening had to mend, a sentence each
    poisoned     set once a sync failed or a failed write could not be undone
    """

    __slots__ = (
        "_active",
        "_bases",
        "_closed",
        "_dirty",
        "_dirty_directories",
        "_dirty_paths",
        "_plans",
        "_snapshots",
        "config",
        "directory",
        "durable_end",
        "end",
        "epochs",
        "files",
        "format",
        "poisoned",
        "producers",
        "repaired",
        "segments",
        "start",
    )

    def __init__(self, files: Files, directory: str, format: Format, config: LogConfig, start: int = 0) -> None:  # noqa: A002
        """An empty log that has no folder yet. To find what is on disk, use `open`."""
        self.files = files
        self.directory = directory
        self.format = format
        self.config = config
        self.start = self.end = self.durable_end = start
        self.epochs = Epochs()
        self.producers = Producers(self._history)
        self.segments: list[Segment] = []
        self.repaired: list[str] = []
        self.poisoned: Poisoned | None = None
        self._bases: list[int] = []
        self._active: Segment | None = None
        self._closed = False
        self._snapshots: set[int] = set()  # offsets of the producer snapshots on disk
        self._dirty: dict[Segment, None] = {}  # segments with unsynced frames
        self._dirty_paths: dict[str, None] = {}
        self._dirty_directories: dict[str, None] = {}
        self._plans: list[FlushPlan] = []  # handed out and not yet done, oldest first

    @classmethod
    def open(
        cls,
        files: Files,
        directory: str,
        format: Format,  # noqa: A002
        config: LogConfig,
        *,
        recovery_point: int = 0,
        log_start: int = 0,
        clean: bool,
        now_ms: int,
    ) -> "Log":
        """The log as it is on disk, mended where that is needed; `repaired` tells.

        clean           it was closed by `close(clean=True)` with a sync: nothing is verified that does not look wrong
        recovery_point  everything below is on disk and whole: what is above gets verified unless `clean`
        log_start       the oldest offset that may be read, if the log still goes back that far
        """
        log = cls(files, directory, format, config, log_start)
        opened = open_segments(files, directory, format, config, recovery_point, log_start, clean=clean, now_ms=now_ms)
        log._adopt(opened, log_start, recovery_point, clean=clean, now_ms=now_ms)
        return log

    def _adopt(self, opened: Opened, log_start: int, recovery_point: int, *, clean: bool, now_ms: int) -> None:
        self.repaired = opened.repaired
        self._snapshots = opened.snapshots
        if not opened.segments:
            return
        self.segments = opened.segments
        self._bases = [segment.base for segment in self.segments]
        self._active = self.segments[-1]
        self.end = self._active.end
        if log_start > self.end:
            self.repaired.append(f"the log ended at {self.end}, before its start {log_start}: begun anew there")
            self.restart_at(log_start)
            return
        self.start = max(log_start, self._bases[0])
        whole = clean and not opened.repaired
        self.durable_end = self.end if whole else max(self.start, min(recovery_point, self.end))
        if not whole:
            self._dirty_directories[self.directory] = None
            for segment in self.segments:
                if segment.end > self.durable_end:
                    self._dirty[segment] = None
        self._load_epochs()
        self._load_producers(now_ms)

    @property
    def active(self) -> Segment | None:
        """Where appends go; None before the first one."""
        return self._active

    # -- appending

    def append_leader(
        self, frames: Sequence[tuple[Entry, memoryview]], epoch: int, now_ms: int, origin: Origin = Origin.CLIENT
    ) -> Appended:
        """Give the frames offsets from `end` on, patch them, and write them: all or none.

        frames  as `Format.verify` or `scan` saw them, each with its writable bytes; their memory is free again afterwards
        epoch   of the leader who appends; not older than the log's newest

        Raises OutOfOrderSequence, InvalidProducerEpoch, EpochWentBack, FramesTooLarge, WriteFailed (DiskFull), Poisoned,
        Closed; the log is then as it was.
        """
        if self.poisoned is not None or self._closed:
            self._refuse()
        if epoch < self.epochs.latest:
            raise EpochWentBack(epoch, self.epochs.latest)
        if origin is not Origin.REPLICATION:
            repeated = self._check_producers(frames, origin)
            if repeated:
                newest = max([batch.timestamp for batch in repeated])
                return Appended(repeated[0].base_offset, repeated[-1].last_offset, self.start, newest, True)
        nbytes = sum([entry.size for entry, _ in frames])
        if nbytes > self.config.segment_bytes:
            raise FramesTooLarge(nbytes, self.config.segment_bytes)
        offset = self.end
        placed = []
        place = self.format.place
        for entry, frame in frames:
            last = offset + entry.last_offset - entry.base_offset
            place(frame, entry, offset, epoch)
            placed.append((entry, frame, offset, last))
            offset = last + 1
        if epoch != self.epochs.latest:
            self._assign_epoch(epoch, self.end)
        return self._write(placed, now_ms)

    def append_follower(
        self, frames: Sequence[tuple[Entry, memoryview]], now_ms: int, *, allow_gap: bool = False
    ) -> Appended:
        """Write frames that a leader has placed; offsets and epochs are kept.

        allow_gap  offsets may be missing before a frame, as they are where the leader has compacted

        Raises UnexpectedOffset, EpochWentBack, WriteFailed (DiskFull), Poisoned, Closed; the log is then as it was.
        """
        if self.poisoned is not None or self._closed:
            self._refuse()
        expected, latest = self.end, self.epochs.latest
        placed = []
        for entry, frame in frames:
            if entry.base_offset < expected or (entry.base_offset > expected and not allow_gap):
                raise UnexpectedOffset(entry.base_offset, expected)
            if entry.epoch < latest:
                raise EpochWentBack(entry.epoch, latest)
            latest, expected = entry.epoch, entry.last_offset + 1
            placed.append((entry, frame, entry.base_offset, entry.last_offset))
        for entry, _, base, _ in placed:
            if entry.epoch != self.epochs.latest:
                self._assign_epoch(entry.epoch, base)
        return self._write(placed, now_ms)

    def _check_producers(self, frames: Sequence[tuple[Entry, memoryview]], origin: Origin) -> list[Batch]:
        if len(frames) == 1 and frames[0][0].producer_id == NO_PRODUCER:
            return []
        if origin is Origin.CLIENT:
            return self.producers.check_all([entry for entry, _ in frames])
        for entry, _ in frames:
            self.producers.check_epoch(entry)
        return []

    def _write(self, placed: Sequence[tuple[Entry, memoryview, int, int]], now_ms: int) -> Appended:
        """Write placed frames and remember them."""
        nbytes, newest = 0, NO_TIMESTAMP
        buffers: list[Buffer] = []
        for entry, frame, _, _ in placed:
            nbytes += entry.size
            if entry.max_timestamp > newest:
                newest = entry.max_timestamp
            buffers.append(frame)
        last = placed[-1][3]
        segment = self._active
        if segment is None or self._must_roll(segment, nbytes, newest, last, now_ms):
            segment = self._roll(placed[0][2], now_ms)
        try:
            position = segment.store.append(buffers, nbytes)
        except OSError as error:
            raise self._undo(segment, error) from error
        for entry, _, base, last in placed:
            segment.note(position, last, entry.max_timestamp)
            position += entry.size
            if entry.producer_id != NO_PRODUCER:
                self.producers.record(entry, base, last)
        self.end = last + 1
        self._dirty[segment] = None
        return Appended(placed[0][2], last, self.start, newest, False)

    def _undo(self, segment: Segment, error: OSError) -> StorageError:
        """After a failed write: cut the file back, or give the log up."""
        try:
            segment.store.undo()
        except OSError as second:
            self._poison(second)
        return write_failed(self.directory, error)

    def _refuse(self) -> None:
        if self._closed:
            raise Closed(self.directory)
        assert self.poisoned is not None
        raise Poisoned(self.directory, self.durable_end, self.poisoned.cause)

    def _poison(self, error: BaseException) -> None:
        if self.poisoned is None:
            self.poisoned = Poisoned(self.directory, self.durable_end, error)

    def _assign_epoch(self, epoch: int, offset: int) -> None:
        """A new leader epoch, in the file before any frame of it is in the log. Raises WriteFailed."""
        before = self.epochs.entries
        if self.epochs.assign(epoch, offset):
            try:
                self._write_epochs()
            except OSError as error:
                self.epochs = Epochs(before)
                raise write_failed(self.directory, error) from error

    def _write_epochs(self) -> None:
        self._make_directory()
        path = f"{self.directory}/{EPOCHS_FILE}"
        self.files.replace(path, self.epochs.render(), sync=False)
        self._dirty_paths[path] = None
        self._dirty_directories[self.directory] = None

    def _make_directory(self) -> None:
        if self._active is None:
            for changed in self.files.make_directory(self.directory):
                self._dirty_directories[changed] = None

    # -- rolling

    def _must_roll(self, segment: Segment, nbytes: int, newest: int, last_offset: int, now_ms: int) -> bool:
        """Kafka's rule (LogSegment.shouldRoll), except that an empty segment is never rolled."""
        size = segment.store.size
        config = self.config
        if size + nbytes > config.segment_bytes or segment.sealed or last_offset - segment.base > MAX_RELATIVE:
            return size > 0 or last_offset - segment.base > MAX_RELATIVE
        if not size:
            return False
        first = segment.first_timestamp
        waited = newest - first if first >= 0 else now_ms - segment.created_ms
        return (
            waited > config.segment_ms - config.segment_jitter_ms
            or len(segment.index) >= config.segment_index_bytes // INDEX_ENTRY_BYTES
            or len(segment.timeindex) >= config.segment_index_bytes // TIME_ENTRY_BYTES - 1
        )

    def roll(self, now_ms: int) -> None:
        """Begin a new segment at `end`, unless the active one is empty. Raises WriteFailed, Poisoned, Closed."""
        if self.poisoned is not None or self._closed:
            self._refuse()
        if self._active is None or self._active.size:
            self._roll(self.end, now_ms)

    def _roll(self, base: int, now_ms: int) -> Segment:
        """Begin a segment at `base`. Every step may be repeated, and the log stays whole wherever it fails."""
        old = self._active
        try:
            self._make_directory()
            if old is not None and old.size:
                old.save()
                self.take_snapshot()
            segment = Segment.create(
                self.files, self.directory, base, self.format, self.config.index_interval_bytes, now_ms
            )
        except OSError as error:
            raise write_failed(self.directory, error) from error
        if old is not None:
            if old.size:
                old.retire()
                old.end = base
                for path in old.index_paths:
                    self._dirty_paths[path] = None
            else:
                self._drop(old)
        self.segments.append(segment)
        self._bases.append(base)
        self._active = segment
        self._dirty_directories[self.directory] = None
        return segment

    def take_snapshot(self) -> None:
        """Write the producers' state as of `end`; a restart replays only what lies behind it. Raises OSError."""
        if self.end in self._snapshots or self._active is None:
            return
        path = self._snapshot_path(self.end)
        self.files.replace(path, snapshots.encode(self.producers), sync=False)
        self._dirty_paths[path] = None
        self._dirty_directories[self.directory] = None
        needed = {*self._bases, self.end}
        for offset in self._snapshots - needed:
            self.files.remove(self._snapshot_path(offset))
        self._snapshots = (self._snapshots & needed) | {self.end}

    def _snapshot_path(self, offset: int) -> str:
        return f"{self.directory}/{file_name(offset, snapshots.SUFFIX)}"

    def _drop(self, segment: Segment) -> None:
        """Forget a segment and remove its files."""
        at = self.segments.index(segment)
        del self.segments[at], self._bases[at]
        self._dirty.pop(segment, None)
        for path in segment.index_paths:
            self._dirty_paths.pop(path, None)
        self._remove_snapshot(segment.base)
        segment.remove()
        self._dirty_directories[self.directory] = None

    def _remove_snapshot(self, offset: int) -> None:
        if offset in self._snapshots:
            self._snapshots.discard(offset)
            self._dirty_paths.pop(self._snapshot_path(offset), None)
            self.files.remove(self._snapshot_path(offset))

    # -- reading

    def read(self, offset: int, max_bytes: int, end: int) -> Slice:
        """A leased range of one segment, from the frame that holds `offset` on.

        max_bytes  the first frame comes whole even if it is larger, the rest is cut at exactly this many bytes
        end        offset: nothing of the frame that holds it, or behind, is given

        Empty when there is nothing between `offset` and `end`. The caller closes the slice. Raises OffsetOutOfRange
        unless start <= offset <= self.end, Poisoned above what a poisoned log can vouch for, Corrupt.
        """
        if not self.start <= offset <= self.end:
            raise OffsetOutOfRange(offset, self.start, self.end)
        if self.poisoned is not None or self._closed:
            if self._closed or offset >= self.durable_end:
                self._refuse()
            end = min(end, self.durable_end)
        if offset >= end or offset >= self.end:
            return EMPTY
        segment, position, first = self._locate(offset)
        stop = segment.store.size if end >= segment.end else segment.locate(end)[0]
        nbytes = stop - position
        if nbytes > max_bytes:
            nbytes = min(nbytes, max(max_bytes, first))
        return segment.store.slice(position, nbytes) if nbytes > 0 else EMPTY

    def _locate(self, offset: int) -> tuple[Segment, int, int]:
        """(segment, position, size) of the frame that holds `offset`, or of the next one behind a hole; size 0 at the end."""
        segment = self._active
        assert segment is not None
        if offset >= segment.base:
            position, size = segment.locate(offset)
            return segment, position, size
        at = max(0, bisect_right(self._bases, offset) - 1)
        for segment in self.segments[at:]:
            position, size = segment.locate(offset)
            if size:
                break
        return segment, position, size

    def bytes_between(self, offset: int, end: int) -> int | None:
        """Bytes from the frame that holds `offset` up to the one that holds `end`; what a long poll waits for.

        None if `offset` lies on an older segment than `end`: there is plenty. Both within [start, self.end].
        """
        if offset >= end:
            return 0
        segment, position, _ = self._locate(offset)
        if end > segment.end:
            return None
        stop = segment.store.size if end == segment.end else segment.locate(end)[0]
        return max(0, stop - position)

    def offset_for_timestamp(self, timestamp: int) -> tuple[int, int, int] | None:
        """(offset, timestamp, leader epoch) of the first record at or after `timestamp`, in ms; None if there is none."""
        for segment in self.segments:
            if segment.end > self.start and segment.size and segment.newest()[0] >= timestamp:
                found = segment.find_timestamp(timestamp, self.start)
                if found is not None:
                    return found
        return None

    def max_timestamp(self) -> tuple[int, int, int] | None:
        """(offset, timestamp, leader epoch) of the newest record, the first if several are as new; None without any."""
        newest, holder = NO_TIMESTAMP, None
        for segment in self.segments:
            if segment.end > self.start and segment.newest()[0] > newest:
                newest, holder = segment.newest()[0], segment
        if holder is None:
            return None
        position, size = holder.locate(holder.newest()[1])
        frame = holder.store.frame(position, size)
        offset, timestamp = self.format.max_timestamp_offset(frame)
        return offset, timestamp, self.format.scan(frame).epoch

    def end_for_epoch(self, epoch: int) -> tuple[int, int]:
        """Kafka's OffsetForLeaderEpoch: see Epochs.end_of."""
        return self.epochs.end_of(epoch, self.end)

    def epoch_at(self, offset: int) -> int:
        """The leader epoch that wrote `offset`; -1 if unknown."""
        return self.epochs.at(offset)

    def _history(self, producer: Producer) -> list[Batch]:
        """The last batches of a producer, oldest first, from the log; as far back as HISTORY_INDEX_ENTRIES reach."""
        if self._active is None or not producer.batches:
            return []
        newest = producer.batches[-1].last_offset
        if not self.start <= newest < self.end:
            return []
        holder, position, _ = self._locate(newest)
        at = self.segments.index(holder)
        starts = [(holder, holder.walk_back(position, HISTORY_INDEX_ENTRIES))]
        if at and not starts[0][1]:
            older = self.segments[at - 1]
            starts.insert(0, (older, older.walk_back(older.size, HISTORY_INDEX_ENTRIES)))
        found: deque[Batch] = deque(maxlen=REMEMBERED_BATCHES)
        for segment, start in starts:
            for _, entry in segment.store.scan(start):
                if entry.last_offset > newest:
                    break
                mine = entry.producer_id == producer.producer_id and entry.producer_epoch == producer.epoch
                if mine and entry.base_sequence >= 0 and not entry.control:
                    found.append(
                        Batch(
                            entry.base_sequence,
                            entry.last_sequence,
                            entry.base_offset,
                            entry.last_offset,
                            entry.max_timestamp,
                        )
                    )
        return list(found)

    # -- cutting

    def delete_before(self, offset: int) -> None:
        """Move the start up to `offset`, and drop the segments that lie wholly below it. Raises OffsetOutOfRange."""
        if offset > self.end:
            raise OffsetOutOfRange(offset, self.start, self.end)
        if offset <= self.start:
            return
        self.start = offset
        while len(self.segments) > 1 and self._bases[1] <= offset:
            self._drop(self.segments[0])
        if self.epochs.delete_before(offset):
            self._write_epochs()

    def truncate(self, offset: int, now_ms: int = 0) -> None:
        """Drop all frames with offsets from `offset` on; a frame that holds it goes as well. Below `start`: begin anew there."""
        if self._closed:
            self._refuse()
        if offset >= self.end or self._active is None:
            return
        if offset < self.start:
            self.restart_at(offset, now_ms)
            return
        while len(self.segments) > 1 and self._bases[-1] >= offset:
            self._drop(self.segments[-1])
        self._active = self.segments[-1]
        self._active.truncate(offset)
        self.end = self._active.end
        self.start = min(self.start, self.end)
        self._cut_to(self.end)
        self._dirty[self._active] = None
        if self.epochs.truncate(self.end):
            self._write_epochs()
        for snapshot in [snapshot for snapshot in self._snapshots if snapshot > self.end]:
            self._remove_snapshot(snapshot)
        self._load_producers(now_ms)

    def _cut_to(self, offset: int) -> None:
        """No plan that is under way may make more than this durable."""
        self.durable_end = min(self.durable_end, offset)
        for plan in self._plans:
            plan.end = min(plan.end, offset)

    def restart_at(self, offset: int, now_ms: int = 0) -> None:
        """Drop everything; the log is empty and begins at `offset`."""
        if self._closed:
            self._refuse()
        while self.segments:
            self._drop(self.segments[-1])
        for snapshot in list(self._snapshots):
            self._remove_snapshot(snapshot)
        self._active = None
        self._cut_to(offset)
        self.start = self.end = self.durable_end = offset
        self.epochs = Epochs()
        self.producers.clear()
        self._write_epochs()
        self._roll(offset, now_ms)

    # -- syncing

    def plan_flush(self) -> FlushPlan | None:
        """What to sync so that everything up to the present `end` is durable; None if nothing is unsynced.

        The plan must come back, to `flushed` or `flush_failed`. Several may be under way.
        """
        if not (self._dirty or self._dirty_paths or self._dirty_directories) or self.poisoned is not None:
            return None
        leases = [segment.store.file.lease() for segment in self._dirty]
        plan = FlushPlan(self.files, self.end, leases, list(self._dirty_paths), list(self._dirty_directories))
        self._dirty, self._dirty_paths, self._dirty_directories = {}, {}, {}
        self._plans.append(plan)
        return plan

    def flushed(self, plan: FlushPlan) -> None:
        """The plan has run: what it covers is durable, as soon as the plans before it are."""
        plan.release()
        plan.done = True
        while self._plans and self._plans[0].done:
            end = self._plans.pop(0).end
            if self.poisoned is None and end > self.durable_end:
                self.durable_end = end

    def flush_failed(self, plan: FlushPlan, error: BaseException) -> None:
        """A sync failed: nobody knows what is on disk, and a second sync would not say. The log is poisoned."""
        plan.release()
        plan.done = True
        self._poison(error)
        while self._plans and self._plans[0].done:
            self._plans.pop(0)

    def flush(self) -> None:
        """Sync here and now, blocking. Raises Poisoned if that fails."""
        plan = self.plan_flush()
        if plan is None:
            return
        try:
            plan.run()
        except OSError as error:
            self.flush_failed(plan, error)
            self._refuse()
        self.flushed(plan)

    # -- ending

    def close(self, *, clean: bool, sync: bool = True) -> None:
        """Let everything go; leased slices stay readable. Idempotent.

        clean  write what lets the next `open(clean=True)` start at once: indexes, producers, and a sync unless told not to
        """
        if self._closed:
            return
        if clean and self.poisoned is None and self._active is not None:
            try:
                self._active.save()
                self.take_snapshot()
            except OSError as error:
                raise write_failed(self.directory, error) from error
            for path in self._active.index_paths:
                self._dirty_paths[path] = None
            if sync:
                self.flush()
        self._closed = True
        for segment in self.segments:
            segment.close()

    def delete(self, token: str) -> Removal:
        """Rename the folder away, as Kafka does; what is returned removes it, and may run in a thread.

        token  32 hexadecimal digits that make the new name unique
        """
        self._closed = True
        for segment in self.segments:
            segment.close()
        if not self.files.exists(self.directory):
            return Removal(self.files, None)
        renamed = deleted_name(self.directory, token)
        self.files.rename(self.directory, renamed)
        return Removal(self.files, renamed)

    # -- opening

    def _load_epochs(self) -> None:
        """From the file, and from the frames behind its last entry if the log did not close cleanly."""
        path = f"{self.directory}/{EPOCHS_FILE}"
        try:
            self.epochs = Epochs.parse(self.files.read(path))
            known = self.durable_end
        except FileNotFoundError:
            known = 0
        except Corrupt as error:
            self.repaired.append(f"{error}: read anew from the log")
            known = 0
        before = self.epochs.entries
        self.epochs.truncate(self.end)
        for entry in self._entries_from(max(known, self.start)):
            self.epochs.assign(entry.epoch, entry.base_offset)
        self.epochs.delete_before(self.start)
        if self.epochs.entries != before or not known:
            with suppress(OSError):  # it can be read from the log again
                self._write_epochs()

    def _load_producers(self, now_ms: int) -> None:
        """From the newest snapshot that is whole, and from the frames behind it."""
        self.producers.clear()
        replay_from = 0
        for offset in sorted(self._snapshots, reverse=True):
            try:
                if offset <= self.end:
                    for producer in snapshots.decode(self.files.read(self._snapshot_path(offset))):
                        self.producers.put(producer)
                    replay_from = offset
                    break
            except Corrupt as error:
                self.repaired.append(f"{self._snapshot_path(offset)}: {error}")
            except FileNotFoundError:
                pass
            self._remove_snapshot(offset)
        for entry in self._entries_from(max(replay_from, self.start)):
            if entry.producer_id != NO_PRODUCER:
                self.producers.record(entry, entry.base_offset, entry.last_offset)
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms)

    def _entries_from(self, offset: int) -> Iterator[Entry]:
        """The headers of all frames from the one that holds `offset` on."""
        at = max(0, bisect_right(self._bases, offset) - 1)
        for segment in self.segments[at:]:
            if offset < segment.end:
                for _, entry in segment.store.scan(segment.locate(offset)[0]):
                    yield entry
