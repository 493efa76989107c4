"""Sync rounds: who waits for the disk waits for the next round, and a round takes everything that is dirty.

Everyone who arrives while a round runs shares the next one. No wakeup can be lost: what is due stands in a dict, the
one task that runs rounds empties it, and it sleeps only after finding it empty without an await in between.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from math import inf
from time import monotonic
from typing import NoReturn, Protocol

import trio

from kbroker_storage import FlushPlan, Log

from .env import Env
from .errors import out_of_descriptors

log = logging.getLogger(__name__)

# One syncfs costs about as much as syncing three files, however many there are: for 3, 8, 16, 200 files 0.23, 0.27,
# 0.3, 1.6 ms, and file by file in four threads 0.35, 0.5, 1, 9 ms. But it waits for what other programs have written
# too. So a round is done at once unless syncfs was slow of late, and always if it has very many files.
FILES_ONE_BY_ONE = 64
ONE_FILE_S = 0.0001  # a syncfs that took longer than this for each file of its round was slow
SLOW_SHARE = 0.05  # the part of the time that may be spent on slow ones
LANES = 4  # threads of one round
FILES_AT_ONCE = 256  # a plan holds its file open; half of the descriptors that files get are left to readers
RETRY_S = 0.1  # after a file could not be opened, or what belongs to it not be written
COMPLAIN_EVERY_S = 10  # about that


class Syncable(Protocol):
    """Something with a log whose end must become durable."""

    @property
    def log(self) -> Log: ...
    def synced(self) -> None: ...
    def failed(self, error: Exception) -> None: ...


class SyncRounds:
    """Runs the rounds of one broker; `run` is its one task."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._due: dict[Syncable, None] = {}
        self._later: dict[Syncable, float] = {}  # due at that time
        self._put_off: list[tuple[Syncable, FlushPlan]] = []  # there was no descriptor to carry them out
        self._next_due = inf
        self._silent_until = -inf  # Trio's clock
        self._one_at_a_time = trio.Lock()
        self._wake = trio.Event()
        self._may_syncfs = True
        self._syncfs_again_at = -inf  # monotonic seconds

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
        if count == 1:
            failures[:] = await self._env.run_blocking(lambda: _sync_each(plans))
            return failures
        if (descriptor := self._for_syncfs(plans)) is not None:
            failures[:] = await self._env.run_blocking(lambda: self._sync_at_once(plans, descriptor))
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
        now = trio.current_time()
        if now >= self._silent_until:
            self._silent_until = now + COMPLAIN_EVERY_S
            log.warning(
                "can not sync %s yet: %s; still trying (said at most every %d s)", target, error, COMPLAIN_EVERY_S
            )
        self.due_within(target, RETRY_S)

    def _for_syncfs(self, plans: Sequence[FlushPlan]) -> int | None:
        """A descriptor on the file system of all plans, if the round is better done by one syncfs."""
        if not self._may_syncfs or (len(plans) <= FILES_ONE_BY_ONE and monotonic() < self._syncfs_again_at):
            return None
        return next((fd for plan in plans for fd in plan.fds), None)

    def _sync_at_once(self, plans: Sequence[FlushPlan], descriptor: int) -> Sequence[OSError | None]:
        """In a worker thread: one syncfs for all plans."""
        began = monotonic()
        try:
            self._may_syncfs = self._env.files.sync_file_system(descriptor)
        except OSError as error:
            self._may_syncfs = False  # it would not tell of the error again, as each file's own sync does
            return [error] * len(plans)
        if not self._may_syncfs:
            return _sync_each(plans)
        ended = monotonic()
        if ended - began > len(plans) * ONE_FILE_S:
            self._syncfs_again_at = ended + (ended - began) / SLOW_SHARE
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
