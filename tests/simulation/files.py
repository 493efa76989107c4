"""The door to the file system, onto a simulated disk: for one process, which may die at any of its calls.

As on a real disk: an open file goes on reading its bytes when its name is gone, a closed one is looked up by its path
again, and a lease reads what the file holds when it is read. See kbroker_storage.files.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Sequence

from kbroker_storage import Locked
from kbroker_storage.entry import Buffer
from kbroker_storage.files import File, Lease, Lock, Slice

from .disk import Content, Disk, Entry, Folder


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class Dead(OSError):
    """The process has ended: this call was never made."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the process has ended")


class SimFiles:
    """One process's view of a disk.

    calls   how many calls changed something, or made it safe
    dead    the process has ended: no such call does anything any more
    """

    def __init__(self, disk: Disk, rng: random.Random, note: Callable[[str], None] = lambda call: None) -> None:
        """`note` is told of each such call."""
        self._disk, self._rng, self._note = disk, rng, note
        self._locks: set[str] = set()
        self._dies_at = -1
        self._die: Callable[[], None] = lambda: None
        self.calls = 0
        self.dead = False

    def die_at(self, call: int, die: Callable[[], None]) -> None:
        """The process ends within the `call`-th call from now on, which does a part of its work at the most."""
        self._dies_at, self._die = self.calls + call, die

    def step(self, what: str, path: str) -> None:
        """At every call that changes something. Raises Dead."""
        if not self.dead:
            self.calls += 1
            self._note(f"{what} {path}")
            if self.calls == self._dies_at:
                self._die()
                self.dead = True
        if self.dead:
            raise Dead

    def append(self, path: str, content: Content, data: bytes, position: int) -> None:
        try:
            self.step(f"write {len(data)} at {position} of", path)
        except Dead:
            if self.calls == self._dies_at:
                self._dies_at = -1  # once: the calls behind it do nothing at all
                content.write(position, data[: self._rng.randint(0, len(data))])
            raise
        content.write(position, data)

    # -- finding things

    def _find(self, path: str) -> Entry | None:
        at: Entry | None = self._disk.root
        for name in path.split("/"):
            if name:
                at = at.seen.get(name) if isinstance(at, Folder) else None
        return at

    def folder(self, path: str) -> Folder:
        found = self._find(path)
        if not isinstance(found, Folder):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def content(self, path: str) -> Content:
        found = self._find(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if isinstance(found, Folder):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return found

    # -- kbroker_storage.Files

    def open(self, path: str, *, create: bool = False) -> File:
        folder, name = self.folder(os.path.dirname(path)), os.path.basename(path)
        if create and name not in folder.seen:
            self.step("create", path)
            self._disk.change((folder, name, Content()))
        self.content(path)
        return SimFile(self, path)

    def entries(self, directory: str) -> dict[str, int]:
        return {
            name: -1 if isinstance(entry, Folder) else len(entry.seen)
            for name, entry in self.folder(directory).seen.items()
        }

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    def read(self, path: str) -> bytes:
        return bytes(self.content(path).seen)

    def replace(self, path: str, data: bytes, *, sync: bool) -> None:
        folder, name = self.folder(os.path.dirname(path)), os.path.basename(path)
        self.step("replace", path)
        content = Content()
        self._disk.change((folder, name + ".tmp", content))
        self.append(path + ".tmp", content, data, 0)
        if sync:
            self.step("sync", path + ".tmp")
            content.sync()
        self.step("rename", path + ".tmp")
        self._disk.change((folder, name + ".tmp", None), (folder, name, content))
        if sync:
            self.step("sync folder of", path)
            self._disk.sync(folder)

    def make_directory(self, path: str) -> list[str]:
        changed = []
        at = self._disk.root
        parts = [name for name in path.split("/") if name]
        for depth, name in enumerate(parts):
            found = at.seen.get(name)
            if found is None:
                self.step("create folder", path)
                found = Folder()
                self._disk.change((at, name, found))
                changed.append("/" + "/".join(parts[:depth]))
            if not isinstance(found, Folder):
                raise _error(errno.ENOTDIR, path)
            at = found
        return changed

    def rename(self, old: str, new: str) -> None:
        moved = self._find(old)
        if moved is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), old)
        source, target = self.folder(os.path.dirname(old)), self.folder(os.path.dirname(new))
        in_the_way = target.seen.get(os.path.basename(new))
        if isinstance(in_the_way, Folder) and in_the_way.seen:
            raise _error(errno.ENOTEMPTY, new)
        self.step("rename", old)
        self._disk.change((source, os.path.basename(old), None), (target, os.path.basename(new), moved))

    def remove(self, path: str) -> None:
        folder = self._find(os.path.dirname(path))
        name = os.path.basename(path)
        if isinstance(folder, Folder) and name in folder.seen:
            self.step("remove", path)
            self._disk.change((folder, name, None))

    def remove_tree(self, path: str) -> None:
        found = self._find(path)
        if isinstance(found, Folder):
            for name in list(found.seen):
                self.remove_tree(f"{path}/{name}")
        if found is not None:
            self.remove(path)

    def sync_path(self, path: str) -> None:
        found = self._find(path)
        if isinstance(found, Content):
            self.step("sync", path)
            found.sync()

    def sync_directory(self, path: str) -> None:
        found = self._find(path)
        if isinstance(found, Folder):
            self.step("sync folder", path)
            self._disk.sync(found)

    def lock(self, path: str) -> Lock:
        if path in self._locks:
            raise Locked(path)
        self.open(path, create=True)
        self._locks.add(path)
        return SimLock(self._locks, path)


class SimLock:
    def __init__(self, held: set[str], path: str) -> None:
        self._held, self._path = held, path

    def close(self) -> None:
        self._held.discard(self._path)


class SimFile:
    """See kbroker_storage.files.File."""

    def __init__(self, files: SimFiles, path: str) -> None:
        self._files = files
        self._open: Content | None = None
        self._leases = 0
        self.path = path

    @property
    def content(self) -> Content:
        if self._open is None:
            self._open = self._files.content(self.path)
        return self._open

    def append(self, buffers: Sequence[Buffer], nbytes: int, position: int) -> None:
        data = b"".join(buffers)
        if len(data) != nbytes:
            raise ValueError(f"append was told {nbytes} bytes and given {len(data)}")
        self._files.append(self.path, self.content, data, position)

    def read(self, position: int, nbytes: int) -> bytes:
        return bytes(self.content.seen[position : position + nbytes])

    def read_into(self, position: int, buffer: memoryview) -> int:
        data = self.read(position, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def slice(self, position: int, nbytes: int) -> Slice:
        return SimSlice(self._files, self.content, self, position, nbytes)

    def lease(self) -> Lease:
        return self.slice(0, 0)

    def leased(self) -> bool:
        return self._leases > 0

    def lent(self, change: int) -> None:
        self._leases += change

    def size(self) -> int:
        return len(self.content.seen)

    def truncate(self, size: int) -> None:
        self._files.step(f"truncate to {size}", self.path)
        self.content.truncate(size)

    def sync(self) -> None:
        self._files.step("sync", self.path)
        self.content.sync()

    def close(self) -> None:
        self._open = None

    def remove(self) -> None:
        self.close()
        self._files.remove(self.path)


class SimSlice:
    """See kbroker_storage.files.Slice."""

    def __init__(self, files: SimFiles, content: Content, file: SimFile, position: int, nbytes: int) -> None:
        self._files, self._content, self._file = files, content, file
        self._open = True
        file.lent(1)
        self.position, self.nbytes = position, nbytes

    def fileno(self) -> int:
        return -1

    def sync(self) -> None:
        self._files.step("sync", self._file.path)
        self._content.sync()

    def write_back(self) -> None: ...
    def close(self) -> None:
        if self._open:
            self._open = False
            self._file.lent(-1)

    def read(self) -> bytes:
        data = bytes(self._content.seen[self.position : self.position + self.nbytes])
        if len(data) != self.nbytes:
            raise EOFError(f"{self.nbytes} bytes were leased at {self.position}, the file has {len(data)}")
        return data

    def buffers(self) -> list[memoryview]:
        return [memoryview(self.read())]
