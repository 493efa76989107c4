"""Transactions in a log: which of them are undecided, and which were aborted (KIP-98).

A producer's transaction begins at the first transactional frame it writes to the log and ends at a marker, a control
frame that says commit or abort. Readers of committed records stop at the last stable offset: below it everything is
decided. They drop what was aborted, and learn what that is from the transaction indexes: Kafka's `.txnindex`, one for
each segment that holds the marker of an aborted transaction, 34 bytes an entry (version int16, producer id, first
offset, the marker's offset, last stable offset behind the marker, int64 each). Entries ascend in the markers' offsets,
and never descend in the last stable offset: whoever looks for what touches a range of offsets can stop at the first
entry whose last stable offset lies behind the range, because all that began before that was decided by then.

A missing file says that there is nothing to tell, so a lost one is not noticed by itself. But no marker is counted as
durable before its entry is, and what lies behind the durable end is read from the log again (replay.py).
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from .errors import Corrupt
from .files import File, Files
from .flush import Unsynced
from .naming import TXN_INDEX, file_name

LAYOUT = Struct(">hqqqq")
ENTRY_BYTES = LAYOUT.size
VERSION = 0


class Aborted(NamedTuple):
    """An aborted transaction: records of `producer_id` from `first_offset` up to the marker at `last_offset`.

    last_stable_offset  where the first transaction begins that was undecided behind that marker; else the offset
                        behind it
    """

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


class Undecided:
    """The transactions that hold the last stable offset back: the open ones, and those whose marker is not yet below
    the high watermark."""

    __slots__ = ("_ended", "_open")

    def __init__(self) -> None:
        self._open: dict[int, int] = {}  # producer id -> first offset; these ascend
        self._ended: dict[int, int] = {}  # marker's offset -> first offset; both ascend, see `end`

    def __bool__(self) -> bool:
        return bool(self._open or self._ended)

    def begin(self, producer_id: int, first_offset: int) -> None:
        """`first_offset` is greater than that of all others."""
        self._open[producer_id] = first_offset

    def end(self, producer_id: int, marker_offset: int) -> int:
        """The last stable offset behind that marker, for a reader who sees the marker.

        Of the ended ones only those are kept that may matter: one that began later than another and leaves before it
        never is the first.
        """
        self._add_ended(marker_offset, self._open.pop(producer_id))
        return next(iter(self._open.values()), marker_offset + 1)

    def _add_ended(self, marker_offset: int, first_offset: int) -> None:
        ended = self._ended
        while ended and next(reversed(ended.values())) >= first_offset:
            ended.popitem()
        ended[marker_offset] = first_offset

    def last_stable_offset(self, high_watermark: int) -> int:
        """`high_watermark` only ever rises, but for a cut of the log, after which all this is read anew."""
        ended = self._ended
        while ended and (marker := next(iter(ended))) < high_watermark:
            del ended[marker]
        stable = high_watermark
        for first in (next(iter(self._open.values()), stable), next(iter(ended.values()), stable)):
            stable = min(first, stable)
        return stable

    def ended(self) -> dict[int, int]:
        """Marker's offset -> first offset, of those that ended and may hold back a reader."""
        return self._ended.copy()

    def remember(self, ended: dict[int, int], end: int) -> None:
        """The log was cut at `end` and read anew, but perhaps not from so far back that these were met again."""
        known = sorted((self._ended | ended).items())
        self._ended.clear()
        for marker, first in known:
            if marker < end:
                self._add_ended(marker, first)

    def clear(self) -> None:
        self._open.clear()
        self._ended.clear()


class TransactionIndex:
    """One segment's aborted transactions, as their markers come. All are in memory; `save` writes what is new."""

    __slots__ = ("_columns", "_files", "_last_offsets", "_path", "_saved", "_stable_offsets", "file")

    def __init__(self, files: Files, path: str) -> None:
        """The file comes into being when the first entry is saved."""
        self._files, self._path = files, path
        self.file: File | None = None
        self._saved = 0  # entries in the file
        self._last_offsets, self._stable_offsets = array("q"), array("q")
        # producer ids, first offsets, last offsets, last stable offsets
        self._columns = (array("q"), array("q"), self._last_offsets, self._stable_offsets)

    def __len__(self) -> int:
        return len(self._last_offsets)

    @property
    def last_offset(self) -> int:
        """Of the last entry's marker; -1 without any."""
        return self._last_offsets[-1] if self._last_offsets else -1

    def lies_within(self, base: int, end: int) -> bool:
        """Whether all markers do."""
        return not self._last_offsets or base <= self._last_offsets[0] <= self._last_offsets[-1] < end

    def load(self) -> None:
        """Take up what is in the file. Raises Corrupt if that can not be right, OSError."""
        entries = parse(self._files.read(self._path))
        self.file = self._files.open(self._path)
        for entry in entries:
            self.append(entry)
        self._saved = len(entries)

    def append(self, entry: Aborted) -> None:
        """Its marker lies behind that of all others. It waits in memory until `save`."""
        for column, value in zip(self._columns, entry, strict=True):
            column.append(value)

    def save(self) -> File:
        """Write what waits. After an OSError it still waits."""
        if self.file is None:
            self.file = self._files.open(self._path, create=True)
            self.file.truncate(0)
        rows = zip(*(column[self._saved :] for column in self._columns), strict=True)
        data = b"".join([LAYOUT.pack(VERSION, *row) for row in rows])
        self.file.append([data], len(data), self._saved * ENTRY_BYTES)
        self._saved = len(self)
        return self.file

    def truncate(self, end: int) -> None:
        """Keep what was ended below offset `end`. Raises OSError."""
        count = bisect_left(self._last_offsets, end)
        for column in self._columns:
            del column[count:]
        if count < self._saved and self.file is not None:
            self._saved = count
            self.file.truncate(count * ENTRY_BYTES)

    def remove(self) -> None:
        """Remove the file, if there is one. Raises OSError."""
        if self.file is not None:
            self.file.close()
        self._files.remove(self._path)

    def overlapping(self, start: int, upper: int) -> tuple[list[tuple[int, int]], bool]:
        """(producer id, first offset) of those with records in [start, upper), and whether no later one has any."""
        at = bisect_left(self._last_offsets, start)
        stop = bisect_left(self._stable_offsets, upper, at)
        producers, firsts = self._columns[:2]
        found = [(producers[i], firsts[i]) for i in range(at, min(stop + 1, len(self))) if firsts[i] < upper]
        return found, stop < len(self)


def parse(data: bytes) -> list[Aborted]:
    """The entries of a transaction index. Raises Corrupt if it can not be one."""
    if len(data) % ENTRY_BYTES:
        raise Corrupt(f"transaction index of {len(data)} bytes")
    entries = []
    for version, *fields in LAYOUT.iter_unpack(data):
        entry = Aborted._make(fields)
        if version != VERSION:
            raise Corrupt(f"transaction index of version {version}, not {VERSION}")
        in_order = (
            0 <= entry.first_offset < entry.last_offset and 0 <= entry.last_stable_offset <= entry.last_offset + 1
        )
        if entry.producer_id < 0 or not in_order:
            raise Corrupt(f"transaction index with {entry}")
        entries.append(entry)
    for one, two in pairwise(entries):
        if one.last_offset >= two.last_offset or one.last_stable_offset > two.last_stable_offset:
            raise Corrupt(f"transaction index that goes back from {one} to {two}")
    return entries


class TransactionIndexes:
    """The transaction indexes of one log, by their segments' bases; most logs have none."""

    __slots__ = ("_bases", "_directory", "_files", "_indexes", "_unsynced", "_waiting")

    def __init__(self, files: Files, directory: str, unsynced: Unsynced) -> None:
        self._files, self._directory, self._unsynced = files, directory, unsynced
        self._indexes: dict[int, TransactionIndex] = {}
        self._bases: list[int] = []  # ascending
        self._waiting: set[int] = set()  # bases of those with entries that are not in the file

    @property
    def last_offset(self) -> int:
        """Of the newest entry's marker; -1 without any."""
        return self._indexes[self._bases[-1]].last_offset if self._bases else -1

    def _new(self, base: int) -> TransactionIndex:
        index = TransactionIndex(self._files, f"{self._directory}/{file_name(base, TXN_INDEX)}")
        self._indexes[base] = index
        insort(self._bases, base)
        return index

    def add(self, base: int, entry: Aborted) -> None:
        """`entry` was ended in the segment at `base`, unless that is known. It waits in memory until `save`."""
        index = self._indexes.get(base)
        if index is None:
            index = self._new(base)
            self._unsynced.add_directory(self._directory)
        elif entry.last_offset <= index.last_offset:
            return
        index.append(entry)
        self._waiting.add(base)

    def save(self) -> None:
        """Write what waits. Raises OSError."""
        while self._waiting:
            base = next(iter(self._waiting))
            self._unsynced.files[self._indexes[base].save()] = None
            self._waiting.discard(base)

    def overlapping(self, start: int, upper: int) -> list[tuple[int, int]]:
        """(producer id, first offset) of the aborted transactions with records in [start, upper), as they ended."""
        found: list[tuple[int, int]] = []
        for base in self._bases[max(0, bisect_right(self._bases, start) - 1) :]:
            more, enough = self._indexes[base].overlapping(start, upper)
            found += more
            if enough:
                break
        return found

    def load(self, ends: dict[int, int], trusted: int) -> int:
        """Take up the files of the segments `ends` (base -> end), as far as their transactions ended below `trusted`.

        From where on the log is to be read again: `trusted`, or the first segment whose file can not be right. Raises
        OSError.
        """
        for base in sorted(ends):
            index = self._new(base)
            try:
                index.load()
                index.truncate(trusted)
                right = index.lies_within(base, ends[base])
            except Corrupt:
                right = False
            if not right:
                index.truncate(0)
                trusted = min(trusted, base)
        self.truncate(trusted)
        return trusted

    def truncate(self, end: int) -> None:
        """Drop what was ended at `end` or behind it. Raises OSError."""
        for base in reversed(self._bases.copy()):
            index = self._indexes[base]
            index.truncate(end)
            if index:
                break
            self.remove(base)

    def remove(self, base: int) -> None:
        """The segment at `base` is going, or has nothing to tell any more. Raises OSError."""
        index = self._indexes.pop(base, None)
        if index is None:
            return
        self._bases.remove(base)
        self._waiting.discard(base)
        self._unsynced.forget(index.file, ())
        index.remove()

    def close(self) -> None:
        """Let the descriptors go."""
        for index in self._indexes.values():
            if index.file is not None:
                index.file.close()
