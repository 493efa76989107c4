"""Producers and their files beside the log: when snapshots are taken, and which of them a start may believe."""

from kbroker_storage import Log, LogConfig, MemoryFiles
from kbroker_storage.producer_state import SNAPSHOT_BYTES, SNAPSHOT_BYTES_EACH
from storage_frames import FORMAT, build, entry_of

DIRECTORY = "/data/t-0"
LARGE = 1 << 20


class Story:
    def __init__(self):
        self.files = MemoryFiles()
        self.sequence = 0
        self.log = self.open()

    def open(self, *, clean=True, recovery_point=0):
        return Log.open(
            self.files, DIRECTORY, FORMAT, LogConfig(), clean=clean, recovery_point=recovery_point, now_ms=0
        )

    def write(self, frames, producer=1):
        for _ in range(frames):
            sequence = self.sequence if producer == 1 else 0
            frame = build([bytes(LARGE)], producer=producer, producer_epoch=0, sequence=sequence)
            self.log.append_leader([entry_of(frame)], 0, 0)
            self.sequence += producer == 1

    def snapshots(self):
        return sorted(int(name[:20]) for name in self.files.entries(DIRECTORY) if name.endswith(".snapshot"))

    def kill_and_start(self):
        self.log = self.open(clean=False, recovery_point=self.log.durable_end)


def test_a_snapshot_is_due_when_much_was_appended_since_the_last():
    story = Story()
    assert not story.log.snapshot_if_due()
    story.write(15)
    assert not story.log.snapshot_if_due()
    story.write(1)
    assert story.log.snapshot_if_due()
    assert not story.log.snapshot_if_due()
    story.write(10)
    assert not story.log.snapshot_if_due()
    story.log.roll(0)
    story.write(10)
    assert not story.log.snapshot_if_due(), "a roll takes one"
    story.write(6)
    assert story.log.snapshot_if_due()
    assert story.snapshots() == [26, 42]


def test_many_producers_make_it_rarer():
    story = Story()
    for producer in range(2, 2 + 8 * 1024):
        story.log.append_leader([entry_of(build(producer=producer, producer_epoch=0, sequence=0))], 0, 0)
    story.log.take_snapshot()
    story.write(SNAPSHOT_BYTES // LARGE)
    assert not story.log.snapshot_if_due()
    story.write(len(story.log.producers) * SNAPSHOT_BYTES_EACH // LARGE + 1)
    assert story.log.snapshot_if_due()


def test_the_newest_snapshot_that_a_crash_leaves_usable_stays():
    story = Story()
    story.write(16)
    story.log.snapshot_if_due()
    story.log.flush()
    for _ in range(2):
        story.write(17)
        assert story.log.snapshot_if_due()
        assert story.snapshots()[0] == 16, "nothing newer is on disk for sure"
    story.log.flush()
    story.write(17)
    story.log.snapshot_if_due()
    assert story.snapshots() == [50, 67]


def test_after_a_crash_only_frames_behind_the_snapshot_are_read():
    story = Story()
    story.write(18)
    story.log.snapshot_if_due()
    story.write(2)
    story.log.flush()
    story.write(1)
    story.files.remove(f"{DIRECTORY}/{0:020}.index")  # or what is far back could be read by it
    for recovered in (story.open(clean=False, recovery_point=20), story.open(clean=False, recovery_point=21)):
        [producer] = recovered.producers
        assert (producer.last_sequence, [batch.base_offset for batch in producer.batches]) == (20, [17, 18, 19, 20])
        assert producer.partial


def test_a_stopped_log_needs_no_other_snapshot():
    story = Story()
    story.write(17)
    story.log.close(clean=True)
    story.log = story.open()
    assert not story.log.snapshot_if_due()
    assert story.snapshots() == [17]
    story.log.close(clean=False)
    assert not story.log.snapshot_if_due()


def test_a_truncation_takes_the_snapshots_above_it_along():
    story = Story()
    story.write(17)
    story.log.snapshot_if_due()
    story.log.truncate(16)
    assert story.snapshots() == []
    assert story.log.producers.get(1).last_sequence == 15
    assert story.log.snapshot_if_due()
