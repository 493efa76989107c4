"""Trio with one source of chance: the same seed gives the same order of tasks, at the same times of a mock clock.

Trio has no public way to do this. The private names that it takes are in this file only, and `run` refuses to go on
when one of them is no longer what it was.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio
from trio._core import _run
from trio.testing import MockClock

T = TypeVar("T")

SWITCH, CHANCE = "_ALLOW_DETERMINISTIC_SCHEDULING", "_r"  # of trio._core._run


def run(seed: int, function: Callable[[], Awaitable[T]]) -> T:
    """What `function` returns, run by Trio under `seed`; time passes only where everybody waits.

    Whatever `function` does by chance must come from the seed, too: it may use no thread, no real socket, no wall
    clock, and no order that depends on addresses or on hashes of text.
    """
    with _scheduled_by(seed):
        return trio.run(function, clock=MockClock(autojump_threshold=0), strict_exception_groups=True)


@contextmanager
def _scheduled_by(seed: int) -> Iterator[None]:
    """Tasks that could run at the same time take their turns in an order that the seed decides."""
    chance = getattr(_run, CHANCE, None)
    if not isinstance(getattr(_run, SWITCH, None), bool) or not isinstance(chance, random.Random):
        raise RuntimeError(  # noqa: TRY004
            f"trio {trio.__version__} schedules its tasks in another way than trio 0.35 did"
        )
    before, state = getattr(_run, SWITCH), chance.getstate()
    setattr(_run, SWITCH, True)
    chance.seed(seed)
    try:
        yield
    finally:
        setattr(_run, SWITCH, before)
        chance.setstate(state)
