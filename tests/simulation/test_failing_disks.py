"""A whole broker on disks that fail: nothing that was acknowledged is lost, nothing that was refused is shown."""

from __future__ import annotations

import pytest

from simulation.failing_disks import ORDEALS, suffer


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ordeal", ORDEALS)
def test_what_was_said_holds_on_a_disk_that_fails(ordeal, seed):
    verdict = suffer(ordeal, seed)
    assert not verdict.anomalies, str(verdict)
    for what in ("plain record granted", "plain record refused", "commit granted", "offset granted"):
        assert verdict.progress[what] > 0, f"a simulation in which nothing happens: {verdict}"


def test_a_seed_replays():
    first, again, other = (suffer("syncs", seed, lives=2).trace for seed in (0, 0, 1))
    assert first == again != other
