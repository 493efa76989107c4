"""Settings as DescribeConfigs and CreateTopics answer them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from .setting import PASSWORD, READ_ONLY, Setting, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .setting import Value


class ConfigSource(IntEnum):
    """Where a value comes from (KIP-226)."""

    UNKNOWN = 0
    DYNAMIC_TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6
    CLIENT_METRICS = 7
    GROUP = 8


class ConfigSynonym(NamedTuple):
    """One of the places a value is looked for. `source` is a ConfigSource."""

    name: str
    value: str | None
    source: int


class ConfigRow(NamedTuple):
    """One setting in an answer.

    value           None when unset or secret
    config_source   a ConfigSource
    config_type     a ConfigType; 0 for a setting that nobody knows
    """

    name: str
    value: str | None
    read_only: bool
    config_source: int
    is_sensitive: bool
    synonyms: tuple[ConfigSynonym, ...]
    config_type: int
    documentation: str


def broker_synonyms(setting: Setting, given: Mapping[str, Value]) -> tuple[ConfigSynonym, ...]:
    """The broker's own value first, then the default; secrets have no value."""
    found = []
    if setting.name in given:
        shown = None if setting.sensitive else show(given[setting.name])
        found.append(ConfigSynonym(setting.name, shown, ConfigSource.STATIC_BROKER))
    if setting.default is not None:
        found.append(ConfigSynonym(setting.name, setting.default, ConfigSource.DEFAULT))
    return tuple(found)


def broker_row(setting: Setting, given: Mapping[str, Value]) -> ConfigRow:
    synonyms = broker_synonyms(setting, given)
    value, source = (synonyms[0].value, synonyms[0].source) if synonyms else (None, ConfigSource.DEFAULT)
    read_only = setting.update == READ_ONLY
    return ConfigRow(setting.name, value, read_only, source, setting.sensitive, synonyms, setting.type, setting.doc)


def unknown_row(name: str) -> ConfigRow:
    """A setting that nobody knows is shown as a secret: it may be one (as Kafka does)."""
    synonym = ConfigSynonym(name, None, ConfigSource.STATIC_BROKER)
    return ConfigRow(name, None, True, synonym.source, True, (synonym,), 0, "")


def topic_row(
    setting: Setting, value: Value, overridden: bool, broker: Setting | None, given: Mapping[str, Value]
) -> ConfigRow:
    """`value` is the effective one; `broker` the broker setting behind it.

    A default that comes from a setting in another unit (log.retention.hours) has no synonym and the source DEFAULT.
    """
    assert setting.type is not PASSWORD
    synonyms = broker_synonyms(broker, given) if broker else ()
    if overridden:
        synonyms = (ConfigSynonym(setting.name, show(value), ConfigSource.DYNAMIC_TOPIC), *synonyms)
    source = synonyms[0].source if synonyms else ConfigSource.DEFAULT
    return ConfigRow(setting.name, show(value), False, source, False, synonyms, setting.type, setting.doc)
