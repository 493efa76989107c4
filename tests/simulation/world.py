"""The broker of a simulation, life after life, and what happens to it.

One real broker (`kbroker.broker.run`) lives on a simulated disk and network. In each of its lives a fault is drawn:
its process is killed, at once or within some call to the file system, the power is cut, or it is stopped cleanly. Then
it is started again, and may die again while it starts. The last life has no fault, so that the load can come to an end.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeVar

import trio

from kbroker.broker import run
from kbroker.config import BrokerConfig, StartError
from kbroker.env import Env

from .disk import Disk
from .files import SimFiles
from .network import SimNetwork

T = TypeVar("T")

PORT = 9092
START_MS = 1_700_000_000_000
SESSION_MS = 900
SETTINGS = {
    "listeners": f"PLAINTEXT://127.0.0.1:{PORT}",
    "log.dirs": "/data",
    "num.partitions": "2",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "2",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "2",
    "transaction.state.log.replication.factor": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "group.initial.rebalance.delay.ms": "50",
    "group.min.session.timeout.ms": "100",
    "group.consumer.min.heartbeat.interval.ms": "50",
    "group.consumer.heartbeat.interval.ms": "100",
    "group.consumer.min.session.timeout.ms": "100",
    "group.consumer.session.timeout.ms": str(SESSION_MS),
    "group.consumer.assignment.interval.ms": "0",
}
LONGEST_LIFE_S = 2.5
MOST_CALLS = 400  # a process that is to die within a call does so in one of the next so many
LONGEST_SYNC_S = 0.02
SLOW_SYNC = 0.02  # chance that a call takes fifty times as long: a disk that stalls


class Mode(NamedTuple):
    """What the broker promises, and the worst that happens to it."""

    durability: str
    power_cuts: bool
    roll_ms: int


# A power cut just after a roll may leave the new segment and take the unsynced end of the old one: a hole, in which
# nothing was acknowledged, but an idempotent producer that fills it is refused.
SYNCED = Mode("synced", power_cuts=True, roll_ms=60_000)
RELAXED = Mode("relaxed", power_cuts=False, roll_ms=1500)


class World:
    """Everything outside of the clients of a simulation.

    over       the load is to come to its end: set in the broker's last life
    anomalies  what was seen that may not be; the judge adds to it
    """

    def __init__(self, seed: int, mode: Mode, lives: int) -> None:
        self.seed, self.mode, self._lives = seed, mode, lives
        self.draw = self.rng("world")
        self.disk = Disk()
        self.network = SimNetwork(self.rng("network"))
        self.over = False
        self.anomalies: list[str] = []
        self.faults: list[str] = []
        self._digest = hashlib.sha256()
        self._events = 0
        self.listener: Callable[[str], None] | None = None  # gets every line of the trace
        self._files = SimFiles(self.disk, self.draw, partial(self.note, "disk"))
        self._wall_ms = START_MS
        self._config = BrokerConfig.parse(
            {**SETTINGS, "kbroker.durability": mode.durability, "log.roll.ms": str(mode.roll_ms)}
        )

    def rng(self, name: str) -> random.Random:
        """A source of chance of its own: who draws more or less changes nobody else's luck."""
        return random.Random(f"{self.seed} {name}")

    def note(self, who: str, what: object) -> None:
        """A line of the trace."""
        line = f"{trio.current_time():.6f} {who} {what}"
        self._digest.update(line.encode())
        self._events += 1
        if self.listener is not None:
            self.listener(line)

    @property
    def trace(self) -> tuple[int, str]:
        """How many lines it has, and their digest: the same for the same seed."""
        return self._events, self._digest.hexdigest()

    def anomaly(self, text: str) -> None:
        self.note("anomaly", text)
        self.anomalies.append(f"{trio.current_time():.3f} s: {text}")

    # -- the broker's lives

    def now_ms(self) -> int:
        return self._wall_ms + int(trio.current_time() * 1000)

    async def run_blocking(self, work: Callable[[], T]) -> T:
        """What a thread would do, after a while."""
        delay_s = self.draw.uniform(0, LONGEST_SYNC_S)
        await trio.sleep(delay_s * 50 if self.draw.random() < SLOW_SYNC else delay_s)
        return work()

    async def live(self, last: trio.Event) -> None:
        """All lives of the broker; the last one until `last` is set."""
        with self._heard():
            for number in range(1, self._lives + 1):
                await self._one_life(number)
            self.note("broker", "last life")
            await self._last_life(last)

    async def _one_life(self, number: int) -> None:
        fault = self.draw.choice(("kill", "die in a call", "die in a call", "die starting", "stop"))
        self.faults.append(fault)
        self.note("broker", f"life {number}: {fault}")
        files = self._files = SimFiles(self.disk, self.draw, partial(self.note, "disk"))
        died, stop = trio.Event(), trio.Event()

        def die() -> None:
            self.note("broker", "dies")
            files.dead = True
            self.network.kill()
            died.set()

        if fault == "die starting":
            files.die_at(self.draw.randint(1, 40), die)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._process, files, stop, nursery.cancel_scope)
            with trio.move_on_after(self.draw.uniform(0.1, LONGEST_LIFE_S)):
                await died.wait()
            if fault == "die in a call":
                files.die_at(self.draw.randint(1, MOST_CALLS), die)
                with trio.move_on_after(2.0):
                    await died.wait()
            if fault == "stop" and not died.is_set():
                stop.set()
                with trio.move_on_after(60):
                    await trio.sleep_forever()  # until the process has ended, which cancels
                self.anomaly("the broker does not stop")
            if not files.dead:
                die()
            nursery.cancel_scope.cancel()
        if fault != "stop" and self.mode.power_cuts:
            self.disk.crash(self.draw)
        await trio.sleep(self.draw.uniform(0, 0.2))

    async def _last_life(self, last: trio.Event) -> None:
        files = self._files = SimFiles(self.disk, self.draw, partial(self.note, "disk"))
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._process, files, stop, nursery.cancel_scope)
            self.over = True
            await last.wait()
            stop.set()

    async def _process(self, files: SimFiles, stop: trio.Event, scope: trio.CancelScope) -> None:
        env = Env(
            files=files,
            run_blocking=self.run_blocking,
            now_ms=self.now_ms,
            rng=random.Random(self.draw.getrandbits(64)),
            bind=self.network.bind,
            wait_readable=self.network.wait_readable,
        )
        try:
            await run(self._config, env, stop)
        except* (StartError, OSError) as group:
            if not files.dead:
                self.anomaly(f"the broker does not start, or ends: {group.exceptions!r}")
        finally:
            self.network.kill()
        scope.cancel()

    async def cut_connections(self) -> None:
        """Now and then a connection breaks; for ever."""
        draw = self.rng("cuts")
        while not self.over:
            await trio.sleep(draw.expovariate(2.0))
            self.network.cut_one()

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """What the broker logs as an error, while it is alive, is an anomaly."""
        handler = _Heard(self._said)
        logger = logging.getLogger("kbroker")
        propagates, logger.propagate = logger.propagate, False
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagates

    def _said(self, record: logging.LogRecord) -> None:
        self.note("log", record.getMessage()[:200])
        if record.levelno >= logging.ERROR and not self._files.dead:
            text = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            self.anomaly(f"the broker logs: {record.getMessage()} {text}")


class _Heard(logging.Handler):
    def __init__(self, said: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.INFO)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said(record)
