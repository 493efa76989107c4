"""A file of fixed-size entries (key, value), both ascending, that is searched without being held in memory.

The newest entries wait in two small arrays until a block is full or the file is saved; older ones are found by
binary search in the file, and the block where a search ended is remembered, because the next search usually ends
there or in the one behind. Nothing in the file is needed to be right: who reads an entry checks it against the log.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

from .entry import Buffer
from .files import File, Files

BLOCK_ENTRIES = 256  # of the file, searched and remembered together
WAITING_ENTRIES = 128  # not yet in the file: 1.5 KiB a sparse file at most
NO_BLOCK = array("q")


class SparseFile:
    """Entries of `layout` (two integers, big-endian), kept in `path` once saved. Counts are in entries."""

    __slots__ = (
        "_block",
        "_block_end",
        "_block_values",
        "_file",
        "_files",
        "_keys",
        "_last",
        "_layout",
        "_saved",
        "_values",
        "count",
        "path",
    )

    def __init__(self, files: Files, path: str, layout: struct.Struct, saved: int = 0) -> None:
        """`saved`: how many entries the file holds; 0 if there is none, anything behind them is overwritten."""
        self._files = files
        self.path = path
        self._layout = layout
        self._saved = saved
        self.count = saved  # of all entries, waiting ones included
        self._file: File | None = None
        self._keys = array("q")
        self._values = array("i")
        self._block: array[int] = NO_BLOCK  # keys of the remembered block
        self._block_values: array[int] = NO_BLOCK
        self._block_end = False  # the block is the file's last
        self._last: tuple[int, int] | None = None  # the file's last entry, once known

    @classmethod
    def load(cls, files: Files, path: str, layout: struct.Struct) -> tuple["SparseFile", bool]:
        """The whole entries of a file, and whether that is all there should be: not if it is missing or cut."""
        try:
            file = files.open(path)
            size = file.size()
        except FileNotFoundError:
            return cls(files, path, layout), False
        sparse = cls(files, path, layout, size // layout.size)
        sparse._file = file
        return sparse, size % layout.size == 0

    def __len__(self) -> int:
        return self.count

    def append(self, key: int, value: int) -> None:
        """Add an entry above all others. It waits in memory until `save`."""
        self._keys.append(key)
        self._values.append(value)
        self.count += 1

    @property
    def full(self) -> bool:
        """Enough entries wait to be worth a write."""
        return len(self._keys) >= WAITING_ENTRIES

    def save(self) -> None:
        """Write what waits. After an OSError it still waits."""
        if self._file is None:
            self._file = self._files.open(self.path, create=True)
        if self._keys:
            pack = self._layout.pack
            data = b"".join([pack(key, value) for key, value in zip(self._keys, self._values, strict=True)])
            self._file.append([data], len(data), self._saved * self._layout.size)
            self._saved += len(self._keys)
            self._last = self._keys[-1], self._values[-1]
            self._block = self._block_values = NO_BLOCK
            self._keys, self._values = array("q"), array("i")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        self.close()
        self._files.remove(self.path)

    def last(self) -> tuple[int, int] | None:
        """Reads the file at most once: who has just appended a frame asks here, and may not be failed by a read."""
        if self._keys:
            return self._keys[-1], self._values[-1]
        if self._last is None and self.count:
            self._last = self[self.count - 1]
        return self._last

    def __getitem__(self, at: int) -> tuple[int, int]:
        if at >= self._saved:
            return self._keys[at - self._saved], self._values[at - self._saved]
        key, value = self._layout.unpack(self._read(at, 1))
        return key, value

    def __iter__(self) -> Iterator[tuple[int, int]]:
        saved: Iterator[tuple[int, int]] = self._layout.iter_unpack(self._read(0, self._saved) if self._saved else b"")
        yield from saved
        yield from zip(self._keys, self._values, strict=True)

    def floor(self, key: int) -> tuple[int, int] | None:
        """The entry with the greatest key that is not above `key`."""
        keys = self._keys
        if keys and keys[0] <= key:
            at = bisect_right(keys, key) - 1
            return keys[at], self._values[at]
        if not self._saved:
            return None
        block = self._block
        if not block or not block[0] <= key or not (key <= block[-1] or self._block_end):
            if not self._load_block(key):
                return None
            block = self._block
        at = bisect_right(block, key) - 1
        return block[at], self._block_values[at]

    def _load_block(self, key: int) -> bool:
        """Find and remember the block whose first key is the greatest not above `key`; False if all are above."""
        low, high = 0, (self._saved + BLOCK_ENTRIES - 1) // BLOCK_ENTRIES
        while low < high:
            middle = (low + high) // 2
            if self[middle * BLOCK_ENTRIES][0] <= key:
                low = middle + 1
            else:
                high = middle
        if not low:
            return False
        first = (low - 1) * BLOCK_ENTRIES
        count = min(BLOCK_ENTRIES, self._saved - first)
        entries = list(self._layout.iter_unpack(self._read(first, count)))
        self._block = array("q", [entry[0] for entry in entries])
        self._block_values = array("i", [entry[1] for entry in entries])
        self._block_end = first + count == self._saved
        return True

    def _read(self, at: int, count: int) -> Buffer:
        if self._file is None:
            self._file = self._files.open(self.path)
        size = self._layout.size
        data = self._file.read(at * size, count * size)
        if len(data) != count * size:
            raise EOFError(f"{self.path} has no entries up to {at + count}")
        return data

    def truncate(self, count: int) -> None:
        """Keep the first `count` entries."""
        self.count = min(self.count, count)
        waiting = max(0, count - self._saved)
        del self._keys[waiting:]
        del self._values[waiting:]
        self._block = self._block_values = NO_BLOCK
        if count < self._saved:
            self._saved = count
            self._last = None
            if self._file is None:
                self._file = self._files.open(self.path)
            self._file.truncate(count * self._layout.size)

    def ascending(self) -> bool:
        """Whether all keys and all values ascend strictly from 0 on: what no run of zeros or random bytes does."""
        entries = [(-1, -1), *self]
        return all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(entries))
