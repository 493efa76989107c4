"""Produce requests of one 100-byte record: pipelined (4 connections, 64 in flight on each) and ping-pong (8
connections, 1 in flight). The synced rows compare durable acknowledgements with the same load in relaxed mode."""

from functools import partial

from bench import Bench
from figures import Figure, Goal, Row, at_least
from peers import AGAIN, APACHE, KBROKER, KFAKE, SYNCED

from rows.produce import FLUSH_EACH

FAMILY = "small"
RECORD_BYTES = 100


def measure(connections: int, depth: int, partitions: int, synced: bool, bench: Bench, name: str) -> dict[str, float]:
    config = FLUSH_EACH if synced and name == APACHE else None
    with bench.fresh_topic(name, partitions, config) as topic:
        load = bench.produce(
            name,
            topic,
            bench.batches.single(RECORD_BYTES),
            connections=connections,
            depth=depth,
            partitions=partitions,
        )
    return load | {
        "requests_s": load["requests"] / load["seconds"],
        "cpu_us_request": load["cpu_s"] / load["requests"] * 1e6,
    }


def _row(title: str, connections: int, depth: int, goals: tuple[Goal, ...]) -> Row:
    return Row(
        title,
        FAMILY,
        (KBROKER, APACHE, KFAKE, AGAIN),
        partial(measure, connections, depth, connections, False),
        (
            Figure(title, "requests_s", "requests/s", goals),
            Figure(f"{title}: CPU", "cpu_us_request", "us/request"),
            Figure(f"{title}: p99", "p99_ms", "ms"),
        ),
        quick=(KBROKER, APACHE, KFAKE, AGAIN) if depth > 1 else (KBROKER, APACHE, KFAKE),
    )


def _synced_row(partitions: int) -> Row:
    title = f"pipelined 64 x 4, synced, {partitions} partition{'s' if partitions > 1 else ''}"
    goals = (at_least(0.3, KBROKER),)
    return Row(
        title,
        FAMILY,
        (SYNCED, KBROKER, APACHE),
        partial(measure, 4, 64, partitions, True),
        (Figure(title, "requests_s", "requests/s", goals, subject=SYNCED),),
        quick=(SYNCED, KBROKER) if partitions == 1 else (),
    )


ROWS = (
    _row("pipelined 64 x 4", 4, 64, (at_least(3.0, APACHE), at_least(1.2, KFAKE))),
    _row("ping-pong x 8", 8, 1, (at_least(1.0, APACHE), at_least(0.5, KFAKE))),
    _synced_row(1),
    _synced_row(200),
)
