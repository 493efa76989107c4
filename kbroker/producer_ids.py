"""Producer ids for idempotent producers, out of blocks that the controller hands to each broker (KIP-730)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio


class ProducerIds:
    def __init__(self, allocate: Callable[[], Awaitable[range]]) -> None:
        """`allocate` gets the next block from the controller; it raises Refusal if it can not."""
        self._allocate = allocate
        self._block = range(0)
        self._lock = trio.Lock()

    async def next(self) -> int:
        """An id that no producer has had before. Raises Refusal."""
        if not self._block:
            async with self._lock:
                if not self._block:
                    self._block = await self._allocate()
        first, self._block = self._block[0], self._block[1:]
        return first
