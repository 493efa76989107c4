"""Consumer groups: a crowd that joins, a new group's first record, a second member's share, offset commits.

The brokers let a group rebalance at once (group.initial.rebalance.delay.ms=0), assign one of the new protocol (KIP-848)
anew whenever it changes (group.consumer.assignment.interval.ms=0), and have its members heartbeat every 200 ms, as the
classic ones do here.
"""

from functools import partial
from typing import Literal

import admin
import kload
import procstat
from bench import Bench
from figures import Figure, Goal, Row, at_least, at_most
from peers import APACHE, KBROKER, SYNCED

FAMILY = "groups"
MEMBERS = 1000
# By protocol. A connection answers in order, and the answer to a classic member's JoinGroup waits for all members.
CONNECTIONS = {"classic": MEMBERS, "consumer": 50}
COMMITTERS, COMMITTED_PARTITIONS = 16, 4
Protocol = Literal["classic", "consumer"]
NAMES: dict[Protocol, str] = {"classic": "classic", "consumer": "KIP-848"}


def measure_join(protocol: Protocol, bench: Bench, name: str) -> dict[str, float]:
    with bench.fresh_topic(name, MEMBERS) as topic, procstat.cpu_of(bench.peer(name).pid) as use:
        load = kload.franz_go(
            "groupload",
            "join",
            address=bench.address(name),
            topic=topic,
            protocol=protocol,
            members=MEMBERS,
            connections=CONNECTIONS[protocol],
            partitions=MEMBERS,
        )
    return {"seconds": load["seconds"], "cpu_s": use.seconds}


def measure_first_poll(protocol: Protocol, bench: Bench, name: str) -> dict[str, float]:
    batch = bench.batches.single(100)
    with bench.fresh_topic(name) as topic:
        bench.produce(name, topic, batch, max_bytes=batch.stored_bytes)
        return kload.franz_go("groupload", "firstpoll", address=bench.address(name), topic=topic, protocol=protocol)


def measure_change(protocol: Protocol, bench: Bench, name: str) -> dict[str, float]:
    with bench.fresh_topic(name, 4) as topic:
        return kload.franz_go("groupload", "change", address=bench.address(name), topic=topic, protocol=protocol)


def measure_commits(depth: int, bench: Bench, name: str) -> dict[str, float]:
    with bench.fresh_topic(name, COMMITTED_PARTITIONS) as topic:
        for committer in range(COMMITTERS):
            admin.wait_for_group(bench.address(name), f"{topic}-{committer}")  # as the load generator calls them
        with procstat.cpu_of(bench.peer(name).pid) as use:
            load = kload.run(
                "commit",
                bench.address(name),
                topic,
                connections=COMMITTERS,
                partitions=COMMITTED_PARTITIONS,
                depth=depth,
                seconds=bench.round_s,
            )
    return load | {
        "commits_s": load["requests"] / load["seconds"],
        "cpu_us": use.seconds / load["requests"] * 1e6,
    }


def _join_row(protocol: Protocol) -> Row:
    title = f"{MEMBERS:,} members join, {NAMES[protocol]}, {CONNECTIONS[protocol]:,} connections"
    return Row(
        title,
        FAMILY,
        (KBROKER, APACHE),
        partial(measure_join, protocol),
        (Figure(title, "seconds", "s", (at_most(10.0),)), Figure(f"{title}: CPU", "cpu_s", "s")),
    )


def _wait_rows(protocol: Protocol) -> tuple[Row, Row]:
    first, second = f"first poll of a new group, {NAMES[protocol]}", f"a member joins, {NAMES[protocol]}: change"
    return (
        Row(
            first,
            FAMILY,
            (KBROKER, APACHE),
            partial(measure_first_poll, protocol),
            (Figure(first, "median_ms", "ms", (at_most(150.0),)), Figure(f"{first}: longest", "most_ms", "ms")),
            quick=(KBROKER, APACHE),
        ),
        Row(
            second,
            FAMILY,
            (KBROKER, APACHE),
            partial(measure_change, protocol),
            (Figure(second, "median_ms", "ms", (at_most(500.0),)), Figure(f"{second}: longest", "most_ms", "ms")),
            quick=(KBROKER, APACHE),
        ),
    )


def _commits_row(depth: int, subject: str, goals: tuple[Goal, ...]) -> Row:
    synced = ", synced" if subject == SYNCED else ""
    title = f"offset commits x {COMMITTERS}, {depth} in flight{synced}"
    figures = [Figure(title, "commits_s", "/s", goals, subject=subject)]
    if not synced:
        figures += [Figure(f"{title}: CPU", "cpu_us", "us each"), Figure(f"{title}: p99", "p99_ms", "ms")]
    return Row(
        title,
        FAMILY,
        (SYNCED, KBROKER) if synced else (KBROKER, APACHE),
        partial(measure_commits, depth),
        tuple(figures),
        quick=(KBROKER, APACHE) if depth == 1 and not synced else (),
    )


ROWS = (
    _join_row("classic"),
    _join_row("consumer"),
    *_wait_rows("classic"),
    *_wait_rows("consumer"),
    _commits_row(1, KBROKER, (at_least(5000),)),
    _commits_row(16, KBROKER, (at_least(5000),)),
    _commits_row(1, SYNCED, (at_least(2500),)),
)
