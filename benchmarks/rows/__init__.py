"""All rows in the order they are measured: those on peers that run throughout, then those that start their own."""

from figures import Row

from rows import connections, fetch, latency, memory, partitions, produce, realclient, restart, small

ROWS: tuple[Row, ...] = (
    *produce.ROWS,
    *small.ROWS,
    *fetch.ROWS,
    *realclient.ROWS,
    *latency.ROWS,
    *partitions.ROWS,
    *restart.ROWS,
    *connections.ROWS,
    *memory.ROWS,
)
