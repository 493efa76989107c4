"""Chunks that are never written twice, and clones that share them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker_storage import MemoryFiles


@pytest.fixture
def files():
    return MemoryFiles()


def test_a_clone_has_the_same_bytes_and_goes_its_own_way(files):
    files.make_directory("/d")
    file = files.open("/d/a", create=True)
    file.append([b"abc"], 3, 0)
    twin_files = files.clone()
    twin = twin_files.open("/d/a")
    file.append([b"DEF"], 3, 3)
    twin.append([b"xy"], 2, 3)
    twin_files.open("/d/b", create=True)
    assert file.read(0, 10) == b"abcDEF"
    assert twin.read(0, 10) == b"abcxy"
    assert files.entries("/d") == {"a": 6}
    third = files.clone()
    third.open("/d/a").truncate(1)
    assert file.read(0, 10) == b"abcDEF"
    files.remove_tree("/d")
    assert third.entries("/d") == {"a": 1}


def test_a_clone_holds_no_locks(files):
    lock = files.lock("/.lock")
    files.clone().lock("/.lock").close()
    lock.close()


def test_small_appends_share_chunks_and_large_ones_are_one_piece(files):
    file = files.open("/a", create=True)
    for _ in range(1000):
        file.append([bytes(100)], 100, file.size())
    assert len(file.slice(0, 100_000).buffers()) < 20
    file.append([bytes(1_000_000)], 1_000_000, 100_000)
    assert len(file.slice(100_000, 1_000_000).buffers()) == 1


def test_a_wrong_size_is_refused_and_leaves_the_file(files):
    file = files.open("/a", create=True)
    file.append([b"abc"], 3, 0)
    with pytest.raises(ValueError, match="told 5 bytes and given 3"):
        file.append([b"def"], 5, 3)
    assert file.read(0, 10) == b"abc"


def test_views_are_read_only(files):
    file = files.open("/a", create=True)
    file.append([b"abc"], 3, 0)
    assert file.slice(0, 3).buffers()[0].readonly


def test_a_folder_is_no_file(files):
    files.make_directory("/d/e")
    with pytest.raises(IsADirectoryError):
        files.open("/d/e", create=True)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 3000)),
            st.tuples(st.just("truncate"), st.integers(0, 5000)),
            st.tuples(st.just("clone"), st.just(0)),
            st.tuples(st.just("slice"), st.integers(0, 5000)),
        ),
        max_size=30,
    )
)
def test_slices_stay_right_whatever_happens_to_the_file(steps):
    files = MemoryFiles()
    file = files.open("/a", create=True)
    expected, taken, fill = b"", [], 0
    for step, number in steps:
        if step == "append":
            fill += 1
            data = bytes([fill % 256]) * number
            file.append([data[: number // 2], data[number // 2 :]], number, len(expected))
            expected += data
        elif step == "truncate":
            file.truncate(number)
            expected = expected[:number].ljust(number, b"\0")
        elif step == "clone":
            taken.append((file.slice(0, len(expected)), expected))
            files = files.clone()
            file = files.open("/a")
        else:
            taken.append((file.slice(number // 2, max(0, min(number, len(expected) - number // 2))), None))
            piece, _ = taken.pop()
            taken.append((piece, expected[number // 2 : number // 2 + piece.nbytes]))
        assert file.read(0, len(expected) + 1) == expected
    for piece, bytes_then in taken:
        assert piece.read() == bytes_then
