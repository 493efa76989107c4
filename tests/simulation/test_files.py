"""What a simulated disk keeps through a crash: what was synced always, of the rest what its seed says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker_storage import Locked
from simulation.disk import Disk
from simulation.files import Dead, SimFiles


@pytest.fixture
def disk():
    return Disk()


def mounted(disk):
    return SimFiles(disk, random.Random(0))


def after(disk, seed):
    disk.crash(random.Random(seed))
    return mounted(disk)


def test_a_synced_file_in_synced_folders_survives_every_crash():
    for seed in range(50):
        disk = Disk()
        files = mounted(disk)
        for changed in files.make_directory("/data/topic-0"):
            files.sync_directory(changed)
        file = files.open("/data/topic-0/log", create=True)
        file.append([b"kept ", b"bytes"], 10, 0)
        file.sync()
        files.sync_directory("/data/topic-0")
        file.append([b" lost"], 5, 10)
        assert after(disk, seed).read("/data/topic-0/log").startswith(b"kept bytes")


@pytest.mark.parametrize("unsynced", ["/", "/data"])
def test_a_synced_file_may_be_gone_with_its_name(unsynced):
    gone = 0
    for seed in range(50):
        disk = Disk()
        files = mounted(disk)
        files.make_directory("/data")
        file = files.open("/data/log", create=True)
        file.append([b"bytes"], 5, 0)
        file.sync()
        for folder in {"/", "/data"} - {unsynced}:
            files.sync_directory(folder)
        gone += not after(disk, seed).exists("/data/log")
    assert 0 < gone < 50


@given(sizes=st.lists(st.integers(1, 30), max_size=6), synced=st.integers(0, 6), seed=st.integers(0, 2**32))
def test_a_crash_keeps_at_least_what_was_synced_and_invents_nothing(sizes, synced, seed):
    disk = Disk()
    files = mounted(disk)
    file = files.open("/log", create=True)
    files.sync_directory("/")
    written = b""
    safe = 0
    for i, size in enumerate(sizes):
        file.append([bytes([i + 1]) * size], size, len(written))
        written += bytes([i + 1]) * size
        if i + 1 == synced:
            file.sync()
            safe = len(written)
    kept = after(disk, seed).read("/log")
    assert kept[:safe] == written[:safe]
    assert len(kept) <= len(written)
    assert all(found in (0, sent) for found, sent in zip(kept, written, strict=False))  # a hole is zeros


def test_crashes_leave_prefixes_torn_writes_and_sectors_that_were_never_written():
    first, second, third = (bytes([each]) * 512 for each in b"123")
    kept = set()
    for seed in range(4000):
        disk = Disk()
        files = mounted(disk)
        file = files.open("/log", create=True)
        files.sync_directory("/")
        for i, data in enumerate((first, second, third)):
            file.append([data], 512, 512 * i)
        kept.add(after(disk, seed).read("/log"))
    never = bytes(512)
    assert {b"", first, first + second, first + second + third, first + never + third, never + second + third} <= kept
    assert any(len(each) % 512 > 0 for each in kept)


def test_a_rename_is_there_or_not_but_never_half():
    outcomes = set()
    for seed in range(100):
        disk = Disk()
        files = mounted(disk)
        files.make_directory("/a")
        files.make_directory("/b")
        files.open("/a/file", create=True)
        for folder in ("/", "/a"):
            files.sync_directory(folder)
        files.rename("/a/file", "/b/file")
        survived = after(disk, seed)
        outcomes.add((survived.exists("/a/file"), survived.exists("/b/file")))
    assert outcomes == {(True, False), (False, True)}


def test_what_is_replaced_with_a_sync_is_never_empty_and_without_may_be():
    found = {True: set(), False: set()}
    for sync, contents in found.items():
        for seed in range(100):
            disk = Disk()
            files = mounted(disk)
            files.replace("/mark", b"old", sync=True)
            files.replace("/mark", b"new", sync=sync)
            contents.add(after(disk, seed).read("/mark"))
    assert found[True] == {b"new"}
    assert {b"old", b"new", b""} <= found[False]


def test_a_process_that_dies_keeps_what_it_wrote_and_no_lock(disk):
    files = mounted(disk)
    file = files.open("/log", create=True)
    file.append([b"one"], 3, 0)
    files.lock("/.lock")
    with pytest.raises(Locked):
        files.lock("/.lock")
    died = []
    files.die_at(1, lambda: died.append(True))
    for _ in range(2):  # the first dies within the call, the second is never made
        with pytest.raises(Dead):
            file.append([b"two"], 3, 3)
    assert died == [True]
    heir = mounted(disk)
    heir.lock("/.lock")
    assert b"onetwo".startswith(heir.read("/log"))
    assert heir.read("/log").startswith(b"one")


def test_open_files_and_leases_go_on_when_their_name_is_gone(disk):
    files = mounted(disk)
    file = files.open("/log", create=True)
    file.append([b"bytes"], 5, 0)
    slice_ = file.slice(1, 3)
    assert file.leased()
    file.remove()
    assert slice_.read() == b"yte"
    slice_.close()
    with pytest.raises(FileNotFoundError):
        file.size()


def test_a_lease_notices_that_its_bytes_were_cut(disk):
    file = mounted(disk).open("/log", create=True)
    file.append([b"bytes"], 5, 0)
    leased = file.slice(0, 5)
    file.truncate(2)
    with pytest.raises(EOFError):
        leased.read()
