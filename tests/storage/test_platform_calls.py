"""Each system call and its second way do the same."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from kbroker_storage.platform_calls import (
    SYNCFS_DOES_ALL,
    find_syncfs,
    find_write_back,
    full_sync,
    lock_first_byte,
    native,
    no_file_system_sync,
    no_write_back,
    portable,
    reports_write_back,
)


@pytest.fixture
def fd(tmp_path):
    descriptor = os.open(f"{tmp_path}/file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("calls", [native(), portable()], ids=["native", "portable"])
def test_writes_and_reads_go_to_their_positions(fd, calls):
    assert calls.write_at(fd, [b"hello"], 0) == 5
    assert calls.write_at(fd, [b"A", b"BC", memoryview(b"D")], 2) == 4
    assert calls.read_at(fd, 10, 0) == b"heABCD"
    assert calls.read_at(fd, 2, 3) == b"BC"
    buffer = bytearray(b"......")
    assert calls.read_into(fd, memoryview(buffer)[1:4], 4) == 2
    assert buffer == b".CD..."
    calls.will_need(fd, 0, 6)
    calls.write_back(fd)
    calls.sync_data(fd)
    assert calls.read_at(fd, 10, 0) == b"heABCD"


@pytest.fixture
def synced(monkeypatch):
    """What was synced, as (device, inode), while its descriptor was open; and that descriptor."""
    synced, fsync = [], os.fsync

    def remember(descriptor):
        synced.append((identity(os.fstat(descriptor)), descriptor))
        fsync(descriptor)

    monkeypatch.setattr("kbroker_storage.platform_calls.os.fsync", remember)
    return synced


def identity(stat):
    return stat.st_dev, stat.st_ino


@pytest.mark.skipif(sys.platform == "win32", reason="a folder can not be opened")
def test_a_folder_is_synced_by_itself_and_closed_again(tmp_path, synced):
    (tmp_path / "folder").mkdir()
    native().sync_directory(f"{tmp_path}/folder")
    [(folder, descriptor)] = synced
    assert folder == identity(os.stat(f"{tmp_path}/folder"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder can not be opened")
def test_a_folder_whose_sync_fails_says_so_and_is_closed(tmp_path, monkeypatch):
    tried = []

    def fail(descriptor):
        tried.append(descriptor)
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr("kbroker_storage.platform_calls.os.fsync", fail)
    with pytest.raises(OSError, match="lost"):
        native().sync_directory(str(tmp_path))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tried[0])
    with pytest.raises(FileNotFoundError):
        native().sync_directory(f"{tmp_path}/missing")


def test_where_folders_can_not_be_synced_nothing_is_and_nobody_is_told(tmp_path, synced):
    portable().sync_directory(str(tmp_path))
    portable().sync_directory(f"{tmp_path}/missing")
    assert not synced


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the kernel begins when it likes")
def test_write_back_is_begun_where_the_platform_can():
    assert native().write_back is not no_write_back
    assert portable().write_back is no_write_back


def test_without_a_c_library_write_back_is_the_kernels_and_each_file_is_synced(monkeypatch):
    def missing(*_, **__):
        raise OSError("no such library")

    monkeypatch.setattr("kbroker_storage.platform_calls.ctypes.CDLL", missing)
    assert find_write_back() is no_write_back
    assert find_syncfs() is no_file_system_sync


@pytest.mark.parametrize(
    ("release", "does"),
    [
        ("6.18.5", True),
        ("6.1.0-18-amd64", True),
        ("5.8.0", True),
        ("5.7.19", False),
        ("4.18.0-553", False),
        ("", False),
    ],
)
def test_from_which_linux_on_syncfs_tells_of_errors(release, does):
    assert reports_write_back(release) is does


SYNCFS = find_syncfs()
syncfs_only = pytest.mark.skipif(SYNCFS is no_file_system_sync, reason="a Linux from 5.8 on has it")


@syncfs_only
def test_a_file_system_is_synced_if_that_does_as_much_as_syncing_each_file(fd, monkeypatch):
    path = os.readlink(f"/proc/self/fd/{fd}")
    kind = int(subprocess.check_output(["stat", "--file-system", "--format", "%t", path]), 16)
    monkeypatch.setattr("kbroker_storage.platform_calls.SYNCFS_DOES_ALL", frozenset({kind}))
    assert SYNCFS(fd)
    monkeypatch.setattr("kbroker_storage.platform_calls.SYNCFS_DOES_ALL", SYNCFS_DOES_ALL - {kind})
    assert not SYNCFS(fd)


@syncfs_only
def test_each_file_of_another_file_system_is_synced():
    descriptor = os.memfd_create("file")
    assert not SYNCFS(descriptor)
    os.close(descriptor)


@syncfs_only
def test_syncfs_tells_what_failed(fd):
    descriptor = os.dup(fd)
    os.close(descriptor)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        SYNCFS(descriptor)


def test_full_sync_asks_the_drive(fd):
    asked = []
    full_sync(fd, lambda *arguments: asked.append(arguments))
    assert asked == [(fd, 51)]


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EINVAL, errno.ENOTTY])
def test_full_sync_falls_back_where_the_file_system_does_not_know_it(fd, number, monkeypatch):
    synced = []
    monkeypatch.setattr("kbroker_storage.platform_calls.os.fsync", synced.append)

    def refuse(*_):
        raise OSError(number, "no")

    full_sync(fd, refuse)
    assert synced == [fd]


def test_full_sync_does_not_hide_a_failure(fd):
    def fail(*_):
        raise OSError(errno.EIO, "lost")

    with pytest.raises(OSError, match="lost"):
        full_sync(fd, fail)


class ByteLocks:
    """Stands in for msvcrt, which Linux lacks, by the platform's own locks."""

    LK_NBLCK = 2

    def locking(self, fd, mode, nbytes):
        assert (mode, nbytes) == (self.LK_NBLCK, 1)
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EACCES, "held") from None


def test_the_lock_of_windows_excludes_a_second_holder(fd, tmp_path):
    other = os.open(f"{tmp_path}/file", os.O_RDWR)
    try:
        assert lock_first_byte(fd, ByteLocks())
        assert not lock_first_byte(other, ByteLocks())
    finally:
        os.close(other)
