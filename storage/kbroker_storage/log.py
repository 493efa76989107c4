"""One log: ordered segments behind one start and one end.

Appends go check -> place -> roll if need be -> write -> remember, and nothing is remembered of an append that failed.
Nothing here waits but for the file system, and nothing is safe to call from two threads; the one thing made for a
thread is `FlushPlan.run`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress

from .config import LogConfig
from .deletion import Removal, rename_away
from .entry import NO_PRODUCER, Appended, Buffer, Entry, Format, Origin
from .epochs import FILE_NAME as EPOCHS_FILE
from .epochs import NO_EPOCH, Epochs
from .errors import (
    Closed,
    Corrupt,
    EpochWentBack,
    FramesTooLarge,
    OffsetOutOfRange,
    Poisoned,
    UnexpectedOffset,
    write_failed,
)
from .files import EMPTY, Files, Slice
from .flush import FlushPlan, Unsynced
from .history import entries_from, last_batches
from .lookup import Found, first_since, newest_record
from .producer_state import ProducerState
from .producers import UNASKED, VerificationToken
from .recovery import open_segments
from .segment import MAX_RELATIVE, Home, Segment


class Log:
    """Frames of one format in one folder; the folder comes into being with the first append.

    start        the oldest offset that may be read
    end          the next append's offset
    durable_end  everything below is known to be on disk
    epochs       leader epoch history
    producers    idempotent producers' state as of `end`
    segments     ascending; the last is the active one, none before the first append
    config       may be replaced at any time
    repaired     what opening had to mend, a sentence each
    poisoned     set once a sync failed or a failed write could not be undone
    """

    __slots__ = (
        "_active",
        "_bases",
        "_closed",
        "_state",
        "_unsynced",
        "config",
        "durable_end",
        "end",
        "epochs",
        "home",
        "poisoned",
        "producers",
        "repaired",
        "segments",
        "start",
    )

    def __init__(self, home: Home, config: LogConfig, start: int = 0) -> None:
        """An empty log that has no folder yet. To find what is on disk, use `open`."""
        self.home = home
        self.config = config
        self.start = self.end = self.durable_end = start
        self.epochs = Epochs()
        self.segments: list[Segment] = []
        self.repaired: list[str] = []
        self.poisoned: Poisoned | None = None
        self._bases: list[int] = []
        self._active: Segment | None = None
        self._closed = False
        self._unsynced = Unsynced(home.files)
        self._state = ProducerState(home, self._unsynced, lambda producer: last_batches(producer, self.segments))
        self.producers = self._state.producers

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

        Raises OSError.
        """
        home = Home(files, directory, format)
        log = cls(home, config, log_start)
        try:
            log._load(recovery_point, log_start, clean=clean, now_ms=now_ms)
        except Corrupt as error:  # below the recovery point, or behind what looked like a clean end: verify everything
            log = cls(home, config, log_start)
            log.repaired.append(f"{error}: verified the whole log")
            log._load(0, log_start, clean=False, now_ms=now_ms)
        return log

    # -- appending

    def append_leader(
        self,
        frames: Sequence[tuple[Entry, memoryview]],
        epoch: int,
        now_ms: int,
        origin: Origin = Origin.CLIENT,
        *,
        verified: VerificationToken | None = UNASKED,
        transaction_version: int = 0,
    ) -> Appended:
        """Give the frames offsets from `end` on, patch them, and write them: all or none.

        frames    at least one, as `Format.verify` or `scan` saw it, each with its writable bytes, which are free again
                  afterwards
        epoch     of the leader who appends; not older than the log's newest
        verified  what `Producers.verification` gave for a batch that begins a transaction; by default none is asked for

        Raises OutOfOrderSequence, InvalidProducerEpoch, InvalidTransactionState, CoordinatorFenced, EpochWentBack,
        FramesTooLarge, WriteFailed (DiskFull), Poisoned, Closed; the log is then as it was.
        """
        if self.poisoned is not None or self._closed:
            self._refuse()
        if epoch < self.epochs.latest:
            raise EpochWentBack(epoch, self.epochs.latest)
        if (len(frames) > 1 or frames[0][0].producer_id != NO_PRODUCER) and origin is not Origin.REPLICATION:
            repeated = self._state.check(frames, origin, verified, transaction_version)
            if repeated:
                newest = max([batch.timestamp for batch in repeated])
                return Appended(repeated[0].base_offset, repeated[-1].last_offset, self.start, newest, True)
        offset, nbytes = self.end, 0
        placed = []
        place = self.home.format.place
        for entry, frame in frames:
            last = offset + entry.last_offset - entry.base_offset
            place(frame, entry, offset, epoch)
            placed.append((entry, frame, offset, last))
            nbytes += entry.size
            offset = last + 1
        if nbytes > self.config.segment_bytes and origin is not Origin.COORDINATOR:
            raise FramesTooLarge(nbytes, self.config.segment_bytes)
        if epoch != self.epochs.latest:
            self._assign_epoch(epoch, self.end)
        return self._write(placed, nbytes, now_ms)

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
        return self._write(placed, sum([entry.size for entry, _ in frames]), now_ms)

    def _write(self, placed: Sequence[tuple[Entry, memoryview, int, int]], nbytes: int, now_ms: int) -> Appended:
        """Write placed frames, (entry, bytes, base offset, last offset), and remember them."""
        newest = placed[0][0].max_timestamp
        if len(placed) > 1:
            newest = max([entry.max_timestamp for entry, _, _, _ in placed])
        buffers: list[Buffer] = [frame for _, frame, _, _ in placed]
        last = placed[-1][3]
        if last - placed[0][2] > MAX_RELATIVE:
            raise FramesTooLarge(last - placed[0][2] + 1, MAX_RELATIVE + 1, "offsets")
        segment = self._active
        if segment is None or segment.should_roll(self.config, nbytes, newest, last, now_ms):
            segment = self._roll(placed[0][2], now_ms)
        try:
            position = segment.store.append(buffers, nbytes)
        except OSError as error:
            self._undo(segment)
            raise write_failed(self.home.directory, error) from error
        try:
            for entry, frame, base, last in placed:
                segment.note(position, last, entry.max_timestamp)
                position += entry.size
                if entry.control:
                    self._state.end_transaction(segment.base, entry, frame, base)
                elif entry.producer_id != NO_PRODUCER:
                    self.producers.record(entry, base, last)
        except BaseException as error:  # in the file and not in mind: its offsets must not be given a second time
            segment.store.size -= nbytes
            self._poison(error)
            raise
        self.end = last + 1
        self._unsynced.files[segment.store.file] = None
        return Appended(placed[0][2], last, self.start, newest, False)

    def _undo(self, segment: Segment) -> None:
        """After a failed write: cut the file back, durably before what comes behind it; or give the log up."""
        self._unsynced.files[segment.store.file] = None
        try:
            segment.store.undo()
        except OSError as error:
            self._poison(error)

    def _refuse(self) -> None:
        if self._closed:
            raise Closed(self.home.directory)
        assert self.poisoned is not None
        raise Poisoned(self.home.directory, self.durable_end, self.poisoned.cause)

    def _poison(self, error: BaseException) -> None:
        if self.poisoned is None:
            self.poisoned = Poisoned(self.home.directory, self.durable_end, error)

    def _assign_epoch(self, epoch: int, offset: int) -> None:
        """A new leader epoch, in the file before any frame of it is in the log. Raises WriteFailed."""
        before = self.epochs.entries
        if self.epochs.assign(epoch, offset):
            try:
                self._write_epochs()
            except OSError as error:
                self.epochs = Epochs(before)
                raise write_failed(self.home.directory, error) from error

    def _write_epochs(self) -> None:
        self._make_directory()
        path = self.home.path(EPOCHS_FILE)
        self.home.files.replace(path, self.epochs.render(), sync=False)
        self._unsynced.add_path(path)

    def _make_directory(self) -> None:
        if self._active is None:
            for changed in (*self.home.files.make_directory(self.home.directory), self.home.parent):
                self._unsynced.add_directory(changed)  # the parent always: a process that was killed may have made it

    # -- rolling

    def roll(self, now_ms: int, epoch: int = NO_EPOCH) -> None:
        """Begin a new segment at `end`, unless the active one is empty. Raises WriteFailed, Poisoned, Closed.

        epoch  of a leader who is about to append, to be remembered if it is new
        """
        if self.poisoned is not None or self._closed:
            self._refuse()
        if epoch > self.epochs.latest:
            self._assign_epoch(epoch, self.end)
        if self._active is None or self._active.size:
            self._roll(self.end, now_ms)

    def _roll(self, base: int, now_ms: int) -> Segment:
        """Begin a segment at `base`. Wherever this fails, the log is whole and the next try begins again."""
        old = self._active
        try:
            self._make_directory()
            if old is not None and old.size:
                old.save()
                self.take_snapshot()
            elif old is not None:
                self._drop(old)
            segment = Segment.create(self.home, base, self.config.index_interval_bytes, now_ms)
        except OSError as error:
            raise write_failed(self.home.directory, error) from error
        if old is not None and old.size:
            old.retire(base)
            for path in old.index_paths:
                self._unsynced.add_path(path)
        self.segments.append(segment)
        self._bases.append(base)
        self._active = segment
        self._state.begin_segment()
        self._unsynced.add_directory(self.home.directory)
        return segment

    def take_snapshot(self) -> None:
        """Write the producers' state as of `end`; a restart replays only what lies behind it. Raises OSError.

        Of older ones those at the segments' bases stay, and the newest that a start after a crash may believe.
        """
        if self._active is not None:
            self._state.take_snapshot(self.end, self._active.size, self._bases, self.durable_end)

    def snapshot_if_due(self) -> bool:
        """Take a snapshot if a start after a crash would read much behind the last; whether it was. Raises OSError."""
        if self._closed or self.poisoned is not None or self._active is None:
            return False
        due = self._state.snapshot_due(self._active.size)
        if due:
            self.take_snapshot()
        return due

    def _drop(self, segment: Segment, aside: list[Removal] | None = None) -> None:
        """Forget a segment and remove its files."""
        at = self.segments.index(segment)
        del self.segments[at], self._bases[at]
        self._active = self.segments[-1] if self.segments else None
        self._unsynced.forget(segment.store.file, segment.index_paths)
        self._state.drop(segment.base)
        segment.remove(aside)
        self._unsynced.add_directory(self.home.directory)

    # -- reading

    def read(self, offset: int, max_bytes: int, end: int) -> Slice:
        """A leased range of one segment, from the frame that holds `offset` on.

        max_bytes  the first frame comes whole even if it is larger, the rest is cut at exactly this many bytes
        end        offset: nothing of the frame that holds it, or behind, is given

        Empty when there is nothing between `offset` and `end`. The caller closes the slice. Raises OffsetOutOfRange
        unless start <= offset <= self.end, Poisoned above what a poisoned log can vouch for, Closed, Corrupt.
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
        """(segment, position, size) of the frame that holds `offset` or is the next behind a hole; size 0 at end."""
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

    def last_stable_offset(self, high_watermark: int) -> int:
        """Below it all is decided, by markers below `high_watermark`; never above that, which may not have fallen."""
        undecided = self.producers.undecided
        return max(undecided.last_stable_offset(high_watermark), self.start) if undecided else high_watermark

    def aborted(self, offset: int, nbytes: int) -> list[tuple[int, int]]:
        """(producer id, first offset) of the aborted transactions with records in the `nbytes` (at least 1) that a read
        from `offset` gave; perhaps of a few behind them as well."""
        if not self._state.aborts_from(offset):
            return []
        segment, position, _ = self._locate(offset)
        return self._state.aborted(offset, segment.end_before(position + nbytes))

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

    def offset_for_timestamp(self, timestamp: int) -> Found | None:
        """The first record at or after `timestamp`, in ms; None without one."""
        return first_since(self.segments, self.start, timestamp)

    def max_timestamp(self) -> Found | None:
        """The newest record, the first if several are as new; None without any."""
        return newest_record(self.segments, self.start)

    def end_for_epoch(self, epoch: int) -> tuple[int, int]:
        """Kafka's OffsetForLeaderEpoch: see Epochs.end_of."""
        return self.epochs.end_of(epoch, self.end)

    def epoch_at(self, offset: int) -> int:
        """The leader epoch that wrote `offset`; -1 if unknown."""
        return self.epochs.at(offset)

    # -- cutting

    def delete_before(self, offset: int, aside: list[Removal] | None = None) -> None:
        """Move the start up to `offset`, and drop the segments that lie wholly below it.

        aside  gets what removes the large files, which are only renamed here; None: they are removed at once

        Raises OffsetOutOfRange beyond `end`, Closed, OSError if a file can not be removed.
        """
        if self._closed:
            self._refuse()
        if offset > self.end:
            raise OffsetOutOfRange(offset, self.start, self.end)
        if offset <= self.start:
            return
        self.start = offset
        if self.epochs.delete_before(offset):
            with suppress(OSError):  # the file says more than it need, which the next start sees
                self._write_epochs()
        while len(self.segments) > 1 and self._bases[1] <= offset:
            self._drop(self.segments[0], aside)

    def truncate(self, offset: int, now_ms: int = 0) -> None:
        """Drop the frames from `offset` on, also the one that holds it; below `start`, begin anew at `offset`.

        now_ms  for the producers that expired meanwhile

        Raises Closed, WriteFailed; the log is poisoned then.
        """
        if self._closed:
            self._refuse()
        if offset >= self.end or self._active is None:
            return
        if offset < self.start:
            self.restart_at(offset, now_ms)
            return
        try:
            self._truncate(offset, now_ms)
        except OSError as error:
            self._poison(error)
            raise write_failed(self.home.directory, error) from error

    def _truncate(self, offset: int, now_ms: int) -> None:
        while len(self.segments) > 1 and self._bases[-1] >= offset:
            self._drop(self.segments[-1])
        segment = self.segments[-1]
        self._unsynced.files.pop(segment.store.file, None)
        segment.truncate(offset)
        self._unsynced.files[segment.store.file] = None
        self.end = segment.end
        self.start = min(self.start, self.end)
        self.durable_end = min(self.durable_end, self.end)
        self._unsynced.cut(self.end)
        if self.epochs.truncate(self.end):
            self._write_epochs()
        met = self._state.truncate(self.segments)
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms, spare=met)

    def restart_at(self, offset: int, now_ms: int = 0) -> None:
        """Drop everything; the log is empty and begins at `offset`. Raises Closed, WriteFailed; it is poisoned then."""
        if self._closed:
            self._refuse()
        try:
            while self.segments:
                self._drop(self.segments[-1])
            self._state.clear()
            self._unsynced.cut(offset)
            self.start = self.end = self.durable_end = offset
            self.epochs = Epochs()
            self._write_epochs()
        except OSError as error:
            self._poison(error)
            raise write_failed(self.home.directory, error) from error
        self._roll(offset, now_ms)

    # -- syncing

    def sync_beside(self, name: str) -> None:
        """A small file of the owner's in the log's folder was written: the next sync makes it durable as well, before
        anything is that was appended by then."""
        self._unsynced.add_path(self.home.path(name))

    def plan_flush(self) -> FlushPlan | None:
        """What to sync so that all up to the present `end` is durable; None if nothing is unsynced, or closed.

        It must come back, to `flushed` or `flush_failed`; several may be under way. Raises OSError, changing nothing.
        """
        if self.poisoned is not None or self._closed or not self._unsynced:
            return None
        self._state.save()
        return self._unsynced.plan(self.end)

    def flushed(self, plan: FlushPlan) -> None:
        """The plan has run: what it covers is durable, as soon as the plans before it are."""
        end = self._unsynced.done(plan)
        if self.poisoned is None and end > self.durable_end:
            self.durable_end = end

    def flush_failed(self, plan: FlushPlan, error: BaseException) -> None:
        """A sync failed: nobody knows what is on disk, and a second sync would not say. The log is poisoned."""
        self._poison(error)
        self._unsynced.done(plan)

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
        """Let everything go; leased slices stay readable. Idempotent. Raises WriteFailed, Poisoned if `clean` fails.

        clean  write what lets the next `open(clean=True)` start at once: indexes, producers, and a sync unless told not
               to; a poisoned log has nothing clean to write
        """
        if self._closed:
            return
        try:
            if clean and self.poisoned is None and self._active is not None:
                self._settle(sync=sync)
        finally:
            self._closed = True
            self._state.close()
            for segment in self.segments:
                segment.close()

    def _settle(self, *, sync: bool) -> None:
        assert self._active is not None
        try:
            self._active.save()
            self.take_snapshot()
        except OSError as error:
            raise write_failed(self.home.directory, error) from error
        if self._unsynced.files:
            for path in self._active.index_paths:
                self._unsynced.add_path(path)
        if sync:
            self.flush()

    def delete(self, token: str) -> Removal:
        """Close, and rename the folder away as Kafka does; what is returned removes it, and may run in a thread.

        token  32 hexadecimal digits that make the new name unique

        Raises OSError.
        """
        self.close(clean=False)
        return rename_away(self.home.files, self.home.directory, token)

    # -- opening

    def _load(self, recovery_point: int, log_start: int, *, clean: bool, now_ms: int) -> None:
        opened = open_segments(
            self.home, self.config, recovery_point=recovery_point, log_start=log_start, clean=clean, now_ms=now_ms
        )
        self.repaired += opened.repaired
        self._state.snapshots.offsets = opened.snapshots
        if not opened.segments:
            return
        self.segments = opened.segments
        self._bases = [segment.base for segment in self.segments]
        self._active = self.segments[-1]
        self.end = self._active.end
        if log_start > self.end:
            self.repaired.append(f"the log ended at {self.end}, before its start {log_start}: begun anew there")
            self.restart_at(log_start, now_ms)
            return
        self.start = max(log_start, self._bases[0])
        self.durable_end = self.end
        if not clean or opened.repaired:
            self.durable_end = max(self.start, min(recovery_point, self.end))
            self._unsynced.add_directory(self.home.directory)
            self._unsynced.add_directory(self.home.parent)
            for segment in self.segments:
                if segment.end > self.durable_end or segment.active:
                    self._unsynced.files[segment.store.file] = None
        self._load_epochs()
        met = self._state.load(self.segments, opened.txn_indexes, opened.verified_from)
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms, spare=met)

    def _load_epochs(self) -> None:
        """From the file, and from the frames behind the durable end; from all frames if there is no file."""
        known = self.durable_end
        entries = []
        try:
            self.epochs = Epochs.parse(self.home.files.read(self.home.path(EPOCHS_FILE)))
            entries = self.epochs.entries
        except FileNotFoundError:
            known = self.start
        except Corrupt as error:
            self.repaired.append(f"{error}: read anew from the log")
            known = self.start
        self.epochs.truncate(self.end + 1)  # an epoch may begin at the end, with nothing written yet
        for entry in entries_from(self.segments, known):
            self.epochs.assign(entry.epoch, entry.base_offset)
        self.epochs.delete_before(self.start)
        if self.epochs.entries != entries:
            with suppress(OSError):  # it can be read from the log again
                self._write_epochs()
