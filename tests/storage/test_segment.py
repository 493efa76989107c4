"""A segment alone: look-ups in its table and its index, time, roll rules, cutting under readers."""

import pytest

from kbroker_storage import LogConfig
from kbroker_storage.segment import MAX_RELATIVE, RECENT_FRAMES, Home, Segment
from storage_frames import FORMAT, build, records, split


@pytest.fixture
def segment(ground, files):
    made = Segment.create(Home(files, ground.directory, FORMAT), 100, 300, now_ms=50_000)
    yield made
    made.close()


def add(segment, count=1, size=10, timestamp=1000, records_each=1):
    for _ in range(count):
        frame = build([bytes(size)] * records_each, timestamp, base_offset=segment.end)
        position = segment.store.append([frame], len(frame))
        segment.note(position, segment.end + records_each - 1, timestamp)


def reopened(segment):
    segment.save()
    again = Segment(segment._home, segment.base, 300, 0, size=segment.size)
    again.load_tail()
    return again


def test_a_new_segment_is_empty(segment):
    assert (segment.base, segment.end, segment.size) == (100, 100, 0)
    assert segment.locate(100) == (0, 0)
    assert segment.newest() == (-1, 100)
    assert segment.find_timestamp(0, 100) is None


@pytest.mark.parametrize("count", [1, RECENT_FRAMES, RECENT_FRAMES * 3 + 7])
def test_every_offset_is_located_by_table_or_index(segment, count):
    add(segment, count, records_each=3)
    size = segment.size // count
    closed = Segment(segment._home, segment.base, 300, 0, size=segment.size, end=segment.end)
    for offset in range(100, segment.end, 7):
        expected = ((offset - 100) // 3 * size, size)
        assert segment.locate(offset) == expected
        assert closed.locate(offset) == expected
    assert segment.locate(segment.end) == closed.locate(segment.end) == (segment.size, 0)


def test_a_reader_that_goes_on_needs_no_index(segment, monkeypatch):
    add(segment, 40, records_each=3)
    segment.save()
    size = segment.size // 40
    closed = Segment(segment._home, segment.base, 300, 0, size=segment.size, end=segment.end)
    assert closed.locate(131) == (10 * size, size)
    monkeypatch.setattr(Segment, "_walk_to", lambda self, offset: pytest.fail(f"offset {offset} was looked for"))
    for frame in range(11, 40):
        assert closed.locate(100 + 3 * frame) == (frame * size, size)


def test_what_is_cut_away_is_not_remembered(segment):
    add(segment, 600)
    size = segment.size // 600
    assert segment.locate(110) == (10 * size, size)  # remembers where 111 is
    segment.truncate(111)
    for _ in range(600):
        add(segment, size=25)
    position, larger = segment.locate(111)
    assert (position, larger) == (11 * size, (segment.size - 11 * size) // 600)


def test_the_table_of_the_newest_frames_is_bounded(segment):
    add(segment, RECENT_FRAMES * 5)
    assert len(segment._lasts) <= RECENT_FRAMES
    assert segment._lasts.itemsize == segment._starts.itemsize == 4


def test_an_offset_in_a_hole_is_that_of_the_frame_behind(segment):
    add(segment)
    hole = segment.end
    segment.end += 5
    add(segment)
    behind = segment.locate(hole)
    assert behind == (segment.size // 2, segment.size // 2)
    for offset in range(hole, hole + 6):
        assert segment.locate(offset) == behind
        assert reopened(segment).locate(offset) == behind


def test_reopening_finds_end_and_newest_timestamp(segment):
    for timestamp in (1000, 5000, 3000, 5000, 10):
        add(segment, 30, timestamp=timestamp)
    again = reopened(segment)
    assert again.end == segment.end == 250
    assert again.newest() == segment.newest() == (5000, 130)
    assert again.first_timestamp == 1000
    closed = Segment(segment._home, segment.base, 300, 0, size=segment.size, end=segment.end)
    assert closed.newest() == (5000, 130)


def test_a_closed_segment_without_timestamps_has_none(segment):
    add(segment, 20, timestamp=-1)
    closed = Segment(segment._home, segment.base, 300, 0, size=segment.size, end=segment.end)
    assert closed.newest() == (-1, 100)


def test_time_finds_the_first_record_that_is_not_older(segment):
    for timestamp in range(1000, 1300, 10):
        add(segment, 2, timestamp=timestamp)
    assert segment.find_timestamp(0, 100) == (100, 1000, -1)
    assert segment.find_timestamp(1105, 100) == (122, 1110, -1)
    assert segment.find_timestamp(1105, 140) == (140, 1200, -1)
    assert segment.find_timestamp(1291, 100) is None


def test_truncation_cuts_whole_frames_and_their_index_entries(segment):
    add(segment, 50, size=100, timestamp=1000, records_each=2)
    add(segment, 50, size=100, timestamp=2000, records_each=2)
    size = segment.size // 100
    segment.truncate(100 + 2 * 60 + 1)
    assert (segment.end, segment.size) == (220, 60 * size)
    assert segment.newest() == (2000, 201)
    segment.truncate(200)
    assert segment.newest() == (1000, 101)
    assert all(position < segment.size for _, position in segment.indexes.offsets)
    add(segment, 3, timestamp=1500)
    assert segment.locate(201)[0] == 50 * size + segment.size // 1000 * 0 + (segment.size - 50 * size) // 3
    segment.truncate(100)
    assert (segment.end, segment.size, len(segment.indexes.offsets), len(segment.indexes.times)) == (100, 0, 0, 0)


def test_a_reader_never_sees_other_bytes_in_the_place_of_those_cut_away(segment):
    add(segment, 3, size=50)
    piece = segment.store.slice(0, segment.size)
    segment.truncate(101)
    if piece.fileno() >= 0:
        assert segment.sealed
        with pytest.raises(EOFError):
            piece.read()
    segment.truncate(100)
    add(segment, 3, size=60)
    if piece.fileno() >= 0:
        with pytest.raises(EOFError):
            piece.read()
    else:
        assert [value for frame in split(piece.read()) for _, _, value in records(frame)] == [bytes(50)] * 3
    piece.close()
    assert segment.store.frame(0, segment.locate(100)[1])[12:] == build([bytes(60)])[12:]


SMALL = LogConfig(segment_bytes=1000, segment_ms=500, segment_jitter_ms=100, segment_index_bytes=36)


@pytest.mark.parametrize(
    ("nbytes", "newest", "last_offset", "now_ms", "rolls"),
    [
        (100, 1000, 101, 0, False),
        (1001, 1000, 101, 0, True),
        (100, 1400, 101, 0, False),
        (100, 1401, 101, 0, True),
        (100, 1000, 100 + MAX_RELATIVE, 0, False),
        (100, 1000, 101 + MAX_RELATIVE, 0, True),
        (100, 1000, 101, 1 << 50, False),
    ],
)
def test_when_an_append_rolls(segment, nbytes, newest, last_offset, now_ms, rolls):
    add(segment)
    nbytes -= segment.size if nbytes == 1001 else 0
    assert segment.should_roll(SMALL, nbytes, newest, last_offset, now_ms) == rolls


def test_without_timestamps_the_clock_rolls(segment):
    add(segment, timestamp=-1)
    assert not segment.should_roll(SMALL, 10, -1, 101, 50_400)
    assert segment.should_roll(SMALL, 10, -1, 101, 50_401)


def test_an_empty_segment_rolls_for_nothing_but_offsets_out_of_its_reach(segment):
    assert not segment.should_roll(SMALL, 5000, 1 << 40, 101, 1 << 40)
    assert segment.should_roll(SMALL, 10, 0, 101 + MAX_RELATIVE, 0)


def test_a_full_index_rolls(segment):
    big = LogConfig(segment_index_bytes=40)
    while len(segment.indexes.times) < 2:
        assert not segment.should_roll(big, 10, 0, 101, 0)
        add(segment, size=400, timestamp=segment.end)
    assert segment.should_roll(big, 10, 0, 101, 0)


def test_a_frame_exactly_one_interval_behind_is_not_indexed_the_next_is(segment):
    add(segment)
    segment.index_interval_bytes = segment.size
    add(segment, 4)
    assert list(segment.indexes.offsets) == [(2, 2 * segment.size // 5), (4, 4 * segment.size // 5)]
