"""Starts after a crash: nothing that was whole is lost, nothing is invented, no start is refused."""

import random

import pytest

from kbroker_storage import DiskFull, Log, LogConfig, MemoryFiles
from storage_faults import FaultyFiles
from storage_frames import FORMAT, build, entry_of, records, split

DIRECTORY = "/data/t-0"
FIRST = f"{DIRECTORY}/00000000000000000000.log"


def open_log(files, *, clean=False, config=None, **options):
    return Log.open(files, DIRECTORY, FORMAT, config or LogConfig(), clean=clean, now_ms=0, **options)


def append(log, *values, epoch=1):
    return log.append_leader([entry_of(build(list(values), 1000 + log.end))], epoch, 0)


def written(count=6, size=50, config=None):
    """Files of a log with frames of two records each, not closed."""
    files = MemoryFiles()
    log = open_log(files, config=config)
    for number in range(count):
        append(log, b"%d" % number * size, b"second")
    return files, log


def frames_of(log):
    """All frames, each read by the offset behind the last: as a consumer does."""
    frames, offset = [], log.start
    while offset < log.end:
        got = split(log.read(offset, 1, log.end).read())
        if not got:
            break
        frames += got
        offset = FORMAT.scan(got[-1]).last_offset + 1
    return frames


def harm(files, path, position, data):
    file = files.open(path)
    whole = bytearray(file.read(0, file.size()))
    whole[position : position + len(data)] = data
    files.replace(path, bytes(whole), sync=False)


def cut(files, path, size):
    files.replace(path, files.read(path)[:size], sync=False)


def test_a_write_torn_at_any_byte_loses_that_frame_alone():
    files, log = written(4)
    frames = frames_of(log)
    before = sum(map(len, frames[:3]))
    for kept in range(len(frames[3])):
        torn = files.clone()
        cut(torn, FIRST, before + kept)
        opened = open_log(torn, recovery_point=2)
        assert (opened.end, opened.durable_end) == (6, 2)
        assert frames_of(opened) == frames[:3]
        assert torn.entries(DIRECTORY)["00000000000000000000.log"] == before
        assert len(opened.repaired) == (1 if kept else 0)
        assert append(opened, b"again").base_offset == 6
        assert opened.offset_for_timestamp(1006) == (6, 1006, 1)


TAILS = [bytes(1), bytes(5000), random.Random(1).randbytes(5000), b"\xff" * 100, bytes(5_000_000)]


@pytest.mark.parametrize("tail", TAILS, ids=["one zero", "zeros", "random", "ones", "many zeros"])
@pytest.mark.parametrize("clean", [True, False])
def test_garbage_and_zeros_at_the_tail_are_cut(tail, clean):
    files, log = written()
    frames = frames_of(log)
    log.close(clean=True)
    file = files.open(FIRST)
    file.append([tail], len(tail), file.size())
    opened = open_log(files, clean=clean)
    assert frames_of(opened) == frames
    assert opened.end == 12
    assert opened.repaired
    assert not [name for name in files.entries(DIRECTORY) if "damaged" in name]
    opened.close(clean=True)
    assert open_log(files, clean=True).repaired == []


def reopened_alike(files, log, frames, end):
    """The log holds `frames` and goes on at `end`; so it does after every further start."""
    for clean in (False, True):
        assert frames_of(log) == frames
        assert log.end == end
        log.close(clean=True)
        log = open_log(files, clean=clean)
        assert log.repaired == []
    assert append(log, b"new").base_offset == end
    assert [value for frame in frames_of(log)[-1:] for _, _, value in records(frame)] == [b"new"]


def places_in_a_frame():
    """What to write where in a frame, by what it harms."""
    return {
        "base offset": (0, b"\x7f"),
        "base offset a little": (7, b"\x05"),
        "base offset back": (7, b"\x01"),
        "length": (8, b"\x7f\xff"),
        "small length": (8, b"\0\0\0\1"),
        "epoch": (12, b"\0\0\0\x63"),
        "magic": (16, b"\1"),
        "checksum": (17, b"\xab\xcd"),
        "records": (70, b"\xff"),
        "all": (0, b"\xee" * 130),
        "zeros": (0, bytes(130)),
    }


@pytest.mark.parametrize("place", places_in_a_frame())
@pytest.mark.parametrize("victim", [0, 2, 4])
def test_damage_in_the_middle_is_set_aside_and_the_log_goes_on_behind_it(place, victim):
    files, log = written()
    frames = frames_of(log)
    position = sum(map(len, frames[:victim]))
    at, data = places_in_a_frame()[place]
    harm(files, FIRST, position + at, data[: len(frames[victim])])
    damaged = files.read(FIRST)[position : position + len(frames[victim])]
    if damaged == frames[victim]:
        pytest.skip("these bytes were there before")
    opened = open_log(files)
    kept = frames[:victim] + frames[victim + 1 :]
    assert files.read(f"{FIRST}.{position}.damaged") == damaged
    assert len(opened.repaired) == 1
    assert "set" in opened.repaired[0]
    piece = opened.read(2 * victim, 10_000, opened.end).read()
    assert split(piece)[0] == frames[victim + 1], "a read in the hole begins behind it"
    reopened_alike(files, opened, kept, 12)


@pytest.mark.parametrize("synced", [0, 1, 2], ids="{} frames synced in it".format)
@pytest.mark.parametrize("sector", [1, 2, 5])
def test_behind_a_sector_that_was_never_written_nothing_counts(sector, synced):
    files, log = written(30, size=100)
    frames = frames_of(log)
    whole = files.read(FIRST)
    kept = []
    while sum(map(len, kept)) + len(frames[len(kept)]) <= sector * 512:
        kept.append(frames[len(kept)])
    kept += frames[len(kept) :][:synced]
    position, end = sum(map(len, kept)), (sector + 1) * 512
    assert position < end - 12
    start = position if synced else sector * 512
    harm(files, FIRST, start, bytes(end - start))
    opened = open_log(files, recovery_point=2)
    assert files.read(f"{FIRST}.{position}.damaged") == whole[position:start] + bytes(end - start) + whole[end:]
    assert len(opened.repaired) == 1
    reopened_alike(files, opened, kept, 2 * len(kept))


def test_several_damages_are_each_set_aside():
    files, log = written(10)
    frames = frames_of(log)
    for victim in (1, 4, 5, 8):
        harm(files, FIRST, sum(map(len, frames[:victim])) + 30, b"\xff\xff\xff")
    opened = open_log(files)
    kept = [frame for number, frame in enumerate(frames) if number not in {1, 4, 5, 8}]
    assert len([name for name in files.entries(DIRECTORY) if name.endswith(".damaged")]) == 3
    reopened_alike(files, opened, kept, 20)


def test_a_frame_inside_a_damaged_frame_is_not_taken_for_one_of_the_log():
    files = MemoryFiles()
    log = open_log(files)
    append(log, b"first")
    inner = build([b"inner"], base_offset=3, epoch=1)
    append(log, bytes(inner))
    append(log, b"last")
    frames = frames_of(log)
    harm(files, FIRST, len(frames[0]) + 17, b"\0\0\0\0")
    opened = open_log(files)
    assert frames_of(opened) == [frames[0], frames[2]]


def test_damage_at_the_end_of_an_older_segment_is_set_aside():
    config = LogConfig(segment_bytes=400)
    files, log = written(8, config=config)
    frames = frames_of(log)
    assert len(log.segments) > 2
    second = log.segments[1].base
    inside = [frame for frame in frames if FORMAT.scan(frame).base_offset < second]
    victim = inside[-1]
    position = sum(map(len, inside[:-1]))
    harm(files, FIRST, position + 25, b"\xff\xff")
    opened = open_log(files, config=config)
    assert frames_of(opened) == [frame for frame in frames if frame != victim]
    assert len(files.read(f"{FIRST}.{position}.damaged")) == len(victim)
    assert opened.end == log.end


def test_garbage_before_the_first_frame_is_set_aside_under_the_segments_own_name():
    files, log = written(3)
    frames = frames_of(log)
    files.replace(FIRST, b"\xaa" * 77 + b"".join(frames), sync=False)
    opened = open_log(files)
    assert files.read(f"{FIRST}.0.damaged") == b"\xaa" * 77
    reopened_alike(files, opened, frames, 6)


@pytest.mark.parametrize("filling", [b"\0", b"\1"], ids=["zeros", "ones"])
def test_a_large_damaged_stretch_is_searched_through(filling):
    files, log = written(3, size=700_000)
    frames = frames_of(log)
    rng = random.Random(5)
    noise = rng.randbytes(2_500_000) + filling * 2_500_000 + b"\1" + bytes(50)
    files.replace(FIRST, frames[0] + noise + frames[2], sync=False)
    opened = open_log(files)
    if any(filling):
        assert frames_of(opened) == [frames[0], frames[2]]
        assert files.read(f"{FIRST}.{len(frames[0])}.damaged") == noise
    else:
        assert frames_of(opened) == [frames[0]]
        assert files.read(f"{FIRST}.{len(frames[0])}.damaged") == noise + frames[2]


def test_an_interrupted_recovery_is_done_again_to_the_same_effect():
    """Fails each call that recovery makes, one after the other, as if the process had died there."""
    files, log = written(8, config=LogConfig(segment_bytes=700))
    frames = frames_of(log)
    harm(files, FIRST, len(frames[0]) + 30, b"\xff\xff\xff")
    kept = [frames[0], *frames[2:]]
    kinds = ("open", "create", "append", "truncate", "sync", "replace", "rename", "remove", "sync_directory")
    interruptions = 0
    for kind in kinds:
        for nth in range(1, 60):
            faulty = FaultyFiles(files.clone())
            faulty.fail(kind, nth, partial=10)
            try:
                open_log(faulty)
            except OSError:
                interruptions += 1
            if faulty.calls[kind] < nth:
                break
            opened = open_log(faulty.inner)
            assert frames_of(opened) == kept
            assert opened.end == 16
    assert interruptions > 20


def test_a_log_is_recovered_on_a_full_disk():
    """Its broker died of that: what recovery would write can be made again at any time."""
    files, log = written(8, config=LogConfig(segment_bytes=300, index_interval_bytes=50))
    frames = frames_of(log)
    cut(files, log.segments[-1].path, log.segments[-1].size - 1)
    for name in [name for name in files.entries(DIRECTORY) if name.endswith("index")]:
        files.remove(f"{DIRECTORY}/{name}")
    faulty = FaultyFiles(files)
    for kind in ("create", "append", "replace"):
        faulty.fail(kind, every=True)
    opened = open_log(faulty)
    assert len(opened.segments) == len(log.segments) > 2
    assert frames_of(opened) == frames[:-1]
    with pytest.raises(DiskFull):
        append(opened, b"more")
    faulty.heal()
    assert append(opened, b"more").base_offset == opened.end - 1
    assert open_log(files).repaired == []


def test_only_what_lies_above_the_recovery_point_is_verified():
    files, log = written()
    frames = frames_of(log)
    harm(files, FIRST, 70, b"\xff")
    opened = open_log(files, recovery_point=4)
    assert opened.repaired == []
    assert opened.durable_end == 4
    assert len(frames_of(opened)) == len(frames)
    assert open_log(files, recovery_point=0).repaired


def test_a_recovered_tail_is_not_durable_until_it_is_synced():
    files, log = written()
    log.flush()
    append(log, b"unsynced")
    opened = open_log(files, recovery_point=12)
    assert (opened.end, opened.durable_end) == (13, 12)
    plan = opened.plan_flush()
    assert plan.end == 13
    plan.run()
    opened.flushed(plan)
    assert opened.durable_end == 13


def test_a_recovery_point_beyond_what_is_left_is_no_promise():
    files, _ = written(2)
    opened = open_log(files, recovery_point=100)
    assert (opened.end, opened.durable_end) == (4, 4)


def test_damage_below_the_recovery_point_that_is_met_makes_everything_be_verified():
    files, log = written(3)
    frames = frames_of(log)
    log.close(clean=True)
    for name in list(files.entries(DIRECTORY)):
        if not name.endswith(".log"):
            files.remove(f"{DIRECTORY}/{name}")
    harm(files, FIRST, len(frames[0]) + 8, b"\xff\xff")
    opened = open_log(files, recovery_point=6)
    assert frames_of(opened) == [frames[0], frames[2]]
    assert opened.repaired


def test_what_an_interrupted_step_left_is_cleaned_up():
    files, log = written(8, config=LogConfig(segment_bytes=400))
    log.close(clean=True)
    orphans = ("00000000000000000099.index", "00000000000000000099.timeindex")
    for name in ("x.tmp", "00000000000000000000.log.deleted", *orphans):
        files.replace(f"{DIRECTORY}/{name}", b"left", sync=False)
    files.replace(f"{DIRECTORY}/partition.metadata", b"kept", sync=False)
    before = files.entries(DIRECTORY)
    open_log(files, clean=True)
    assert sorted(set(before) - set(files.entries(DIRECTORY))) == [
        "00000000000000000000.log.deleted",
        "00000000000000000099.index",
        "00000000000000000099.timeindex",
        "x.tmp",
    ]


def test_segments_below_the_logs_start_are_removed():
    config = LogConfig(segment_bytes=400)
    files, log = written(8, config=config)
    bases = [segment.base for segment in log.segments]
    log.close(clean=True)
    opened = open_log(files, clean=True, config=config, log_start=bases[2] + 1)
    assert [segment.base for segment in opened.segments] == bases[2:]
    assert opened.start == bases[2] + 1
    names = files.entries(DIRECTORY)
    assert not [name for name in names if name.startswith(f"{bases[1]:020d}")]


def test_a_start_beyond_the_end_begins_the_log_anew():
    files, _ = written(2)
    opened = open_log(files, log_start=50)
    assert (opened.start, opened.end) == (50, 50)
    assert "begun anew" in opened.repaired[0]
    assert append(opened, b"x").base_offset == 50


def test_an_empty_segment_at_the_end_says_where_the_log_ends():
    files, log = written(2)
    log.roll(0)
    opened = open_log(files)
    assert (opened.start, opened.end) == (0, 4)
    assert opened.read(4, 100, 4).nbytes == 0
    assert append(opened, b"x").base_offset == 4


def test_an_epoch_that_only_the_frames_know_is_found_again():
    files, log = written(2)
    log.flush()
    append(log, b"x", epoch=5)
    files.remove(f"{DIRECTORY}/leader-epoch-checkpoint")
    assert open_log(files, recovery_point=4).epochs.entries == [(1, 0), (5, 4)]
    files.replace(f"{DIRECTORY}/leader-epoch-checkpoint", b"nonsense", sync=False)
    opened = open_log(files, recovery_point=5)
    assert opened.epochs.entries == [(1, 0), (5, 4)]
    assert "leader-epoch-checkpoint" in opened.repaired[0]
    assert files.read(f"{DIRECTORY}/leader-epoch-checkpoint") == b"0\n2\n1 0\n5 4\n"
    files.replace(f"{DIRECTORY}/leader-epoch-checkpoint", b"0\n1\n1 0\n", sync=False)
    assert open_log(files, recovery_point=4).epochs.entries == [(1, 0), (5, 4)]


def test_damage_that_a_clean_start_stumbles_on_makes_everything_be_verified():
    files, log = written(8, config=LogConfig(index_interval_bytes=0))
    frames = frames_of(log)
    log.close(clean=True)
    files.remove(f"{DIRECTORY}/00000000000000000016.snapshot")
    harm(files, FIRST, len(frames[0]) + 8, b"\xff\xff")
    opened = open_log(files, clean=True)
    assert "verified the whole log" in opened.repaired[0]
    reopened_alike(files, opened, [frames[0], *frames[2:]], 16)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("offset", [0, 2**31, 2**62, -1, -(2**62)])
def test_an_offset_that_can_not_be_is_damage_like_any_other(offset, clean):
    """An offset is not under the checksum; below the recovery point it is met by its header alone."""
    files, log = written(8)
    frames = frames_of(log)
    log.flush()
    log.close(clean=clean)
    harm(files, FIRST, sum(map(len, frames[:3])), offset.to_bytes(8, "big", signed=True))
    opened = open_log(files, clean=clean, recovery_point=16)
    assert opened.repaired
    assert frames_of(opened) == [*frames[:3], *frames[4:]]
    reopened_alike(files, opened, [*frames[:3], *frames[4:]], 16)
