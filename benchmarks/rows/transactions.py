"""Transactions of one record of 100 bytes: 16 franz-go producers side by side, each with a partition of its own, and
one librdkafka producer. What is committed is counted afterwards."""

import kload
import procstat
from bench import Bench
from figures import Figure, Row, at_least
from peers import APACHE, KBROKER, SYNCED

FAMILY = "transactions"
PRODUCERS = 16
EACH, ALONE = 60, 100  # transactions of each producer in a round


def measure_many(bench: Bench, name: str) -> dict[str, float]:
    transactions = EACH // (4 if bench.warming else 1)
    with bench.fresh_topic(name, PRODUCERS) as topic, procstat.cpu_of(bench.peer(name).pid) as use:
        load = kload.franz_go(
            "txnload",
            address=bench.address(name),
            topic=topic,
            producers=PRODUCERS,
            partitions=PRODUCERS,
            transactions=transactions,
        )
    return {
        "transactions_s": load["transactions"] / load["seconds"],
        "cpu_us": use.seconds / load["transactions"] * 1e6,
    }


def measure_one(bench: Bench, name: str) -> dict[str, float]:
    transactions = ALONE // (4 if bench.warming else 1)
    with bench.fresh_topic(name) as topic:
        load = kload.librdkafka("librdkafka_transactions.py", bench.address(name), topic, transactions=transactions)
    return {"transactions_s": load["transactions"] / load["seconds"]}


ROWS = (
    Row(
        "transactions, franz-go x 16",
        FAMILY,
        (KBROKER, APACHE),
        measure_many,
        (
            Figure("transactions, franz-go x 16", "transactions_s", "/s", (at_least(1000),)),
            Figure("transactions, franz-go x 16: CPU", "cpu_us", "us each"),
        ),
        quick=(KBROKER, APACHE),
    ),
    Row(
        "transactions, franz-go x 16, synced",
        FAMILY,
        (SYNCED, KBROKER),
        measure_many,
        (Figure("transactions, franz-go x 16, synced", "transactions_s", "/s", (at_least(400),), subject=SYNCED),),
    ),
    Row(
        "transactions, librdkafka x 1",
        FAMILY,
        (KBROKER, APACHE),
        measure_one,
        (Figure("transactions, librdkafka x 1", "transactions_s", "/s", (at_least(3.0, APACHE),)),),
        quick=(KBROKER, APACHE),
    ),
)
