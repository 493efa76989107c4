"""Simulations by hand, from the repository's folder:

PYTHONPATH=tests:compat-tests python -m simulation --seeds 1000        # prints the seeds that fail
PYTHONPATH=tests:compat-tests python -m simulation --seed 17 --trace   # one of them again, line by line
PYTHONPATH=tests:compat-tests python -m simulation --failing-disk power-cuts --seeds 1000
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

from . import failing_disks, simulation


def main() -> int:
    """The exit status: 1 if any simulation had an anomaly."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description="A whole broker under seeds.")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other (default 1)")
    parser.add_argument("--lives", type=int, help="of the broker with a fault each")
    parser.add_argument(
        "--failing-disk", choices=failing_disks.ORDEALS, help="calls to the disk fail, in lives that end so"
    )
    parser.add_argument("--trace", action="store_true", help="print every event")
    asked = parser.parse_args()
    simulate, lives = simulation.simulate, asked.lives or simulation.LIVES
    if asked.failing_disk:
        simulate = partial(failing_disks.suffer, asked.failing_disk)
        lives = asked.lives or failing_disks.LIVES
    failed = []
    for seed in range(asked.seed, asked.seed + asked.seeds):
        began = time.monotonic()
        verdict = simulate(seed, lives, print if asked.trace else None)
        print(f"{verdict}\n    {time.monotonic() - began:.1f} s on the clock", flush=True)  # noqa: T201
        if verdict.anomalies:
            failed.append(seed)
    print(f"{asked.seeds} simulations, failed: {failed or 'none'}")  # noqa: T201
    return 1 if failed else 0


sys.exit(main())
