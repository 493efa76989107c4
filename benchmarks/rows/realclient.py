"""A real client, franz-go with its defaults: 1 KiB records into one partition and out of it again, each checked."""

import kload
from batches import KIB
from bench import Bench
from figures import Figure, Row, at_least
from peers import APACHE, KBROKER, KFAKE

SIZE = KIB


def measure(bench: Bench, name: str) -> dict[str, float]:
    records = bench.form.records // (4 if bench.warming else 1)
    with bench.fresh_topic(name) as topic:
        load = {"address": bench.address(name), "topic": topic, "records": records, "size": SIZE}
        produced = kload.franz_go("realclient", "produce", **load)
        consumed = kload.franz_go("realclient", "consume", **load)
    return {
        "produced_mb_s": produced["bytes"] / produced["seconds"] / 1e6,
        "consumed_mb_s": consumed["bytes"] / consumed["seconds"] / 1e6,
    }


ROWS = (
    Row(
        "franz-go",
        "realclient",
        (KBROKER, APACHE, KFAKE),
        measure,
        (
            Figure("franz-go produce", "produced_mb_s", "MB/s", (at_least(1.3, APACHE),)),
            Figure("franz-go consume", "consumed_mb_s", "MB/s", (at_least(1.0, APACHE),)),
        ),
        quick=(KBROKER, APACHE),
    ),
)
