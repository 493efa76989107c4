"""What all connections of a broker together may hold of requests that have not arrived whole."""

from __future__ import annotations

import trio

from .errors import CloseConnection

UNLIMITED = -1
OWN_LIMIT_BYTES = 1024 * 1024 * 1024  # where queued.max.request.bytes sets none: a broker that dies serves nobody
PATIENCE_S = 30.0  # how long a large request waits for memory before its connection is closed


class ReceiveBudget:
    """Bytes of receive buffers, summed over a broker's connections.

    Small requests always get through; a large one is received further only while there is room. A connection that
    finds none for PATIENCE_S is closed, which makes room for others: so requests that all wait for each other end.
    """

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes`: queued.max.request.bytes, -1 for the limit of our own."""
        self.limit_bytes = OWN_LIMIT_BYTES if limit_bytes == UNLIMITED else limit_bytes
        self.held_bytes = 0
        self._room = trio.Event()

    @property
    def spent(self) -> bool:
        return self.held_bytes >= self.limit_bytes

    def count(self, change_bytes: int) -> None:
        self.held_bytes += change_bytes
        if change_bytes < 0 and self.held_bytes < self.limit_bytes:
            self._room.set()

    async def room(self) -> None:
        """Until less than the limit is held. Raises CloseConnection."""
        with trio.move_on_after(PATIENCE_S):
            while self.spent:
                if self._room.is_set():  # else others wait for it already
                    self._room = trio.Event()
                await self._room.wait()
            return
        raise CloseConnection(f"no memory to receive a large request: {self.held_bytes} bytes are waiting already")
