"""Both indexes of a segment: believed only as far as the log confirms them."""

import random

import pytest

from kbroker_storage import LogConfig
from kbroker_storage.indexes import Indexes
from storage_faults import FaultyFiles
from storage_frames import FORMAT, build, entry_of

SEGMENT = "00000000000000000000"


def filled(ground, count=400, *, close=True):
    """A closed log of one segment, and what it answers."""
    log = ground.open(LogConfig(index_interval_bytes=500))
    rng = random.Random(3)
    for number in range(count):
        log.append_leader([entry_of(build([bytes(rng.randint(0, 200))], 1000 + number // 3 * 3))], 0, 0)
    if close:
        log.close(clean=True)
    return log


def answers(log):
    reads = [log.read(offset, 1, log.end).read() for offset in range(0, log.end, 17)]
    times = [log.offset_for_timestamp(timestamp) for timestamp in range(990, 1000 + log.end, 13)]
    return reads, times, log.max_timestamp()


def index_files(ground):
    entries = ground.files.entries(ground.directory)
    return {name: ground.files.read(f"{ground.directory}/{name}") for name in entries if name.endswith("index")}


def test_indexes_rebuilt_from_the_log_equal_those_written_beside_it(ground):
    filled(ground)
    written = index_files(ground)
    assert len(written[f"{SEGMENT}.index"]) > 60 * 8
    assert len(written[f"{SEGMENT}.timeindex"]) > 40 * 12
    for name in written:
        ground.files.remove(f"{ground.directory}/{name}")
    ground.open(LogConfig(index_interval_bytes=500), clean=False).close(clean=True)
    assert index_files(ground) == written


def test_an_entry_carries_its_frames_last_offset_and_position(ground):
    log = ground.open(LogConfig(index_interval_bytes=100))
    sizes = []
    for values in ([b"a"] * 3, [b"b" * 150], [b"c"], [b"d" * 20] * 2):
        frame = build(values, 5)
        sizes.append(len(frame))
        log.append_leader([entry_of(frame)], 0, 0)
    # a frame is indexed if it begins more than 100 bytes behind the last indexed one
    assert list(log.segments[0].indexes.offsets) == [(4, sum(sizes[:2]))]
    assert list(log.segments[0].indexes.times) == [(5, 2)]
    log.close(clean=False)


HARMS = {
    "lost": lambda data, rng: None,
    "empty": lambda data, rng: b"",
    "cut within an entry": lambda data, rng: data[:101],
    "cut": lambda data, rng: data[:96],
    "zero": lambda data, rng: bytes(len(data)),
    "zero from the middle": lambda data, rng: data[:240].ljust(len(data), b"\0"),
    "random": lambda data, rng: rng.randbytes(len(data)),
    "random in the middle": lambda data, rng: data[:120] + rng.randbytes(48) + data[168:],
    "shifted": lambda data, rng: data[:48] + b"\0\0\0\1" + data[52:],
    "beyond the log": lambda data, rng: data + bytes.fromhex("7fffffff7fffffff7fffffff"),
    "of the last frame only": lambda data, rng: data[-24:],
    "all ones": lambda data, rng: b"\xff" * len(data),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "killed"])
@pytest.mark.parametrize("rolled", [True, False], ids=["closed segment", "active segment"])
def test_whatever_an_index_file_holds_no_answer_is_wrong(ground, harm, suffix, clean, rolled):
    log = filled(ground, close=False)
    if rolled:
        log.roll(0)
        log.append_leader([entry_of(build([b"new"], 5000))], 0, 0)
    expected = answers(log)
    log.close(clean=True)
    path = f"{ground.directory}/{SEGMENT}{suffix}"
    harmed = HARMS[harm](ground.files.read(path), random.Random(9))
    if harmed is None:
        ground.files.remove(path)
    else:
        ground.files.replace(path, harmed, sync=False)
    opened = ground.open(LogConfig(index_interval_bytes=500), clean=clean)
    assert opened.repaired == []
    assert opened.end == log.end
    assert answers(opened) == expected
    opened.close(clean=True)


def test_an_index_that_lacks_most_entries_is_noticed_by_long_walks(ground):
    log = ground.open(LogConfig(index_interval_bytes=500))
    for number in range(6000):
        log.append_leader([entry_of(build([b""], number))], 0, 0)
    log.roll(0)
    log.close(clean=True)
    path = f"{ground.directory}/{SEGMENT}.index"
    whole = ground.files.read(path)
    ground.files.replace(path, whole[:16], sync=False)
    opened = ground.open(LogConfig(index_interval_bytes=500))
    assert FORMAT.scan(opened.read(5990, 1, opened.end).read()).base_offset == 5990
    opened.close(clean=True)
    assert ground.files.read(path) == whole


def test_a_full_disk_keeps_entries_waiting_and_loses_none(ground):
    faulty = FaultyFiles()
    faulty.make_directory("/d")
    indexes = Indexes.create(faulty, "/d/0")
    faulty.fail("create", every=True)
    for number in range(1000):
        indexes.add_time(number, number)
        indexes.add(number, number)
    with pytest.raises(OSError, match="injected"):
        indexes.save()
    assert indexes.offsets.floor(500) == (500, 500)
    faulty.heal()
    indexes.save()
    assert list(Indexes.load(faulty, "/d/0").offsets) == [(number, number) for number in range(1000)]


def test_old_files_do_not_show_through_new_indexes(ground, files):
    first = Indexes.create(files, f"{ground.directory}/0")
    first.add(1, 1)
    first.save()
    first.close()
    second = Indexes.create(files, f"{ground.directory}/0")
    second.save()
    assert len(Indexes.load(files, f"{ground.directory}/0").offsets) == 0


def test_idle_indexes_take_little_memory(ground):
    log = filled(ground, 2000, close=False)
    offsets = log.segments[0].indexes.offsets
    assert offsets._keys.itemsize * len(offsets._keys) <= 1024
    log.close(clean=False)
