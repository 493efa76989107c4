"""One CreateTopics request for 1,000 partitions: until it is answered, and until every partition takes requests."""

import time

import admin
from bench import Bench
from figures import Figure, Row, at_most
from peers import APACHE, KBROKER, KFAKE

PARTITIONS = 1000


def measure(bench: Bench, name: str) -> dict[str, float]:
    address, topic = bench.address(name), f"many-{time.monotonic_ns()}"
    started = time.monotonic()
    answered_s = admin.create_topic(address, topic, PARTITIONS)
    usable_s = time.monotonic() - started
    admin.delete_topic(address, topic)
    return {"answered_ms": answered_s * 1e3, "usable_ms": usable_s * 1e3}


ROWS = (
    Row(
        "1,000 partitions created",
        "partitions",
        (KBROKER, APACHE, KFAKE),
        measure,
        (
            Figure("1,000 partitions created: answered", "answered_ms", "ms", (at_most(150.0),)),
            Figure("1,000 partitions created: all usable", "usable_ms", "ms"),
        ),
        quick=(KBROKER, APACHE),
        rounds=(1, 3),
        warm_up=False,
    ),
)
