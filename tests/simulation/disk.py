"""A disk that loses power: what is on it, what is only in the page cache, and which of that a crash leaves behind.

A `Disk` outlives the processes that use it. Each file keeps its bytes as processes see them, the bytes that are safe,
and the writes in between; the folders do the same with their entries, all of whose changes stand in one journal. A
rename is one change, though it may concern two folders. Syncing a file makes its bytes safe, not its name; syncing a
folder makes its entries safe, not what they name.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

T = TypeVar("T")

SECTOR = 512  # bytes that are written together, in no order with others: the smallest block of any file system


class Write(NamedTuple):
    """`data` at a position, or with None the file's end set there."""

    position: int
    data: bytes | None


@dataclass(eq=False, slots=True)
class Content:
    """A file without its name."""

    seen: bytearray = field(default_factory=bytearray)
    safe: bytearray = field(default_factory=bytearray)
    unsynced: list[Write] = field(default_factory=list)

    def write(self, position: int, data: bytes) -> None:
        self._do(Write(position, data))

    def truncate(self, size: int) -> None:
        self._do(Write(size, None))

    def _do(self, write: Write) -> None:
        apply(write, self.seen)
        self.unsynced.append(write)

    def sync(self) -> None:
        for write in self.unsynced:
            apply(write, self.safe)
        self.unsynced.clear()

    def crash(self, rng: random.Random) -> None:
        """Each sector is as some of the last writes left it, most often all of them; the file's end likewise."""
        writes = survivors(self.unsynced, rng, ordered=True)
        _tear(writes, rng)
        before = bytes(self.safe)
        for write in writes:
            apply(write, self.safe)
        for at in survivors(_sectors(writes), rng) if rng.random() < 0.5 else ():
            lost = slice(at, min(at + SECTOR, len(self.safe)))
            self.safe[lost] = before[lost].ljust(lost.stop - at, b"\0")
        self.unsynced.clear()
        self.seen = bytearray(self.safe)


def apply(write: Write, to: bytearray) -> None:
    position, data = write
    if len(to) < position:
        to += bytes(position - len(to))
    if data is None:
        del to[position:]
    else:
        to[position : position + len(data)] = data


def survivors(things: list[T], rng: random.Random, *, ordered: bool = False) -> list[T]:
    """What a crash leaves of changes on their way to the disk: all, none, the first ones, or if they are not ordered
    any of them."""
    match rng.randrange(3 if ordered else 4):
        case 0:
            return list(things)
        case 1:
            return []
        case 2:
            return things[: rng.randint(0, len(things))]
        case _:
            return [each for each in things if rng.random() < 0.5]


def _tear(writes: list[Write], rng: random.Random) -> None:
    """The last write may have got to some byte only."""
    if writes and writes[-1].data and rng.random() < 0.5:
        position, data = writes.pop()
        assert data is not None
        writes.append(Write(position, data[: rng.randint(0, len(data))]))


def _sectors(writes: list[Write]) -> list[int]:
    """Where the sectors begin that were written to."""
    found: dict[int, None] = {}
    for position, data in writes:
        if data:
            first, last = position // SECTOR, (position + len(data) - 1) // SECTOR
            found |= dict.fromkeys(range(first * SECTOR, (last + 1) * SECTOR, SECTOR))
    return list(found)


@dataclass(eq=False, slots=True)
class Folder:
    """Entries by name, as processes see them and as they are safe."""

    seen: dict[str, Folder | Content] = field(default_factory=dict)
    safe: dict[str, Folder | Content] = field(default_factory=dict)


Entry = Folder | Content
Change = tuple[tuple[Folder, str, Entry | None], ...]  # each name is given to an entry, or to none


class Disk:
    """The root folder, and the changes of entries that no sync has made safe."""

    def __init__(self) -> None:
        self.root = Folder()
        self._journal: list[Change] = []

    def change(self, *entries: tuple[Folder, str, Entry | None]) -> None:
        _enter(entries, safe=False)
        self._journal.append(entries)

    def sync(self, folder: Folder) -> None:
        """Every change of its entries is safe."""
        left = []
        for change in self._journal:
            if any(each is folder for each, _, _ in change):
                _enter(change, safe=True)
            else:
                left.append(change)
        self._journal = left

    def crash(self, rng: random.Random) -> None:
        """The power is cut: of what is unsynced, something stays."""
        for change in survivors(self._journal, rng):
            _enter(change, safe=True)
        self._journal.clear()
        for entry in list(_walk(self.root)):
            if isinstance(entry, Content):
                entry.crash(rng)

    @property
    def unsynced(self) -> int:
        """How many changes and writes a crash may take away."""
        contents = [entry for entry in _walk_seen(self.root) if isinstance(entry, Content)]
        return len(self._journal) + sum(len(content.unsynced) for content in contents)


def _enter(change: Iterable[tuple[Folder, str, Entry | None]], *, safe: bool) -> None:
    for folder, name, entry in change:
        names = folder.safe if safe else folder.seen
        if entry is None:
            names.pop(name, None)
        else:
            names[name] = entry


def _walk(folder: Folder) -> Iterator[Entry]:
    """What the safe entries lead to; they are then what is seen."""
    folder.seen = dict(folder.safe)
    for _, entry in sorted(folder.safe.items()):
        yield entry
        if isinstance(entry, Folder):
            yield from _walk(entry)


def _walk_seen(folder: Folder) -> Iterator[Entry]:
    for entry in folder.seen.values():
        yield entry
        if isinstance(entry, Folder):
            yield from _walk_seen(entry)
