"""Transactions in the log: what holds the last stable offset back, what was aborted, which marker counts."""

import struct

import pytest

from kbroker_storage import (
    CoordinatorFenced,
    Corrupt,
    InvalidProducerEpoch,
    InvalidTransactionState,
    Log,
    LogConfig,
    MemoryFiles,
    Origin,
    OutOfOrderSequence,
)
from kbroker_storage.transactions import ENTRY_BYTES, Aborted, Undecided, parse
from storage_faults import FaultyFiles
from storage_frames import FORMAT, build, build_marker, entry_of

DIRECTORY = "/data/t-0"


class Story:
    """A log and its producers, each at the epoch and sequence that it would write next."""

    def __init__(self, files=None, **config):
        self.files = MemoryFiles() if files is None else files
        self.config = LogConfig(**config)
        self.sequences = {}
        self.log = self.open()

    def open(self, *, clean=True, recovery_point=0):
        return Log.open(
            self.files, DIRECTORY, FORMAT, self.config, clean=clean, recovery_point=recovery_point, now_ms=0
        )

    def stop_and_start(self):
        self.log.close(clean=True)
        self.log = self.open()

    def kill_and_start(self, recovery_point=None):
        point = self.log.durable_end if recovery_point is None else recovery_point
        self.log = self.open(clean=False, recovery_point=point)

    def write(self, producer, count=1, *, epoch=0, transactional=True, **options):
        """Some records of a transaction; their first offset."""
        sequence = self.sequences.get((producer, epoch), 0)
        frame = build(
            [b"value"] * count,
            producer=producer,
            producer_epoch=epoch,
            sequence=sequence,
            transactional=transactional,
        )
        appended = self.log.append_leader([entry_of(frame)], 0, 0, **options)
        self.sequences[producer, epoch] = sequence + count
        return appended.base_offset

    def end(self, producer, *, commit, epoch=0, coordinator=0, version=0):
        """A marker; its offset."""
        frame = build_marker(commit, producer, epoch, coordinator)
        return self.log.append_leader(
            [entry_of(frame)], 0, 0, Origin.COORDINATOR, transaction_version=version
        ).base_offset

    def commit(self, producer, **options):
        return self.end(producer, commit=True, **options)

    def abort(self, producer, **options):
        return self.end(producer, commit=False, **options)

    @property
    def stable(self):
        """The last stable offset when all is below the high watermark."""
        return self.log.last_stable_offset(self.log.end)

    def aborted(self, start=0):
        """Of what the rest of a segment holds."""
        return self.log.aborted(start, 1 << 30)

    def index(self, base=0):
        return self.files.read(f"{DIRECTORY}/{base:020}.txnindex")

    def indexes(self):
        return sorted(name for name in self.files.entries(DIRECTORY) if name.endswith(".txnindex"))


@pytest.fixture
def story():
    return Story()


def test_the_last_stable_offset_stands_before_the_first_open_transaction(story):
    story.write(-1, transactional=False)
    assert story.stable == 1
    story.write(1)
    story.write(2)
    assert story.stable == 1
    story.commit(2)
    assert story.stable == 1
    story.commit(1)
    assert story.stable == story.log.end == 5


def test_it_never_passes_the_high_watermark_nor_a_marker_above_it(story):
    story.write(1)
    story.commit(1)
    story.write(2)
    story.abort(2)
    assert [story.log.last_stable_offset(mark) for mark in range(5)] == [0, 0, 2, 2, 4]


def test_a_long_transaction_covers_the_ones_that_ended_within_it(story):
    story.write(1)
    for producer in (2, 3, 4):
        story.write(producer)
        story.commit(producer)
    story.abort(1)
    assert [story.log.last_stable_offset(mark) for mark in (0, 3, 7, 8)] == [0, 0, 0, 8]


def test_what_is_undecided_survives_any_stop(story):
    story.write(1)
    story.write(2)
    story.commit(2)
    story.stop_and_start()
    assert story.stable == 0
    story.kill_and_start()
    assert story.stable == 0
    story.abort(1)
    assert story.stable == 4
    assert story.aborted() == [(1, 0)]


def test_deleting_what_is_undecided_moves_the_last_stable_offset_to_the_start(story):
    story.write(1, 3)
    story.write(-1, transactional=False)
    story.log.delete_before(2)
    assert story.stable == 2


def test_an_abort_is_written_to_the_index_of_the_segment_that_holds_its_marker(story):
    story.write(1)
    story.write(2)
    story.log.roll(0)
    story.abort(1)
    story.abort(2)
    assert story.indexes() == ["00000000000000000002.txnindex"]
    entry = struct.Struct(">hqqqq")
    assert story.index(2) == entry.pack(0, 1, 0, 2, 1) + entry.pack(0, 2, 1, 3, 4)


def test_a_commit_leaves_no_trace_in_it(story):
    story.write(1)
    story.commit(1)
    assert story.indexes() == []
    assert story.aborted() == []


def test_a_marker_without_a_transaction_moves_nothing(story):
    story.abort(1, coordinator=4)
    assert (story.stable, story.aborted(), story.indexes()) == (1, [], [])
    assert story.log.producers.get(1).coordinator_epoch == 4


def test_only_what_touches_the_range_is_named():
    story = Story(index_interval_bytes=0)
    for producer in range(5):
        story.write(producer, 2)  # at 3 * producer, and the marker at 3 * producer + 2
        story.abort(producer)
    _, size = story.log.segments[0].locate(0)

    def named(offset):
        """Of a read of one frame, and of the next indexed one, which bounds what may be named."""
        return story.log.aborted(offset, size)

    assert [named(offset) for offset in (0, 3)] == [[(0, 0)], [(1, 3)]]
    assert named(2) == [(0, 0), (1, 3)]
    assert named(12) == [(4, 12)]
    assert story.log.aborted(14, 1) == [(4, 12)]
    assert story.log.aborted(15, 1) == []


def test_a_transaction_over_many_segments_is_found_from_each_of_them():
    story = Story()
    story.write(1)
    for producer in (2, 3, 4):
        story.log.roll(0)
        story.write(producer)
        story.abort(producer)
    story.log.roll(0)
    story.abort(1)
    assert story.aborted(0) == [(1, 0)]
    assert story.aborted(1) == [(2, 1), (1, 0)]
    assert story.aborted(3) == [(3, 3), (1, 0)]
    assert story.aborted(7) == [(1, 0)]
    story.log.delete_before(7)
    assert len(story.indexes()) == 1
    assert story.aborted(7) == [(1, 0)]


def test_a_short_read_names_none_of_the_transactions_far_behind_it():
    story = Story(index_interval_bytes=0)
    for producer in range(20):
        story.write(producer)
        story.abort(producer)
    piece = story.log.read(4, 1, story.log.end)
    assert story.log.aborted(4, piece.nbytes) == [(2, 4)]
    piece.close()


def test_the_index_comes_back_when_what_it_holds_was_not_durable(story):
    story.write(1)
    story.abort(1)
    story.log.flush()
    story.write(2)
    story.abort(2)
    whole = story.index()
    for left in range(0, len(whole) + 1, 17):
        files = story.files.clone()
        files.replace(f"{DIRECTORY}/{0:020}.txnindex", whole[:left], sync=False)
        again = Story(files)
        again.kill_and_start(recovery_point=2 if left >= ENTRY_BYTES else 0)
        assert again.aborted() == [(1, 0), (2, 2)]
        assert again.index() == whole


@pytest.mark.parametrize("harm", [b"\0" * ENTRY_BYTES, b"\xff" * ENTRY_BYTES, b"short"])
@pytest.mark.parametrize("clean", [True, False])
def test_a_damaged_index_is_made_anew(story, harm, clean):
    story.write(3)
    story.log.roll(0)
    story.write(1)
    story.abort(1)
    story.abort(3)
    story.log.roll(0)
    story.write(2)
    story.abort(2)
    whole = story.index(1)
    story.log.flush()
    story.log.close(clean=True)
    story.files.replace(f"{DIRECTORY}/{1:020}.txnindex", harm, sync=False)
    story.log = story.open(clean=clean, recovery_point=story.log.end)
    assert story.index(1) == whole
    for _ in range(2):
        assert [story.aborted(offset) for offset in (0, 1, 4)] == [[(3, 0)], [(1, 1), (3, 0)], [(2, 4)]]
        story.kill_and_start(recovery_point=story.log.end)


def test_entries_of_markers_that_were_lost_are_dropped(story):
    story.write(1)
    story.abort(1)
    story.write(2)
    size = story.files.open(f"{DIRECTORY}/{0:020}.log").size()
    story.abort(2)
    story.files.open(f"{DIRECTORY}/{0:020}.log").truncate(size)
    story.kill_and_start(recovery_point=2)
    assert (story.stable, story.aborted()) == (2, [(1, 0)])
    story.commit(2)
    assert (story.stable, story.aborted()) == (4, [(1, 0)])
    assert len(story.index()) == ENTRY_BYTES


def test_truncation_reopens_what_it_cuts_the_marker_off(story):
    story.write(1)
    story.abort(1)
    story.write(2)
    story.abort(2)
    story.log.truncate(3)
    assert (story.stable, story.aborted()) == (2, [(1, 0)])
    story.log.truncate(1)
    assert (story.stable, story.aborted(), story.indexes()) == (0, [], [])
    story.log.restart_at(9)
    assert (story.stable, story.aborted()) == (9, [])


def test_a_truncation_forgets_nothing_that_ended_above_the_high_watermark(story):
    story.write(1)
    story.abort(1)
    story.log.roll(0)  # with a snapshot, which knows only that nothing is open
    story.write(2)
    story.write(-1, transactional=False)
    story.log.truncate(3)
    assert [story.log.last_stable_offset(mark) for mark in (0, 1, 2, 3)] == [0, 0, 2, 2]


def test_an_index_that_can_not_be_written_fails_no_append_but_nothing_is_durable_without_it():
    story = Story(files := FaultyFiles())
    story.write(1)
    story.log.flush()
    files.fail("create", every=True)
    story.abort(1)
    assert (story.stable, story.aborted()) == (2, [(1, 0)])
    with pytest.raises(OSError, match="injected at create"):
        story.log.plan_flush()
    files.heal()
    story.log.flush()
    assert story.log.durable_end == 2
    assert len(story.index()) == ENTRY_BYTES


# -- which marker counts


def test_an_older_producer_epoch_ends_nothing(story):
    story.write(1, epoch=3)
    with pytest.raises(InvalidProducerEpoch):
        story.abort(1, epoch=2)
    assert story.stable == 0
    story.abort(1, epoch=3)
    assert story.stable == 2


def test_with_version_2_the_epoch_of_a_marker_is_above_that_of_its_transaction(story):
    story.write(1, epoch=3)
    with pytest.raises(InvalidProducerEpoch):
        story.commit(1, epoch=3, version=2)
    story.commit(1, epoch=4, version=2)
    story.commit(1, epoch=4, version=2)  # again: nobody knew that it was written
    assert story.stable == 3
    with pytest.raises(InvalidProducerEpoch):
        story.write(1, epoch=3)
    story.write(1, epoch=4)
    with pytest.raises(InvalidProducerEpoch):
        story.abort(1, epoch=4, version=2)
    assert story.stable == 3


def test_an_older_coordinator_is_fenced(story):
    story.write(1)
    story.commit(1, coordinator=5)
    story.write(1)
    with pytest.raises(CoordinatorFenced, match="coordinator epoch 4 is fenced by epoch 5"):
        story.abort(1, coordinator=4)
    story.stop_and_start()
    with pytest.raises(CoordinatorFenced):
        story.abort(1, coordinator=4)
    story.abort(1, coordinator=5)
    assert story.aborted() == [(1, 2)]


def test_several_markers_of_one_append_count_each_for_its_producer(story):
    story.write(1)
    story.write(2)
    markers = [entry_of(build_marker(False, producer, 0)) for producer in (1, 2, 3)]
    story.log.append_leader(markers, 0, 0, Origin.COORDINATOR)
    assert (story.stable, story.aborted()) == (5, [(1, 0), (2, 1)])


def test_a_follower_takes_what_the_leader_has_written(story):
    copy = Story()
    story.write(1)
    story.abort(1)
    story.write(2)
    piece = story.log.read(0, 1 << 20, story.log.end)
    data, at, frames = bytearray(piece.read()), 0, []
    while at < len(data):
        entry = FORMAT.scan(data, at)
        frames.append((entry, memoryview(data)[at : at + entry.size]))
        at += entry.size
    copy.log.append_follower(frames, 0)
    assert (copy.stable, copy.aborted(), copy.index()) == (2, [(1, 0)], story.index())


# -- what belongs to no transaction


def test_a_producer_with_an_open_transaction_writes_nothing_beside_it(story):
    story.write(1)
    with pytest.raises(InvalidTransactionState, match="producer 1 epoch 0: not transactional"):
        story.write(1, transactional=False)
    with pytest.raises(InvalidTransactionState):
        story.write(1, epoch=1, transactional=False)
    frames = [
        entry_of(build(producer=1, producer_epoch=0, sequence=sequence, transactional=transactional))
        for sequence, transactional in ((1, True), (2, False))
    ]
    with pytest.raises(InvalidTransactionState, match="in one append"):
        story.log.append_leader(frames, 0, 0)
    story.commit(1)
    story.write(1, transactional=False)


def test_a_transaction_begins_with_what_was_verified(story):
    with pytest.raises(InvalidTransactionState, match="neither open nor verified"):
        story.write(1, verified=None)
    token = verify(story, 1)
    story.write(1, verified=token)
    assert verify(story, 1, 1) is None
    story.write(1, verified=None)
    with pytest.raises(InvalidTransactionState):
        story.write(2, verified=token)


def test_a_marker_in_between_makes_a_verification_worthless(story):
    token = verify(story, 1)
    story.abort(1)
    with pytest.raises(InvalidTransactionState):
        story.write(1, verified=token)
    assert story.stable == 1
    assert verify(story, 1) is not token


def test_those_who_wait_for_one_verification_share_it(story):
    first, second = verify(story, 1, 0), verify(story, 1, 1)
    assert first is second
    story.sequences[1, 0] = 1
    with pytest.raises(OutOfOrderSequence, match="begins at sequence 1, expected 0"):
        story.write(1, verified=second)
    story.sequences[1, 0] = 0
    story.write(1, verified=first)
    story.write(1, verified=second)


def test_an_epoch_of_its_own_begins_at_sequence_zero_though_nothing_is_known_of_the_producer(story):
    token = story.log.producers.verification(1, 5, 7, implicit=True)
    story.sequences[1, 5] = 7
    with pytest.raises(OutOfOrderSequence, match="begins at sequence 7, expected 0"):
        story.write(1, epoch=5, verified=token)


def test_nobody_verifies_for_a_fenced_epoch(story):
    story.write(1, epoch=2)
    assert verify(story, 1, epoch=1) is None
    with pytest.raises(InvalidProducerEpoch):
        story.write(1, epoch=1, verified=None)
    assert verify(story, 1, epoch=3) is not None


def test_a_repetition_needs_no_verification(story):
    story.write(1)
    story.commit(1)
    story.sequences[1, 0] = 0
    assert story.write(1, verified=None) == 0
    assert story.stable == 2


def test_verifications_that_nobody_uses_are_forgotten(story):
    token = verify(story, 1)
    for _ in range(2):
        story.log.producers.expire_idle(story.log.end, 0, 1000)
    with pytest.raises(InvalidTransactionState):
        story.write(1, verified=token)


def test_a_coordinator_writes_within_transactions_without_sequences(story):
    frame = build(producer=1, producer_epoch=2, transactional=True)
    with pytest.raises(InvalidTransactionState):
        story.log.append_leader([entry_of(frame)], 0, 0, Origin.COORDINATOR, verified=None)
    token = verify(story, 1, -1, epoch=2)
    story.log.append_leader([entry_of(frame)], 0, 0, Origin.COORDINATOR, verified=token)
    story.log.append_leader([entry_of(frame)], 0, 0, Origin.COORDINATOR, verified=None)
    assert story.stable == 0
    with pytest.raises(InvalidProducerEpoch):
        story.log.append_leader(
            [entry_of(build(producer=1, producer_epoch=1, transactional=True))], 0, 0, Origin.COORDINATOR
        )
    story.abort(1, epoch=3, version=2)
    assert story.aborted() == [(1, 0)]


def verify(story, producer, sequence=0, *, epoch=0):
    return story.log.producers.verification(producer, epoch, sequence, implicit=False)


# -- the parts


def test_of_ended_transactions_only_those_are_kept_that_can_hold_anything_back():
    undecided = Undecided()
    for producer in range(1000):
        undecided.begin(producer, producer)
    for producer in reversed(range(1000)):
        undecided.end(producer, 2000 - producer)
        assert undecided.last_stable_offset(1000) == 0
    assert len(undecided._ended) == 1
    assert undecided.last_stable_offset(2001) == 2001
    assert not undecided


@pytest.mark.parametrize(
    "entries",
    [
        [(1, 1, 5, 9, 6)],  # version
        [(0, -1, 5, 9, 6)],
        [(0, 1, 9, 5, 6)],
        [(0, 1, 5, 9, 11)],
        [(0, 1, 5, 9, 6), (0, 2, 6, 9, 6)],
        [(0, 1, 5, 9, 6), (0, 2, 6, 10, 5)],
    ],
)
def test_what_can_be_no_transaction_index_is_refused(entries):
    with pytest.raises(Corrupt, match="transaction index"):
        parse(b"".join(struct.pack(">hqqqq", *entry) for entry in entries))


def test_a_transaction_index_says_what_was_packed():
    entries = [Aborted(1, 5, 9, 6), Aborted(2, 6, 10, 11)]
    assert parse(b"".join(struct.pack(">hqqqq", 0, *entry) for entry in entries)) == entries
