"""Accepting connections: one task per listening socket, the limits on how many, and the watch over idle ones."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from .connection import Connection
from .receiving import ReceiveBudget
from .settings.listeners import parse_overrides

if TYPE_CHECKING:
    from .broker import Broker

log = logging.getLogger(__name__)

OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
QUIET_S = 10.0  # a connection that had nothing to say for so long gives its receive buffer back
ACCEPTED_AT_ONCE = 32  # in one turn; when much is going on a turn takes milliseconds, and a crowd may be waiting
KAFKAS_SEND_BUFFER_BYTES = 102_400  # the default of socket.send.buffer.bytes
# What that stands for here. One thread sends to all, and a small buffer keeps what is on its way in the processor's
# cache: in fetches of 1 MiB a connection gets 1.4 times as much as with Kafka's, 1.2 times as much as where the system
# lets it grow; four connections 1.2 and 1.25 times.
SEND_BUFFER_BYTES = 256 * 1024
BACK_OFF_S = 0.1  # how long accepting pauses when the process has no descriptor left


def told_address(advertised: tuple[str, int] | None, bind_host: str, sock: socket.socket) -> tuple[str, int]:
    """Where a client that came in over `sock` is told to find this broker.

    `advertised.listeners` if set; else the host that the listener names; a wildcard or loopback listener tells the
    address that this very connection reached, which is the one address known to work for that client.
    """
    if advertised is not None:
        return advertised
    local = sock.getsockname()
    try:
        address = ipaddress.ip_address(bind_host) if bind_host else None
        named = address is not None and not address.is_unspecified and not address.is_loopback
    except ValueError:
        named = bind_host != "localhost"
    return (bind_host if named else local[0]), local[1]


class Connections:
    """The open connections of one broker, and the limits on them (`max.connections`, `max.connections.per.ip`)."""

    def __init__(self, broker: Broker) -> None:
        config = broker.config
        self._broker = broker
        self._open: dict[Connection, None] = {}  # in the order they came: what happens to all happens in that order
        self._per_address: Counter[str] = Counter()
        self._max_frame_bytes = config.int("socket.request.max.bytes")
        self._budget = ReceiveBudget(config.int("queued.max.request.bytes"))
        given = config.int("socket.send.buffer.bytes")
        self._send_buffer_bytes = SEND_BUFFER_BYTES if given == KAFKAS_SEND_BUFFER_BYTES else given
        self._idle_s = config.int("connections.max.idle.ms") / 1000
        self.configure()

    def configure(self) -> None:
        """Take over the limits as they are configured now; nobody who is connected has to go."""
        config = self._broker.config
        self._limit = config.int("max.connections")
        self._limit_per_address = config.int("max.connections.per.ip")
        self._overrides = parse_overrides(config.str("max.connections.per.ip.overrides"))

    def __len__(self) -> int:
        return len(self._open)

    async def accept(
        self, listening: socket.socket, name: str, host: str, advertised: tuple[str, int] | None, nursery: trio.Nursery
    ) -> None:
        """Accept on one socket until cancelled; each connection becomes a task of `nursery`.

        Out of descriptors, accepting pauses and the clients that are there go on being served. At `max.connections`
        it pauses too, as Kafka's acceptor does: the kernel's backlog holds the rest.
        """
        wait_readable = self._broker.env.wait_readable
        admit = partial(self._admit, name=name, host=host, advertised=advertised, nursery=nursery)
        while True:
            await wait_readable(listening)
            if not self._accept_waiting(listening, admit):
                await trio.sleep(BACK_OFF_S)

    def _accept_waiting(self, listening: socket.socket, admit: Callable[[socket.socket, str], None]) -> bool:
        """Accept who waits, up to ACCEPTED_AT_ONCE; False if accepting has to pause."""
        for _ in range(ACCEPTED_AT_ONCE):
            if len(self._open) >= self._limit:
                return False
            try:
                sock, address = listening.accept()
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    continue
                log.warning("can not accept a connection: %s; trying again in %s s", error, BACK_OFF_S)
                return False
            admit(sock, address[0])
        return True

    def _admit(
        self,
        sock: socket.socket,
        peer: str,
        *,
        name: str,
        host: str,
        advertised: tuple[str, int] | None,
        nursery: trio.Nursery,
    ) -> None:
        if self._per_address[peer] >= self._overrides.get(peer, self._limit_per_address):
            log.warning("refused a connection from %s: max.connections.per.ip is reached", peer)
            sock.close()
            return
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._send_buffer_bytes > 0:  # Kafka's -1: as the system likes
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer_bytes)
            told = told_address(advertised, host, sock)
        except OSError:  # gone before it was served
            sock.close()
            return
        connection = Connection(
            sock,
            self._broker,
            listener=name,
            told=told,
            peer=peer,
            max_frame_bytes=self._max_frame_bytes,
            budget=self._budget,
        )
        self._open[connection] = None  # counted here, not in its task: the next one may be accepted before that runs
        self._per_address[peer] += 1
        nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.serve()
        finally:
            self._open.pop(connection, None)
            self._per_address[connection.peer] -= 1
            if not self._per_address[connection.peer]:
                del self._per_address[connection.peer]

    async def close_idle(self) -> None:
        """Close connections that are idle for `connections.max.idle.ms`, shrink quiet ones; until cancelled."""
        while True:
            await trio.sleep(min(max(self._idle_s / 10, 0.05), QUIET_S))
            now = trio.current_time()
            for connection in list(self._open):
                if connection.parked:
                    continue
                quiet_s = now - connection.last_active
                if quiet_s > self._idle_s:
                    log.info("closing the connection from %s: idle", connection.peer)
                    connection.close()
                elif quiet_s > QUIET_S:
                    connection.shrink()

    def drain(self) -> None:
        for connection in list(self._open):
            connection.drain()
