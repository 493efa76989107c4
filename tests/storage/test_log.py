"""The log's own rules: all or nothing, reads at their bounds, cuts, restarts, deletion."""

import errno
from array import array
from contextlib import suppress

import pytest
from crc32c import crc32c

from kbroker_storage import (
    Closed,
    DiskFiles,
    DiskFull,
    EpochWentBack,
    FramesTooLarge,
    InvalidProducerEpoch,
    Log,
    LogConfig,
    OffsetOutOfRange,
    Origin,
    OutOfOrderSequence,
    Poisoned,
    UnexpectedOffset,
    WriteFailed,
)
from storage_faults import FaultyFiles
from storage_frames import FORMAT, build, entry_of, records, split


def append(log, *values, epoch=0, timestamps=1000, origin=Origin.CLIENT, **fields):
    return log.append_leader([entry_of(build(list(values) or [b"x"], timestamps, **fields))], epoch, 0, origin)


def values(log, offset=None, end=None):
    """All values from `offset` on."""
    offset, got = log.start if offset is None else offset, []
    end = log.end if end is None else end
    while frames := split(log.read(offset, 1 << 20, end).read()):
        got += [value for frame in frames for _, _, value in records(frame)]
        offset = FORMAT.scan(frames[-1]).last_offset + 1
    return got


# -- appending and reading


def test_a_log_has_no_folder_before_its_first_append(ground):
    log = ground.open()
    assert (log.start, log.end, log.segments) == (0, 0, [])
    assert log.read(0, 100, 100).read() == b""
    assert log.offset_for_timestamp(0) is None
    assert log.max_timestamp() is None
    log.close(clean=True)
    assert not ground.files.exists(ground.directory)


def test_an_empty_log_may_begin_anywhere(ground):
    log = ground.open(log_start=77)
    assert append(log).base_offset == 77
    assert [segment.base for segment in log.segments] == [77]
    log.close(clean=False)


def test_frames_get_offsets_and_the_leaders_epoch(ground):
    log = ground.open()
    frames = [build([b"a", b"b"], [5, 9]), build([b"c"], 7)]
    appended = log.append_leader([entry_of(frame) for frame in frames], 3, 0)
    assert appended == (0, 2, 0, 9, False)
    assert append(log, b"d", epoch=3).base_offset == 3
    stored = split(log.read(0, 10_000, 4).read())
    assert [(FORMAT.scan(frame).base_offset, FORMAT.scan(frame).epoch) for frame in stored] == [(0, 3), (2, 3), (3, 3)]
    assert all(FORMAT.verify(memoryview(frame)) for frame in stored), "what is patched is not under the checksum"
    assert values(log) == [b"a", b"b", b"c", b"d"]
    log.close(clean=False)


def test_a_read_is_cut_at_its_budget_but_never_within_the_first_frame(ground):
    log = ground.open()
    for value in (b"a" * 100, b"b" * 200, b"c"):
        append(log, value)
    sizes = [len(build([bytes(size)])) for size in (100, 200, 1)]
    assert log.read(0, 0, 3).nbytes == sizes[0]
    assert log.read(0, sizes[0] + 1, 3).nbytes == sizes[0] + 1
    assert log.read(1, 10, 3).nbytes == sizes[1]
    assert log.read(0, 1 << 30, 3).nbytes == sum(sizes)
    log.close(clean=False)


def test_a_read_stops_before_the_frame_that_holds_its_end(ground):
    log = ground.open()
    append(log, b"a", b"b")
    append(log, b"c", b"d")
    first = len(build([b"a", b"b"]))
    assert [log.read(0, 1000, end).nbytes for end in (0, 1, 2, 3, 4, 9)] == [0, 0, first, first, 2 * first, 2 * first]
    assert log.read(3, 1000, 3).read() == b""
    assert [log.bytes_between(0, end) for end in (0, 1, 2, 3, 4)] == [0, 0, first, first, 2 * first]
    log.close(clean=False)


def test_a_read_never_crosses_a_segment(ground):
    log = ground.open()
    append(log, b"a")
    log.roll(0)
    append(log, b"b")
    assert [record[2] for record in records(log.read(0, 10_000, 2).read())] == [b"a"]
    assert log.bytes_between(0, 2) is None, "an older segment than the end's"
    assert log.bytes_between(0, 1) == log.segments[0].size
    assert log.bytes_between(1, 2) == log.segments[1].size
    log.close(clean=False)


def test_offsets_outside_are_refused_with_the_bounds(ground):
    log = ground.open()
    append(log, b"a", b"b")
    log.delete_before(1)
    for asked in (-1, 0, 3):
        with pytest.raises(OffsetOutOfRange, match=rf"offset {asked} is outside \[1, 2\)"):
            log.read(asked, 10, 2)
    log.close(clean=False)


def test_an_append_larger_than_a_segment_is_refused(ground):
    log = ground.open(LogConfig(segment_bytes=200))
    with pytest.raises(FramesTooLarge, match="does not fit a segment of 200 bytes"):
        append(log, bytes(200))
    assert log.end == 0
    append(log, bytes(100))
    append(log, bytes(100))
    assert len(log.segments) == 2
    log.close(clean=False)


def test_what_a_coordinator_appends_may_be_larger_than_a_segment(ground):
    log = ground.open(LogConfig(segment_bytes=200))
    append(log, b"small")
    assert append(log, bytes(5000), origin=Origin.COORDINATOR).base_offset == 1
    append(log, b"small again")
    assert [segment.base for segment in log.segments] == [0, 1, 2]
    assert values(log) == [b"small", bytes(5000), b"small again"]
    log.close(clean=False)
    log = ground.open(LogConfig(segment_bytes=200), clean=False)
    assert (log.end, log.repaired) == (3, [])
    log.close(clean=False)


def claiming(records, offset=0):
    """A frame that says it has so many records."""
    frame = build(base_offset=offset)
    frame[23:27] = (records - 1).to_bytes(4, "big")
    frame[17:21] = crc32c(frame[21:]).to_bytes(4, "big")
    return entry_of(frame)


def test_frames_that_claim_more_offsets_than_a_segment_holds_are_refused_together_and_taken_alone(ground):
    log = ground.open()
    append(log, b"first")
    with pytest.raises(FramesTooLarge, match="append of 6442450944 offsets does not fit a segment of 2147483648"):
        log.append_leader([claiming(2**31) for _ in range(3)], 0, 0)
    assert log.end == 1
    for number in range(3):
        assert log.append_leader([claiming(2**31)], 0, 0).base_offset == 1 + number * 2**31
    log.close(clean=False)
    log = ground.open(clean=False)
    assert (log.end, log.repaired) == (1 + 3 * 2**31, [])
    log.close(clean=False)


def test_the_last_offset_that_a_segment_can_hold_survives_a_crash(ground):
    log = ground.open()
    append(log, b"first")
    log.append_leader([claiming(2**31 - 1)], 0, 0)
    assert (log.end, len(log.segments)) == (2**31, 1)
    log.close(clean=False)
    log = ground.open(clean=False)
    assert (log.end, log.repaired) == (2**31, [])
    log.close(clean=False)


def test_a_new_configuration_counts_from_the_next_append(ground):
    log = ground.open()
    append(log, bytes(100))
    log.config = LogConfig(segment_bytes=200)
    append(log, bytes(100))
    assert [segment.base for segment in log.segments] == [0, 1]
    log.close(clean=False)


def test_time_rolls_a_segment(ground):
    log = ground.open(LogConfig(segment_ms=1000))
    append(log, timestamps=5000)
    append(log, timestamps=6000)
    append(log, timestamps=6001)
    assert [segment.base for segment in log.segments] == [0, 2]
    log.close(clean=False)


def test_a_roll_leaves_a_snapshot_for_each_segment_and_the_newest(ground):
    log = ground.open()
    for number in range(4):
        append(log, producer=1, producer_epoch=0, sequence=number)
        log.roll(0)
    log.roll(0)
    names = sorted(name for name in ground.files.entries(ground.directory) if name.endswith(".snapshot"))
    assert names == [f"{offset:020d}.snapshot" for offset in (1, 2, 3, 4)]
    log.delete_before(3)
    log.take_snapshot()
    names = sorted(name for name in ground.files.entries(ground.directory) if name.endswith(".snapshot"))
    assert names == [f"{offset:020d}.snapshot" for offset in (3, 4)]
    log.close(clean=False)


# -- leader epochs, followers


def test_an_older_leader_is_refused(ground):
    log = ground.open()
    append(log, epoch=4)
    with pytest.raises(EpochWentBack, match="leader epoch 3 is older than the log's epoch 4"):
        append(log, epoch=3)
    assert log.end == 1
    append(log, epoch=6)
    assert log.epochs.entries == [(4, 0), (6, 1)]
    assert ground.files.read(f"{ground.directory}/leader-epoch-checkpoint") == b"0\n2\n4 0\n6 1\n"
    assert [log.epoch_at(offset) for offset in (0, 1, 5)] == [4, 6, 6]
    log.close(clean=False)


def test_a_follower_keeps_offsets_and_epochs(ground):
    log = ground.open(log_start=10)
    frames = [build([b"a", b"b"], base_offset=10, epoch=2), build([b"c"], base_offset=12, epoch=5)]
    assert log.append_follower([entry_of(frame) for frame in frames], 0) == (10, 12, 10, 1000, False)
    assert log.epochs.entries == [(2, 10), (5, 12)]
    assert [bytes(frame) for frame in split(log.read(10, 1000, 13).read())] == [bytes(frame) for frame in frames]
    log.close(clean=False)


def test_a_follower_refuses_gaps_steps_back_and_old_epochs(ground):
    log = ground.open()
    append(log, b"a", b"b", epoch=3)
    for base, epoch, error in ((3, 3, UnexpectedOffset), (1, 3, UnexpectedOffset), (2, 2, EpochWentBack)):
        with pytest.raises(error):
            log.append_follower([entry_of(build(base_offset=base, epoch=epoch))], 0)
    with pytest.raises(UnexpectedOffset):
        log.append_follower([entry_of(build(base_offset=base, epoch=3)) for base in (2, 4)], 0)
    assert log.end == 2
    log.close(clean=False)


def test_a_follower_of_a_compacted_leader_may_have_holes(ground):
    log = ground.open()
    append(log, b"a", epoch=0)
    frames = [build([b"b"], base_offset=5, epoch=0), build([b"c"], base_offset=9, epoch=0)]
    log.append_follower([entry_of(frame) for frame in frames], 0, allow_gap=True)
    assert (log.end, values(log, 1), values(log, 6)) == (10, [b"b", b"c"], [b"c"])
    far = 10 + (1 << 32)
    log.append_follower([entry_of(build([b"far"], base_offset=far, epoch=0))], 0, allow_gap=True)
    assert [segment.base for segment in log.segments] == [0, far]
    assert values(log, 10) == [b"far"], "a read in the hole between segments begins behind it"
    log.close(clean=True)
    log = ground.open(clean=False)
    assert (log.repaired, values(log)) == ([], [b"a", b"b", b"c", b"far"])
    log.close(clean=False)


# -- idempotence


def test_a_repeated_append_is_answered_with_the_first_ones_offsets(ground):
    log = ground.open()
    append(log, b"other")
    first = append(log, b"a", b"b", timestamps=[7, 9], producer=1, producer_epoch=0, sequence=0)
    again = append(log, b"a", b"b", timestamps=[7, 9], producer=1, producer_epoch=0, sequence=0)
    assert (first.duplicate, again) == (False, (1, 2, 0, 9, True))
    assert log.end == 3
    log.close(clean=False)


def test_sequences_are_asked_of_clients_only(ground):
    log = ground.open()
    append(log, producer=1, producer_epoch=3, sequence=0)
    append(log, producer=1, producer_epoch=3, sequence=-1, origin=Origin.COORDINATOR)
    with pytest.raises(OutOfOrderSequence):
        append(log, producer=1, producer_epoch=3, sequence=9)
    append(log, producer=1, producer_epoch=3, sequence=9, origin=Origin.COORDINATOR)
    with pytest.raises(InvalidProducerEpoch):
        append(log, producer=1, producer_epoch=2, sequence=-1, control=True, origin=Origin.COORDINATOR)
    append(log, producer=1, producer_epoch=2, sequence=5, origin=Origin.REPLICATION)
    assert log.end == 4
    log.close(clean=False)


@pytest.mark.parametrize("stop", ["clean", "killed", "killed without snapshots"])
def test_all_five_batches_are_recognised_after_a_restart(ground, stop):
    config = LogConfig(segment_bytes=300)
    log = ground.open(config)
    for number in range(8):
        append(log, b"x" * 50, producer=1, producer_epoch=0, sequence=number)
        append(log, b"y" * 50, producer=2, producer_epoch=0, sequence=number)
    assert len(log.segments) > 5
    log.close(clean=stop == "clean")
    if stop == "killed without snapshots":
        for name in list(ground.files.entries(ground.directory)):
            if name.endswith(".snapshot"):
                ground.files.remove(f"{ground.directory}/{name}")
    log = ground.open(config, clean=stop == "clean")
    for number in range(3, 8):
        again = append(log, b"x" * 50, producer=1, producer_epoch=0, sequence=number)
        assert (again.duplicate, again.base_offset) == (True, 2 * number)
    for wrong in (2, 9):
        with pytest.raises(OutOfOrderSequence):
            append(log, b"x" * 50, producer=1, producer_epoch=0, sequence=wrong)
    assert not append(log, b"x" * 50, producer=1, producer_epoch=0, sequence=8).duplicate
    log.close(clean=False)


def test_batches_that_lie_too_far_back_are_looked_for_within_bounds(ground):
    log = ground.open(LogConfig(index_interval_bytes=0))
    for number in range(2):
        append(log, producer=1, producer_epoch=0, sequence=number)
        for _ in range(300):
            append(log)
    log.close(clean=True)
    log = ground.open(LogConfig(index_interval_bytes=0))
    assert append(log, producer=1, producer_epoch=0, sequence=1).duplicate
    with pytest.raises(OutOfOrderSequence):
        append(log, producer=1, producer_epoch=0, sequence=0)
    log.close(clean=False)


def test_producers_expire_when_the_log_is_opened(ground):
    log = ground.open()
    append(log, timestamps=1000, producer=1, producer_epoch=0, sequence=0)
    log.close(clean=True)
    log = ground.open(LogConfig(producer_id_expiration_ms=500), now_ms=1499)
    assert len(log.producers) == 1
    log.close(clean=True)
    log = ground.open(LogConfig(producer_id_expiration_ms=500), now_ms=1500)
    assert len(log.producers) == 0
    log.close(clean=True)


def test_a_producer_that_writes_old_timestamps_is_remembered_after_a_kill(ground):
    log = ground.open()
    append(log, timestamps=1000, producer=1, producer_epoch=0, sequence=0)
    log.close(clean=False)
    log = ground.open(clean=False, now_ms=1_700_000_000_000)
    assert append(log, timestamps=1000, producer=1, producer_epoch=0, sequence=0).duplicate
    log.close(clean=False)


# -- failures


def faulty_log(config=None):
    files = FaultyFiles()
    log = Log.open(files, "/t-0", FORMAT, config or LogConfig(), clean=True, now_ms=0)
    append(log, b"first", producer=1, producer_epoch=0, sequence=0)
    return files, log


@pytest.mark.parametrize("partial", [0, 1, 40, 70])
def test_a_failed_write_is_undone_and_the_same_append_works_later(partial):
    files, log = faulty_log()
    size = files.entries("/t-0")["00000000000000000000.log"]
    files.fail("append", partial=partial)
    with pytest.raises(DiskFull, match=r"/t-0: injected at append \(errno 28\)"):
        append(log, b"second", producer=1, producer_epoch=0, sequence=1)
    assert (log.end, log.poisoned) == (1, None)
    assert files.entries("/t-0")["00000000000000000000.log"] == size
    assert values(log) == [b"first"]
    again = append(log, b"second", producer=1, producer_epoch=0, sequence=1)
    assert (again.base_offset, again.duplicate) == (1, False)
    assert values(log) == [b"first", b"second"]


def test_another_failure_of_a_write_is_no_full_disk():
    files, log = faulty_log()
    files.fail("append", number=errno.EIO)
    with pytest.raises(WriteFailed) as raised:
        append(log, b"second")
    assert not isinstance(raised.value, DiskFull)


def test_a_failed_write_that_can_not_be_undone_poisons_the_log():
    files, log = faulty_log()
    log.flush()
    files.fail("append", number=errno.EIO, partial=10)
    files.fail("truncate", number=errno.EIO)
    with pytest.raises(WriteFailed):
        append(log, b"second")
    files.heal()
    with pytest.raises(Poisoned):
        append(log, b"third")
    assert [value for _, _, value in records(log.read(0, 1000, 1).read())] == [b"first"]


def test_no_offset_is_given_twice_when_no_file_can_be_read_any_more():
    """Index entries are written out now and then; the append behind that must not need to read them back."""
    files, log = faulty_log(LogConfig(index_interval_bytes=0))
    files.fail("read", number=errno.EMFILE, every=True)
    for number in range(1, 600):
        assert append(log, b"%d" % number, timestamps=1000 + number).base_offset == number
    files.heal()
    assert values(log)[1:] == [b"%d" % number for number in range(1, 600)]
    again = Log.open(files, "/t-0", FORMAT, LogConfig(), clean=False, now_ms=0)
    assert (again.end, again.repaired) == (600, [])


def test_an_append_that_can_not_be_remembered_poisons_the_log():
    _, log = faulty_log()
    log.flush()
    log.segments[-1]._lasts = array("B", [0])  # has no room for a larger offset
    with pytest.raises(OverflowError):
        log.append_leader([claiming(300)], 0, 0)
    with pytest.raises(Poisoned):
        append(log, b"third")
    assert [value for _, _, value in records(log.read(0, 1000, 1).read())] == [b"first"]


@pytest.mark.parametrize("kind", ["create", "append", "replace", "make_directory", "remove", "truncate"])
def test_whatever_fails_in_a_first_append_or_a_roll_the_log_is_whole_and_goes_on(kind):
    """Fails each call that a scenario of appends and rolls makes; every append is tried until it works."""
    config = LogConfig(segment_bytes=300, index_interval_bytes=50)
    for nth in range(1, 40):
        files = FaultyFiles()
        log = Log.open(files, "/d/t-0", FORMAT, config, clean=True, now_ms=0)
        files.fail(kind, nth, partial=7)
        refused = 0
        for number in range(8):
            for _ in range(3):
                try:
                    appended = append(log, b"%d" % number, bytes(60), epoch=number // 3, timestamps=number)
                except WriteFailed:
                    refused += 1
                    assert log.end == 2 * number
                else:
                    assert appended.base_offset == 2 * number
                    break
        assert log.poisoned is None
        assert values(log) == [value for number in range(8) for value in (b"%d" % number, bytes(60))]
        assert log.epochs.entries == [(0, 0), (1, 6), (2, 12)]
        reopened = Log.open(files.inner, "/d/t-0", FORMAT, config, clean=False, now_ms=0)
        assert reopened.repaired == []
        assert values(reopened) == values(log)
        assert reopened.epochs.entries == log.epochs.entries
        if files.calls[kind] < nth:
            return
    raise AssertionError("the scenario never ended without a failure")


@pytest.mark.parametrize("kind", ["create", "open", "append", "replace", "make_directory", "remove", "truncate"])
def test_what_is_appended_after_a_roll_that_failed_is_there_after_a_restart(kind):
    """The frame that needed a new segment is given up, and smaller ones still have room in the old one."""
    config = LogConfig(segment_bytes=400, index_interval_bytes=50)
    for nth in range(1, 40):
        files = FaultyFiles()
        log = Log.open(files, "/t-0", FORMAT, config, clean=True, now_ms=0)
        files.fail(kind, nth, partial=7)
        kept = []
        for number, size in enumerate((60, 10, 300, 10, 10, 250, 10, 300, 10)):
            with suppress(WriteFailed):
                append(log, b"%d" % number + bytes(size), timestamps=number)
                kept.append(b"%d" % number + bytes(size))
        assert values(log) == kept
        assert log.poisoned is None
        for clean in (False, True):
            reopened = Log.open(files.inner, "/t-0", FORMAT, config, clean=clean, now_ms=0)
            assert values(reopened) == kept
            reopened.close(clean=True)
        if files.calls[kind] < nth:
            return
    raise AssertionError("the scenario never ended without a failure")


def test_what_a_failed_write_left_is_cut_off_on_the_disk_too_before_anything_behind_it_is_durable():
    """A power cut might bring the frame back, in a segment that is not the last any more and is not verified."""
    files, log = faulty_log(LogConfig(segment_bytes=400))
    log.flush()
    files.fail("append", partial=1000)
    with pytest.raises(DiskFull):
        append(log, bytes(20))
    append(log, bytes(300))
    assert len(log.segments) == 2
    synced = files.calls["sync"]
    log.flush()
    assert files.calls["sync"] == synced + 2


@pytest.mark.parametrize("kind", ["truncate", "remove", "replace"])
def test_a_cut_that_fails_half_way_poisons_the_log(kind):
    files, log = faulty_log(LogConfig(segment_bytes=1000 if kind == "truncate" else 150))
    for number in range(4):
        append(log, bytes(50), epoch=number)
    files.fail(kind)
    with pytest.raises(WriteFailed):
        log.truncate(1)
    files.heal()
    with pytest.raises(Poisoned):
        append(log)
    reopened = Log.open(files.inner, "/t-0", FORMAT, log.config, clean=False, now_ms=0)
    assert reopened.read(0, 1, 1).nbytes


def test_a_close_that_can_not_save_says_so_and_lets_go_all_the_same():
    files, log = faulty_log()
    files.fail("create", every=True)
    with pytest.raises(DiskFull):
        log.close(clean=True)
    files.heal()
    log.close(clean=True)
    reopened = Log.open(files.inner, "/t-0", FORMAT, LogConfig(), clean=False, now_ms=0)
    assert values(reopened) == [b"first"]


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("nth", range(2, 7))
def test_a_wrong_index_that_can_not_be_rebuilt_now_hides_no_record(active, nth):
    files = FaultyFiles()
    config = LogConfig(index_interval_bytes=100, segment_bytes=1 << 20 if active else 60_000)
    log = Log.open(files, "/t-0", FORMAT, config, clean=True, now_ms=0)
    for number in range(1000):
        append(log, b"%d" % number * 20)
    log.close(clean=True)
    log = Log.open(files, "/t-0", FORMAT, config, clean=True, now_ms=0)
    assert (len(log.segments) == 1) is active
    files.inner.open(log.segments[0].index_paths[0]).append([b"\0\0\0\1" * 200], 800, 0)
    files.fail("read", nth, errno.EMFILE)
    with suppress(OSError):
        log.read(50, 100, log.end)
    files.heal()
    assert append(log, b"x").base_offset == 1000
    for offset in (50, 100, 300, 1000):
        assert FORMAT.scan(log.read(offset, 100, log.end).read()).base_offset == offset


# -- cutting and ending


def test_truncation_at_the_end_or_beyond_changes_nothing(ground):
    log = ground.open()
    log.truncate(0)
    append(log)
    log.truncate(1)
    log.truncate(9)
    assert log.end == 1
    log.close(clean=False)


def test_truncation_below_the_start_begins_anew(ground):
    log = ground.open()
    for _ in range(3):
        append(log, epoch=2)
    log.delete_before(2)
    log.truncate(1)
    assert (log.start, log.end, log.epochs.entries) == (1, 1, [])
    assert append(log, b"new", epoch=3).base_offset == 1
    log.close(clean=True)
    log = ground.open()
    assert (log.start, log.end, values(log)) == (1, 2, [b"new"])
    log.close(clean=True)


def test_what_producers_wrote_behind_a_cut_is_forgotten(ground):
    log = ground.open()
    for number in range(3):
        append(log, producer=1, producer_epoch=0, sequence=number)
    log.truncate(1)
    assert not append(log, producer=1, producer_epoch=0, sequence=1).duplicate
    assert append(log, producer=1, producer_epoch=0, sequence=0).duplicate
    log.close(clean=False)


def test_deletion_beyond_the_end_is_refused(ground):
    log = ground.open()
    append(log)
    with pytest.raises(OffsetOutOfRange):
        log.delete_before(2)
    log.delete_before(1)
    assert (log.start, log.end) == (1, 1)
    assert log.read(1, 10, 1).read() == b""
    log.close(clean=False)


@pytest.mark.parametrize("renames", [True, False])
def test_large_files_may_be_removed_later_and_readers_go_on(ground, renames):
    files = FaultyFiles(ground.files)
    log = ground._replace(files=files).open(LogConfig(segment_bytes=150))
    for value in (b"a" * 50, b"b" * 50, b"c" * 50):
        append(log, value)
    reader = log.read(0, 1000, 1)
    if not renames:
        files.fail("rename", every=True)
    aside = []
    log.delete_before(2, aside)
    kept, gone = f"{2:020}.log", [f"{base:020}.log.deleted" for base in (0, 1)]
    assert len(aside) == (2 if renames else 0)
    if renames:
        assert [name for name in sorted(files.entries(log.home.directory)) if ".log" in name] == [*gone, kept]
    assert b"a" * 50 in reader.read()
    reader.close()
    for removal in aside:
        removal.run()
    assert [name for name in files.entries(log.home.directory) if ".log" in name] == [kept]
    log.close(clean=False)


def test_records_below_the_start_are_not_found_by_time(ground):
    log = ground.open()
    append(log, b"a", b"b", b"c", timestamps=[10, 20, 30])
    log.delete_before(1)
    assert log.offset_for_timestamp(0) == (1, 20, 0)
    log.delete_before(3)
    assert log.offset_for_timestamp(0) is None
    log.close(clean=False)


def test_the_newest_record_is_the_first_of_those_as_new(ground):
    log = ground.open()
    append(log, b"a", b"b", timestamps=[10, 30], epoch=1)
    log.roll(0)
    append(log, b"c", b"d", timestamps=[30, 30], epoch=2)
    assert log.max_timestamp() == (1, 30, 1)
    append(log, b"e", b"f", b"g", timestamps=[5, 40, 40], epoch=2)
    assert log.max_timestamp() == (5, 40, 2)
    log.close(clean=False)


def test_a_closed_log_refuses_everything(ground):
    log = ground.open()
    append(log)
    piece = log.read(0, 100, 1)
    log.close(clean=True)
    log.close(clean=True)
    for refused in (lambda: append(log), lambda: log.read(0, 10, 1), lambda: log.roll(0), lambda: log.truncate(0)):
        with pytest.raises(Closed, match="the log is closed"):
            refused()
    for refused in (lambda: log.restart_at(0), lambda: log.delete_before(1)):
        with pytest.raises(Closed):
            refused()
    assert split(piece.read())
    piece.close()


def test_a_deleted_log_is_renamed_away_and_its_readers_go_on(ground):
    log = ground.open()
    append(log, b"old")
    piece = log.read(0, 100, 1)
    removal = log.delete("ab" * 16)
    parent = ground.directory.rpartition("/")[0]
    assert removal.path == f"{parent}/topic-0.{'ab' * 16}-delete"
    assert list(ground.files.entries(parent)) == [f"topic-0.{'ab' * 16}-delete"]
    fresh = ground.open()
    append(fresh, b"new")
    assert values(fresh) == [b"new"]
    removal.run()
    assert [value for _, _, value in records(piece.read())] == [b"old"]
    piece.close()
    assert list(ground.files.entries(parent)) == ["topic-0"]
    assert ground.open(log_start=5).delete("cd" * 16).path is not None
    fresh.close(clean=False)


def test_a_log_without_a_folder_is_deleted_too(ground):
    removal = ground.open().delete("ab" * 16)
    assert removal.path is None
    removal.run()


def test_a_deleted_logs_name_fits_a_file_name(ground):
    long = ground._replace(directory=ground.directory.rpartition("/")[0] + "/" + "t" * 249 + "-0")
    log = long.open()
    append(log)
    path = log.delete("ab" * 16).path
    assert len(path.rpartition("/")[2]) == 255
    assert path.endswith(f".{'ab' * 16}-delete")


def test_a_slow_reader_gets_the_right_bytes_of_a_deleted_segment_under_descriptor_pressure(tmp_path):
    files = DiskFiles(limit=1)
    log = Log.open(files, f"{tmp_path}/t-0", FORMAT, LogConfig(segment_bytes=500), clean=True, now_ms=0)
    for number in range(20):
        append(log, b"%03d" % number * 50)
    pieces = [(offset, log.read(offset, 1000, 20)) for offset in (0, 3, 6, 9)]
    log.delete_before(18)
    for number in range(20, 60):
        append(log, b"%03d" % number * 50)
        log.read(number, 10, log.end).close()
    for offset, piece in pieces:
        frame = split(piece.read())[0]
        assert [value for _, _, value in records(frame)] == [b"%03d" % offset * 50]
        piece.close()
    log.close(clean=True)
    files.close()
