"""Sockets that are lists of bytes in this process: delays, cuts and the ends of processes are drawn, nothing waits.

A `SimSocket` does what the broker's connections ask of a non-blocking socket. Bytes arrive in order, each piece after a
delay, often in several pieces. A send takes whatever it is given. When a process ends, what it had sent may be lost
from some byte on.
"""

from __future__ import annotations

import errno
import os
import random
from collections import deque
from itertools import count
from math import inf
from typing import TYPE_CHECKING, cast

import trio

if TYPE_CHECKING:
    import socket

NO_DESCRIPTOR = 1 << 29  # numbers from here on stand for descriptors where one is asked for
HOST = "127.0.0.1"
PIECES = 0.1  # chance that what is sent arrives in two pieces


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class SimSocket:
    """One end of a connection, or with `peer` None and a queue of accepted ends, a listening socket."""

    def __init__(self, network: SimNetwork, port: int) -> None:
        self._network, self._port = network, port
        self._descriptor = NO_DESCRIPTOR + next(network.numbers)
        self._incoming: deque[tuple[float, bytes]] = deque()  # when it arrives, what; b"" for the end
        self._last_at = 0.0  # nothing arrives before what was sent earlier
        self._reset = False
        self._news = trio.Event()
        self.peer: SimSocket | None = None
        self.backlog: deque[SimSocket] = deque()
        self.closed = False

    # -- what a socket has

    def fileno(self) -> int:
        return -1 if self.closed else self._descriptor

    def getsockname(self) -> tuple[str, int]:
        return HOST, self._port

    def setblocking(self, flag: bool) -> None: ...
    def setsockopt(self, level: int, option: int, value: int) -> None: ...
    def listen(self, backlog: int) -> None:
        self._network.listening[self._port] = self

    def accept(self) -> tuple[SimSocket, tuple[str, int]]:
        if self.closed:
            raise _error(errno.EBADF)
        if not self.backlog:
            raise BlockingIOError
        return self.backlog.popleft(), (HOST, 40_000)

    def recv_into(self, buffer: memoryview) -> int:
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def recv(self, most: int) -> bytes:
        if self.closed:
            raise _error(errno.EBADF)
        if self._reset:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        if not self._incoming or self._incoming[0][0] > trio.current_time():
            raise BlockingIOError
        at, data = self._incoming[0]
        if len(data) > most:
            self._incoming[0] = at, data[most:]
        elif data:  # the end stays for ever
            self._incoming.popleft()
        return data[:most]

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        if self.closed:
            raise _error(errno.EBADF)
        peer = self.peer
        if peer is None or peer.closed or self._reset:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        whole = bytes(data)
        cut = self._network.cut(len(whole))
        for piece in (whole[:cut], whole[cut:]):
            if piece:
                peer.arrive(piece)
        return len(whole)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.tell()
        if self._network.listening.get(self._port) is self:
            del self._network.listening[self._port]
        for waiting in self.backlog:
            waiting.reset()
        if self.peer is not None and not self.peer.closed:
            self.peer.arrive(b"")

    # -- what happens to it

    def arrive(self, data: bytes) -> None:
        self._last_at = max(self._last_at, trio.current_time() + self._network.delay_s())
        self._incoming.append((self._last_at, data))
        self.tell()

    def reset(self) -> None:
        """This end's process is gone, or the way to it: what was on its way to the peer arrives up to some byte."""
        self.closed = True
        self.tell()
        peer = self.peer
        if peer is not None and not peer.closed:
            peer.lose()

    def lose(self) -> None:
        rng = self._network.rng
        for _ in range(rng.randint(0, len(self._incoming))):
            self._incoming.pop()
        if self._incoming and rng.random() < 0.5:
            at, data = self._incoming.pop()
            self._incoming.append((at, data[: rng.randint(1, max(1, len(data)))]))
        if rng.random() < 0.5:
            self._reset = True
            self.tell()
        else:
            self.arrive(b"")

    def tell(self) -> None:
        self._news.set()

    async def wait(self) -> None:
        """Until a `recv` or an `accept` would say something. Raises ClosedResourceError."""
        await trio.lowlevel.checkpoint()
        while not self.closed:
            ready_at = self._incoming[0][0] if self._incoming else inf
            if self.backlog or self._reset or ready_at <= trio.current_time():
                return
            self._news = trio.Event()
            with trio.move_on_at(ready_at):
                await self._news.wait()
        raise trio.ClosedResourceError


class SimNetwork:
    """The sockets of one simulation: those of the broker, which may die, and those of its clients.

    listening   by port
    """

    def __init__(self, rng: random.Random, most_delay_s: float = 0.005) -> None:
        self.rng = rng
        self.numbers = count()
        self.listening: dict[int, SimSocket] = {}
        self._most_delay_s = most_delay_s
        self._accepted: list[SimSocket] = []

    def delay_s(self) -> float:
        return self.rng.uniform(0, self._most_delay_s)

    def cut(self, length: int) -> int:
        return self.rng.randint(1, length) if length and self.rng.random() < PIECES else length

    # -- for `Env`

    def bind(self, host: str, port: int) -> list[socket.socket]:
        if port in self.listening:
            raise _error(errno.EADDRINUSE)
        return [cast("socket.socket", SimSocket(self, port))]

    async def wait_readable(self, sock: socket.socket) -> None:
        await cast("SimSocket", sock).wait()

    # -- for clients, and for what happens to the broker

    def connect(self, port: int) -> SimSocket:
        """Raises ConnectionRefusedError."""
        listening = self.listening.get(port)
        if listening is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        ours, theirs = SimSocket(self, 0), SimSocket(self, port)
        ours.peer, theirs.peer = theirs, ours
        self._accepted = [each for each in self._accepted if not each.closed]
        self._accepted.append(theirs)
        listening.backlog.append(theirs)
        listening.tell()
        return ours

    def kill(self) -> None:
        """The broker's process ends: nothing that it does from now on reaches anybody."""
        self.listening.clear()
        for each in self._accepted:
            if not each.closed:
                each.reset()
        self._accepted.clear()

    def cut_one(self) -> None:
        """Some connection breaks."""
        alive = [each for each in self._accepted if not each.closed]
        if alive:
            self.rng.choice(alive).reset()
