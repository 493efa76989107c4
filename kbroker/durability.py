"""Sync rounds: who waits for the disk waits for the next round, and a round takes everything that is dirty.

Everyone who arrives while a round runs shares the next one. No wakeup can be lost: what is due stands in a dict, the
one task that runs rounds empties it, and it sleeps only after finding it empty without an await in between.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import inf
from typing import NoReturn, Protocol

import trio

from kbroker_storage import FlushPlan, Log

from .env import Env
from .errors import out_of_descriptors

log = logging.getLogger(__name__)

# Up to here a round syncs file by file, above it by one syncfs, which also waits for what other programs have written.
# Measured for 8, 16, 32, 100 files: one after the other 8, 27, 42, 240 ms; in 4 threads, whose syncs share commits of
# the file system's journal, 1, 2, 3, 10 ms; by syncfs 0.7, 0.4, 0.5, 1.3 ms, and beside a program that writes 8, 9,
# 12, 33 ms.
FILES_ONE_BY_ONE = 64
LANES = 4  # threads of one round
FILES_AT_ONCE = 256  # a plan holds its file open; half of the descriptors that files get are left to readers
RETRY_S = 0.1  # after a file could not be opened


class Syncable(Protocol):
    """Something with a log whose end must become durable."""

    @property
    def log(self) -> Log: ...
    def synced(self) -> None: ...
    def failed(self, error: Exception) -> None: ...


def find_syncfs() -> Callable[[int], None] | None:
    """Linux's syncfs(2), which Python does not wrap; None elsewhere. It reports write-back errors since Linux 5.8."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return None

    def syncfs(descriptor: int) -> None:
        if function(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return syncfs


class SyncRounds:
    """Runs the rounds of one broker; `run` is its one task."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._due: dict[Syncable, None] = {}
        self._later: dict[Syncable, float] = {}  # due at that time
        self._put_off: list[tuple[Syncable, FlushPlan]] = []  # there was no descriptor to carry them out
        self._next_due = inf
        self._one_at_a_time = trio.Lock()
        self._wake = trio.Event()
        self._syncfs: Callable[[int], None] | None = None
        self._syncfs_looked_for = False

    def due(self, target: Syncable) -> None:
        """`target` has something that the next round must make durable."""
        self._due[target] = None
        self._wake.set()

    def due_within(self, target: Syncable, delay_s: float) -> None:
        """`target` has something that must be durable `delay_s` from now, if no round takes it before."""
        due_at = trio.current_time() + delay_s
        if due_at >= self._later.get(target, inf):
            return
        self._later[target] = due_at
        if due_at < self._next_due:
            self._next_due = due_at
            self._wake.set()

    async def run(self) -> NoReturn:
        while True:
            if not self._due:
                self._wake = trio.Event()
                with trio.move_on_at(self._next_due):
                    await self._wake.wait()
            now = trio.current_time()
            if self._next_due <= now:
                self._due |= {target: None for target, due_at in self._later.items() if due_at <= now}
                self._later = {target: due_at for target, due_at in self._later.items() if due_at > now}
                self._next_due = min(self._later.values(), default=inf)
            await self.round()

    async def round(self) -> None:
        """Make durable what is due now; the outcome is told to each target. What a round that runs has taken is
        durable too when this returns."""
        try:
            self._one_at_a_time.acquire_nowait()
        except trio.WouldBlock:
            await self._one_at_a_time.acquire()
        try:
            await self._round()
        finally:
            self._one_at_a_time.release()

    async def _round(self) -> None:
        count = len(self._due)
        if count <= FILES_AT_ONCE:
            due, self._due = self._due, {}
            await self._sync(due)
            return
        while count > 0:
            due = dict.fromkeys(islice(self._due, FILES_AT_ONCE))
            for target in due:
                del self._due[target]
            count -= FILES_AT_ONCE
            await self._sync(due)

    async def _sync(self, due: Iterable[Syncable]) -> None:
        plans, self._put_off = self._put_off, []
        plans += [(target, plan) for target in due if (plan := self._plan(target)) is not None]
        if not plans:
            return
        with trio.CancelScope(shield=True):  # a plan that does not come back is never durable
            failures = await self._carry_out([plan for _, plan in plans])
        for (target, plan), failure in zip(plans, failures, strict=True):
            if failure is None:
                target.log.flushed(plan)
                target.synced()
            elif out_of_descriptors(failure):  # nothing failed to be synced: the same plan again
                self._put_off.append((target, plan))
                self._again(target, failure)
            else:
                log.critical("could not sync %s: %s; it is offline until restart", target, failure)
                target.log.flush_failed(plan, failure)
                target.failed(failure)

    async def _carry_out(self, plans: Sequence[FlushPlan]) -> Sequence[OSError | None]:
        """What became of each, when all are done."""
        count = len(plans)
        failures: list[OSError | None] = [None] * count
        if count == 1 or (count > FILES_ONE_BY_ONE and self._have_syncfs()):
            sync_all = _sync_each if count == 1 else self._sync_at_once
            failures[:] = await self._env.run_blocking(lambda: sync_all(plans))
            return failures
        lanes = min(count, LANES)

        async def sync(lane: int) -> None:
            failures[lane::lanes] = await self._env.run_blocking(lambda: _sync_each(plans[lane::lanes]))

        async with trio.open_nursery() as nursery:
            for lane in range(lanes):
                nursery.start_soon(sync, lane)
        return failures

    def _plan(self, target: Syncable) -> FlushPlan | None:
        try:
            return target.log.plan_flush()
        except OSError as error:  # no descriptor left: whoever waits for the disk goes on waiting
            self._again(target, error)
            return None

    def _again(self, target: Syncable, error: OSError) -> None:
        log.warning("can not sync %s yet: %s; trying again in %s s", target, error, RETRY_S)
        self.due_within(target, RETRY_S)

    def _have_syncfs(self) -> bool:
        if not self._syncfs_looked_for:
            self._syncfs, self._syncfs_looked_for = find_syncfs(), True
        return self._syncfs is not None

    def _sync_at_once(self, plans: Sequence[FlushPlan]) -> Sequence[OSError | None]:
        """In a worker thread: one syncfs for all plans, which lie on one file system."""
        descriptors = [fd for plan in plans for fd in plan.fds[:1]]
        if not descriptors or self._syncfs is None:
            return _sync_each(plans)
        try:
            self._syncfs(descriptors[0])
        except OSError as error:
            self._syncfs = None  # a descriptor opened from now on would not tell of it again; each file's own sync does
            return [error] * len(plans)
        return [None] * len(plans)


def _sync_each(plans: Sequence[FlushPlan]) -> Sequence[OSError | None]:
    """In a worker thread: file by file, so that a failure hits only the log it belongs to."""
    failures: list[OSError | None] = []
    for plan in plans:
        try:
            plan.run()
            failures.append(None)
        except OSError as error:
            failures.append(error)
    return failures
