"""Waiting for sockets to have something to read, at a lower price than `trio.lowlevel.wait_readable`.

Trio arms its epoll anew for every single wait, and a task that was waited for takes a turn of the scheduler. Here each
socket is registered once, edge-triggered, in an epoll of the broker's own, and one task waits for that epoll with Trio.
It lets the waiting connection serve what has come right there, and wakes the connection's task only for what has to
wait. Where there is no epoll, Trio's way is taken.

Edge-triggered means: news are told once. A socket must be found empty, by EAGAIN or by a read that gave less than it
was offered, before it is waited for.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from time import monotonic

import trio
from outcome import Error
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_readable, wait_task_rescheduled

from .env import WaitReadable

EVENTS = 256  # told in one go; the rest comes in the next
# For so long, what comes while news are served is served in the same turn of Trio's scheduler, which costs as much as a
# small request: eight clients that ask one thing at a time get 1.1 times as much done.
TURN_S = 0.001
HUNG_UP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR if hasattr(select, "epoll") else 0


class Readable:
    """One socket's readiness, by Trio's own means or those of the network it belongs to."""

    __slots__ = ("_sock", "_wait_readable")

    def __init__(self, sock: socket.socket, wait: WaitReadable = wait_readable) -> None:
        self._sock, self._wait_readable = sock, wait

    async def wait(self, serve: Callable[[], bool] | None = None) -> None:
        """Until there may be something to read. Raises ClosedResourceError when the socket is closed meanwhile.

        serve   may be called at news instead of ending the wait: True when nothing is left to do but to wait on
        """
        del serve
        await self._wait_readable(self._sock)

    async def hang_up(self) -> None:
        """Until the peer has closed its side, or reset the connection; what it sent before may still be unread.

        For ever where only a read would tell. Raises ClosedResourceError as `wait` does.
        """
        await trio.sleep_forever()

    def close(self) -> None:
        """Before the socket is closed."""
        trio.lowlevel.notify_closing(self._sock)


class Registered(Readable):
    """One socket's readiness, told by `Readiness`."""

    __slots__ = ("_closed", "_descriptor", "_news", "_readiness", "_serve", "_task", "hung_up")

    def __init__(self, sock: socket.socket, readiness: Readiness) -> None:
        super().__init__(sock)
        self._readiness = readiness
        self._descriptor = sock.fileno()
        self._news = False
        self._task: Task | None = None
        self._serve: Callable[[], bool] | None = None
        self._closed = False
        self.hung_up = False

    async def wait(self, serve: Callable[[], bool] | None = None) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        if self._news:
            self._news = False
            return
        self._task, self._serve = current_task(), serve
        await wait_task_rescheduled(self._abort)

    async def hang_up(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        if not self.hung_up:
            self._task, self._serve = current_task(), self._stay
            await wait_task_rescheduled(self._abort)

    def _stay(self) -> bool:
        """Go on waiting for the end; what there is to read is news to who reads next."""
        self._news = True
        return not self.hung_up

    def _abort(self, _: object) -> Abort:
        self._task = None
        return Abort.SUCCEEDED

    def tell(self) -> None:
        """There is news: called by `Readiness` alone."""
        task = self._task
        if task is None:
            self._news = True
        elif self._serve is None or not self._serve():
            self._task = None
            reschedule(task)

    def close(self) -> None:
        self._closed = True
        self._readiness.forget(self._descriptor)
        super().close()
        if self._task is not None:
            task, self._task = self._task, None
            reschedule(task, Error(trio.ClosedResourceError()))


class Readiness:
    """The epoll of one broker; `run` is its one task."""

    def __init__(self, wait: WaitReadable = wait_readable, *, native: bool = True) -> None:
        """`native` False forces Trio's way; sockets that are waited for by another `wait` are in no epoll."""
        native = native and wait is wait_readable and hasattr(select, "epoll")
        self._epoll = select.epoll() if native else None
        self._wait = wait
        self._registered: dict[int, Registered] = {}
        self._soon: list[Callable[[], object]] | None = None  # while news are told

    def of(self, sock: socket.socket) -> Readable:
        if self._epoll is None:
            return Readable(sock, self._wait)
        registered = self._registered[sock.fileno()] = Registered(sock, self)
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        return registered

    def forget(self, descriptor: int) -> None:
        if self._registered.pop(descriptor, None) is not None and self._epoll is not None and not self._epoll.closed:
            self._epoll.unregister(descriptor)

    async def run(self) -> None:
        """Until cancelled; there is nothing to do where Trio's way is taken."""
        while self._epoll is not None:
            await wait_readable(self._epoll.fileno())
            until = monotonic() + TURN_S
            while self.tell_news() and monotonic() < until:
                pass

    def tell_news(self) -> bool:
        """Whether there was any. A task that has much to do calls it in between, with nothing half done, so that who
        asks little need not wait for all that ask much."""
        if self._epoll is None:
            return False
        news = self._epoll.poll(0, EVENTS)
        for descriptor, events in news:
            readable = self._registered.get(descriptor)
            if readable is not None:
                if events & HUNG_UP:
                    readable.hung_up = True
                self._tell(readable)
        return bool(news)

    def _tell(self, readable: Registered) -> None:
        soon: list[Callable[[], object]] = []
        self._soon = soon
        readable.tell()
        self._soon = None
        for call in soon:
            call()

    def soon(self, call: Callable[[], object]) -> None:
        """Once what a socket has just told is served, call this; it may not raise. At other times it is forgotten.

        It spares what that has let go on one turn of Trio's scheduler, in which its task would run: wake that as well.
        """
        if self._soon is not None:
            self._soon.append(call)

    def close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
