"""All rows in the order they are measured: those on peers that run throughout, then those that start their own."""

from figures import Row

from rows import (
    connections,
    fetch,
    groups,
    latency,
    memory,
    partitions,
    produce,
    realclient,
    restart,
    small,
    transactions,
)

ROWS: tuple[Row, ...] = (
    *produce.ROWS,
    *small.ROWS,
    *fetch.ROWS,
    *realclient.ROWS,
    *latency.ROWS,
    *partitions.ROWS,
    *groups.ROWS,
    *transactions.ROWS,
    *restart.ROWS,
    *connections.ROWS,
    *memory.ROWS,
)
