"""The two indexes of one segment. They are written, believed, trimmed and dropped together."""

from contextlib import suppress

from . import index, timeindex
from .entry import NO_TIMESTAMP
from .files import Files
from .naming import INDEX, TIME_INDEX
from .sparse import SparseFile


class Indexes:
    """`offsets`: relative last offset -> position. `times`: timestamp in ms -> relative last offset.

    incomplete  a file was missing or ended within an entry when they were loaded
    """

    __slots__ = ("incomplete", "offsets", "times")

    def __init__(self, offsets: SparseFile, times: SparseFile, *, incomplete: bool = False) -> None:
        self.offsets = offsets
        self.times = times
        self.incomplete = incomplete

    @classmethod
    def create(cls, files: Files, path: str) -> "Indexes":
        """Empty ones; `path` is the segment's without suffix. Older files are removed."""
        for leftover in index_paths(path):
            files.remove(leftover)
        return cls(
            SparseFile(files, path + INDEX, index.LAYOUT), SparseFile(files, path + TIME_INDEX, timeindex.LAYOUT)
        )

    @classmethod
    def load(cls, files: Files, path: str) -> "Indexes":
        """What is in the files, in whole entries."""
        offsets, whole = SparseFile.load(files, path + INDEX, index.LAYOUT)
        times, whole_too = SparseFile.load(files, path + TIME_INDEX, timeindex.LAYOUT)
        return cls(offsets, times, incomplete=not (whole and whole_too))

    def add(self, relative: int, position: int) -> None:
        """Index a frame. Now and then that writes; if it fails, the entries go on waiting in memory."""
        self.offsets.append(relative, position)
        if self.offsets.full:
            with suppress(OSError):  # files that can be rebuilt are no reason to fail an append; `save` will tell
                self.save()

    def add_time(self, timestamp: int, relative: int) -> None:
        """Say that up to `relative` nothing is newer than `timestamp`, unless that is known."""
        last = self.times.last()
        if timestamp > (NO_TIMESTAMP if last is None else last[0]):
            self.times.append(timestamp, relative)

    def save(self) -> None:
        """Write what waits; the times first: the offsets in the file may never reach further. Raises OSError."""
        self.times.save()
        self.offsets.save()

    def close(self) -> None:
        """Let the descriptors go."""
        self.offsets.close()
        self.times.close()

    def plausible(self, size: int) -> bool:
        """A cheap probe against a log file of `size` bytes: first and last entries are in order and within it."""
        if self.incomplete:
            return False
        if len(self.offsets):
            first, last = self.offsets[0], self.offsets[len(self.offsets) - 1]
            if not (0 <= first[0] <= last[0] and 0 <= first[1] <= last[1] < size):
                return False
        newest = self.times.last()
        return newest is None or (newest[0] >= 0 and newest[1] >= 0)

    def keep_below(self, relative: int) -> None:
        """Drop the entries of frames that reach `relative`, and all of them if they do not look like an index.

        What is kept can be gone on from: the offsets do not reach beyond the last time entry, because the timestamps
        of what lies between would be lost.
        """
        if self.incomplete or not (self.offsets.ascending() and self.times.ascending()):
            self.offsets.truncate(0)
            self.times.truncate(0)
            self.incomplete = False
            return
        self.times.truncate(sum(1 for _, last in self.times if last < relative))
        newest = self.times.last()
        covered = -1 if newest is None else newest[1]
        self.offsets.truncate(sum(1 for last, _ in self.offsets if last <= covered))


def index_paths(path: str) -> tuple[str, str]:
    return path + INDEX, path + TIME_INDEX
