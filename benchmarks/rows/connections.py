"""Many connections: 2,000 that do nothing, and 20 that declare a request of 100 MiB and send one byte of it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import procstat
from admin import Address, ping_ms
from batches import KIB, MIB
from bench import Bench
from figures import Figure, Row, at_most
from peers import APACHE, KBROKER, KFAKE, Peer
from raw_kafka.connection import Connection

FAMILY = "connections"
IDLE = 2000
DECLARING = 20
DECLARED_BYTES = 100 * MIB  # socket.request.max.bytes: the largest that is not refused at once
PINGS = 100


@contextmanager
def _connected(peer: Peer, count: int) -> Iterator[list[Connection]]:
    """So many connections, each of which has been answered once."""
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(peer.host, peer.port)) for _ in range(count)]
        for connection in connections:
            ping_ms(connection)
        yield connections


def _settled_bytes(bench: Bench, peer: Peer) -> int:
    time.sleep(bench.form.quiet_s)
    return procstat.resident_bytes(peer.pid)


def measure_idle(bench: Bench, name: str) -> dict[str, float]:
    with bench.own_peer(name) as peer:
        with _connected(peer, 10):
            before = _settled_bytes(bench, peer)
        with _connected(peer, IDLE):
            after = _settled_bytes(bench, peer)
            started = time.monotonic()
            with procstat.cpu_of(peer.pid) as use:
                time.sleep(2 * bench.form.quiet_s)
            cpu_percent = 100 * use.seconds / (time.monotonic() - started)
    return {"kib_each": (after - before) / IDLE / KIB, "cpu_percent": cpu_percent}


def measure_declaring(bench: Bench, name: str) -> dict[str, float]:
    with bench.own_peer(name) as peer, Address(peer.host, peer.port).connect() as other:
        with _connected(peer, 10):
            before = _settled_bytes(bench, peer)
        with _connected(peer, DECLARING) as connections:
            for connection in connections:
                connection.send_raw(DECLARED_BYTES.to_bytes(4, "big") + b"\0")
            served_ms = sorted(ping_ms(other) for _ in range(PINGS))
            after = _settled_bytes(bench, peer)
            ping_ms(other)
    return {"grown_mb": (after - before) / 1e6, "served_ms": served_ms[-1]}


ROWS = (
    Row(
        "2,000 idle connections",
        FAMILY,
        (KBROKER, APACHE, KFAKE),
        measure_idle,
        (
            Figure("2,000 idle connections: memory of each", "kib_each", "KiB", (at_most(16.0),)),
            Figure("2,000 idle connections: CPU", "cpu_percent", "%", (at_most(1.0),)),
        ),
        quick=(KBROKER,),
        rounds=(1, 3),
        warm_up=False,
        shared=False,
    ),
    Row(
        "20 connections declare 100 MiB",
        FAMILY,
        (KBROKER, APACHE, KFAKE),
        measure_declaring,
        (
            Figure("20 connections declare 100 MiB: memory grown", "grown_mb", "MB", (at_most(50.0),)),
            Figure("20 connections declare 100 MiB: others, slowest of 100", "served_ms", "ms"),
        ),
        quick=(KBROKER,),
        rounds=(1, 1),
        warm_up=False,
        shared=False,
    ),
)
