"""One simulation: a broker that dies again and again, all kinds of clients, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import trio
from history import Partition

from . import deterministic
from .admin import Operator, create
from .client import Actor
from .consumers import GroupConsumer, Reader
from .judge import Judge
from .ledger import Ledger
from .members import ClassicMembership, ConsumerMembership
from .plain import IdempotentProducer
from .records import COMMITTED, UNCOMMITTED
from .transactional import NEW, OLD, Writer
from .transformer import Transformer
from .world import RELAXED, SYNCED, World

LIVES = 6
PLAIN, ACCOUNTS, ENTRIES, OUT = "plain", "accounts", "entries", "out"
PARTITIONS = {PLAIN: 2, ACCOUNTS: 2, ENTRIES: 2, OUT: 1}
MOST_ACCOUNTS = 4  # partitions that `accounts` may grow to
CLASSIC, CONSUMER = "classic-readers", "consumer-readers"
TRANSFORMING = "transforming"
UNHEARD_OF_S = 300.0  # virtual: a simulation that lasts so long after the last life hangs


@dataclass
class Verdict:
    """How a simulation came out. `trace`: number of its events and their digest."""

    seed: int
    anomalies: list[str]
    trace: tuple[int, str]
    faults: list[str]
    progress: Counter[str]
    lasted_s: float

    def __str__(self) -> str:
        done = ", ".join(f"{count} {what}" for what, count in sorted(self.progress.items()))
        return "\n".join(
            (
                f"seed {self.seed}: {self.lasted_s:.1f} s, {self.trace[0]} events, faults: {', '.join(self.faults)}",
                f"    {done}",
                *(f"    ANOMALY {each}" for each in self.anomalies),
            )
        )


def simulate(seed: int, lives: int = LIVES, listener: Callable[[str], None] | None = None) -> Verdict:
    """Run one; even seeds have a synced broker and power cuts, odd ones a relaxed broker that is killed.

    listener   gets every line of the trace
    """
    world = World(seed, RELAXED if seed % 2 else SYNCED, lives)
    world.listener = listener
    ledger = Ledger()

    async def main() -> float:
        with trio.move_on_after(UNHEARD_OF_S + lives * 10) as scope:
            await _main(world, ledger)
        if scope.cancelled_caught:
            world.anomaly("the simulation hangs")
        return trio.current_time()

    lasted_s = deterministic.run(seed, main)
    return Verdict(seed, world.anomalies, world.trace, world.faults, ledger.progress, lasted_s)


def _of(topic: str, count: int | None = None) -> list[Partition]:
    return [(topic, each) for each in range(PARTITIONS[topic] if count is None else count)]


def _actors(world: World, ledger: Ledger) -> list[Actor]:
    written = [*_of(ACCOUNTS), *_of(ENTRIES)]
    return [
        IdempotentProducer(world, ledger, "idempotent-1", _of(PLAIN)),
        IdempotentProducer(world, ledger, "idempotent-2", _of(PLAIN)),
        Writer(world, ledger, "writer-new-1", NEW, written),
        Writer(world, ledger, "writer-new-2", NEW, written),
        Writer(world, ledger, "writer-old", OLD, written),
        *(
            Transformer(world, ledger, f"transformer-{i}", tv, TRANSFORMING, ClassicMembership, [ENTRIES], _of(OUT))
            for i, tv in enumerate((NEW, OLD))
        ),
        *(
            GroupConsumer(world, ledger, f"classic-{i}", CLASSIC, [PLAIN, ACCOUNTS], ClassicMembership)
            for i in range(3)
        ),
        *(
            GroupConsumer(world, ledger, f"consumer-{i}", CONSUMER, [PLAIN, ACCOUNTS], ConsumerMembership)
            for i in range(3)
        ),
        Reader(world, ledger, "reader", [*written, *_of(OUT)], COMMITTED),
        Reader(world, ledger, "plain-reader", _of(PLAIN), UNCOMMITTED),
        Operator(world, ledger, "operator", growing=(ACCOUNTS, PARTITIONS[ACCOUNTS], MOST_ACCOUNTS)),
    ]


async def _main(world: World, ledger: Ledger) -> None:
    judged = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.live, judged)
        nursery.start_soon(world.cut_connections)
        async with trio.open_nursery() as actors:
            judge = Judge(world, ledger, "judge")
            for topic, partitions in PARTITIONS.items():
                await create(judge, topic, partitions)
            for actor in _actors(world, ledger):
                actors.start_soon(actor.run)
        await _judge(judge)
        judged.set()


async def _judge(judge: Judge) -> None:
    transactional = [*_of(ACCOUNTS, None), *_of(ENTRIES), *_of(OUT)]
    await judge.wait_until_stable(transactional)
    await judge.judge_records(_of(PLAIN))
    visible = await judge.judge_transactions(transactional)
    await judge.judge_outputs(TRANSFORMING, visible, ENTRIES, OUT)
    both = [*_of(PLAIN), *_of(ACCOUNTS)]
    await judge.judge_groups({CLASSIC: both, CONSUMER: both})
