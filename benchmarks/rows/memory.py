"""Resident memory: idle, after a load, and the highest while a 2 GiB log is fetched."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import admin
import kload
import procstat
from admin import Address
from batches import GIB, KIB, MIB, BatchFile
from bench import Bench
from figures import Figure, Row, at_most
from peers import APACHE, KBROKER, KFAKE, KINDS, Peer

LOG_BYTES = 2 * GIB
SLICE_BYTES = GIB  # of the load, each in a topic that is deleted after it
SAMPLE_S = 0.02


@dataclass
class _Peak:
    """The highest resident size seen, in bytes."""

    bytes: int = 0


@contextmanager
def _peak(peer: Peer) -> Iterator[_Peak]:
    peak, stop = _Peak(), threading.Event()

    def watch() -> None:
        while not stop.wait(SAMPLE_S):
            peak.bytes = max(peak.bytes, procstat.resident_bytes(peer.pid))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peak
    finally:
        stop.set()
        watching.join()


def _fill(address: Address, topic: str, batch: BatchFile, size_bytes: int) -> None:
    admin.create_topic(address, topic, 4)
    options = {"batch": batch.path, "records": batch.records, "partitions": 4, "connections": 4, "depth": 5}
    kload.run("produce", address, topic, **options, seconds=240, max_bytes=size_bytes)


def measure(bench: Bench, name: str) -> dict[str, float]:
    batch = bench.batches.get(KIB, 16 * KIB)
    with bench.own_peer(name) as peer:
        address = Address(peer.host, peer.port)
        time.sleep(bench.form.quiet_s)
        found = {"idle_mib": procstat.resident_bytes(peer.pid) / MIB}
        if bench.form.memory_load_bytes == 0 or not KINDS[name].durable:
            return found  # what keeps its log in memory has no bound to show
        for turn in range(bench.form.memory_load_bytes // SLICE_BYTES):
            _fill(address, f"slice-{turn}", batch, SLICE_BYTES)
            admin.delete_topic(address, f"slice-{turn}")
        time.sleep(bench.form.quiet_s)
        found["loaded_mib"] = procstat.resident_bytes(peer.pid) / MIB
        _fill(address, "log", batch, LOG_BYTES)
        with _peak(peer) as peak:
            read = 0.0
            while read < LOG_BYTES:
                read += kload.run("fetch", address, "log", partitions=4, connections=4, seconds=3)["bytes"]
        return found | {"fetching_mib": peak.bytes / MIB}


ROWS = (
    Row(
        "memory",
        "memory",
        (KBROKER, APACHE, KFAKE),
        measure,
        (
            Figure("memory idle", "idle_mib", "MiB", (at_most(60.0),)),
            Figure("memory after 10 GiB produced", "loaded_mib", "MiB", (at_most(100.0),)),
            Figure("memory while 2 GiB are fetched, highest", "fetching_mib", "MiB", (at_most(100.0),)),
        ),
        quick=(KBROKER,),
        rounds=(1, 1),
        warm_up=False,
        shared=False,
    ),
)
