"""The effective configuration of one group, typed, and the check of what a client wants it to be (KIP-848)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .setting import ConfigError, Setting, Value
from .tables import group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .values import TypedLookups

# A group's setting -> the broker's settings that bound it, both inclusive.
LIMITS = {
    name: (f"group.{kind}.min.{rest}", f"group.{kind}.max.{rest}")
    for name in (
        "consumer.assignment.interval.ms",
        "consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms",
        "share.assignment.interval.ms",
        "share.delivery.count.limit",
        "share.heartbeat.interval.ms",
        "share.partition.max.record.locks",
        "share.record.lock.duration.ms",
        "share.session.timeout.ms",
        "streams.assignment.interval.ms",
        "streams.heartbeat.interval.ms",
        "streams.session.timeout.ms",
    )
    for kind, _, rest in [name.partition(".")]
}
STANDBYS, MAX_STANDBYS = "streams.num.standby.replicas", "group.streams.max.standby.replicas"
ASSIGNOR, ASSIGNORS = "streams.assignor.name", "group.streams.assignors"
RESET = "share.auto.offset.reset"
# ISO 8601 as java.time.Duration reads it, not negative.
_DURATION = re.compile(
    r"P(?=[\dT])(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:[.,]\d{0,9})?S)?)?", re.ASCII | re.IGNORECASE
)


class GroupConfig:
    """A group's settings, the broker's defaults filled in: Kafka's names with `_` for `.`; times in ms."""

    consumer_assignment_interval_ms: int
    consumer_heartbeat_interval_ms: int
    consumer_session_timeout_ms: int
    errors_deadletterqueue_copy_record_enable: bool
    errors_deadletterqueue_topic_name: str
    share_assignment_interval_ms: int
    share_auto_offset_reset: str
    share_delivery_count_limit: int
    share_heartbeat_interval_ms: int
    share_isolation_level: str
    share_partition_max_record_locks: int
    share_record_lock_duration_ms: int
    share_renew_acknowledge_enable: bool
    share_session_timeout_ms: int
    streams_assignment_interval_ms: int
    streams_assignor_name: str
    streams_heartbeat_interval_ms: int
    streams_initial_rebalance_delay_ms: int
    streams_num_standby_replicas: int
    streams_rack_aware_assignment_tags: tuple[str, ...]
    streams_session_timeout_ms: int

    __slots__ = tuple(__annotations__)

    def __init__(self, values: Mapping[str, Value]) -> None:
        for name in group():
            setattr(self, name.replace(".", "_"), values[name])


def group_values(broker: TypedLookups, own: Mapping[str, Value]) -> dict[str, Value]:
    """Every setting of a group that has `own`: the broker's for all groups where it has none."""
    return {name: own[name] if name in own else _default(broker, setting) for name, setting in group().items()}


def _default(broker: TypedLookups, setting: Setting) -> Value:
    """The broker's setting for all groups, the first one of a list, else Kafka's default."""
    value = broker[setting.synonym] if setting.synonym else setting.parse(setting.default)
    if isinstance(value, tuple) and setting.name == ASSIGNOR:
        return value[0] if value else None
    return value


def effective_group_config(broker: TypedLookups, overrides: Mapping[str, str]) -> GroupConfig:
    """What a group with these settings has. The broker's limits may be other ones than when they were set: what is
    outside is brought to the nearest bound, and what can not be read counts for nothing."""
    own: dict[str, Value] = {}
    for name, text in overrides.items():
        setting = group().get(name)
        if setting is not None:
            try:
                own[name] = _clamped(broker, name, setting.parse(text))
            except ConfigError:
                continue
    return GroupConfig(group_values(broker, own))


def _clamped(broker: TypedLookups, name: str, value: Value) -> Value:
    if name in LIMITS:
        assert isinstance(value, int)
        least, most = (broker.int(bound) for bound in LIMITS[name])
        return max(least, min(value, most))
    if name == STANDBYS:
        assert isinstance(value, int)
        return min(value, broker.int(MAX_STANDBYS))
    return value


def check_group(broker: TypedLookups, configs: Mapping[str, str]) -> None:
    """What AlterConfigs checks of a group's whole configuration: names, values, limits, and all together.

    Raises ConfigError, whose message is Kafka's.
    """
    for name in configs:
        if name not in group():
            raise ConfigError(name, None, f"Unknown group config name: {name}")
    own = {name: setting.parse(configs[name]) for name, setting in group().items() if name in configs}
    for name, value in own.items():
        _check(broker, name, value)
    values = group_values(broker, own)
    for kind in ("consumer", "share", "streams"):
        timeout, interval = f"{kind}.session.timeout.ms", f"{kind}.heartbeat.interval.ms"
        longer, shorter = values[timeout], values[interval]
        assert isinstance(longer, int)
        assert isinstance(shorter, int)
        if longer <= shorter:
            raise ConfigError(timeout, str(longer), f"{timeout} must be greater than {interval}")


def _check(broker: TypedLookups, name: str, value: Value) -> None:
    if name in LIMITS:
        assert isinstance(value, int)
        least, most = (broker.int(bound) for bound in LIMITS[name])
        if not least <= value <= most:
            raise ConfigError(name, str(value), f"{name} must be in the range {least} to {most} inclusive.")
    elif name == STANDBYS:
        assert isinstance(value, int)
        if value > broker.int(MAX_STANDBYS):
            raise ConfigError(name, str(value), f"{name} must be less than or equal to {broker.int(MAX_STANDBYS)}")
    elif name == ASSIGNOR and value not in broker.list(ASSIGNORS):
        known = ", ".join(broker.list(ASSIGNORS))
        why = f"{name} '{value}' is not a registered task assignor. Registered assignors are: [{known}]."
        raise ConfigError(name, str(value), why)
    elif name == RESET:
        _check_reset(str(value))


def _check_reset(value: str) -> None:
    kind, colon, duration = value.partition(":")
    if value in ("earliest", "latest") or (kind == "by_duration" and colon and _DURATION.fullmatch(duration)):
        return
    why = (
        f"Invalid value `{value}` for configuration {RESET}. The value must be either 'earliest', 'latest' or of the "
        "format 'by_duration:<PnDTnHnMn.nS>'."
    )
    raise ConfigError.invalid(RESET, value, why)
