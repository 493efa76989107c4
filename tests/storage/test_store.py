"""Frames in one file: walked by headers, verified whole, undone after a failed write."""

import pytest

from kbroker_storage import Corrupt
from kbroker_storage.store import Store
from storage_frames import FORMAT, build, entry_of


@pytest.fixture
def store(ground, files):
    return Store(files.open(f"{ground.directory}/0.log", create=True), FORMAT, 0)


def write(store, sizes):
    frames = [build([bytes(size)], base_offset=offset) for offset, size in enumerate(sizes)]
    store.append(frames, sum(map(len, frames)))
    return frames


def test_a_walk_meets_every_frame_whatever_its_size(store):
    sizes = [0, 10, 5000, 70, 300_000, 1, 0, *[20] * 500]
    frames = write(store, sizes)
    walked = list(store.scan())
    assert [entry.base_offset for _, entry in walked] == list(range(len(sizes)))
    assert [bytes(store.frame(position, entry.size)) for position, entry in walked] == [
        bytes(frame) for frame in frames
    ]
    assert [entry for _, entry in store.scan(walked[3][0])] == [entry for _, entry in walked[3:]]
    assert [entry for _, entry in store.scan(0, walked[3][0])] == [entry for _, entry in walked[:3]]
    assert list(store.verified(0, store.size)) == walked


def test_an_empty_store_has_no_frames(store):
    assert list(store.scan()) == []
    assert list(store.verified(0, 0)) == []
    assert store.holds_frame(0, 0) is None


def test_a_cut_frame_is_told_by_the_walk_and_by_the_verification(store):
    frames = write(store, [10, 20])
    store.file.truncate(store.size - 1)
    store.size -= 1
    for walk in (store.scan(), store.verified(0, store.size)):
        assert next(walk)[1] == entry_of(frames[0])[0]
        with pytest.raises(Corrupt, match=f"at {len(frames[0])}"):
            next(walk)


def test_a_file_shorter_than_its_store_is_corrupt(store):
    write(store, [10, 20])
    store.file.truncate(80)
    with pytest.raises(Corrupt, match="within a frame"):
        list(store.scan())
    with pytest.raises(Corrupt, match="within a frame"):
        store.frame(0, 100)


def test_a_wrong_checksum_is_met_only_when_the_frame_is_read_whole(store):
    frames = write(store, [10, 20])
    store.file.append([b"\xff"], 1, len(frames[0]) - 1)
    store.file.append([frames[1]], len(frames[1]), len(frames[0]))
    assert len(list(store.scan())) == 2
    with pytest.raises(Corrupt, match="wrong checksum"):
        list(store.verified(0, store.size))
    assert store.holds_frame(0, store.size) is None
    assert store.holds_frame(len(frames[0]), store.size) == entry_of(frames[1])[0]


def test_undo_cuts_what_a_failed_append_left(store):
    write(store, [10])
    store.file.append([b"half a frame"], 12, store.size)
    store.undo()
    assert store.file.size() == store.size
    assert store.entry(0).base_offset == 0


def test_positions_are_those_of_the_file(store):
    frame = build([b"abc"])
    assert store.append([frame], len(frame)) == 0
    assert store.append([frame, frame], 2 * len(frame)) == len(frame)
    assert store.size == 3 * len(frame)
    piece = store.slice(len(frame), len(frame))
    assert piece.read() == bytes(frame)
    piece.close()
    store.truncate(len(frame))
    assert store.size == store.file.size() == len(frame)
