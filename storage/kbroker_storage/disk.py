"""Files on disk: descriptors are kept in a bounded pool and opened again when needed.

A pool of more descriptors than the process may have would fail at random places; one descriptor per file would be too
many with thousands of logs. So a `DiskFile` borrows a descriptor, and the one longest unused gives its own back (by
second chance: each use sets a mark, a sweep clears it). A leased descriptor is never closed under its reader: when
its file is closed, evicted or removed, it leaves the pool, and its last lease closes it.
"""

import contextlib
import errno
import os
import shutil
from collections import deque
from collections.abc import Sequence

from .entry import Buffer
from .errors import Locked
from .files import File, Lease, Lock, Slice
from .platform_calls import Calls, native

OPEN_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
DEFAULT_DESCRIPTORS = 512  # half of the usual soft limit of 1024; the rest is for sockets


class Descriptor:
    """One open file descriptor, how many leases hold it, and whether nobody but they may use it."""

    __slots__ = ("doomed", "fd", "leases", "retired")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.leases = 0
        self.retired = False
        self.doomed: str | None = None  # a name to remove once this is closed

    def retire(self) -> None:
        """The pool lets go: closed now, or by the last lease."""
        self.retired = True
        if not self.leases:
            self._close()

    def release(self) -> None:
        self.leases -= 1
        if self.retired and not self.leases:
            self._close()

    def _close(self) -> None:
        os.close(self.fd)
        if self.doomed is not None:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.doomed)


class DiskSlice:
    """A leased range of one file on disk; see files.Slice."""

    __slots__ = ("_calls", "_descriptor", "_open", "nbytes", "position")

    def __init__(self, descriptor: Descriptor, calls: Calls, position: int, nbytes: int) -> None:
        descriptor.leases += 1
        self._descriptor = descriptor
        self._calls = calls
        self._open = True
        self.position = position
        self.nbytes = nbytes

    def fileno(self) -> int:
        return self._descriptor.fd

    def sync(self) -> None:
        self._calls.sync_data(self._descriptor.fd)

    def write_back(self) -> None:
        self._calls.write_back(self._descriptor.fd)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._descriptor.release()

    def will_need(self) -> None:
        """Ask the kernel to read ahead. May run in a thread."""
        self._calls.will_need(self._descriptor.fd, self.position, self.nbytes)

    def read(self) -> bytes:
        data = self._calls.read_at(self._descriptor.fd, self.nbytes, self.position)
        if len(data) == self.nbytes:
            return data
        return self._read_on(data)

    def _read_on(self, data: bytes) -> bytes:
        parts, got = [data], len(data)
        while got < self.nbytes:
            more = self._calls.read_at(self._descriptor.fd, self.nbytes - got, self.position + got)
            if not more:
                raise EOFError(f"{self.nbytes} bytes were leased at {self.position}, the file has {got}")
            parts.append(more)
            got += len(more)
        return b"".join(parts)

    def buffers(self) -> list[memoryview]:
        return [memoryview(self.read())]


class DiskFile:
    """One file by its path; see files.File."""

    __slots__ = ("_descriptor", "_files", "_leased", "path", "used")

    def __init__(self, files: "DiskFiles", path: str) -> None:
        self._files = files
        self._descriptor: Descriptor | None = None
        self._leased: list[Descriptor] = []  # descriptors given up while leased
        self.path = path
        self.used = False

    def descriptor(self) -> Descriptor:
        """The open descriptor, opened if need be, and marked as used."""
        self.used = True
        descriptor = self._descriptor
        if descriptor is None:
            descriptor = self._descriptor = self._files.borrow(self)
        return descriptor

    def append(self, buffers: Sequence[Buffer], nbytes: int, position: int) -> None:
        self.used = True
        descriptor = self._descriptor or self.descriptor()
        written = self._files.calls.write_at(descriptor.fd, buffers, position)
        if written != nbytes:
            self._write_on(descriptor.fd, buffers, nbytes, position, written)

    def _write_on(self, fd: int, buffers: Sequence[Buffer], nbytes: int, position: int, written: int) -> None:
        """After a short write: the rest, until it is all there or the platform says why not."""
        rest = memoryview(b"".join(buffers))
        if len(rest) != nbytes:
            raise ValueError(f"append was told {nbytes} bytes and given {len(rest)}")
        while written < nbytes:
            more = self._files.calls.write_at(fd, [rest[written:]], position + written)
            if more <= 0:
                raise OSError(errno.ENOSPC, f"write of {nbytes - written} bytes wrote nothing", self.path)
            written += more

    def read(self, position: int, nbytes: int) -> bytes:
        data = self._files.calls.read_at(self.descriptor().fd, nbytes, position)
        if len(data) == nbytes or not data:
            return data
        parts, got = [data], len(data)  # a read larger than the platform's limit (2 GiB on Linux), or the file's end
        while got < nbytes and (data := self._files.calls.read_at(self.descriptor().fd, nbytes - got, position + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def read_into(self, position: int, buffer: memoryview) -> int:
        got = 0
        while got < len(buffer):
            more = self._files.calls.read_into(self.descriptor().fd, buffer[got:], position + got)
            if not more:
                break
            got += more
        return got

    def slice(self, position: int, nbytes: int) -> Slice:
        self.used = True
        return DiskSlice(self._descriptor or self.descriptor(), self._files.calls, position, nbytes)

    def lease(self) -> Lease:
        return DiskSlice(self.descriptor(), self._files.calls, 0, 0)

    def leased(self) -> bool:
        self._leased = [descriptor for descriptor in self._leased if descriptor.leases]
        return bool(self._leased) or (self._descriptor is not None and self._descriptor.leases > 0)

    def size(self) -> int:
        return os.fstat(self.descriptor().fd).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self.descriptor().fd, size)

    def sync(self) -> None:
        self._files.calls.sync_data(self.descriptor().fd)

    def close(self) -> None:
        if self._descriptor is not None:
            self._files.give_back(self)

    def remove(self) -> None:
        removes_open_files = self._files.calls.removes_open_files
        held = self._descriptor
        self.close()
        if not removes_open_files and self.leased():
            (held or self._leased[-1]).doomed = self.path
            return
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.path)

    def retire_descriptor(self) -> None:
        """For the pool: give the descriptor up. Leases keep it open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if descriptor.leases:
                self._leased.append(descriptor)
            descriptor.retire()


class DiskLock:
    """A locked file; closing its descriptor unlocks it, so the end of the process does too."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


class DiskFiles:
    """The file system below the process's working folder or below absolute paths.

    limit  how many descriptors may be open for files; only leased ones can push the number above it
    calls  the platform's system calls; every one that touches file contents or syncs passes through this record
    """

    def __init__(self, limit: int = DEFAULT_DESCRIPTORS, calls: Calls | None = None) -> None:
        if limit < 1:
            raise ValueError(f"a pool of {limit} descriptors can not serve a file")
        self.limit = limit
        self.calls = native() if calls is None else calls
        self._pool: deque[DiskFile] = deque()  # files with a descriptor, oldest chance first

    def open(self, path: str, *, create: bool = False) -> File:
        file = DiskFile(self, path)
        if create:
            self._evict(self.limit - 1)
            self._put(file, Descriptor(self._open_fd(path, OPEN_FLAGS | os.O_CREAT)))
        elif not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return file

    def borrow(self, file: DiskFile) -> Descriptor:
        """Open `file`'s path for it."""
        self._evict(self.limit - 1)
        return self._put(file, Descriptor(self._open_fd(file.path, OPEN_FLAGS)))

    def give_back(self, file: DiskFile) -> None:
        """Take a file out of the pool."""
        self._pool.remove(file)
        file.retire_descriptor()

    def _put(self, file: DiskFile, descriptor: Descriptor) -> Descriptor:
        file._descriptor = descriptor  # noqa: SLF001
        file.used = False  # opened for one use: the next one earns it a second chance
        self._pool.append(file)
        return descriptor

    def _open_fd(self, path: str, flags: int) -> int:
        try:
            return os.open(path, flags, 0o644)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._pool:
                raise
        self._evict(0)
        return os.open(path, flags, 0o644)

    def _evict(self, keep: int) -> None:
        """Close what was not used of late until `keep` are open, as far as leases let it."""
        chances = 2 * len(self._pool)
        while len(self._pool) > keep and chances:
            chances -= 1
            file = self._pool.popleft()
            if file.used or (file._descriptor is not None and file._descriptor.leases):  # noqa: SLF001
                file.used = False
                self._pool.append(file)
            else:
                file.retire_descriptor()

    def close(self) -> None:
        """Let all descriptors go; leased ones stay until their last lease. Files open again if they are used."""
        while self._pool:
            self._pool.popleft().retire_descriptor()

    @property
    def open_descriptors(self) -> int:
        """How many descriptors the pool holds now."""
        return len(self._pool)

    def entries(self, directory: str) -> dict[str, int]:
        found = {}
        with os.scandir(directory) as entries:
            for entry in entries:
                found[entry.name] = -1 if entry.is_dir() else entry.stat().st_size
        return found

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def read(self, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        try:
            data = os.read(fd, 1 << 16)
            if len(data) < 1 << 16:
                return data
            parts = [data]
            while data := os.read(fd, 1 << 20):
                parts.append(data)
            return b"".join(parts)
        finally:
            os.close(fd)

    def replace(self, path: str, data: bytes, *, sync: bool) -> None:
        temporary = path + ".tmp"
        flags = OPEN_FLAGS | os.O_CREAT | os.O_TRUNC
        fd = os.open(temporary, flags, 0o644) if sync else self._open_fd(temporary, flags)  # no pool in a thread
        try:
            written = 0
            while written < len(data):
                written += os.write(fd, data[written:])
            if sync:
                self.calls.sync_data(fd)
        except OSError:
            os.close(fd)
            os.remove(temporary)
            raise
        os.close(fd)
        os.replace(temporary, path)
        if sync:
            self.calls.sync_directory(os.path.dirname(path) or ".")

    def make_directory(self, path: str) -> list[str]:
        missing = []
        at = path
        while at and not os.path.isdir(at):
            missing.append(at)
            at = os.path.dirname(at)
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder)
        return [os.path.dirname(folder) or "." for folder in reversed(missing)]

    def rename(self, old: str, new: str) -> None:
        os.replace(old, new)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)

    def remove_tree(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    def sync_path(self, path: str) -> None:
        try:
            fd = os.open(path, OPEN_FLAGS)
        except FileNotFoundError:
            return
        try:
            self.calls.sync_data(fd)
        finally:
            os.close(fd)

    def sync_directory(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.calls.sync_directory(path)

    def sync_file_system(self, fd: int, /) -> bool:
        return self.calls.sync_file_system(fd)

    def lock(self, path: str) -> Lock:
        fd = os.open(path, OPEN_FLAGS | os.O_CREAT, 0o644)
        try:
            if not self.calls.try_lock(fd):
                raise Locked(path)
        except BaseException:
            os.close(fd)
            raise
        return DiskLock(fd)
