"""The door to the file system: every call that the log makes passes through a `Files` and its `File`s.

Two real forms: `disk.DiskFiles` and `memory.MemoryFiles`. Paths are strings, joined with `/`. Failures are the
OSError of the platform. Nothing here is safe to call from two threads at once, except what `Lease` says.
"""

from collections.abc import Sequence
from typing import Protocol

from .entry import Buffer


class Lease(Protocol):
    """Holds a file's bytes readable, whatever happens to the file's name meanwhile, until `close`.

    `fileno`, `sync`, `write_back`, `read` and `buffers` may run in another thread; taking and closing a lease may not.
    """

    def fileno(self) -> int:
        """The descriptor for os.sendfile and friends; -1 for a file in memory."""
        ...

    def sync(self) -> None:
        """Block until the file's data (and the size that finds it) is on disk. A failure must not be retried."""
        ...

    def write_back(self) -> None:
        """Start writing the file's data to disk; block only while the device takes no more. It is not durable by that,
        and a failure is told by the next `sync`."""
        ...

    def close(self) -> None:
        """Give the lease back. Idempotent."""
        ...


class Slice(Lease, Protocol):
    """A leased range of one file: `nbytes` bytes from `position` on."""

    nbytes: int
    position: int

    def read(self) -> bytes:
        """The bytes. Raises EOFError if the file was cut below them."""
        ...

    def buffers(self) -> list[memoryview]:
        """The bytes in one or more pieces, without a copy where they lie in memory."""
        ...


class File(Protocol):
    """One file. Its descriptor comes and goes as the form sees fit."""

    path: str

    def append(self, buffers: Sequence[Buffer], nbytes: int, position: int) -> None:
        """Write all of `buffers` (together `nbytes`) at `position`, which is at most the file's size.

        After an OSError any part of them may have been written; the caller truncates.
        """
        ...

    def read(self, position: int, nbytes: int) -> bytes:
        """Up to `nbytes` bytes, fewer only at the end of the file."""
        ...

    def read_into(self, position: int, buffer: memoryview) -> int:
        """Fill `buffer` from `position`; how many bytes came, fewer only at the end of the file."""
        ...

    def slice(self, position: int, nbytes: int) -> Slice:
        """Lease a range that lies within the file."""
        ...

    def lease(self) -> Lease: ...
    def leased(self) -> bool:
        """Whether a lease taken from this file may still be open."""
        ...

    def size(self) -> int: ...
    def truncate(self, size: int) -> None: ...
    def sync(self) -> None: ...
    def close(self) -> None:
        """Let the descriptor go; the next call opens it again."""
        ...

    def remove(self) -> None:
        """Remove the name; leases go on reading the bytes. No error if it is gone already."""
        ...


class Lock(Protocol):
    def close(self) -> None: ...


class Files(Protocol):
    """A tree of folders and files."""

    def open(self, path: str, *, create: bool = False) -> File:
        """Raises FileNotFoundError unless it exists or `create` is asked; an existing file is not emptied."""
        ...

    def entries(self, directory: str) -> dict[str, int]:
        """Name -> size in bytes, -1 for folders. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool: ...
    def read(self, path: str) -> bytes:
        """All of a small file. Raises FileNotFoundError."""
        ...

    def replace(self, path: str, data: bytes, *, sync: bool) -> None:
        """Put `data` in place of what `path` held, at once: a reader, or a start after a crash of this process, sees
        the old bytes or the new. With `sync` that holds for power cuts too, file and folder are on disk, and it may
        run in a thread."""
        ...

    def make_directory(self, path: str) -> list[str]:
        """Create `path` and its parents where missing; the folders whose entries changed, to be synced."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Files and folders; an existing file is replaced. Open files of a renamed folder must have been closed."""
        ...

    def remove(self, path: str) -> None:
        """A file. No error if it is gone already."""
        ...

    def remove_tree(self, path: str) -> None:
        """A folder with all it holds. No error if it is gone already."""
        ...

    def sync_path(self, path: str) -> None:
        """Sync one file by name; may run in a thread. No error if it is gone."""
        ...

    def sync_directory(self, path: str) -> None:
        """Sync a folder's entries; may run in a thread. No error if it is gone."""
        ...

    def sync_file_system(self, fd: int, /) -> bool:
        """Sync all that lies on the file system of this open file; may run in a thread. False, and nothing is done,
        where that might do less than syncing each file."""
        ...

    def lock(self, path: str) -> Lock:
        """Create and lock a file against other processes and other `Files`. Raises Locked."""
        ...


class EmptySlice:
    """No bytes of no file: what a read at the log's end gives."""

    nbytes = 0
    position = 0

    def fileno(self) -> int:
        return -1

    def sync(self) -> None: ...
    def write_back(self) -> None: ...
    def close(self) -> None: ...
    def read(self) -> bytes:
        return b""

    def buffers(self) -> list[memoryview]:
        return []


EMPTY: Slice = EmptySlice()
