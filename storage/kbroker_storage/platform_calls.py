"""The system calls behind `DiskFiles`, each with a second way for platforms that lack the first.

`native()` takes the best that this platform has, `portable()` forces every second way; a test or an observer may
replace single fields with `_replace`. Functions on descriptors may run in several threads at once.
"""

import ctypes
import errno
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from .entry import Buffer

IOV_MAX = 1024  # buffers in one writev: POSIX promises 16, Linux and macOS have 1024
SYNC_FILE_RANGE_WRITE = 2  # Linux <linux/fs.h>: start, and do not wait for the end
SYNCFS_DOES_ALL = frozenset({0xEF53, 0x58465342, 0x9123683E})  # Linux <linux/magic.h>: ext4, XFS, Btrfs
F_FULLFSYNC = 51  # macOS <fcntl.h>


class Calls(NamedTuple):
    """Positions and sizes in bytes; each raises OSError."""

    write_at: Callable[[int, Sequence[Buffer], int], int]  # (fd, buffers, position) -> bytes written, maybe fewer
    read_at: Callable[[int, int, int], bytes]  # (fd, nbytes, position) -> bytes, maybe fewer
    read_into: Callable[[int, memoryview, int], int]  # (fd, buffer, position) -> bytes read, maybe fewer
    sync_data: Callable[[int], None]
    sync_directory: Callable[[str], None]
    sync_file_system: Callable[[int], bool]  # the one of this file, all of it; False, and nothing done, where unknown
    will_need: Callable[[int, int, int], None]  # (fd, position, nbytes): start reading ahead
    write_back: Callable[[int], None]  # start writing what is dirty of the file; nothing is durable by that
    try_lock: Callable[[int], bool]
    removes_open_files: bool  # a file that is open somewhere can lose its name (not on Windows)


def pwritev(fd: int, buffers: Sequence[Buffer], position: int) -> int:
    """Gathering write. A single buffer takes the cheaper call."""
    if len(buffers) == 1:
        return os.pwrite(fd, buffers[0], position)
    return os.pwritev(fd, buffers if len(buffers) <= IOV_MAX else buffers[:IOV_MAX], position)


def preadv(fd: int, buffer: memoryview, position: int) -> int:
    return os.preadv(fd, [buffer], position)


def sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def no_directory_sync(path: str) -> None:
    """Windows can not open a folder to sync it; NTFS journals its entries."""


def will_need(fd: int, position: int, nbytes: int) -> None:
    os.posix_fadvise(fd, position, nbytes, os.POSIX_FADV_WILLNEED)


def no_advice(fd: int, position: int, nbytes: int) -> None:
    """The kernel's own read-ahead has to do."""


def no_write_back(fd: int) -> None:
    """The kernel begins when it likes, at the latest at the next sync."""


def find_write_back() -> Callable[[int], None]:
    """Linux's sync_file_range(2), which Python does not wrap; nothing elsewhere.

    It says nothing of durability: no metadata is written, no drive's cache emptied. Failures are the next sync's to
    tell, which this leaves as they are.
    """
    if not sys.platform.startswith("linux"):
        return no_write_back
    try:
        sync_file_range = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):
        return no_write_back
    sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

    def write_back(fd: int) -> None:
        sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE)  # 0, 0: from the start to the end of the file

    return write_back


def no_file_system_sync(_fd: int) -> bool:
    """Each file has to be synced by itself."""
    return False


def find_syncfs() -> Callable[[int], bool]:
    """Linux's syncfs(2), which Python does not wrap, from the release on that reports write-back errors.

    It is used on ext4, XFS and Btrfs, whose syncfs does all that the fdatasync of each file would do. FUSE's, for one,
    does not ask its server to sync.
    """
    if not (sys.platform.startswith("linux") and reports_write_back(os.uname().release)):
        return no_file_system_sync
    try:
        library = ctypes.CDLL(None, use_errno=True)
        sync, status_of = library.syncfs, library.fstatfs
    except (AttributeError, OSError):
        return no_file_system_sync

    def syncfs(fd: int) -> bool:
        status = (ctypes.c_long * 32)()  # a struct statfs begins with the type, and has 15 words
        failed = status_of(fd, status)
        if not failed and status[0] not in SYNCFS_DOES_ALL:
            return False
        if failed or sync(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return True

    return syncfs


def reports_write_back(release: str) -> bool:
    """Whether syncfs tells of pages that could not be written: since Linux 5.8. `release` is like "6.1.0-18-amd64"."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 8)


def full_sync(fd: int, control: Callable[[int, int], object]) -> None:
    """macOS: fsync stops at the drive's cache, F_FULLFSYNC does not; file systems without it get fsync.

    `control` is fcntl.fcntl.
    """
    try:
        control(fd, F_FULLFSYNC)
    except OSError as error:
        if error.errno not in {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}:
            raise
        os.fsync(fd)


class ByteRangeLocks(Protocol):
    """What is used of Windows' msvcrt."""

    LK_NBLCK: int

    def locking(self, fd: int, mode: int, nbytes: int, /) -> None: ...


def lock_first_byte(fd: int, msvcrt: ByteRangeLocks) -> bool:
    """Windows' way: a lock on the file's first byte, which need not exist."""
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EDEADLK}:
            return False
        raise
    return True


if sys.platform == "win32":
    import msvcrt

    def try_lock(fd: int) -> bool:
        return lock_first_byte(fd, msvcrt)

    sync_data = os.fsync
else:
    import fcntl

    def try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}:
                return False
            raise
        return True

    if sys.platform == "darwin":

        def sync_data(fd: int) -> None:
            full_sync(fd, fcntl.fcntl)
    else:
        sync_data = os.fdatasync


def portable() -> Calls:
    """Every second way: seek and transfer under a lock, fsync of single files, no advice, no write-back, folders not
    synced."""
    seeking = threading.Lock()

    def write_at(fd: int, buffers: Sequence[Buffer], position: int) -> int:
        with seeking:
            os.lseek(fd, position, os.SEEK_SET)
            return os.write(fd, buffers[0] if len(buffers) == 1 else b"".join(buffers))

    def read_at(fd: int, nbytes: int, position: int) -> bytes:
        with seeking:
            os.lseek(fd, position, os.SEEK_SET)
            return os.read(fd, nbytes)

    def read_into(fd: int, buffer: memoryview, position: int) -> int:
        data = read_at(fd, len(buffer), position)
        buffer[: len(data)] = data
        return len(data)

    return Calls(
        write_at,
        read_at,
        read_into,
        os.fsync,
        no_directory_sync,
        no_file_system_sync,
        no_advice,
        no_write_back,
        try_lock,
        removes_open_files=False,
    )


def native() -> Calls:
    """The best of this platform, call by call."""
    second = portable()
    return Calls(
        write_at=pwritev if hasattr(os, "pwritev") else second.write_at,
        read_at=os.pread if hasattr(os, "pread") else second.read_at,
        read_into=preadv if hasattr(os, "preadv") else second.read_into,
        sync_data=sync_data,
        sync_directory=no_directory_sync if sys.platform == "win32" else sync_directory,
        sync_file_system=find_syncfs(),
        will_need=will_need if hasattr(os, "posix_fadvise") else no_advice,
        write_back=find_write_back(),
        try_lock=try_lock,
        removes_open_files=sys.platform != "win32",
    )
