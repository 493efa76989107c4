"""End to end: from sending one record, at most 500 a second, to its arrival at a consumer in a long poll.

Once on an idle broker, and once while a producer sends 1 MiB batches to another topic as fast as it can.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import kload
from batches import KIB, MIB
from bench import Bench
from figures import Figure, Row, at_most
from peers import AGAIN, APACHE, KBROKER, KFAKE

FAMILY = "latency"
INTERVAL_MS = 2
BULK_DEPTH = 5
BULK_AHEAD_S = 0.3  # the bulk load has filled its pipeline by then
BULK_AT_MOST_S = 60


def _arrivals(bench: Bench, name: str) -> dict[str, float]:
    batch = bench.batches.single(100)
    count = bench.form.latency_count // (2 if bench.warming else 1)
    with bench.fresh_topic(name) as topic:
        return kload.run(
            "latency", bench.address(name), topic, batch=batch.path, records=1, interval_ms=INTERVAL_MS, count=count
        )


@contextmanager
def _bulk_load(bench: Bench, name: str) -> Iterator[subprocess.Popen[str]]:
    batch = bench.batches.get(KIB, MIB)
    options = {"batch": batch.path, "records": batch.records, "depth": BULK_DEPTH, "seconds": BULK_AT_MOST_S}
    with bench.fresh_topic(name) as topic, kload.start("produce", bench.address(name), topic, **options) as load:
        time.sleep(BULK_AHEAD_S)
        try:
            yield load
        finally:
            load.terminate()


def measure_under_bulk(bench: Bench, name: str) -> dict[str, float]:
    with _bulk_load(bench, name) as load:
        arrivals = _arrivals(bench, name)
        if load.poll() is not None:
            raise kload.LoadFailed(f"the bulk load ended before the end: {load.communicate()[1].strip()}")
    return arrivals


ROWS = (
    Row(
        "latency, idle",
        FAMILY,
        (KBROKER, APACHE, KFAKE, AGAIN),
        _arrivals,
        (
            Figure("end to end, idle: p50", "p50_ms", "ms", (at_most(0.8, APACHE),)),
            Figure("end to end, idle: p99", "p99_ms", "ms", (at_most(0.7, APACHE),)),
        ),
        quick=(KBROKER, APACHE),
    ),
    Row(
        "latency, bulk",
        FAMILY,
        (KBROKER, APACHE),
        measure_under_bulk,
        (
            Figure("end to end under bulk load: p99", "p99_ms", "ms", (at_most(1.0, APACHE),)),
            Figure("end to end under bulk load: p50", "p50_ms", "ms"),
        ),
    ),
)
