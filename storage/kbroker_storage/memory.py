"""Files in memory: a real second form, for tests, embedded brokers and `--memory`.

A file is a list of chunks that are written once: appending fills the free end of the last chunk or adds one, cutting
replaces the last chunk by a copy of its kept part. So a slice is a list of views that stay right for ever, and a
clone shares the chunks: `MemoryFiles.clone` costs O(files), and each side copies a list of chunks when it next writes.
"""

import errno
import os
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from .entry import Buffer
from .errors import Locked
from .files import File, Lease, Lock, Slice

FIRST_CHUNK_BYTES: Final = 512  # an idle partition costs little ...
LARGEST_CHUNK_BYTES: Final = 1 << 16  # ... a busy one few chunks; larger appends get a chunk of their own size


class MemorySlice:
    """A range of one file in memory, captured when it was taken; see files.Slice."""

    __slots__ = ("_views", "nbytes", "position")

    def __init__(self, views: list[memoryview], position: int, nbytes: int) -> None:
        self._views = views
        self.position = position
        self.nbytes = nbytes

    def fileno(self) -> int:
        return -1

    def sync(self) -> None: ...
    def write_back(self) -> None: ...
    def close(self) -> None: ...
    def will_need(self) -> None: ...

    def read(self) -> bytes:
        return b"".join(self._views)

    def buffers(self) -> list[memoryview]:
        return self._views


class MemoryFile:
    """One file; every `open` of its path gives this same object. See files.File."""

    __slots__ = ("_chunks", "_files", "_sealed", "_shared", "_size", "_starts", "path")

    def __init__(self, files: "MemoryFiles", path: str) -> None:
        self._files = files
        self.path = path
        self._chunks: list[memoryview] = []
        self._starts: list[int] = []  # the position of each chunk's first byte
        self._size = 0
        self._sealed = True  # the last chunk's free end may not be written
        self._shared = False  # the two lists belong to a clone as well

    def fork(self, files: "MemoryFiles") -> "MemoryFile":
        """A copy with the same bytes, in O(1)."""
        twin = MemoryFile(files, self.path)
        twin._chunks, twin._starts, twin._size = self._chunks, self._starts, self._size
        self._sealed = self._shared = twin._shared = True
        return twin

    def append(self, buffers: Sequence[Buffer], nbytes: int, position: int) -> None:
        if position != self._size:
            self.truncate(position)
        if self._shared:
            self._unshare()
        size = position
        for buffer in buffers:
            length = len(buffer)
            at = 0 if self._sealed else size - self._starts[-1]
            if self._sealed or at + length > len(self._chunks[-1]):
                self._add_chunk(size, length)
                at = 0
            self._chunks[-1][at : at + length] = buffer
            size += length
        if size - position != nbytes:
            self._size = size
            self.truncate(position)
            raise ValueError(f"append was told {nbytes} bytes and given {size - position}")
        self._size = size

    def _add_chunk(self, position: int, length: int) -> None:
        room = len(self._chunks[-1]) * 2 if self._chunks else FIRST_CHUNK_BYTES
        room = max(FIRST_CHUNK_BYTES, min(room, LARGEST_CHUNK_BYTES), length)
        self._chunks.append(memoryview(bytearray(room)))
        self._starts.append(position)
        self._sealed = False

    def _unshare(self) -> None:
        self._chunks, self._starts = self._chunks.copy(), self._starts.copy()
        self._shared = False

    def _views(self, position: int, nbytes: int) -> list[memoryview]:
        """The bytes from `position` on, as far as the file has them."""
        end = min(position + nbytes, self._size)
        if position >= end:
            return []
        index = bisect_right(self._starts, position) - 1
        start = self._starts[index]
        last = index + 1 == len(self._starts)
        if last or end <= self._starts[index + 1]:
            return [self._chunks[index][position - start : end - start].toreadonly()]
        views = []
        while position < end:
            start = self._starts[index]
            index += 1
            stop = end if index == len(self._starts) else min(end, self._starts[index])
            views.append(self._chunks[index - 1][position - start : stop - start].toreadonly())
            position = stop
        return views

    def read(self, position: int, nbytes: int) -> bytes:
        return b"".join(self._views(position, nbytes))

    def read_into(self, position: int, buffer: memoryview) -> int:
        got = 0
        for view in self._views(position, len(buffer)):
            buffer[got : got + len(view)] = view
            got += len(view)
        return got

    def slice(self, position: int, nbytes: int) -> Slice:
        return MemorySlice(self._views(position, nbytes), position, nbytes)

    def lease(self) -> Lease:
        return MemorySlice([], 0, 0)

    def leased(self) -> bool:
        return False  # slices captured their chunks: nothing that happens to this file reaches them

    def size(self) -> int:
        return self._size

    def truncate(self, size: int) -> None:
        if size > self._size:
            self.append([bytes(size - self._size)], size - self._size, self._size)
            return
        if self._shared:
            self._unshare()
        while self._starts and self._starts[-1] >= size:
            self._starts.pop()
            self._chunks.pop()
            self._sealed = True
        if self._starts and size < self._size:
            kept = size - self._starts[-1]
            if not self._sealed or kept < len(self._chunks[-1]):
                self._chunks[-1] = memoryview(bytes(self._chunks[-1][:kept]))
                self._sealed = True
        self._size = size

    def sync(self) -> None: ...
    def close(self) -> None: ...

    def remove(self) -> None:
        self._files.remove(self.path)


class MemoryLock:
    def __init__(self, held: set[str], path: str) -> None:
        self._held = held
        self._path = path

    def close(self) -> None:
        self._held.discard(self._path)


class MemoryFiles:
    """A tree of files that ends with this object. The root `""` and `/` exist."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, MemoryFile | None]] = {"": {}, "/": {}}  # names in each; None: a folder
        self._locks: set[str] = set()

    def clone(self) -> "MemoryFiles":
        """The same tree with the same bytes, independent from now on; locks are not inherited. O(files)."""
        twin = MemoryFiles()
        twin._folders = {
            path: {name: None if file is None else file.fork(twin) for name, file in names.items()}
            for path, names in self._folders.items()
        }
        return twin

    def _names(self, folder: str) -> dict[str, MemoryFile | None]:
        try:
            return self._folders[folder]
        except KeyError:
            raise missing(folder) from None

    def open(self, path: str, *, create: bool = False) -> File:
        folder, name = os.path.split(path)
        names = self._names(folder)
        file = names.get(name)
        if file is None:
            if name in names:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            if not create:
                raise missing(path)
            file = names[name] = MemoryFile(self, path)
        return file

    def entries(self, directory: str) -> dict[str, int]:
        return {name: -1 if file is None else file.size() for name, file in self._names(directory).items()}

    def exists(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return path in self._folders or name in self._folders.get(folder, ())

    def read(self, path: str) -> bytes:
        file = self.open(path)
        return file.read(0, file.size())

    def replace(self, path: str, data: bytes, *, sync: bool) -> None:  # noqa: ARG002
        folder, name = os.path.split(path)
        file = MemoryFile(self, path)
        file.append([data], len(data), 0)
        self._names(folder)[name] = file

    def make_directory(self, path: str) -> list[str]:
        absent = []
        at = path
        while at not in self._folders:
            absent.append(at)
            at = os.path.dirname(at)
        for created in reversed(absent):
            folder, name = os.path.split(created)
            self._folders[created] = {}
            self._folders[folder][name] = None
        return [os.path.dirname(created) for created in reversed(absent)]

    def rename(self, old: str, new: str) -> None:
        old_folder, old_name = os.path.split(old)
        new_folder, new_name = os.path.split(new)
        target = self._names(new_folder)
        try:
            moved = self._names(old_folder).pop(old_name)
        except KeyError:
            raise missing(old) from None
        target[new_name] = moved
        if moved is not None:
            moved.path = new
            return
        below = old + "/"
        for path in [path for path in self._folders if path == old or path.startswith(below)]:
            names = self._folders.pop(path)
            self._folders[new + path[len(old) :]] = names
            for name, file in names.items():
                if file is not None:
                    file.path = f"{new}{path[len(old) :]}/{name}"

    def remove(self, path: str) -> None:
        folder, name = os.path.split(path)
        self._folders.get(folder, {}).pop(name, None)

    def remove_tree(self, path: str) -> None:
        below = path + "/"
        for folder in [folder for folder in self._folders if folder == path or folder.startswith(below)]:
            del self._folders[folder]
        self.remove(path)

    def sync_path(self, path: str) -> None: ...
    def sync_directory(self, path: str) -> None: ...

    def sync_file_system(self, _fd: int, /) -> bool:
        return False

    def lock(self, path: str) -> Lock:
        if path in self._locks:
            raise Locked(path)
        self.open(path, create=True)
        self._locks.add(path)
        return MemoryLock(self._locks, path)


def missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
