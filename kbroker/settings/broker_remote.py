"""Broker settings: tiered storage (KIP-405)."""

from __future__ import annotations

from .setting import BOOLEAN, CLUSTER_WIDE, INT, LONG, STRING, NonEmpty, Range, Setting

# fmt: off
ROWS = (
    Setting("follower.fetch.last.tiered.offset.enable", BOOLEAN, "false", update=CLUSTER_WIDE),
    Setting("log.local.retention.bytes", LONG, "-2", Range(-2), update=CLUSTER_WIDE,
            doc="Default of the topic setting local.retention.bytes."),
    Setting("log.local.retention.ms", LONG, "-2", Range(-2), update=CLUSTER_WIDE,
            doc="Default of the topic setting local.retention.ms."),
    Setting("log.remote.copy.lag.bytes", LONG, "-1", Range(-1), update=CLUSTER_WIDE,
            doc="Default of the topic setting remote.copy.lag.bytes."),
    Setting("log.remote.copy.lag.ms", LONG, "0", Range(-1), update=CLUSTER_WIDE,
            doc="Default of the topic setting remote.copy.lag.ms."),
    Setting("remote.fetch.max.wait.ms", INT, "500", Range(1), update=CLUSTER_WIDE),
    Setting("remote.list.offsets.request.timeout.ms", LONG, "30000", Range(1), update=CLUSTER_WIDE),
    Setting("remote.log.index.file.cache.total.size.bytes", LONG, "1073741824", Range(1), update=CLUSTER_WIDE),
    Setting("remote.log.manager.copier.thread.pool.size", INT, "10", Range(1), update=CLUSTER_WIDE),
    Setting("remote.log.manager.copy.max.bytes.per.second", LONG, "9223372036854775807", Range(1), update=CLUSTER_WIDE),
    Setting("remote.log.manager.copy.quota.window.num", INT, "11", Range(1)),
    Setting("remote.log.manager.copy.quota.window.size.seconds", INT, "1", Range(1)),
    Setting("remote.log.manager.expiration.thread.pool.size", INT, "10", Range(1), update=CLUSTER_WIDE),
    Setting("remote.log.manager.fetch.max.bytes.per.second", LONG, "9223372036854775807", Range(1),
            update=CLUSTER_WIDE),
    Setting("remote.log.manager.fetch.quota.window.num", INT, "11", Range(1)),
    Setting("remote.log.manager.fetch.quota.window.size.seconds", INT, "1", Range(1)),
    Setting("remote.log.manager.follower.thread.pool.size", INT, "2", Range(1), update=CLUSTER_WIDE),
    Setting("remote.log.manager.task.interval.ms", LONG, "30000", Range(1)),
    Setting("remote.log.manager.thread.pool.size", INT, "2", Range(1)),
    Setting("remote.log.metadata.custom.metadata.max.bytes", INT, "128", Range(0)),
    Setting("remote.log.metadata.manager.class.name", STRING,
            "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty()),
    Setting("remote.log.metadata.manager.class.path", STRING, None),
    Setting("remote.log.metadata.manager.impl.prefix", STRING, "rlmm.config.", NonEmpty()),
    Setting("remote.log.metadata.manager.listener.name", STRING, None, NonEmpty()),
    Setting("remote.log.reader.max.pending.tasks", INT, "100", Range(1)),
    Setting("remote.log.reader.threads", INT, "10", Range(1), update=CLUSTER_WIDE),
    Setting("remote.log.storage.manager.class.name", STRING, None, NonEmpty()),
    Setting("remote.log.storage.manager.class.path", STRING, None),
    Setting("remote.log.storage.manager.impl.prefix", STRING, "rsm.config.", NonEmpty()),
    Setting("remote.log.storage.system.enable", BOOLEAN, "false",
            doc="Whether closed segments can go to tiered storage (KIP-405)."),
)
