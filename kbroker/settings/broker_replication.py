"""Broker settings: replication, quotas, and requests that wait."""

from __future__ import annotations

from .setting import CLASS, CLUSTER_WIDE, INT, LONG, STRING, Range, Setting

# fmt: off
ROWS = (
    Setting("alter.log.dirs.replication.quota.window.num", INT, "11", Range(1)),
    Setting("alter.log.dirs.replication.quota.window.size.seconds", INT, "1", Range(1)),
    Setting("client.quota.callback.class", CLASS, None),
    Setting("delete.records.purgatory.purge.interval.requests", INT, "1"),
    Setting("fetch.purgatory.purge.interval.requests", INT, "1000"),
    Setting("num.replica.alter.log.dirs.threads", INT, None),
    Setting("num.replica.fetchers", INT, "1", Range(1), update=CLUSTER_WIDE,
            doc="Fetchers for each broker that partitions are copied from."),
    Setting("quota.window.num", INT, "11", Range(1)),
    Setting("quota.window.size.seconds", INT, "1", Range(1)),
    Setting("replica.fetch.backoff.ms", INT, "1000", Range(0), doc="How long a follower rests after a failed Fetch."),
    Setting("replica.fetch.max.bytes", INT, "1048576", Range(0), doc="Bytes that a follower asks for per partition."),
    Setting("replica.fetch.min.bytes", INT, "1", doc="The least bytes that a follower waits for."),
    Setting("replica.fetch.response.max.bytes", INT, "10485760", Range(0),
            doc="Bytes that a follower asks for in one Fetch."),
    Setting("replica.fetch.wait.max.ms", INT, "500", doc="The longest a follower's Fetch waits."),
    Setting("replica.high.watermark.checkpoint.interval.ms", LONG, "5000",
            doc="How often the high watermarks are written down."),
    Setting("replica.lag.time.max.ms", LONG, "30000",
            doc="A follower that has not caught up for this long leaves the in-sync replicas."),
    Setting("replica.selector.class", STRING, None,
            doc="How a replica is chosen for a consumer to read from (KIP-392)."),
    Setting("replica.socket.receive.buffer.bytes", INT, "65536"),
    Setting("replica.socket.timeout.ms", INT, "30000"),
    Setting("replication.quota.window.num", INT, "11", Range(1)),
    Setting("replication.quota.window.size.seconds", INT, "1", Range(1)),
)
