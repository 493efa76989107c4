"""Transactions in the log against a plain list, through any history of appends, cuts, kills and lost index files."""

import random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kbroker_storage import InvalidProducerEpoch, InvalidTransactionState, Log, LogConfig, MemoryFiles, Origin
from kbroker_storage.transactions import ENTRY_BYTES
from storage_frames import FORMAT, build, build_marker, entry_of, records, split

DIRECTORY = "/data/t-0"
PRODUCERS = 4
PLAIN = -1


class Stored(NamedTuple):
    """A frame of the model: of a transaction if `producer` is not PLAIN; `commit` is None but for markers."""

    base: int
    end: int
    producer: int
    epoch: int
    commit: bool | None
    values: list[bytes]


class Transaction(NamedTuple):
    producer: int
    first: int
    marker: int | None
    commit: bool | None


def transactions(stored):
    """All that the list tells, in the order in which they began."""
    begun, found = {}, {}
    for each in stored:
        if each.producer == PLAIN:
            continue
        if each.commit is None:
            if each.producer not in begun:
                begun[each.producer] = each.base
                found[each.base] = Transaction(each.producer, each.base, None, None)
        elif each.producer in begun:
            first = begun.pop(each.producer)
            found[first] = Transaction(each.producer, first, each.base, each.commit)
    return list(found.values())


def consume(frames, aborted):
    """What a read_committed consumer makes of frames and of the (producer, first offset) that it was told."""
    ahead = sorted(aborted, key=lambda each: each[1])
    dropped, kept = set(), []
    for frame in frames:
        entry = FORMAT.scan(frame)
        while ahead and ahead[0][1] <= entry.last_offset:
            dropped.add(ahead.pop(0)[0])
        if entry.control:
            if not FORMAT.marker(memoryview(frame)).commit:
                dropped.discard(entry.producer_id)
        elif not (entry.transactional and entry.producer_id in dropped):
            kept += [(offset, value) for offset, _, value in records(frame)]
    return kept


class TransactionsAgainstList(RuleBasedStateMachine):
    """`stored` is the whole truth, also of what was deleted from the start."""

    @initialize(segment_bytes=st.sampled_from([500, 2000, 1 << 20]), interval=st.sampled_from([0, 200, 4096]))
    def start(self, segment_bytes, interval):
        self.files = MemoryFiles()
        self.config = LogConfig(
            segment_bytes=segment_bytes, index_interval_bytes=interval, producer_id_expiration_ms=1 << 60
        )
        self.stored = []
        self.log_start = self.high_watermark = self.number = 0
        self.log = self.open(clean=True)

    def open(self, *, clean, recovery_point=0):
        return Log.open(
            self.files,
            DIRECTORY,
            FORMAT,
            self.config,
            clean=clean,
            recovery_point=recovery_point,
            log_start=self.log_start,
            now_ms=0,
        )

    @property
    def end(self):
        return self.stored[-1].end if self.stored else 0

    def open_now(self):
        return {each.producer for each in transactions(self.stored) if each.marker is None}

    def add(self, appended, producer, epoch, commit, values):
        assert appended.base_offset == self.end
        self.stored.append(Stored(self.end, self.end + len(values), producer, epoch, commit, values))

    def next_of(self, producer):
        """Epoch and sequence that it goes on with."""
        mine = [each for each in self.stored if each.producer == producer]
        epoch = mine[-1].epoch if mine else 0
        return epoch, sum(len(each.values) for each in mine if each.epoch == epoch and each.commit is None)

    def values(self, count):
        self.number += count
        return [b"%d" % number for number in range(self.number - count, self.number)]

    # -- appending

    @rule(count=st.integers(1, 3))
    def write_plain(self, count):
        values = self.values(count)
        self.add(self.log.append_leader([entry_of(build(values))], 0, 0), PLAIN, -1, None, values)

    @rule(producer=st.integers(0, PRODUCERS - 1), count=st.integers(1, 3), verify=st.booleans())
    def write(self, producer, count, verify):
        epoch, sequence = self.next_of(producer)
        values = self.values(count)
        frame = build(values, producer=producer, producer_epoch=epoch, sequence=sequence, transactional=True)
        token = self.log.producers.verification(producer, epoch, sequence, implicit=False) if verify else None
        if not verify and producer not in self.open_now():
            with pytest.raises(InvalidTransactionState):
                self.log.append_leader([entry_of(frame)], 0, 0, verified=None)
            return
        self.add(self.log.append_leader([entry_of(frame)], 0, 0, verified=token), producer, epoch, None, values)

    @rule(producers=st.sets(st.integers(0, PRODUCERS - 1), min_size=1), commit=st.booleans(), bump=st.booleans())
    def end_transactions(self, producers, commit, bump):
        epochs = {producer: self.next_of(producer)[0] + bump for producer in sorted(producers)}
        frames = [build_marker(commit, producer, epoch) for producer, epoch in epochs.items()]
        appended = self.log.append_leader(
            [entry_of(frame) for frame in frames], 0, 0, Origin.COORDINATOR, transaction_version=2 if bump else 1
        )
        for offset, (producer, epoch) in enumerate(epochs.items(), appended.base_offset):
            self.add(appended._replace(base_offset=offset), producer, epoch, commit, [b"marker"])

    @rule(producer=st.integers(0, PRODUCERS - 1))
    def end_with_an_old_epoch(self, producer):
        newest = next((each for each in self.log.producers if each.producer_id == producer), None)
        if newest is not None and newest.epoch:
            marker = entry_of(build_marker(True, producer, newest.epoch - 1))
            with pytest.raises(InvalidProducerEpoch):
                self.log.append_leader([marker], 0, 0, Origin.COORDINATOR)

    @rule()
    def roll(self):
        self.log.roll(0)

    # -- cutting

    @rule(data=st.data())
    def truncate(self, data):
        offset = data.draw(st.integers(self.log_start, self.end))
        self.log.truncate(offset)
        if offset < self.end:
            kept = [each for each in self.stored if each.end <= offset]
            if self.log.segments and not [each for each in kept if each.base >= self.log.segments[0].base]:
                kept = [each for each in self.stored if each.end <= self.log.segments[0].base]
            self.stored = kept
            self.high_watermark = min(self.high_watermark, self.log.end)
            self.log_start = min(self.log_start, self.log.end)

    @rule(data=st.data())
    def delete_before(self, data):
        self.log_start = data.draw(st.integers(self.log_start, self.end))
        self.log.delete_before(self.log_start)
        self.high_watermark = max(self.high_watermark, self.log_start)

    # -- syncing, stopping

    @rule()
    def flush(self):
        self.log.flush()

    @rule()
    def snapshot(self):
        self.log.take_snapshot()

    @rule()
    def stop_and_start(self):
        self.log.close(clean=True)
        self.log = self.open(clean=True)
        self.high_watermark = self.end

    @rule(seed=st.integers(0, 1000), harm=st.sampled_from([None, "remove", "cut", "zero", "random", "beyond"]))
    def kill_and_start(self, seed, harm):
        point = self.log.durable_end
        if harm is not None:
            point = self.harm_index(random.Random(seed), harm, point)
        self.log = self.open(clean=False, recovery_point=point)
        assert self.log.repaired == []
        self.high_watermark = self.log.durable_end

    def harm_index(self, rng, harm, point):
        """What of a file is lost and looks whole without it must lie behind the recovery point, which is given back."""
        try:
            names = sorted(name for name in self.files.entries(DIRECTORY) if "index" in name)
        except FileNotFoundError:
            return point
        names = [name for name in names if name.endswith(".txnindex")] or names
        if not names:
            return point
        name = rng.choice(names)
        data = self.files.read(f"{DIRECTORY}/{name}")
        cut = data[: rng.randint(0, len(data))]
        harmed = {
            "remove": None,
            "cut": cut,
            "zero": bytes(len(data)),
            "random": rng.randbytes(len(data)),
            "beyond": data + b"\0\0\xff\xff\x7f\xff\xff\xff\0\xff\xff\xff",
        }[harm]
        if harmed is None:
            self.files.remove(f"{DIRECTORY}/{name}")
        else:
            self.files.replace(f"{DIRECTORY}/{name}", harmed, sync=False)
        if name.endswith(".txnindex") and (harmed is None or not len(harmed) % ENTRY_BYTES):
            return min(point, int(name[:20]))
        return point

    # -- looking

    @rule(data=st.data())
    def advance(self, data):
        """The high watermark rises, and the last stable offset with it."""
        self.high_watermark = data.draw(st.integers(self.high_watermark, self.end))
        undecided = [
            each.first
            for each in transactions(self.stored)
            if each.marker is None or each.marker >= self.high_watermark
        ]
        expected = min([*undecided, self.high_watermark])
        expected = max(expected, self.log_start) if undecided else expected
        assert self.log.last_stable_offset(self.high_watermark) == expected

    @rule(data=st.data(), max_bytes=st.integers(0, 2000))
    def read_committed(self, data, max_bytes):
        stable = self.log.last_stable_offset(self.high_watermark)
        if stable < self.log_start:
            return
        offset = data.draw(st.integers(self.log_start, stable))
        piece = self.log.read(offset, max_bytes, stable)
        frames = split(piece.read())
        aborted = self.log.aborted(offset, piece.nbytes) if piece.nbytes else []
        piece.close()
        outcomes = {each.first: each.commit for each in transactions(self.stored)}
        begun = {}
        expected = []
        for each in self.stored:
            if each.producer != PLAIN:
                first = begun.setdefault(each.producer, each.base)
                if each.commit is not None:
                    del begun[each.producer]
                    continue
            if each.producer == PLAIN or outcomes[first]:
                expected += [(each.base + i, value) for i, value in enumerate(each.values)]
        if frames:
            last = FORMAT.scan(frames[-1]).last_offset
            got = [record for record in consume(frames, aborted) if record[0] >= offset]
            assert got == [record for record in expected if offset <= record[0] <= last]

    @invariant()
    @precondition(lambda self: hasattr(self, "log"))
    def bounds_agree(self):
        assert (self.log.start, self.log.end) == (self.log_start, self.end)

    @invariant()
    @precondition(lambda self: hasattr(self, "log"))
    def aborted_agree(self):
        """All aborted transactions that can concern a reader are known, in the order of their markers."""
        base = self.log.segments[0].base if self.log.segments else 0
        aborted = [
            (each.marker, each.producer, each.first)
            for each in transactions(self.stored)
            if each.commit is False and each.marker >= base
        ]
        known = self.log._state.aborted(base, self.end)
        assert known == [(producer, first) for _, producer, first in sorted(aborted) if first < self.end]


SETTINGS = {"deadline": None, "stateful_step_count": 40, "suppress_health_check": list(HealthCheck)}
TransactionsAgainstList.TestCase.settings = settings(max_examples=100, **SETTINGS)
TestTransactions = TransactionsAgainstList.TestCase
