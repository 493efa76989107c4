"""Fetch of a log of 16 KiB batches that is in the page cache: 1 MiB or 16 KiB of it a request, one request in flight on
each connection. Connections begin at different places of one partition and start over at its end."""

from functools import partial

import kload
import procstat
from batches import KIB, MIB
from bench import Bench
from figures import Figure, Goal, Row, at_least
from peers import AGAIN, APACHE, KBROKER, KFAKE

FAMILY = "fetch"
SIZES = {"1 MiB": MIB, "16 KiB": 16 * KIB}


def measure(fetch_bytes: int, connections: int, bench: Bench, name: str) -> dict[str, float]:
    topic = bench.filled_topic(name, bench.batches.get(KIB, 16 * KIB), bench.form.log_bytes)
    with procstat.cpu_of(bench.peer(name).pid) as use:
        load = kload.run(
            "fetch",
            bench.address(name),
            topic,
            connections=connections,
            seconds=bench.round_s,
            fetch_bytes=fetch_bytes,
        )
    return load | {
        "mb_s": load["bytes"] / load["seconds"] / 1e6,
        "cpu_s_gb": use.seconds / (load["bytes"] / 1e9),
        "cpu_us_request": use.seconds / load["requests"] * 1e6,
    }


def _row(size: str, connections: int, goals: tuple[Goal, ...], quick: tuple[str, ...] = ()) -> Row:
    title = f"fetch {size}, {connections} connection{'s' if connections > 1 else ''}"
    cpu = (
        Figure(f"{title}: CPU", "cpu_s_gb", "s/GB")
        if size == "1 MiB"
        else Figure(f"{title}: CPU", "cpu_us_request", "us/request")
    )
    leading = connections == 1 and size == "1 MiB"
    subjects = (KBROKER, APACHE, KFAKE, AGAIN) if leading else (KBROKER, APACHE, KFAKE)
    run = partial(measure, SIZES[size], connections)
    return Row(title, FAMILY, subjects, run, (Figure(title, "mb_s", "MB/s", goals), cpu), quick)


ROWS = (
    _row("1 MiB", 1, (at_least(1.0, APACHE),), quick=(KBROKER, APACHE, AGAIN)),
    _row("1 MiB", 4, (at_least(0.6, APACHE),)),
    _row("16 KiB", 1, (at_least(1.0, APACHE),)),
    _row("16 KiB", 4, (at_least(1.0, APACHE),), quick=(KBROKER, APACHE)),
)
