"""The effective configuration of one topic, typed, and the check of what a client wants it to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .setting import ConfigError, Setting, Value
from .tables import TOPIC

if TYPE_CHECKING:
    from collections.abc import Mapping

HOURS, MINUTES = 3_600_000, 60_000
# Where a broker gives a default in other units: consulted in this order, factor to the topic's unit (ms).
FALLBACKS: dict[str, tuple[tuple[str, int], ...]] = {
    "retention.ms": (("log.retention.minutes", MINUTES), ("log.retention.hours", HOURS)),
    "segment.ms": (("log.roll.hours", HOURS),),
    "segment.jitter.ms": (("log.roll.jitter.hours", HOURS),),
    "flush.ms": (("log.flush.scheduler.interval.ms", 1),),
}


class TopicConfig:
    """A topic's settings, the broker's defaults filled in: Kafka's names with `_` for `.`; sizes in bytes."""

    cleanup_policy: tuple[str, ...]
    compression_gzip_level: int
    compression_lz4_level: int
    compression_type: str
    compression_zstd_level: int
    delete_retention_ms: int
    errors_deadletterqueue_group_enable: bool
    file_delete_delay_ms: int
    flush_messages: int
    flush_ms: int
    follower_replication_throttled_replicas: tuple[str, ...]
    index_interval_bytes: int
    internal_segment_bytes: int | None
    leader_replication_throttled_replicas: tuple[str, ...]
    local_retention_bytes: int
    local_retention_ms: int
    max_compaction_lag_ms: int
    max_decompressed_message_bytes: int
    max_message_bytes: int
    message_timestamp_after_max_ms: int
    message_timestamp_before_max_ms: int
    message_timestamp_type: str
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    min_insync_replicas: int
    preallocate: bool
    remote_copy_lag_bytes: int
    remote_copy_lag_ms: int
    remote_log_copy_disable: bool
    remote_log_delete_on_disable: bool
    remote_storage_enable: bool
    retention_bytes: int
    retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    segment_jitter_ms: int
    segment_ms: int
    unclean_leader_election_enable: bool

    __slots__ = tuple(__annotations__)

    def __init__(self, values: Mapping[str, Value]) -> None:
        for name in TOPIC:
            setattr(self, name.replace(".", "_"), values[name])
        if self.internal_segment_bytes is not None:
            self.segment_bytes = self.internal_segment_bytes  # how Kafka's own tests get segments below 1 MiB

    @property
    def log_append_time(self) -> bool:
        return self.message_timestamp_type == "LogAppendTime"

    @property
    def compact(self) -> bool:
        return "compact" in self.cleanup_policy

    @property
    def delete(self) -> bool:
        return "delete" in self.cleanup_policy


def known_topic_setting(name: str) -> Setting:
    """Raises ConfigError for a name that topics do not have."""
    setting = TOPIC.get(name)
    if setting is None:
        raise ConfigError(name, None, f"Unknown topic config name: {name}")
    return setting


def validate_topic_config(name: str, value: str | None) -> None:
    """Raises ConfigError, with Kafka's message, unless `value` is one that the topic setting `name` can have."""
    validate_topic_configs({name: value})


def validate_topic_configs(configs: Mapping[str, str | None]) -> dict[str, Value]:
    """The typed values of what CreateTopics or AlterConfigs sets on a topic, checked one by one in Kafka's order:
    nulls, names, values. Raises ConfigError."""
    nulls = [name for name, text in configs.items() if text is None]
    if nulls:
        raise ConfigError(nulls[0], None, f"Null value not supported for topic configs: {','.join(nulls)}")
    settings = [known_topic_setting(name) for name in configs]
    return {setting.name: setting.parse(configs[setting.name]) for setting in settings}


def check_together(config: TopicConfig) -> None:
    """What must hold between the effective settings of a topic. Raises ConfigError."""
    least, most = config.min_compaction_lag_ms, config.max_compaction_lag_ms
    if least > most:
        why = f"conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        raise ConfigError("min.compaction.lag.ms", str(least), why)
    if config.remote_storage_enable:
        why = "Tiered Storage functionality is disabled in the broker."
        raise ConfigError("remote.storage.enable", "true", f"{why} Topic cannot be configured with remote log storage.")
