"""Producer ids, out of blocks that the controller hands to each broker (KIP-730)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from .errors import Refusal

log = logging.getLogger(__name__)


class ProducerIds:
    def __init__(self, allocate: Callable[[], Awaitable[range]]) -> None:
        """`allocate` gets the next block from the controller; it raises Refusal if it can not."""
        self._allocate = allocate
        self._block = range(0)
        self._lock = trio.Lock()
        self._wanted = trio.Event()

    async def next(self) -> int:
        """An id that no producer has had before. Raises Refusal."""
        while (taken := self._pop()) is None:
            await self.ready()
        return taken

    def take(self) -> int | None:
        """The same for who can not wait: None if there is none at hand, but there will be one soon."""
        taken = self._pop()
        if taken is None:
            self._wanted.set()
        return taken

    def _pop(self) -> int | None:
        if not self._block:
            return None
        first, self._block = self._block[0], self._block[1:]
        return first

    async def ready(self) -> None:
        """There is one at hand when this returns. Raises Refusal."""
        if not self._block:
            async with self._lock:
                if not self._block:
                    self._block = await self._allocate()

    async def run(self) -> NoReturn:
        """Get a block when somebody found none at hand."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            try:
                await self.ready()
            except Refusal as refusal:
                log.warning("no producer ids: %s", refusal)  # who wants one asks again
