"""What one log knows of its producers and their transactions, and the files that keep it beside the log.

Nothing of it is more than the frames say. Producers are read from a snapshot and the frames behind it. Transaction
indexes are believed up to the offset that was durable, and made anew behind it: their entries follow from the frames,
given the producers' state before them.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from .entry import NO_PRODUCER, Entry, Format, Origin
from .flush import Unsynced
from .producers import Batch, History, Producers, VerificationToken
from .segment import Home, Segment
from .snapshots import Snapshots
from .transactions import TransactionIndexes

# Measured: reading the headers of 16 MiB in batches of 1 KiB takes 25 ms, a snapshot of 100,000 producers 30 to 110 ms.
SNAPSHOT_BYTES = 16 * 1024 * 1024
SNAPSHOT_BYTES_EACH = 1024

Frames = Sequence[tuple[Entry, memoryview]]


class ProducerState:
    """Of one log; `check` before an append, `record` after it."""

    __slots__ = ("_format", "_indexes", "_snapshot_size", "producers", "snapshots")

    def __init__(self, home: Home, unsynced: Unsynced, history: History) -> None:
        self._format: Format = home.format
        self.snapshots = Snapshots(home.files, home.directory, unsynced, set())
        self._indexes = TransactionIndexes(home.files, home.directory, unsynced)
        self.producers = Producers(history)
        self._snapshot_size = 0  # of the active segment when the last snapshot was taken

    # -- appending

    def check(
        self, frames: Frames, origin: Origin, verified: VerificationToken | None, transaction_version: int
    ) -> list[Batch]:
        """Stored batches if these repeat them, else nothing.

        Raises OutOfOrderSequence, InvalidProducerEpoch, InvalidTransactionState, CoordinatorFenced.
        """
        if origin is Origin.CLIENT:
            if len(frames) == 1:
                repeated = self.producers.check(frames[0][0], verified)
                return [] if repeated is None else [repeated]
            return self.producers.check_all([entry for entry, _ in frames], verified)
        for entry, frame in frames:
            if entry.producer_id == NO_PRODUCER:
                continue
            marker = self._format.marker(frame) if entry.control else None
            if marker is None:
                self.producers.check_coordinated(entry, verified)
            else:
                self.producers.check_marker(entry, marker, transaction_version)
        return []

    def end_transaction(self, segment: int, entry: Entry, frame: memoryview, offset: int) -> None:
        """A control frame is in the log at `offset`, in the segment with that base; not all of them end something."""
        if self._end(segment, entry, frame, offset):
            with suppress(OSError):  # no reason to fail an append; but nothing is durable before `save` has done it
                self._indexes.save()

    def _end(self, segment: int, entry: Entry, frame: memoryview, offset: int) -> bool:
        """Whether a transaction was aborted: then the index of the segment is to be saved."""
        marker = self._format.marker(frame) if entry.producer_id != NO_PRODUCER else None
        aborted = None if marker is None else self.producers.end(entry, marker, offset)
        if aborted is None:
            return False
        self._indexes.add(segment, aborted)
        return True

    # -- looking

    def aborts_from(self, offset: int) -> bool:
        """Whether a transaction was aborted by a marker at `offset` or behind it."""
        return self._indexes.last_offset >= offset

    def aborted(self, start: int, upper: int) -> list[tuple[int, int]]:
        """(producer id, first offset) of the aborted transactions with records in [start, upper)."""
        return self._indexes.overlapping(start, upper)

    # -- the files

    def save(self) -> None:
        """Write what transaction indexes could not. Raises OSError."""
        self._indexes.save()

    def take_snapshot(self, end: int, size: int, bases: Iterable[int], durable_end: int) -> None:
        """Write all as of `end`, the log's. Raises OSError.

        size         of the active segment; 0 as soon as another one begins
        bases        of the segments: snapshots at these stay, and the newest that is not above `durable_end`
        durable_end  the log's; after a crash nothing newer is believed
        """
        self._indexes.save()
        usable = [offset for offset in self.snapshots.offsets if offset <= durable_end]
        self.snapshots.write(end, self.producers, {*bases, *([max(usable)] if usable else [])})
        self._snapshot_size = size

    def begin_segment(self) -> None:
        """A new one was begun, behind a snapshot."""
        self._snapshot_size = 0

    def snapshot_due(self, size: int) -> bool:
        """Whether so many frames lie behind the last snapshot that it is time for one; `size` of the active segment.

        What a snapshot costs goes by the number of producers, and so does how often it is paid.
        """
        appended = size - self._snapshot_size
        return appended >= SNAPSHOT_BYTES and appended >= SNAPSHOT_BYTES + len(self.producers) * SNAPSHOT_BYTES_EACH

    def drop(self, base: int) -> None:
        """The segment at `base` goes. Raises OSError."""
        self.snapshots.remove(base)
        self._indexes.remove(base)

    def clear(self) -> None:
        """All segments are gone. Raises OSError."""
        self.snapshots.remove_above(-1)
        self.producers.clear()

    def truncate(self, segments: list[Segment]) -> set[int]:
        """The log ends earlier now. The ids of those met in frames behind the snapshot. Raises Corrupt, OSError."""
        end, self._snapshot_size = segments[-1].end, 0
        undecided = self.producers.undecided
        ended = undecided.ended()
        self._indexes.truncate(end)
        met = self._replay(segments, end)
        undecided.remember(ended, end)
        return met

    def load(self, segments: list[Segment], indexed: list[int], verified_from: int) -> set[int]:
        """The log was just opened; bases `indexed` have transaction indexes, `snapshots` knows its offsets.

        verified_from  see recovery.Opened

        The ids of the producers met in frames behind the snapshot. Raises Corrupt, OSError.
        """
        ends = {segment.base: segment.end for segment in segments if segment.base in indexed}
        end = segments[-1].end
        trusted = self._indexes.load(ends, max(segments[0].base, min(verified_from, end)))
        met = self._replay(segments, trusted)
        self._snapshot_size = segments[-1].size if end in self.snapshots.offsets else 0
        return met

    def close(self) -> None:
        """Let the descriptors go."""
        self._indexes.close()

    def _replay(self, segments: list[Segment], trusted: int) -> set[int]:
        """From the newest snapshot up to `trusted`, where the transaction indexes end, to the end of the log."""
        producers, known = self.producers, segments[0].base
        met: set[int] = set()
        producers.clear()
        self.snapshots.remove_above(segments[-1].end)
        for offset, taken in self.snapshots.newest(trusted):
            known = max(offset, known)
            producers.load(taken)
        for segment in segments:
            if known >= segment.end:
                continue
            store = segment.store
            for position, entry in store.scan(segment.locate(known)[0]):
                if entry.control:
                    self._end(segment.base, entry, store.frame(position, entry.size), entry.base_offset)
                elif entry.producer_id != NO_PRODUCER:
                    producers.record(entry, entry.base_offset, entry.last_offset)
                met.add(entry.producer_id)
        with suppress(OSError):  # as for an append
            self._indexes.save()
        return met
