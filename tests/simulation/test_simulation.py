"""A whole broker under seeds: every kind of client, crashes, power cuts, and no anomaly in any of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.simulation import simulate

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_torn_or_told_twice(seed):
    verdict = simulate(seed)
    assert not verdict.anomalies, str(verdict)
    for what in ("batches acknowledged", "transactions committed", "commits of classic-readers", "topics churned"):
        assert verdict.progress[what] > 0, f"a simulation in which nothing happens: {verdict}"


def test_a_seed_replays_also_in_another_process_with_other_hashes():
    here = simulate(1000, lives=2)
    program = "from simulation.simulation import simulate; print(simulate(1000, lives=2).trace)"
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "compat-tests")])
    there = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == str(here.trace)
    assert simulate(1002, lives=2).trace != here.trace
