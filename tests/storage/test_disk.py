"""The pool of descriptors, leases under pressure, and writes that come short."""

import errno
import os

import pytest

from kbroker_storage import DiskFiles
from kbroker_storage.platform_calls import native, portable


def fill(files, tmp_path, count):
    made = []
    for name in range(count):
        file = files.open(f"{tmp_path}/{name}", create=True)
        file.append([b"%d" % name], len(str(name)), 0)
        made.append(file)
    return made


def test_no_more_descriptors_are_open_than_allowed_and_every_file_stays_usable(tmp_path):
    files = DiskFiles(limit=3)
    made = fill(files, tmp_path, 10)
    for _ in range(2):
        for name, file in enumerate(made):
            assert file.read(0, 5) == b"%d" % name
            assert files.open_descriptors <= 3
    files.close()
    assert files.open_descriptors == 0
    assert made[4].read(0, 5) == b"4"
    files.close()


def test_the_descriptor_in_use_stays_when_others_come_and_go(tmp_path):
    files = DiskFiles(limit=3)
    made = fill(files, tmp_path, 8)
    fd = made[0].lease()
    number = fd.fileno()
    fd.close()
    for file in made[1:]:
        made[0].read(0, 1)
        file.read(0, 1)
    again = made[0].lease()
    assert again.fileno() == number, "used between any two others, it had a second chance each time"
    again.close()
    files.close()


def test_leased_descriptors_are_never_closed_under_their_readers(tmp_path):
    files = DiskFiles(limit=2)
    made = fill(files, tmp_path, 6)
    pieces = [file.slice(0, 1) for file in made]
    assert files.open_descriptors == 6, "only leases push the pool above its bound"
    for file in made:
        file.remove()
    fill(files, tmp_path, 6)  # other files under the same names and, were they closed, the same descriptors
    assert [piece.read() for piece in pieces] == [b"%d" % name for name in range(6)]
    descriptors = [piece.fileno() for piece in pieces]
    for piece in pieces:
        piece.close()
    files.close()
    for fd in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_file_whose_descriptor_went_still_knows_of_its_leases(tmp_path):
    files = DiskFiles(limit=1)
    file = fill(files, tmp_path, 1)[0]
    piece = file.slice(0, 1)
    file.close()
    assert file.leased()
    file.read(0, 1)
    assert file.leased()
    piece.close()
    assert not file.leased()
    files.close()


def test_where_open_files_keep_their_names_they_are_removed_with_the_last_lease(tmp_path):
    files = DiskFiles(calls=native()._replace(removes_open_files=False))
    file = fill(files, tmp_path, 1)[0]
    piece = file.slice(0, 1)
    file.remove()
    assert os.listdir(tmp_path) == ["0"]
    piece.close()
    assert os.listdir(tmp_path) == []
    unleased = fill(files, tmp_path, 1)[0]
    unleased.remove()
    assert os.listdir(tmp_path) == []
    files.close()


def test_a_slice_of_a_file_that_was_cut_says_so(tmp_path):
    files = DiskFiles()
    file = files.open(f"{tmp_path}/a", create=True)
    file.append([b"abcdef"], 6, 0)
    piece = file.slice(2, 4)
    file.truncate(3)
    with pytest.raises(EOFError, match="4 bytes were leased at 2, the file has 1"):
        piece.read()
    piece.close()
    files.close()


def short_writes(calls, most):
    return calls._replace(
        write_at=lambda fd, buffers, position: calls.write_at(fd, [b"".join(buffers)[:most]], position)
    )


def short_reads(calls, most):
    return calls._replace(
        read_at=lambda fd, nbytes, position: calls.read_at(fd, min(nbytes, most), position),
        read_into=lambda fd, buffer, position: calls.read_into(fd, buffer[:most], position),
    )


@pytest.mark.parametrize("calls", [native(), portable()], ids=["native", "portable"])
def test_short_writes_and_reads_are_gone_on_with(tmp_path, calls):
    files = DiskFiles(calls=short_reads(short_writes(calls, 3), 2))
    file = files.open(f"{tmp_path}/a", create=True)
    file.append([b"abcd", b"efgh"], 8, 0)
    assert file.read(0, 100) == b"abcdefgh"
    assert file.read(1, 5) == b"bcdef"
    buffer = bytearray(6)
    assert file.read_into(1, memoryview(buffer)) == 6
    assert buffer == b"bcdefg"
    piece = file.slice(1, 6)
    assert piece.read() == b"bcdefg"
    piece.close()
    files.close()


def test_a_write_that_stops_moving_is_an_error(tmp_path):
    files = DiskFiles(calls=native()._replace(write_at=lambda fd, buffers, position: 0))
    file = files.open(f"{tmp_path}/a", create=True)
    with pytest.raises(OSError, match="wrote nothing") as raised:
        file.append([b"abc"], 3, 0)
    assert raised.value.errno == errno.ENOSPC
    files.close()


def test_a_failed_replace_leaves_the_old_file_and_no_other(tmp_path):
    def fail(fd):
        raise OSError(errno.EIO, "no")

    files = DiskFiles(calls=native()._replace(sync_data=fail))
    files.replace(f"{tmp_path}/a", b"old", sync=False)
    with pytest.raises(OSError, match="no"):
        files.replace(f"{tmp_path}/a", b"new", sync=True)
    assert files.entries(str(tmp_path)) == {"a": 3}
    assert files.read(f"{tmp_path}/a") == b"old"


def test_a_process_out_of_descriptors_gives_idle_ones_up_and_tries_again(tmp_path, monkeypatch):
    files = DiskFiles()
    fill(files, tmp_path, 4)
    real, refused = os.open, []

    def scarce(*arguments, **options):
        if files.open_descriptors and not refused:
            refused.append(1)
            raise OSError(errno.EMFILE, "Too many open files")
        return real(*arguments, **options)

    monkeypatch.setattr(os, "open", scarce)
    file = files.open(f"{tmp_path}/one-more", create=True)
    assert refused
    assert files.open_descriptors == 1
    assert file.size() == 0
    files.close()


def test_more_buffers_than_one_call_takes_are_all_written(tmp_path):
    files = DiskFiles()
    file = files.open(f"{tmp_path}/a", create=True)
    file.append([b"%04d" % number for number in range(3000)], 12_000, 0)
    assert file.read(0, 20_000) == b"".join(b"%04d" % number for number in range(3000))
    files.close()


def test_every_sync_passes_through_the_calls(tmp_path):
    synced = []
    calls = native()._replace(sync_data=lambda fd: synced.append(os.fstat(fd).st_ino), sync_directory=synced.append)
    files = DiskFiles(calls=calls)
    file = files.open(f"{tmp_path}/a", create=True)
    inode = os.stat(f"{tmp_path}/a").st_ino
    file.sync()
    lease = file.lease()
    lease.sync()
    lease.close()
    files.sync_path(f"{tmp_path}/a")
    files.sync_directory(str(tmp_path))
    assert synced == [inode, inode, inode, str(tmp_path)]
    files.close()


def test_a_pool_needs_a_descriptor():
    with pytest.raises(ValueError, match="0 descriptors"):
        DiskFiles(limit=0)


def test_the_last_of_several_leases_closes_the_descriptor(tmp_path):
    files = DiskFiles()
    file = fill(files, tmp_path, 1)[0]
    one, two = file.slice(0, 1), file.slice(0, 1)
    file.remove()
    one.close()
    assert two.read() == b"0"
    two.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(two.fileno())
