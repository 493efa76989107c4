"""Bulk produce: four connections with a partition and five requests in flight each, as producers have by default.

MB/s and CPU seconds per GB count records before compression, so that codecs compare.
"""

from functools import partial

from batches import KIB, MIB
from bench import Bench
from figures import Figure, Goal, Row, at_least, at_most
from peers import AGAIN, APACHE, KBROKER, KFAKE, RECORDS, SYNCED

FAMILY = "produce"
CONNECTIONS = 4
DEPTH = 5  # max.in.flight.requests.per.connection of Kafka's producer
SIZES = {"16 KiB": 16 * KIB, "1 MiB": MIB}
RECORD_SIZES = {"1 KiB": KIB, "100 B": 100}
CODECS = ("none", "lz4", "zstd")
FLUSH_EACH = {"flush.messages": "1"}  # Apache Kafka's way to acknowledge only what is on disk


def measure(record_bytes: int, batch_bytes: int, codec: str, synced: bool, bench: Bench, name: str) -> dict[str, float]:
    batch = bench.batches.get(record_bytes, batch_bytes, codec)
    config = FLUSH_EACH if synced and name == APACHE else None
    with bench.fresh_topic(name, CONNECTIONS, config) as topic:
        load = bench.produce(name, topic, batch, connections=CONNECTIONS, depth=DEPTH)
    raw_bytes = load["requests"] * batch.raw_bytes
    return load | {"mb_s": raw_bytes / load["seconds"] / 1e6, "cpu_s_gb": load["cpu_s"] / (raw_bytes / 1e9)}


def _goals(size: str, codec: str) -> tuple[Goal, ...]:
    if codec != "none":
        return (at_least(1.5, APACHE),)
    return (at_least(1.2 if size == "16 KiB" else 0.8, APACHE),)


def _row(size: str, codec: str, record_size: str) -> Row:
    leading = codec == "none" and record_size == "1 KiB"
    title = f"produce {size}, {codec}, {record_size} records"
    subjects, figures = [KBROKER, APACHE], [Figure(title, "mb_s", "MB/s", _goals(size, codec))]
    if codec == "none":
        cpu_bound = 0.5 if size == "16 KiB" else 0.8
        figures.append(Figure(f"{title}: CPU", "cpu_s_gb", "s/GB", (at_most(cpu_bound, APACHE),)))
    if record_size == "1 KiB" or codec == "none":
        subjects.append(RECORDS)
        figures.append(Figure(f"{title}, validate=records", "mb_s", "MB/s", subject=RECORDS))
    if record_size == "1 KiB" and codec != "lz4":
        subjects.append(KFAKE)
    if leading and size == "16 KiB":
        subjects.append(AGAIN)
    in_quick = leading or (size == "1 MiB" and codec == "zstd" and record_size == "1 KiB")
    return Row(
        title,
        FAMILY,
        tuple(subjects),
        partial(measure, RECORD_SIZES[record_size], SIZES[size], codec, False),
        tuple(figures),
        quick=tuple(name for name in (KBROKER, APACHE, AGAIN) if in_quick and name in subjects),
    )


def _synced_row(size: str) -> Row:
    title = f"produce {size}, none, 1 KiB records, synced"
    return Row(
        title,
        FAMILY,
        (SYNCED, KBROKER, APACHE),
        partial(measure, KIB, SIZES[size], "none", True),
        (Figure(title, "mb_s", "MB/s", subject=SYNCED),),
    )


ROWS = (
    *(_row(size, codec, record) for size in SIZES for codec in CODECS for record in RECORD_SIZES),
    *(_synced_row(size) for size in SIZES),
)
