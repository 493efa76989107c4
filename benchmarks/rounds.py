"""Measures a row: every subject once in each round, in rotated order, and under what conditions."""

import os
import sys
import time
from dataclasses import dataclass, field

import peers
import procstat
from bench import Bench
from figures import Row
from raw_kafka.codec import BadAnswer

FAILURES = (RuntimeError, OSError, BadAnswer)  # of a broker or a load; AdminFailed and LoadFailed are RuntimeErrors


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one subject.

    load_average   the kernel's, over one minute: it counts our own earlier rounds as well
    busy_before    processors busy in the 0.1 s before, when all that we started is idle
    foreign_cores  processors that were busy during the round with what we did not start (kernel threads included)
    """

    values: dict[str, float]
    load_average: float
    busy_before: float
    foreign_cores: float


@dataclass(slots=True)
class Measured:
    """samples[subject][round]; a subject that is absent or failed has a reason instead."""

    row: Row
    rounds: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure(bench: Bench, row: Row, chosen: frozenset[str], rounds: int) -> Measured:
    measured = Measured(row, rounds)
    subjects = [name for name in row.subjects if name in chosen]
    measured.absent = {name: "not chosen" for name in row.subjects if name not in chosen}
    if row.shared:
        _start_all(bench, subjects, measured)
    if row.warm_up:
        bench.warming = True
        for name in subjects:
            _attempt(bench, name, measured)
        bench.warming = False
        measured.samples.clear()
    for turn in range(rounds):
        place = turn % len(subjects) if subjects else 0
        for name in subjects[place:] + subjects[:place]:
            _attempt(bench, name, measured)
    return measured


def _start_all(bench: Bench, subjects: list[str], measured: Measured) -> None:
    """All peers run before the first is measured."""
    for name in subjects:
        try:
            bench.peer(name)
        except peers.Absent as reason:
            measured.absent[name] = peers.short_reason(reason)
        except FAILURES as reason:
            measured.failed[name] = peers.short_reason(reason)


def _attempt(bench: Bench, name: str, measured: Measured) -> None:
    if name in measured.absent or name in measured.failed:
        return
    try:
        measured.samples.setdefault(name, []).append(_sample(bench, measured.row, name))
    except peers.Absent as reason:
        measured.absent[name] = peers.short_reason(reason)
    except FAILURES as reason:
        measured.failed[name] = f"{type(reason).__name__}: {peers.short_reason(reason)}"
        print(f"  {measured.row.name}: {name} failed: {reason}", file=sys.stderr)
    if name in measured.absent or name in measured.failed:
        measured.samples.pop(name, None)


def _sample(bench: Bench, row: Row, name: str) -> Sample:
    if row.shared:
        peers.check_identity(name, bench.peer(name))
    busy_before = 0.0 if bench.warming else bench.wait_until_quiet()
    load_average = os.getloadavg()[0]
    started, all_before, own_before = time.monotonic(), procstat.machine_busy_s(), procstat.cpu_s(os.getpid())
    values = row.measure(bench, name)
    own_s = procstat.cpu_s(os.getpid()) - own_before
    foreign_s = procstat.machine_busy_s() - all_before - own_s
    return Sample(values, load_average, busy_before, max(0.0, foreign_s / (time.monotonic() - started)))
