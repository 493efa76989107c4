"""The one door to the world outside the broker: clock, chance, files, network and threads.

Nothing else in the server imports time, random, uuid, socket constructors or open; so a test or a simulation that gives
another `Env` owns everything that could make two runs differ. Deadlines are not here: they use Trio's clock.
"""

from __future__ import annotations

import base64
import random
import shutil
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from kbroker_storage import DiskFiles, Files, MemoryFiles
from kbroker_storage.disk import DEFAULT_DESCRIPTORS

if sys.platform != "win32":
    import resource

T = TypeVar("T")
RunBlocking = Callable[[Callable[[], T]], Awaitable[T]]
WaitReadable = Callable[[socket.socket], Awaitable[None]]

SYNC_THREADS = 16  # 200 dirty files: 26 ms one after the other, 11 ms in 16 threads


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def bind(host: str, port: int) -> list[socket.socket]:
    """Non-blocking sockets bound to every address that `host` names, one port for all of them; not listening yet.

    host    a name or address; "" means every interface, as in Kafka's `PLAINTEXT://:9092`
    Raises OSError when the address can not be resolved or is in use.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            if not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # on Windows SO_REUSEADDR would let two servers share a port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if port == 0 and len(sockets) > 1:
                port = sockets[0].getsockname()[1]
            sock.bind((address[0], port, *address[2:]))
            sock.setblocking(False)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def file_descriptors() -> int:
    """How many descriptors log files may take: at most half of what the process may have, which is 256 on macOS."""
    if sys.platform == "win32":
        return DEFAULT_DESCRIPTORS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DEFAULT_DESCRIPTORS if soft == resource.RLIM_INFINITY else max(1, min(DEFAULT_DESCRIPTORS, soft // 2))


def disk_volume(path: str) -> tuple[int, int]:
    """Bytes that the disk of `path` has, and those that are free. Raises OSError."""
    usage = shutil.disk_usage(path)
    return usage.total, usage.free


def unknown_volume(path: str) -> tuple[int, int]:
    """Memory has no such bounds."""
    del path
    return -1, -1


async def run_inline(work: Callable[[], T]) -> T:
    """For files that never block: no thread is started, and none is left behind."""
    return work()


def thread_runner(threads: int = SYNC_THREADS) -> RunBlocking[T]:
    limiter = trio.CapacityLimiter(threads)

    async def run_in_thread(work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=limiter)

    return run_in_thread


@dataclass(frozen=True, slots=True)
class Env:
    """`bind` makes listening sockets; they and what they accept are waited for by `wait_readable`. A network of another
    kind gives both, and its sockets take whatever is sent."""

    files: Files
    run_blocking: RunBlocking  # type: ignore[type-arg]  # generic in each call, which an attribute can not say
    now_ms: Callable[[], int] = wall_clock_ms
    rng: random.Random = field(default_factory=random.SystemRandom)
    bind: Callable[[str, int], list[socket.socket]] = bind
    wait_readable: WaitReadable = trio.lowlevel.wait_readable
    volume: Callable[[str], tuple[int, int]] = unknown_volume

    @classmethod
    def on_disk(cls) -> Env:
        return cls(files=DiskFiles(file_descriptors()), run_blocking=thread_runner(), volume=disk_volume)

    @classmethod
    def in_memory(cls) -> Env:
        return cls(files=MemoryFiles(), run_blocking=run_inline)

    def new_uuid(self) -> bytes:
        """A version 4 UUID, 16 bytes, whose text does not begin with a dash (as Kafka's `Uuid.randomUuid`)."""
        while True:
            raw = bytearray(self.rng.randbytes(16))
            raw[6] = raw[6] & 0x0F | 0x40
            raw[8] = raw[8] & 0x3F | 0x80
            if not base64.urlsafe_b64encode(raw).startswith(b"-"):
                return bytes(raw)
