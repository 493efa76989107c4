"""The settings of a topic; `synonym` is the broker setting that gives the default."""

from __future__ import annotations

from .setting import BOOLEAN, DOUBLE, INT, LIST, LONG, STRING, GzipLevel, OneOf, Range, Setting, ThrottledReplicas

# fmt: off
ROWS = (
    Setting("cleanup.policy", LIST, "delete", OneOf("compact", "delete"), synonym="log.cleanup.policy"),
    Setting("compression.gzip.level", INT, "-1", GzipLevel(), acts=True, synonym="compression.gzip.level"),
    Setting("compression.lz4.level", INT, "9", Range(1, 17), acts=True, synonym="compression.lz4.level"),
    Setting("compression.type", STRING, "producer", OneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), acts=True, synonym="compression.type"),
    Setting("compression.zstd.level", INT, "3", Range(-131072, 22), acts=True, synonym="compression.zstd.level"),
    Setting("delete.retention.ms", LONG, "86400000", Range(0), synonym="log.cleaner.delete.retention.ms"),
    Setting("errors.deadletterqueue.group.enable", BOOLEAN, "false"),
    Setting("file.delete.delay.ms", LONG, "60000", Range(0), synonym="log.segment.delete.delay.ms"),
    Setting("flush.messages", LONG, "9223372036854775807", Range(1), acts=True, synonym="log.flush.interval.messages"),
    Setting("flush.ms", LONG, "9223372036854775807", Range(0), acts=True, synonym="log.flush.interval.ms"),
    Setting("follower.replication.throttled.replicas", LIST, "", ThrottledReplicas()),
    Setting("index.interval.bytes", INT, "4096", Range(0), acts=True, synonym="log.index.interval.bytes"),
    Setting("internal.segment.bytes", INT, None, acts=True, hidden=True),
    Setting("leader.replication.throttled.replicas", LIST, "", ThrottledReplicas()),
    Setting("local.retention.bytes", LONG, "-2", Range(-2), synonym="log.local.retention.bytes"),
    Setting("local.retention.ms", LONG, "-2", Range(-2), synonym="log.local.retention.ms"),
    Setting("max.compaction.lag.ms", LONG, "9223372036854775807", Range(1), synonym="log.cleaner.max.compaction.lag.ms"),
    Setting("max.decompressed.message.bytes", INT, "2147483639", Range(1, 2147483639), acts=True, synonym="max.decompressed.message.bytes"),
    Setting("max.message.bytes", INT, "1048588", Range(0), acts=True, synonym="message.max.bytes"),
    Setting("message.timestamp.after.max.ms", LONG, "3600000", Range(0), acts=True, synonym="log.message.timestamp.after.max.ms"),
    Setting("message.timestamp.before.max.ms", LONG, "9223372036854775807", Range(0), acts=True, synonym="log.message.timestamp.before.max.ms"),
    Setting("message.timestamp.type", STRING, "CreateTime", OneOf("CreateTime", "LogAppendTime"), acts=True, synonym="log.message.timestamp.type"),
    Setting("min.cleanable.dirty.ratio", DOUBLE, "0.5", Range(0, 1), synonym="log.cleaner.min.cleanable.ratio"),
    Setting("min.compaction.lag.ms", LONG, "0", Range(0), synonym="log.cleaner.min.compaction.lag.ms"),
    Setting("min.insync.replicas", INT, "1", Range(1), acts=True, synonym="min.insync.replicas"),
    Setting("preallocate", BOOLEAN, "false", acts=True, synonym="log.preallocate"),
    Setting("remote.copy.lag.bytes", LONG, "-1", Range(-1), synonym="log.remote.copy.lag.bytes"),
    Setting("remote.copy.lag.ms", LONG, "0", Range(-1), synonym="log.remote.copy.lag.ms"),
    Setting("remote.log.copy.disable", BOOLEAN, "false"),
    Setting("remote.log.delete.on.disable", BOOLEAN, "false"),
    Setting("remote.storage.enable", BOOLEAN, "false"),
    Setting("retention.bytes", LONG, "-1", synonym="log.retention.bytes"),
    Setting("retention.ms", LONG, "604800000", Range(-1), synonym="log.retention.ms"),
    Setting("segment.bytes", INT, "1073741824", Range(1048576), acts=True, synonym="log.segment.bytes"),
    Setting("segment.index.bytes", INT, "10485760", Range(4), acts=True, synonym="log.index.size.max.bytes"),
    Setting("segment.jitter.ms", LONG, "0", Range(0), acts=True, synonym="log.roll.jitter.ms"),
    Setting("segment.ms", LONG, "604800000", Range(1), acts=True, synonym="log.roll.ms"),
    Setting("unclean.leader.election.enable", BOOLEAN, "false", synonym="unclean.leader.election.enable"),
)
