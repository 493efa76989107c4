"""One store with its two indexes, named by its base offset (20 digits).

What is known of a segment depends on its age. The active one keeps a table of its newest frames, so that reads at the
tail touch no file; a closed one is a name and a size until somebody looks something up in it.

Its indexes hold nothing that the log does not say: whenever one is missing, or an entry turns out wrong when it is
followed, both are rebuilt from the headers.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from os.path import dirname
from typing import Final, NamedTuple

from . import index, timeindex
from .config import LogConfig
from .deletion import Removal
from .entry import NO_TIMESTAMP, Entry, Format
from .errors import Corrupt
from .files import File, Files
from .indexes import Indexes, index_paths
from .naming import DELETED, LOG, file_name
from .store import Store

RECENT_FRAMES: Final = 512  # most frames in the table of the newest: 4 KiB
READERS: Final = 16  # of old data in one segment, whose next position is remembered
LONG_WALK_FRAMES: Final = 4096  # a look-up that walks so far has been given an index with entries missing
PROBE_FRAMES: Final = 1024  # so far behind its last entry a time index is checked for having been cut ...
OPENING_PROBE_FRAMES: Final = 64  # ... and so far when the active segment of a cleanly closed log is opened
# What a walk over all frames finds out
WALKED: Final = (
    *("_indexed", "_indexes", "_lasts", "_newest", "_newest_offset", "_rebuilt", "_recent_from", "_starts"),
    *("end", "first_timestamp"),
)
MAX_RELATIVE: Final = 2**31 - 1  # index entries hold offsets relative to the base, in 31 bits


class Home(NamedTuple):
    """Where a log lives, and what its frames are."""

    files: Files
    directory: str
    format: Format

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    @property
    def parent(self) -> str:
        """The folder that names this one."""
        return dirname(self.directory) or "."


class Segment:
    """Frames with offsets from `base` up to `end` (exclusive). Positions are bytes in the log file.

    active           appends go here; else what `note` gathered is not kept
    sealed           no more appends: bytes behind the end were cut away while a reader had them leased
    first_timestamp  ms, of the first frame, -1 if unknown or none: what rolling by time counts from
    created_ms       the clock's time when it was created or opened: what it counts from without timestamps
    """

    __slots__ = (
        "_behind",
        "_home",
        "_indexed",
        "_indexes",
        "_lasts",
        "_newest",
        "_newest_offset",
        "_path",
        "_rebuilt",
        "_recent_from",
        "_starts",
        "active",
        "base",
        "created_ms",
        "end",
        "first_timestamp",
        "index_interval_bytes",
        "sealed",
        "store",
    )

    def __init__(
        self,
        home: Home,
        base: int,
        interval: int,
        now_ms: int,
        *,
        size: int = 0,
        end: int | None = None,
        file: File | None = None,
    ) -> None:
        """A segment whose log file exists. `end`: the next segment's base, if there is one.

        interval  config.index_interval_bytes
        file      the log file, if it is open
        """
        self._home = home
        self._path = home.path(file_name(base, ""))
        self.base = base
        self.end = base if end is None else end
        self.store = Store(home.files.open(self._path + LOG) if file is None else file, home.format, size)
        self.index_interval_bytes = interval
        self.created_ms = now_ms
        self.active = False
        self.sealed = False
        self.first_timestamp = NO_TIMESTAMP
        self._indexes: Indexes | None = None
        self._rebuilt = False
        self._indexed = 0  # position of the last indexed frame
        self._newest = NO_TIMESTAMP  # of all frames: a closed segment's is looked up when it is asked for
        self._newest_offset = base
        self._lasts = array("I")  # the newest frames' last offsets, relative to the base ...
        self._starts = array("I")  # ... their positions ...
        self._behind: dict[int, int] = {}  # offset -> position of the frame behind one that was located
        self._recent_from = 0  # ... and the relative offset that they cover the segment from

    @classmethod
    def create(cls, home: Home, base: int, interval: int, now_ms: int) -> "Segment":
        """A new, empty, active segment; leftovers under its name are emptied. Raises OSError.

        The log file comes last: an empty one that nobody goes on with would, at the next start, hide what is appended
        to the segment before it instead.
        """
        path = home.path(file_name(base, ""))
        indexes = Indexes.create(home.files, path)
        file = home.files.open(path + LOG, create=True)
        if file.size():
            file.truncate(0)
        segment = cls(home, base, interval, now_ms, file=file)
        segment.active = True
        segment._indexes = indexes
        return segment

    @property
    def size(self) -> int:
        return self.store.size

    @property
    def path(self) -> str:
        """Of the log file."""
        return self._path + LOG

    @property
    def index_paths(self) -> tuple[str, str]:
        return index_paths(self._path)

    @property
    def indexes(self) -> Indexes:
        """Loaded when first needed, rebuilt if the files are missing or do not look right."""
        if self._indexes is None:
            self._indexes = Indexes.load(self._home.files, self._path)
            if not self._indexes.plausible(self.size):
                self.rebuild()
        return self._indexes

    # -- writing

    def note(self, position: int, last_offset: int, timestamp: int) -> None:
        """Take up the frame that was just written at `position`, the last in the file."""
        relative = last_offset - self.base
        if timestamp > self._newest:
            self._newest = timestamp
            self._newest_offset = last_offset
        if position - self._indexed > self.index_interval_bytes:
            indexes = self.indexes
            indexes.add_time(self._newest, self._newest_offset - self.base)
            indexes.add(relative, position)
            self._indexed = position
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

    def should_roll(self, config: LogConfig, nbytes: int, newest: int, last_offset: int, now_ms: int) -> bool:
        """Whether an append goes to a new segment: Kafka's rule (LogSegment.shouldRoll), but never for an empty one.

        nbytes, newest, last_offset  of the append: its size, newest timestamp in ms, last offset
        """
        if last_offset - self.base > MAX_RELATIVE:
            return True
        size = self.store.size
        if not size:
            return False
        first = self.first_timestamp
        waited = newest - first if first >= 0 else now_ms - self.created_ms
        indexes = self._indexes or self.indexes
        return (
            size + nbytes > config.segment_bytes
            or waited > config.segment_ms - config.segment_jitter_ms
            or self.sealed
            or indexes.offsets.count >= config.segment_index_bytes // index.ENTRY_BYTES
            or indexes.times.count >= config.segment_index_bytes // timeindex.ENTRY_BYTES - 1
        )

    def save(self) -> None:
        """Write what of both indexes is in memory, and the newest timestamp. Raises OSError; may be repeated."""
        self.indexes.add_time(self._newest, self._newest_offset - self.base)
        self.indexes.save()

    def retire(self, end: int) -> None:
        """The next segment begins at `end`: forget what only the active one needs."""
        self.active = False
        self.end = end
        self._lasts, self._starts = array("I"), array("I")

    def close(self) -> None:
        """Let the descriptors go."""
        self.store.file.close()
        if self._indexes is not None:
            self._indexes.close()

    def remove(self, aside: list[Removal] | None = None) -> None:
        """Remove the files; leased readers go on.

        aside  the frames are renamed away instead, and what removes them is added here: that takes 0.3 s a GiB
        """
        self.close()
        file, renamed = self.store.file, self.store.file.path + DELETED
        try:
            if aside is not None:
                self._home.files.rename(file.path, renamed)
                aside.append(Removal(self._home.files, renamed, tree=False))
        except OSError:  # somebody reads it, on a system that does not rename open files
            aside = None
        if aside is None:
            file.remove()
        for path in self.index_paths:
            self._home.files.remove(path)

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
        position = self._behind.pop(offset, None)
        if position is not None and position + self._home.format.header_bytes <= self.size:
            with suppress(Corrupt):  # then the index knows better
                entry = self.store.entry(position)
                if entry.base_offset == offset and position + entry.size <= self.size:
                    return self._found(position, entry)
        try:
            return self._walk_to(offset)
        except (Corrupt, EOFError, FileNotFoundError):
            self.rebuild()
            return self._walk_to(offset)

    def _found(self, position: int, entry: Entry) -> tuple[int, int]:
        """Remember where the frame behind this one begins: a reader that goes on asks for it next."""
        if len(self._behind) >= READERS:
            del self._behind[next(iter(self._behind))]
        self._behind[entry.last_offset + 1] = position + entry.size
        return position, entry.size

    def _walk_to(self, offset: int) -> tuple[int, int]:
        """Raises Corrupt if what the index points at is not the frame it names."""
        found = self.indexes.offsets.floor(offset - self.base)
        start = 0 if found is None else found[1]
        if found is not None and not (0 <= start < self.size and found[0] <= offset - self.base):
            raise Corrupt(f"{self._path}: index entry {found} is wrong")
        for walked, (position, entry) in enumerate(self.store.scan(start)):
            if not walked and found is not None and entry.last_offset - self.base != found[0]:
                raise Corrupt(f"{self._path}: index entry {found} is wrong")
            if entry.last_offset >= offset:
                return self._found(position, entry)
            if walked == LONG_WALK_FRAMES and not self._rebuilt:
                raise Corrupt(f"{self._path}: the index lacks entries behind {start}")
        return self.store.size, 0

    def newest(self) -> tuple[int, int]:
        """(timestamp, last offset) of the newest frame, the first of several; (-1, base) without timestamps."""
        if self._newest == NO_TIMESTAMP and self.size and not self.active:
            try:
                self._remember_newest(self.size)
            except Corrupt:
                self.rebuild()
        return self._newest, self._newest_offset

    def _remember_newest(self, end: int, probe: int = PROBE_FRAMES) -> None:
        """Take the newest timestamp of the frames before `end`, a position, from the time index.

        Raises Corrupt if its last entry is wrong, or one of the next `probe` frames behind that is newer.
        """
        last = self.indexes.times.last()
        position, timestamp = 0, NO_TIMESTAMP
        if last is not None:
            timestamp = last[0]
            position = self._time_entry_position(*last)
            if timestamp >= self._newest:
                self._newest, self._newest_offset = timestamp, self.base + last[1]
        if position < end:
            for _, entry in islice(self.store.scan(position, end), probe):
                if entry.max_timestamp > timestamp:
                    raise Corrupt(f"{self._path}: the time index lacks entries behind {timestamp}")

    def _time_entry_position(self, timestamp: int, relative: int) -> int:
        """The position of a time index entry's frame. Raises Corrupt if it says of the frame what the log does not."""
        position, size = self.locate(self.base + relative)
        if size:
            entry = self.store.entry(position)
            if entry.max_timestamp == timestamp and entry.last_offset == self.base + relative:
                return position
        raise Corrupt(f"{self._path}: time index entry ({timestamp}, {relative}) is wrong")

    def find_timestamp(self, timestamp: int, first_offset: int) -> tuple[int, int, int] | None:
        """(offset, timestamp, leader epoch) of the first record at or after `timestamp` and from `first_offset` on."""
        try:
            start = self._walk_from(timestamp)
        except (Corrupt, EOFError, FileNotFoundError):
            self.rebuild()
            start = self._walk_from(timestamp)
        if first_offset > self.base:
            start = max(start, self.locate(first_offset)[0])
        for position, entry in self.store.scan(start):
            if entry.max_timestamp >= timestamp:
                frame = self.store.frame(position, entry.size)
                record = self.store.format.find_timestamp(frame, timestamp, first_offset)
                if record is not None:
                    return record[0], record[1], entry.epoch
        return None

    def _walk_from(self, timestamp: int) -> int:
        """A position that no record at or after `timestamp` lies before. Raises Corrupt if the index is wrong."""
        found = self.indexes.times.floor(timestamp)
        if found is None:
            return 0
        if found[0] > timestamp:
            raise Corrupt(f"{self._path}: the time index does not ascend")
        return self._time_entry_position(*found)

    def walk_back(self, position: int, entries: int) -> tuple[int, int]:
        """The position of a frame about `entries` index entries before `position` (0 if there are not so many), and how
        many entries that are."""
        indexed = self._indexed_before(position + 1)
        return (self.indexes.offsets[indexed - entries][1], entries) if indexed > entries else (0, indexed)

    def end_before(self, position: int) -> int:
        """An offset that none of the frames which begin before `position` reaches, as close as the index tells."""
        offsets, indexed = self.indexes.offsets, self._indexed_before(position)
        return min(self.end, self.base + offsets[indexed][0]) if indexed < len(offsets) else self.end

    def _indexed_before(self, position: int) -> int:
        """How many index entries are of frames that begin before `position`."""
        offsets = self.indexes.offsets
        low, high = 0, len(offsets)
        while low < high:
            middle = (low + high) // 2
            if offsets[middle][1] < position:
                low = middle + 1
            else:
                high = middle
        return low

    # -- opening, cutting, mending

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
        self._resume_walk()
        walked_from = self._indexed
        for position, entry in self._frames(walked_from):
            self.note(position, entry.last_offset, entry.max_timestamp)
        self._remember_newest(walked_from, OPENING_PROBE_FRAMES)

    def _frames(self, position: int, end: int | None = None) -> Iterator[tuple[int, Entry]]:
        """The frames from `position` on, by their headers. Raises Corrupt, also where offsets can not stand there."""
        expected, beyond = self.base, self.base + MAX_RELATIVE + 1
        for at, entry in self.store.scan(position, end):
            first, last = entry.base_offset, entry.last_offset
            if not expected <= first <= last < beyond:
                raise Corrupt(f"{self.path} at {at}: offsets {first} to {last} can not stand there")
            yield at, entry
            expected = last + 1

    def _resume_walk(self) -> None:
        """Stand before the frame of the last index entry, or at the start. Raises Corrupt if it is not that frame."""
        last = self.indexes.offsets.last()
        if last is None:
            self._restart_walk(0)
            return
        relative, position = last
        entry = self.store.entry(position) if 0 <= position < self.size else None
        if entry is None or entry.last_offset - self.base != relative:
            raise Corrupt(f"{self._path}: index entry {last} is wrong")
        self._restart_walk(position, entry)
        self.first_timestamp = self.store.entry(0).max_timestamp

    def _restart_walk(self, position: int, entry: Entry | None = None) -> None:
        """Forget all that `note` gathered; the frame at `position` (its entry, unless it is the first) comes next."""
        self._lasts, self._starts = array("I"), array("I")
        self._recent_from = 0 if entry is None else entry.base_offset - self.base
        self._indexed = position
        self._newest, self._newest_offset = NO_TIMESTAMP, self.base
        self.first_timestamp = NO_TIMESTAMP
        if self.active:
            self.end = self.base if entry is None else entry.base_offset

    def rebuild(self) -> None:
        """Make both indexes anew from the headers. Raises Corrupt if the log itself is damaged, OSError.

        Half a walk is worse than none, look-ups would step over the rest: where it fails, all is as it was.
        """
        known = [(name, getattr(self, name)) for name in WALKED]
        try:
            self._rebuild()
        except BaseException:
            for name, value in known:
                setattr(self, name, value)
            raise

    def _rebuild(self) -> None:
        end = self.end
        if self._indexes is not None:
            self._indexes.close()
        self._indexes = Indexes.create(self._home.files, self._path)
        self._rebuilt = True
        self._restart_walk(0)
        for position, entry in self._frames(0):
            self.note(position, entry.last_offset, entry.max_timestamp)
        if not self.active:
            self.retire(end)
            with suppress(OSError):  # they go on waiting in memory
                self.save()

    def rewind(self, offset: int) -> int:
        """For recovery: become active, and believe nothing from `offset` on, nor anything about it.

        The frames below are walked by their headers as far as those go; `size` and `end` say how far that was. What
        lies behind is to be verified and given to `take`. The size of the file.
        """
        file_size = self.size
        self.active = True
        self._indexes = Indexes.load(self._home.files, self._path)
        self._indexes.keep_below(offset - self.base)
        try:
            self._resume_walk()
            self._take_below(offset, file_size)
            self._remember_newest(0)
        except (Corrupt, EOFError):
            self._indexes = Indexes.create(self._home.files, self._path)
            self._restart_walk(0)
            self._take_below(offset, file_size)
        return file_size

    def _take_below(self, offset: int, file_size: int) -> None:
        self.store.size = self._indexed
        with suppress(Corrupt):  # what verifies the rest will meet it again
            for position, entry in self._frames(self._indexed, file_size):
                if entry.base_offset >= offset:
                    break
                self.take(position, entry)

    def take(self, position: int, entry: Entry) -> None:
        """The frame at `position`, where the store ends, is part of it."""
        self.note(position, entry.last_offset, entry.max_timestamp)
        self.store.size = position + entry.size

    def truncate(self, offset: int) -> None:
        """Cut off the frame that holds `offset` and all behind it; `end` says where the log ends now."""
        position, size = self.locate(offset)
        if size:
            first_cut = self.store.entry(position).base_offset
            self.indexes.keep_below(first_cut - self.base)
            self._cut(position)
        self.load_tail()

    def _cut(self, position: int) -> None:
        """Cut the file, such that bytes which a reader has leased are never replaced by others under its hands."""
        self._behind.clear()
        file = self.store.file
        if position or not file.leased():
            self.sealed = self.sealed or file.leased()
            self.store.truncate(position)
        else:
            file.close()
            self._home.files.replace(self.path, b"", sync=False)
            self.store = Store(self._home.files.open(self.path), self.store.format, 0)
