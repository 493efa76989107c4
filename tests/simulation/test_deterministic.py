"""One seed, one interleaving: if Trio changes what this rests on, these fail before any simulation misleads anybody."""

from __future__ import annotations

import random

import pytest
import trio
from trio._core import _run

from simulation import deterministic


async def trace() -> tuple[int, ...]:
    """The order in which twelve tasks take their turns."""
    order: list[int] = []

    async def task(number: int) -> None:
        for _ in range(5):
            order.append(number)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(task, number)
    return tuple(order)


def test_one_seed_is_one_interleaving_and_others_are_others():
    traces = [deterministic.run(seed, trace) for seed in range(20)]
    assert traces == [deterministic.run(seed, trace) for seed in range(20)]
    assert len(set(traces)) == 20


def test_time_passes_only_where_everybody_waits():
    async def sleep() -> float:
        await trio.sleep(80_000)
        return trio.current_time()

    assert deterministic.run(1, sleep) == 80_000


def test_afterwards_trio_schedules_as_before():
    before = _run._r.getstate(), _run._ALLOW_DETERMINISTIC_SCHEDULING
    deterministic.run(1, trace)
    assert (_run._r.getstate(), _run._ALLOW_DETERMINISTIC_SCHEDULING) == before


@pytest.mark.parametrize("name", [deterministic.SWITCH, deterministic.CHANCE])
def test_a_trio_without_these_names_is_refused(name, monkeypatch):
    monkeypatch.delattr(_run, name)
    with pytest.raises(RuntimeError, match="another way"):
        deterministic.run(1, trace)


def test_the_names_are_what_the_scheduler_asks(monkeypatch):
    """Not only there: the order comes from them."""

    class Asked(random.Random):
        shuffled = 0

        def shuffle(self, x):
            self.shuffled += 1
            super().shuffle(x)

    asked = Asked()
    monkeypatch.setattr(_run, deterministic.CHANCE, asked)
    deterministic.run(1, trace)
    assert asked.shuffled > 5
