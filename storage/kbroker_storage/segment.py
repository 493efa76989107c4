"""One store with its two indexes, named by its base offset (20 digits).

What is known of a segment depends on its age. The active one keeps a table of its newest frames, so that reads at the
tail touch no file; a closed one is a name and a size until somebody looks something up in it.

Its indexes hold nothing that the log does not say: whenever one is missing, or an entry turns out wrong when it is
followed, both are rebuilt from the headers.
"""

from array import array
from bisect import bisect_left
from contextlib import suppress
from typing import Final

from . import index, timeindex
from .entry import NO_TIMESTAMP, Entry, Format
from .errors import Corrupt
from .files import Files
from .sparse import SparseFile
from .store import Store

LOG_SUFFIX: Final = ".log"
RECENT_FRAMES: Final = 512  # most frames in the table of the newest: 4 KiB
LONG_WALK_FRAMES: Final = 4096  # a look-up that walks so far has been given an index with entries missing
MAX_RELATIVE: Final = 2**31 - 1  # index entries hold offsets relative to the base, in 31 bits


def file_name(base: int, suffix: str) -> str:
    return f"{base:020d}{suffix}"


class Segment:
    """Frames with offsets from `base` up to `end` (exclusive). Positions are bytes in the log file.

    max_timestamp         ms, the newest of all frames; with max_timestamp_offset, the last offset of the first such frame.
                          Known for the active segment; `newest` finds them for any
    first_timestamp       ms, of the first frame, -1 if unknown or none: where rolling by time counts from
    """

    __slots__ = (
        "_files",
        "_index",
        "_indexed",
        "_lasts",
        "_path",
        "_rebuilt",
        "_recent_from",
        "_starts",
        "_timeindex",
        "active",
        "base",
        "created_ms",
        "end",
        "first_timestamp",
        "index_interval_bytes",
        "max_timestamp",
        "max_timestamp_offset",
        "sealed",
        "store",
    )

    def __init__(
        self,
        files: Files,
        directory: str,
        base: int,
        format: Format,
        size: int,
        end: int,
        interval: int,
        now_ms: int,  # noqa: A002
    ) -> None:
        """A segment whose log file exists; `size` and `end` as the caller knows them."""
        self._files = files
        self._path = f"{directory}/{file_name(base, '')}"
        self.base = base
        self.end = end
        self.store = Store(files.open(self._path + LOG_SUFFIX), format, size)
        self.index_interval_bytes = interval
        self.created_ms = now_ms
        self.first_timestamp = NO_TIMESTAMP
        self.max_timestamp = NO_TIMESTAMP
        self.max_timestamp_offset = base
        self.active = False
        self.sealed = False  # no more appends: a reader may hold bytes that were cut away behind the end
        self._index: SparseFile | None = None
        self._timeindex: SparseFile | None = None
        self._indexed = 0  # position of the last indexed frame
        self._rebuilt = False
        self._recent_from = 0  # relative offsets from here on are in the table
        self._lasts = array("I")  # last offsets of the newest frames, relative to the base
        self._starts = array("I")  # their positions

    @classmethod
    def create(cls, files: Files, directory: str, base: int, format: Format, interval: int, now_ms: int) -> "Segment":  # noqa: A002
        """A new, empty segment; leftovers under its name are emptied."""
        path = f"{directory}/{file_name(base, '')}"
        for suffix in (index.SUFFIX, timeindex.SUFFIX):
            files.remove(path + suffix)
        file = files.open(path + LOG_SUFFIX, create=True)
        if file.size():
            file.truncate(0)
        file.close()
        segment = cls(files, directory, base, format, 0, base, interval, now_ms)
        segment.active = True
        segment._index = index.offset_index(files, path + index.SUFFIX)
        segment._timeindex = timeindex.time_index(files, path + timeindex.SUFFIX)
        return segment

    @property
    def size(self) -> int:
        return self.store.size

    @property
    def path(self) -> str:
        """Of the log file."""
        return self._path + LOG_SUFFIX

    @property
    def index_paths(self) -> tuple[str, str]:
        return self._path + index.SUFFIX, self._path + timeindex.SUFFIX

    @property
    def index(self) -> SparseFile:
        if self._index is None:
            self._load_indexes()
        assert self._index is not None
        return self._index

    @property
    def timeindex(self) -> SparseFile:
        if self._timeindex is None:
            self._load_indexes()
        assert self._timeindex is not None
        return self._timeindex

    # -- writing

    def note(self, position: int, last_offset: int, timestamp: int) -> None:
        """Take up the frame that was just written at `position`, the last in the file."""
        relative = last_offset - self.base
        if timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
            self.max_timestamp_offset = last_offset
        if position - self._indexed > self.index_interval_bytes:
            self.index.append(relative, position)
            self._note_time()
            self._indexed = position
            if self.index.full:
                self._spill()
        elif not position:
            self.first_timestamp = timestamp
        lasts = self._lasts
        lasts.append(relative)
        self._starts.append(position)
        if len(lasts) > RECENT_FRAMES:
            self._recent_from = lasts[RECENT_FRAMES // 2 - 1] + 1
            del lasts[: RECENT_FRAMES // 2]
            del self._starts[: RECENT_FRAMES // 2]
        self.end = last_offset + 1

    def _spill(self) -> None:
        """Move waiting entries to the files, the time index first: the offset index may never reach further than it."""
        with suppress(OSError):  # a file that can be rebuilt is no reason to fail an append; `save` will tell
            self.timeindex.save()
            self.index.save()

    def _note_time(self) -> None:
        last = self.timeindex.last()
        if self.max_timestamp > (NO_TIMESTAMP if last is None else last[0]):
            self.timeindex.append(self.max_timestamp, self.max_timestamp_offset - self.base)

    def save(self) -> None:
        """Write both indexes as far as they are in memory, with the newest timestamp. Raises OSError; may be repeated."""
        self._note_time()
        self.timeindex.save()
        self.index.save()

    def retire(self) -> None:
        """The segment was rolled: forget what only the active one needs."""
        self.active = False
        self._lasts, self._starts = array("I"), array("I")
        self._recent_from = MAX_RELATIVE + 1

    def close(self) -> None:
        """Let the descriptors go."""
        self.store.file.close()
        for sparse in (self._index, self._timeindex):
            if sparse is not None:
                sparse.close()

    def remove(self) -> None:
        """Remove the files; leased readers go on."""
        self.close()
        self.store.file.remove()
        for path in self.index_paths:
            self._files.remove(path)

    # -- looking up

    def locate(self, offset: int) -> tuple[int, int]:
        """(position, size) of the frame that holds `offset`, or of the next one if it fell into a hole.

        (size of the file, 0) behind the last frame.
        """
        relative = offset - self.base
        lasts = self._lasts
        if relative < self._recent_from or not lasts:
            return self._locate_by_index(offset)
        at = bisect_left(lasts, relative)
        count = len(lasts)
        if at == count:
            return self.store.size, 0
        start = self._starts[at]
        return start, (self._starts[at + 1] if at + 1 < count else self.store.size) - start

    def _locate_by_index(self, offset: int) -> tuple[int, int]:
        try:
            return self._walk_to(offset)
        except (Corrupt, EOFError, FileNotFoundError):
            self.rebuild()
            return self._walk_to(offset)

    def _walk_to(self, offset: int) -> tuple[int, int]:
        """Raises Corrupt if what the index points at is not the frame it names."""
        found = self.index.floor(offset - self.base)
        start = 0
        if found is not None:
            start = found[1]
            if self.store.entry(start).last_offset - self.base != found[0]:
                raise Corrupt(f"{self._path}: index entry {found} is wrong")
        walked = 0
        for position, entry in self.store.scan(start):
            if entry.last_offset >= offset:
                return position, entry.size
            walked += 1
            if walked == LONG_WALK_FRAMES and not self._rebuilt:
                raise Corrupt(f"{self._path}: index lacks entries behind {start}")
        return self.store.size, 0

    def newest(self) -> tuple[int, int]:
        """(timestamp, last offset of its frame) of the newest frame; (-1, base) if none has a timestamp."""
        if self.max_timestamp == NO_TIMESTAMP and self.size:
            last = self.timeindex.last()
            if last is None or not self._time_entry_holds(*last):
                self.rebuild()
                last = self.timeindex.last()
            if last is not None and last[0] > self.max_timestamp:
                self.max_timestamp, self.max_timestamp_offset = last[0], self.base + last[1]
        return self.max_timestamp, self.max_timestamp_offset

    def _time_entry_holds(self, timestamp: int, relative: int) -> bool:
        """Whether a time index entry says of its frame what the log says."""
        position, size = self.locate(self.base + relative)
        if not size:
            return False
        entry = self.store.entry(position)
        return entry.max_timestamp == timestamp and entry.last_offset == self.base + relative

    def find_timestamp(self, timestamp: int, first_offset: int) -> tuple[int, int, int] | None:
        """(offset, timestamp, leader epoch) of the first record at or after `timestamp` and from `first_offset` on."""
        found = self.timeindex.floor(timestamp)
        if found is not None and not self._time_entry_holds(*found):
            self.rebuild()
            found = self.timeindex.floor(timestamp)
        offset = first_offset if found is None else max(first_offset, self.base + found[1])
        for position, entry in self.store.scan(self.locate(offset)[0]):
            if entry.max_timestamp >= timestamp:
                frame = self.store.frame(position, entry.size)
                record = self.store.format.find_timestamp(frame, timestamp, first_offset)
                if record is not None:
                    return record[0], record[1], entry.epoch
        return None

    # -- opening

    def _load_indexes(self) -> None:
        """Take both index files if they are plausible; else rebuild them."""
        index_path, time_path = self.index_paths
        offsets = self._saved_entries(index_path, index.ENTRY_BYTES)
        times = self._saved_entries(time_path, timeindex.ENTRY_BYTES)
        self._index = index.offset_index(self._files, index_path, max(0, offsets))
        self._timeindex = timeindex.time_index(self._files, time_path, max(0, times))
        if offsets < 0 or times < 0 or not self._plausible():
            self.rebuild()

    def _saved_entries(self, path: str, entry_bytes: int) -> int:
        """-1 if there is no such file, or it ends within an entry."""
        try:
            file = self._files.open(path)
            size = file.size()
            file.close()
        except FileNotFoundError:
            return -1
        return -1 if size % entry_bytes else size // entry_bytes

    def _plausible(self) -> bool:
        """A cheap probe: the last entries lie within the log, the first ones below them."""
        last, first = self.index.last(), self.index[0] if len(self.index) else None
        if last is not None and first is not None:
            if not 0 <= first[0] <= last[0] or not 0 <= first[1] <= last[1] or last[1] >= self.size:
                return False
        newest = self.timeindex.last()
        return newest is None or (newest[0] >= 0 and newest[1] >= 0)

    def load_tail(self) -> None:
        """Make this the active segment: walk the frames behind the last index entry.

        Raises Corrupt if the log is damaged there.
        """
        self.active = True
        try:
            self._walk_tail()
        except (Corrupt, EOFError, FileNotFoundError):
            self.rebuild()

    def _walk_tail(self) -> None:
        last = self.index.last()
        if last is None:
            self._restart_walk(0)
        else:
            entry = self.store.entry(last[1])
            if entry.last_offset - self.base != last[0]:
                raise Corrupt(f"{self._path}: index entry {last} is wrong")
            self._restart_walk(last[1], entry)
        self._take_up(self._indexed)
        if self._indexed:
            self.first_timestamp = self.store.entry(0).max_timestamp
        newest = self.timeindex.last()
        if newest is None:
            return
        if not self._time_entry_holds(*newest):
            raise Corrupt(f"{self._path}: time index entry {newest} is wrong")
        if newest[0] >= self.max_timestamp:
            self.max_timestamp, self.max_timestamp_offset = newest[0], self.base + newest[1]

    def _restart_walk(self, position: int, entry: Entry | None = None) -> None:
        """Forget all that `note` gathered; the frame at `position` (its entry, unless it is the first) comes next."""
        self._lasts, self._starts = array("I"), array("I")
        self._recent_from = 0 if entry is None else entry.base_offset - self.base
        self._indexed = position
        self.end = self.base if entry is None else entry.base_offset
        self.max_timestamp, self.max_timestamp_offset = NO_TIMESTAMP, self.base
        self.first_timestamp = NO_TIMESTAMP

    def _take_up(self, position: int) -> None:
        for at, entry in self.store.scan(position):
            self.note(at, entry.last_offset, entry.max_timestamp)

    def rebuild(self) -> None:
        """Make both indexes anew from the headers. Raises Corrupt if the log itself is damaged."""
        closed_end = self.end
        index_path, time_path = self.index_paths
        for sparse in (self._index, self._timeindex):
            if sparse is not None:
                sparse.remove()
        self._index = index.offset_index(self._files, index_path)
        self._timeindex = timeindex.time_index(self._files, time_path)
        self._rebuilt = True
        self._restart_walk(0)
        self._take_up(0)
        if not self.active:
            self.end = closed_end
            self.retire()
            with suppress(OSError):  # they go on waiting in memory
                self.save()

    def trim_indexes(self, position: int, offset: int) -> None:
        """Keep only the entries of frames before `position`, whose offsets are below `offset`, and nothing doubtful.

        What is kept can be walked on from: the offset index does not reach beyond the last time index entry, because
        what the frames up to there had for timestamps would be lost.
        """
        if not (self.index.ascending() and self.timeindex.ascending()):
            self.index.truncate(0)
            self.timeindex.truncate(0)
            return
        relative = offset - self.base
        self.timeindex.truncate(sum(1 for _, last in self.timeindex if last < relative))
        newest = self.timeindex.last()
        covered = -1 if newest is None else newest[1]
        self.index.truncate(sum(1 for last, at in self.index if at < position and last <= covered))

    def truncate(self, offset: int) -> None:
        """Cut off the frame that holds `offset` and all behind it; `end` says where the log ends now."""
        position, size = self.locate(offset)
        first_cut = self.store.entry(position).base_offset if size else offset
        if size:
            self.trim_indexes(position, first_cut)
            self._cut(position)
        self.load_tail()

    def _cut(self, position: int) -> None:
        """Cut the file, such that bytes that a reader has leased are never replaced by others under its hands."""
        if not self.store.file.leased():
            self.store.truncate(position)
        elif position:
            self.store.truncate(position)
            self.sealed = True
        else:
            self.store.file.close()
            self._files.replace(self.path, b"", sync=False)
            self.store = Store(self._files.open(self.path), self.store.format, 0)

    def walk_back(self, position: int, entries: int) -> int:
        """The position of a frame that lies about `entries` index entries before `position`; 0 if there are not so many."""
        low, high = 0, len(self.index)
        while low < high:
            middle = (low + high) // 2
            if self.index[middle][1] <= position:
                low = middle + 1
            else:
                high = middle
        return self.index[low - entries][1] if low > entries else 0
