"""A file of ascending entries: searched in memory and in the file alike."""

import struct
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker_storage import MemoryFiles
from kbroker_storage.sparse import BLOCK_ENTRIES, WAITING_ENTRIES, SparseFile

LAYOUT = struct.Struct(">qi")


def filled(files, directory, count, saved=0):
    sparse = SparseFile(files, f"{directory}/x", LAYOUT)
    for number in range(count):
        if number == saved:
            sparse.save()
        sparse.append(number * 10, number)
    return sparse


@pytest.mark.parametrize(("count", "saved"), [(0, 0), (1, 0), (1, 1), (5, 3), (1000, 1000), (1000, 900), (3000, 2999)])
def test_floor_finds_the_greatest_key_not_above(ground, files, count, saved):
    sparse = filled(files, ground.directory, count, saved)
    if saved == count:
        sparse.save()
    for number in [*range(0, count, 7), count - 1]:
        if number >= 0:
            assert sparse.floor(number * 10) == (number * 10, number)
            assert sparse.floor(number * 10 + 9) == (number * 10, number)
    assert sparse.floor(-1) is None
    assert len(sparse) == count
    assert list(sparse) == [(number * 10, number) for number in range(count)]


def test_entries_are_big_endian_in_the_file(ground, files):
    filled(files, ground.directory, 3).save()
    assert files.read(f"{ground.directory}/x") == b"".join(LAYOUT.pack(number * 10, number) for number in range(3))


def test_enough_waiting_entries_make_it_full_until_they_are_saved(ground, files):
    sparse = filled(files, ground.directory, WAITING_ENTRIES - 1)
    assert not sparse.full
    sparse.append(1 << 40, 1 << 20)
    assert sparse.full
    sparse.save()
    assert not sparse.full
    sparse.save()
    assert files.entries(ground.directory)["x"] == WAITING_ENTRIES * LAYOUT.size


@pytest.mark.parametrize("keep", [0, 1, 3, 4, 6, 10])
def test_truncate_keeps_the_first_entries_saved_or_not(ground, files, keep):
    sparse = filled(files, ground.directory, 10, 4)
    sparse.floor(10)
    sparse.truncate(keep)
    assert list(sparse) == [(number * 10, number) for number in range(keep)]
    assert sparse.last() == (sparse[keep - 1] if keep else None)
    sparse.append(1000, 1000)
    sparse.save()
    assert list(SparseFile(files, sparse.path, LAYOUT, keep + 1)) == list(sparse)
    assert sparse.floor(2000) == (1000, 1000)


def test_a_file_that_lost_its_end_says_so(ground, files):
    filled(files, ground.directory, 3).save()
    sparse = SparseFile(files, f"{ground.directory}/x", LAYOUT, 4)
    with pytest.raises(EOFError, match="no entries up to 4"):
        sparse.last()


def test_remove_takes_the_file(ground, files):
    sparse = filled(files, ground.directory, 3)
    sparse.save()
    sparse.close()
    assert sparse[1] == (10, 1)
    sparse.remove()
    assert files.entries(ground.directory) == {}


def test_ascending_means_both_columns(ground, files):
    assert filled(files, ground.directory, 20, 10).ascending()
    for key, value in ((190, 100), (1000, 19), (0, 0)):
        sparse = filled(files, ground.directory, 20, 10)
        sparse.append(key, value)
        assert not sparse.ascending()


@given(
    gaps=st.lists(st.integers(1, 1000), max_size=3 * BLOCK_ENTRIES),
    saves=st.sets(st.integers(0, 3 * BLOCK_ENTRIES), max_size=4),
    asked=st.lists(st.integers(-5, 200_000), max_size=30),
)
def test_a_search_agrees_with_a_sorted_list(gaps, saves, asked):
    files = MemoryFiles()
    sparse = SparseFile(files, "/x", LAYOUT)
    keys, key = [], 0
    for number, gap in enumerate(gaps):
        key += gap
        keys.append(key)
        sparse.append(key, number)
        if number in saves:
            sparse.save()
    for wanted in asked:
        at = bisect_right(keys, wanted)
        assert sparse.floor(wanted) == ((keys[at - 1], at - 1) if at else None)
