"""Settings as DescribeConfigs and CreateTopics answer them."""

from __future__ import annotations

from enum import IntEnum
from itertools import dropwhile
from typing import TYPE_CHECKING, NamedTuple

from .dynamic import base_name, broker_setting
from .setting import PASSWORD, READ_ONLY, Setting, show
from .tables import BROKER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


class Layers(NamedTuple):
    """The places where a broker's settings are looked for, the first that has one counts.

    own      set for this broker while it ran: texts, as they were given
    cluster  set for all brokers while they ran
    given    what this broker was started with: typed values
    """

    own: Mapping[str, str]
    cluster: Mapping[str, str]
    given: Mapping[str, Value]


# Settings that say the same thing, the one that goes before the others first.
_SAME = (
    ("log.roll.ms", "log.roll.hours"),
    ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
)
_ALSO = {name: names for names in _SAME for name in names}
_ALSO["log.flush.interval.ms"] = ("log.flush.interval.ms", "log.flush.scheduler.interval.ms")


def broker_synonyms(setting: Setting, layers: Layers) -> tuple[ConfigSynonym, ...]:
    """Every value there is for a setting of a broker, the one that counts first; secrets have no value.

    A setting that says the same in another unit comes too, but only behind one of the setting itself.
    """
    return synonyms_of(setting.name, layers, secret=setting.sensitive)


def synonyms_of(name: str, layers: Layers, *, secret: bool) -> tuple[ConfigSynonym, ...]:
    found = []
    base = base_name(name)
    names = _ALSO.get(name, (name,)) if base == name else (name, base)
    for source, texts in (
        (ConfigSource.DYNAMIC_BROKER, layers.own),
        (ConfigSource.DYNAMIC_DEFAULT_BROKER, layers.cluster),
    ):
        found += [ConfigSynonym(each, None if secret else texts[each], source) for each in names if each in texts]
    for each in names:
        if each in layers.given:
            found.append(ConfigSynonym(each, None if secret else show(layers.given[each]), ConfigSource.STATIC_BROKER))
    for each in names:
        default = BROKER[each].default if each in BROKER else None
        if default is not None:
            found.append(ConfigSynonym(each, default, ConfigSource.DEFAULT))
    return tuple(dropwhile(lambda synonym: synonym.name != name, found))


def broker_row(setting: Setting, layers: Layers) -> ConfigRow:
    return _row(setting.name, setting, setting.update == READ_ONLY, broker_synonyms(setting, layers))


def dynamic_row(name: str, layers: Layers) -> ConfigRow:
    """One that was set while the broker ran: maybe a listener's, maybe one that nobody knows, so it may be a secret."""
    setting = broker_setting(name)
    synonyms = synonyms_of(name, layers, secret=setting is None or setting.sensitive)
    if setting is None:
        return ConfigRow(name, None, True, synonyms[0].source, True, synonyms, 0, "")
    return _row(name, setting, setting.name != name or setting.update == READ_ONLY, synonyms)


def _row(name: str, setting: Setting, read_only: bool, synonyms: tuple[ConfigSynonym, ...]) -> ConfigRow:
    value, source = (synonyms[0].value, synonyms[0].source) if synonyms else (None, ConfigSource.DEFAULT)
    if value is not None and source in (ConfigSource.DYNAMIC_BROKER, ConfigSource.DYNAMIC_DEFAULT_BROKER):
        value = show(setting.parse(value))
    return ConfigRow(name, value, read_only, source, setting.sensitive, synonyms, setting.type, setting.doc)


def unknown_row(name: str) -> ConfigRow:
    """A setting that nobody knows is shown as a secret: it may be one (as Kafka does)."""
    synonym = ConfigSynonym(name, None, ConfigSource.STATIC_BROKER)
    return ConfigRow(name, None, True, synonym.source, True, (synonym,), 0, "")


def resource_row(
    setting: Setting, value: Value, own: ConfigSource | None, behind: Sequence[ConfigSynonym] = ()
) -> ConfigRow:
    """A setting of a topic, a group, a subscription.

    value    the effective one
    own      the source if the resource has it of its own, else None
    behind   where else the value could come from. A default of a topic that comes from a setting in another unit
             (log.retention.hours) has no synonym and the source DEFAULT.
    """
    assert setting.type is not PASSWORD
    synonyms = tuple(behind)
    if own is not None:
        synonyms = (ConfigSynonym(setting.name, show(value), own), *synonyms)
    source = synonyms[0].source if synonyms else ConfigSource.DEFAULT
    return ConfigRow(setting.name, show(value), False, source, False, synonyms, setting.type, setting.doc)
