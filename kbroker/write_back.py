"""Write-back in small steps: what appends left in the page cache starts its way to the disk long before the sync.

Left alone, the kernel holds written pages for up to 30 s, and the sync that bounds what is unsynced meets all of them
at once: appends to that file then wait behind it (measured under bulk load: 15 ms at the 99th percentile with a sync of
256 MiB, 4 ms when its pages were on their way already). A step promises nothing: only a sync makes records durable, and
only a sync tells of a disk that fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

import trio

from kbroker_storage import Log
from kbroker_storage.files import Lease
from kbroker_storage.flush import release

if TYPE_CHECKING:
    from .env import Env

STEP_BYTES = 8 * 1024 * 1024  # appended since the last step; smaller ones cost more threads, larger ones longer waits
FILES_IN_A_STEP = 64  # the others come with the next steps: each costs a descriptor and a system call


class WriteBack:
    """Of one broker; `run` is its one task."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._dirty: dict[Log, None] = {}  # in the order in which they became so
        self._dirty_bytes = 0
        self._wake = trio.Event()

    def appended(self, to: Log, nbytes: int) -> None:
        """`nbytes` were written to the newest segment of a log, and no sync will follow at once."""
        self._dirty[to] = None
        self._dirty_bytes += nbytes
        if self._dirty_bytes >= STEP_BYTES:
            self._wake.set()

    async def run(self) -> NoReturn:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await self.step()

    async def step(self) -> None:
        """Start writing what the longest dirty logs hold. A file that has been rolled since is left to the sync."""
        self._dirty_bytes = 0
        dirty = list(islice(self._dirty, FILES_IN_A_STEP))
        leases: list[Lease] = []
        for each in dirty:
            del self._dirty[each]
            with suppress(OSError):  # it was deleted, or there is no descriptor left: the sync has to do alone
                leases.append(each.segments[-1].store.file.lease())
        try:
            with trio.CancelScope(shield=True):  # a descriptor must not be closed under the thread's hands
                await self._env.run_blocking(lambda: _write_back(leases))
        finally:
            release(leases)


def _write_back(leases: Sequence[Lease]) -> None:
    """In a worker thread: it waits where the device's queue is full."""
    for lease in leases:
        lease.write_back()
