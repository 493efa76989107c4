"""The log against a plain list, over both real forms of files, through any history of appends, cuts and kills."""

import random
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kbroker_storage import (
    DiskFiles,
    InvalidProducerEpoch,
    Log,
    LogConfig,
    MemoryFiles,
    OffsetOutOfRange,
    OutOfOrderSequence,
)
from kbroker_storage.entry import MAX_SEQUENCE
from storage_frames import FORMAT, build, entry_of, records, split

PRODUCERS = 3


class Stored:
    """One frame that the log holds, as the model knows it."""

    def __init__(self, base, frame, epoch):
        self.frame = bytes(frame)
        self.entry = FORMAT.scan(frame)
        self.base, self.last, self.epoch = base, self.entry.last_offset, epoch
        self.records = list(records(frame))


class LogAgainstList(RuleBasedStateMachine):
    """`stored` is the whole truth; `history` also has what was deleted from the start, for the producers."""

    def make_files(self):
        raise NotImplementedError

    @initialize(
        segment_bytes=st.sampled_from([400, 1500, 1 << 20]),
        interval=st.sampled_from([0, 200, 4096]),
        index_bytes=st.sampled_from([48, 10 << 20]),
    )
    def start(self, segment_bytes, interval, index_bytes):
        self.make_files()
        self.config = LogConfig(
            segment_bytes=segment_bytes,
            index_interval_bytes=interval,
            segment_index_bytes=index_bytes,
            producer_id_expiration_ms=1 << 60,
        )
        self.stored, self.history, self.epochs = [], [], []
        self.epoch, self.log_start, self.end, self.durable = 0, 0, 0, 0
        self.next_sequence = {}
        self.log = self.open(clean=True)

    def open(self, *, clean, recovery_point=0):
        return Log.open(
            self.files,
            self.directory,
            FORMAT,
            self.config,
            clean=clean,
            recovery_point=recovery_point,
            log_start=self.log_start,
            now_ms=0,
        )

    # -- appending

    def add(self, frames, appended):
        assert not appended.duplicate
        assert appended.base_offset == self.end
        for frame in frames:
            stored = Stored(self.end, frame, self.epoch)
            assert (stored.entry.base_offset, stored.entry.epoch) == (self.end, self.epoch)
            self.stored.append(stored)
            self.history.append(stored)
            self.end = stored.last + 1
        if not self.epochs or self.epochs[-1][0] != self.epoch:
            before = [(epoch, start) for epoch, start in self.epochs if start < appended.base_offset]
            self.epochs = [*before, (self.epoch, appended.base_offset)]  # an epoch of no records gives way
        assert appended.last_offset == self.end - 1

    @rule(
        batches=st.lists(
            st.lists(st.tuples(st.integers(0, 300), st.integers(-1, 1000)), min_size=1, max_size=4),
            min_size=1,
            max_size=3,
        )
    )
    def append(self, batches):
        frames = [build([bytes(size) for size, _ in batch], [max(0, at) for _, at in batch]) for batch in batches]
        if sum(map(len, frames)) <= self.config.segment_bytes:
            self.add(frames, self.log.append_leader([entry_of(frame) for frame in frames], self.epoch, 0))

    def known(self, producer):
        """The producer's batches of its newest epoch that the log has seen, oldest first."""
        mine = [stored for stored in self.history if stored.entry.producer_id == producer]
        return [stored for stored in mine if stored.entry.producer_epoch == mine[-1].entry.producer_epoch]

    def next_of(self, producer):
        known = self.known(producer)
        if not known:
            return 0, MAX_SEQUENCE - 2
        last = known[-1].entry
        return last.producer_epoch, 0 if last.last_sequence == MAX_SEQUENCE else last.last_sequence + 1

    @rule(
        producer=st.integers(0, PRODUCERS - 1), count=st.integers(1, 3), batches=st.integers(1, 3), bump=st.booleans()
    )
    def append_idempotent(self, producer, count, batches, bump):
        epoch, sequence = self.next_of(producer)
        if bump:
            epoch, sequence = epoch + 1, 0
        frames = []
        for _ in range(batches):
            frame = build([b"p"] * count, len(self.history), producer=producer, producer_epoch=epoch, sequence=sequence)
            frames.append(frame)
            sequence = (sequence + count) % 2**31
        if sum(map(len, frames)) <= self.config.segment_bytes:
            self.add(frames, self.log.append_leader([entry_of(frame) for frame in frames], self.epoch, 0))

    @rule(producer=st.integers(0, PRODUCERS - 1), back=st.integers(1, 7))
    def repeat(self, producer, back):
        known = self.known(producer)
        if len(known) < back or known[-back].base < self.log.segments[0].base:
            return
        frame = bytearray(known[-back].frame)
        if back > 5:
            with pytest.raises(OutOfOrderSequence):
                self.log.append_leader([entry_of(frame)], self.epoch, 0)
            return
        again = self.log.append_leader([entry_of(frame)], self.epoch, 0)
        original = known[-back]
        assert again.duplicate
        assert (again.base_offset, again.last_offset) == (original.base, original.last)
        assert again.timestamp == original.entry.max_timestamp

    @rule(producer=st.integers(0, PRODUCERS - 1), skip=st.integers(1, 100))
    def leave_a_gap(self, producer, skip):
        if not self.known(producer):
            return
        epoch, sequence = self.next_of(producer)
        frame = build(producer=producer, producer_epoch=epoch, sequence=(sequence + skip) % 2**31)
        with pytest.raises(OutOfOrderSequence):
            self.log.append_leader([entry_of(frame)], self.epoch, 0)

    @rule(producer=st.integers(0, PRODUCERS - 1))
    def append_fenced(self, producer):
        epoch, _ = self.next_of(producer)
        if self.known(producer) and epoch:
            frame = build(producer=producer, producer_epoch=epoch - 1, sequence=0)
            with pytest.raises(InvalidProducerEpoch):
                self.log.append_leader([entry_of(frame)], self.epoch, 0)

    @rule()
    def new_leader(self):
        self.epoch += 1

    # -- looking

    @rule(data=st.data(), max_bytes=st.integers(0, 2000))
    def read(self, data, max_bytes):
        offset = data.draw(st.integers(self.log_start, self.end))
        end = data.draw(st.integers(self.log_start, self.end + 2))
        piece = self.log.read(offset, max_bytes, end)
        got = piece.read()
        assert len(got) == piece.nbytes
        piece.close()
        expected = [stored for stored in self.stored if stored.last >= offset and stored.last < end]
        assert b"".join(stored.frame for stored in expected).startswith(got)
        if offset < end and expected:
            assert len(got) >= len(expected[0].frame), "the first frame comes whole"
            assert len(got) <= max(max_bytes, len(expected[0].frame))
        else:
            assert not got

    @rule(data=st.data())
    def wait_for_bytes(self, data):
        offset = data.draw(st.integers(self.log_start, self.end))
        end = data.draw(st.integers(offset, self.end))
        behind = self.log.bytes_between(offset, end)
        if behind is not None:
            expected = [stored for stored in self.stored if stored.last >= offset and stored.last < end]
            assert behind == sum(len(stored.frame) for stored in expected)

    @rule(timestamp=st.integers(0, 1100))
    def find_by_time(self, timestamp):
        expected = next(
            (
                (offset, at, stored.epoch)
                for stored in self.stored
                for offset, at, _ in stored.records
                if at >= timestamp and offset >= self.log_start
            ),
            None,
        )
        assert self.log.offset_for_timestamp(timestamp) == expected

    @rule()
    def find_newest(self):
        if not self.stored or self.stored[0].base < self.log_start:
            return  # a record below the start, in a frame that reaches above it, may be the newest: Kafka's rule too
        newest = max(at for stored in self.stored for _, at, _ in stored.records)
        found = self.log.max_timestamp()
        assert found is not None
        assert found[1] == newest
        assert (newest, found[0], found[2]) in [
            (at, offset, stored.epoch) for stored in self.stored for offset, at, _ in stored.records
        ]

    @rule(data=st.data())
    def ask_outside(self, data):
        offset = data.draw(st.integers(-3, -1)) + self.log_start if data.draw(st.booleans()) else self.end + 1
        with pytest.raises(OffsetOutOfRange):
            self.log.read(offset, 10, self.end)

    @rule(epoch=st.integers(0, 10))
    def end_for_epoch(self, epoch):
        later = [start for known, start in self.epochs if known > epoch]
        before = [known for known, _ in self.epochs if known <= epoch]
        if not self.epochs or epoch > self.epochs[-1][0]:
            assert self.log.end_for_epoch(epoch) == (-1, -1)
        else:
            expected = (before[-1] if before else epoch, later[0] if later else self.end)
            assert self.log.end_for_epoch(epoch) == expected

    # -- cutting

    @rule()
    def roll(self):
        self.log.roll(0)

    @rule(data=st.data())
    def truncate(self, data):
        offset = data.draw(st.integers(self.log_start, self.end))
        self.log.truncate(offset)
        if offset == self.end:
            return
        self.stored = [stored for stored in self.stored if stored.last < offset]
        self.end = self.stored[-1].last + 1 if self.stored else self.log.segments[0].base
        self.history = [stored for stored in self.history if stored.base < self.end]
        self.epochs = [(epoch, start) for epoch, start in self.epochs if start < self.end]
        self.log_start = min(self.log_start, self.end)
        self.durable = min(self.durable, self.end)

    @rule(data=st.data())
    def delete_before(self, data):
        self.log_start = data.draw(st.integers(self.log_start, self.end))
        self.log.delete_before(self.log_start)
        if self.log.segments:
            self.stored = [stored for stored in self.stored if stored.base >= self.log.segments[0].base]
        at = [(epoch, start) for epoch, start in self.epochs if start <= self.log_start][-1:]
        self.epochs = [(epoch, max(start, self.log_start)) for epoch, start in at] + [
            (epoch, start) for epoch, start in self.epochs if start > self.log_start
        ]
        self.durable = max(self.durable, self.log_start) if self.durable == self.end else self.durable

    @rule(ahead=st.integers(0, 5))
    def restart(self, ahead):
        self.end = self.log_start = self.durable = self.end + ahead
        self.log.restart_at(self.end)
        self.stored, self.history, self.epochs = [], [], []

    # -- syncing, stopping

    @rule()
    def flush(self):
        self.log.flush()
        self.durable = self.end
        assert self.log.durable_end == self.end
        assert self.log.plan_flush() is None

    @rule()
    def stop_and_start(self):
        self.log.close(clean=True)
        self.log = self.open(clean=True)
        assert self.log.repaired == []
        assert self.log.durable_end == self.end
        self.durable = self.end

    @rule(seed=st.integers(0, 1000), harm=st.sampled_from([None, "remove", "cut", "zero", "random", "beyond", "tail"]))
    def kill_and_start(self, seed, harm):
        self.die()
        if harm is not None:
            self.harm_index(random.Random(seed), harm)
        point = self.log.durable_end
        self.log = self.open(clean=False, recovery_point=point)
        assert self.log.repaired == []
        assert self.log.durable_end <= self.end

    def die(self):
        if isinstance(self.files, DiskFiles):
            self.files.close()

    def harm_index(self, rng, harm):
        """Index files may be lost or be anything after a crash."""
        try:
            names = sorted(name for name in self.files.entries(self.directory) if "index" in name)
        except FileNotFoundError:
            return
        if not names:
            return
        path = f"{self.directory}/{rng.choice(names)}"
        data = self.files.read(path)
        harmed = {
            "remove": None,
            "cut": data[: rng.randint(0, len(data))],
            "zero": bytes(len(data)),
            "random": rng.randbytes(len(data)),
            "beyond": data + b"\0\0\xff\xff\x7f\xff\xff\xff\0\xff\xff\xff",
            "tail": data + bytes(24),
        }[harm]
        if harmed is None:
            self.files.remove(path)
        else:
            self.files.replace(path, harmed, sync=False)

    @invariant()
    @precondition(lambda self: hasattr(self, "log"))
    def bounds_agree(self):
        assert (self.log.start, self.log.end) == (self.log_start, self.end)
        assert self.durable <= self.log.durable_end <= self.end

    def teardown(self):
        if not hasattr(self, "log"):
            return
        got, offset = [], self.log_start
        while offset < self.end:
            frames = split(self.log.read(offset, 1 << 30, self.end).read())
            if not frames:
                break
            got += frames
            offset = FORMAT.scan(frames[-1]).last_offset + 1
        assert got == [stored.frame for stored in self.stored if stored.last >= self.log_start]
        self.log.close(clean=False)


class InMemory(LogAgainstList):
    def make_files(self):
        self.files, self.directory = MemoryFiles(), "/data/t-0"


class OnDisk(LogAgainstList):
    def make_files(self):
        self.folder = tempfile.mkdtemp()
        self.files, self.directory = DiskFiles(limit=2), f"{self.folder}/data/t-0"

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.files.close()
            shutil.rmtree(self.folder)


SETTINGS = {"deadline": None, "stateful_step_count": 30, "suppress_health_check": list(HealthCheck)}
InMemory.TestCase.settings = settings(max_examples=120, **SETTINGS)
OnDisk.TestCase.settings = settings(max_examples=40, **SETTINGS)
TestLogInMemory = InMemory.TestCase
TestLogOnDisk = OnDisk.TestCase
