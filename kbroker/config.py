"""The broker's configuration: what was given, Kafka's defaults for the rest, and what a topic makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .settings.describe import (
    ConfigRow,
    ConfigSource,
    ConfigSynonym,
    Layers,
    broker_row,
    broker_synonyms,
    dynamic_row,
    resource_row,
    unknown_row,
)
from .settings.dynamic import broker_setting, is_read_only
from .settings.listeners import Listener, advertised_addresses, client_listeners, parse_protocols
from .settings.setting import ConfigError, Setting, Value
from .settings.tables import BROKER, TOPIC, client_metrics, group
from .settings.topic_config import (
    FALLBACKS,
    TopicConfig,
    check_together,
    validate_topic_config,
    validate_topic_configs,
)
from .settings.values import TypedLookups, Values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings.group_config import GroupConfig

__all__ = [
    "BrokerConfig",
    "ConfigError",
    "ConfigRow",
    "ConfigSource",
    "ConfigSynonym",
    "Listener",
    "StartError",
    "TopicConfig",
    "merge",
    "validate_topic_config",
    "validate_topic_configs",
]

# What kbroker gives a broker that Kafka's defaults leave without: an address on this machine only, a number, a folder.
STANDING = {"listeners": "PLAINTEXT://127.0.0.1:9092", "node.id": "1", "log.dirs": "./kbroker-data"}
# Settings that say the same thing: who names one of them has replaced them all.
_SAME = (("log.dirs", "log.dir"), ("node.id", "broker.id"))
_CACHED = 1000  # different sets of overrides remembered, of topics and of groups, before the cache starts anew


class StartError(Exception):
    """The broker can not start, for a reason that its user can do something about: one clear line."""


class BrokerConfig(TypedLookups):
    """The settings of one broker, checked.

    `config.int("log.segment.bytes")` and its like look up by Kafka's name; KeyError for a name that no table has.
    `warnings` are sentences for the log: unknown names, and settings that kbroker takes note of but does not act on.
    While the broker runs, `change` may change what a look-up gives: ask when the value is needed, or ask again then.
    """

    __slots__ = ("_groups", "_layers", "_topics", "advertised", "given", "listeners", "unknown", "warnings")

    def __init__(self, given: Mapping[str, Value], unknown: tuple[str, ...], warnings: list[str]) -> None:
        super().__init__(Values(BROKER, given))
        self.given, self.unknown, self.warnings = dict(given), unknown, warnings
        self._layers = Layers({}, {}, self.given)
        self._topics: dict[frozenset[tuple[str, str]], TopicConfig] = {}
        self._groups: dict[frozenset[tuple[str, str]], GroupConfig] = {}
        controllers = tuple(name.upper() for name in self.list("controller.listener.names"))
        protocols = parse_protocols("listener.security.protocol.map", self.str("listener.security.protocol.map"))
        self.listeners, left_out = client_listeners(self.list("listeners"), protocols, controllers)
        self.advertised = advertised_addresses(self.list("advertised.listeners"), self.listeners, controllers)
        warnings += [f"listener {name} is not opened: the controller is a part of this broker" for name in left_out]
        self._check_together()

    @classmethod
    def parse(cls, properties: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> BrokerConfig:
        """The configuration that `properties` make.

        properties   what the user gave, by Kafka's names
        overrides    defaults that differ from Kafka's (those of `dev`); what the user gave goes before them

        Raises ConfigError for the first value that is not allowed.
        """
        merged = merge(STANDING, overrides or {}, properties)
        given = {name: BROKER[name].parse(text) for name, text in merged.items() if name in BROKER}
        unknown = tuple(name for name in merged if name not in BROKER)
        _name_the_node(given)
        return cls(given, unknown, _warnings(properties))

    @property
    def node_id(self) -> int:
        return self.int("node.id")

    @property
    def data_dir(self) -> str:
        """The one folder that holds the logs, as it was given (relative to the current folder)."""
        return self._folders[0]

    @property
    def _folders(self) -> tuple[str, ...]:
        return self.list("log.dir" if self["log.dirs"] is None else "log.dirs")

    @property
    def durability(self) -> str:
        """`synced` or `relaxed`."""
        return self.str("kbroker.durability")

    @property
    def validate(self) -> str:
        """`header` or `records`."""
        return self.str("kbroker.validate")

    def change(self, own: Mapping[str, str], cluster: Mapping[str, str]) -> list[str]:
        """Take over what was set at run time: for this broker alone, which goes first, and for all brokers.

        Returns sentences about values that can not be, and are ignored: another version of this software set them.
        """
        sentences: list[str] = []
        own_values, cluster_values = (_dynamic(texts, sentences) for texts in (own, cluster))
        self._layers = Layers(
            {name: own[name] for name in own_values}, {name: cluster[name] for name in cluster_values}, self.given
        )
        self.values = Values(BROKER, {**self.given, **cluster_values, **own_values})
        self._topics.clear()
        self._groups.clear()
        return sentences

    def describe_broker(self) -> list[ConfigRow]:
        """Every setting, by name, then the unknown ones that were given, and the others that were set at run time."""
        rows = [broker_row(setting, self._layers) for setting in BROKER.values() if not setting.hidden]
        rows += [unknown_row(name) for name in self.unknown]
        others = {*self._layers.own, *self._layers.cluster} - {row.name for row in rows}
        return rows + [dynamic_row(name, self._layers) for name in sorted(others)]

    def describe_all_brokers(self) -> list[ConfigRow]:
        """What was set at run time for all brokers, by name."""
        layers = Layers({}, self._layers.cluster, {})
        rows = [dynamic_row(name, layers) for name in sorted(layers.cluster)]
        return [row._replace(synonyms=row.synonyms[:1]) for row in rows]

    def describe_topic(self, overrides: Mapping[str, str]) -> list[ConfigRow]:
        """Every setting of a topic with these overrides, by name; hidden ones only when set. Raises ConfigError."""
        values = self._topic_values(overrides)
        return [
            resource_row(
                setting,
                values[name],
                ConfigSource.DYNAMIC_TOPIC if name in overrides else None,
                broker_synonyms(BROKER[setting.synonym], self._layers) if setting.synonym in BROKER else (),
            )
            for name, setting in TOPIC.items()
            if not setting.hidden or name in overrides
        ]

    def describe_created_topic(self, overrides: Mapping[str, str]) -> list[ConfigRow]:
        """The same as CreateTopics v5+ answers it (KIP-525), where Kafka differs in two details.

        What was asked for comes back as it was written, and a default that is the broker's setting in another unit
        (log.retention.hours) has the source of that one.
        """
        return [self._as_created(row, overrides) for row in self.describe_topic(overrides)]

    def _as_created(self, row: ConfigRow, overrides: Mapping[str, str]) -> ConfigRow:
        if row.name in overrides:
            return row._replace(value=overrides[row.name])
        if any(name in self.given for name, _ in FALLBACKS.get(row.name, ())):
            return row._replace(config_source=ConfigSource.STATIC_BROKER)
        return row

    def describe_group(self, overrides: Mapping[str, str]) -> list[ConfigRow]:
        """Every setting of a group with these overrides, by name. Raises ConfigError."""
        from .settings.group_config import group_values  # noqa: PLC0415  # not needed to start a broker

        own = {name: setting.parse(overrides[name]) for name, setting in group().items() if name in overrides}
        values = group_values(self, own)
        return [
            resource_row(
                setting, values[name], ConfigSource.GROUP if name in own else None, self._behind_group(setting)
            )
            for name, setting in group().items()
        ]

    def _behind_group(self, setting: Setting) -> tuple[ConfigSynonym, ...]:
        if setting.synonym:
            return broker_synonyms(BROKER[setting.synonym], self._layers)
        return (ConfigSynonym(setting.name, setting.default, ConfigSource.DEFAULT),)

    def group(self, overrides: Mapping[str, str]) -> GroupConfig:
        """The effective settings of a group; the same object for the same overrides until the broker's change."""
        key = frozenset(overrides.items())
        config = self._groups.get(key)
        if config is None:
            from .settings.group_config import effective_group_config  # noqa: PLC0415  # not needed to start a broker

            config = effective_group_config(self, overrides)
            if len(self._groups) >= _CACHED:
                self._groups.clear()
            self._groups[key] = config
        return config

    def describe_client_metrics(self, overrides: Mapping[str, str]) -> list[ConfigRow]:
        """Every setting of a client-metrics subscription with these overrides, by name. Raises ConfigError."""
        return [
            resource_row(
                setting,
                setting.parse(overrides.get(name, setting.default)),
                ConfigSource.CLIENT_METRICS if name in overrides else None,
            )
            for name, setting in client_metrics().items()
        ]

    def topic(self, overrides: Mapping[str, str]) -> TopicConfig:
        """The effective settings of a topic; the same object for the same overrides. Raises ConfigError."""
        key = frozenset(overrides.items())
        config = self._topics.get(key)
        if config is None:
            config = TopicConfig(self._topic_values(overrides))
            if len(self._topics) >= _CACHED:
                self._topics.clear()
            self._topics[key] = config
        return config

    def check_topic(self, configs: Mapping[str, str | None]) -> TopicConfig:
        """What CreateTopics and AlterConfigs check of a topic's whole configuration: each value, and all together.

        Raises ConfigError, whose `message` is Kafka's.
        """
        validate_topic_configs(configs)
        config = self.topic({name: text for name, text in configs.items() if text is not None})
        check_together(config)
        return config

    def _topic_values(self, overrides: Mapping[str, str]) -> dict[str, Value]:
        values = {name: self._topic_default(name) for name in TOPIC if name not in overrides}
        values.update(validate_topic_configs(overrides))
        return values

    def _topic_default(self, name: str) -> Value:
        """What a topic has that says nothing: the broker's setting, maybe one in another unit, else Kafka's default."""
        setting = TOPIC[name]
        value = self[setting.synonym] if setting.synonym else None
        for broker_name, factor in FALLBACKS.get(name, ()):
            if value is None and self[broker_name] is not None:
                value = max(-1, self.int(broker_name) * factor)
        if value is None and setting.default is not None:
            return setting.parse(setting.default)
        return value

    def _check_together(self) -> None:
        """What must hold between settings. Raises ConfigError."""
        if len(self._folders) != 1:
            why = "kbroker keeps its logs in one folder"
            raise ConfigError.invalid("log.dirs", ",".join(self._folders), why, "one folder")
        if "broker" not in (self.list("process.roles") or ("broker",)):
            raise ConfigError.invalid("process.roles", "controller", "kbroker is always a broker", "broker,controller")
        for name in ("log.retention.ms", "log.retention.minutes", "log.retention.hours"):
            if self[name] is not None and (self.int(name) < -1 or self.int(name) == 0):
                raise ConfigError.invalid(name, str(self[name]), "Value must be -1 (for ever), or 1 or more")


def _dynamic(texts: Mapping[str, str], sentences: list[str]) -> dict[str, Value]:
    """The values that count, those of unknown names as they are; and a sentence for each that can not be read."""
    values: dict[str, Value] = {}
    for name, text in texts.items():
        setting = broker_setting(name)
        if is_read_only(name):
            continue
        try:
            values[name] = text if setting is None else setting.parse(text)
        except ConfigError as error:
            sentences.append(f"the dynamic setting {name} is ignored: {error}")
    return values


def merge(*layers: Mapping[str, str]) -> dict[str, str]:
    """The later layer wins, and with one of several names for the same thing it wins over all of them."""
    merged: dict[str, str] = {}
    for layer in layers:
        for names in _SAME:
            if any(name in layer for name in names):
                for name in names:
                    merged.pop(name, None)
        merged.update(layer)
    return merged


def _name_the_node(given: dict[str, Value]) -> None:
    """node.id and broker.id are two names of one number. Raises ConfigError when they differ."""
    node, broker = given.get("node.id"), given.get("broker.id")
    if node is not None and broker not in (None, -1, node):
        raise ConfigError.invalid(
            "node.id", str(node), f"broker.id says {broker}, and both name this node", "one number"
        )
    if node is None:
        BROKER["node.id"].parse(str(broker))
        given["node.id"] = broker
    given["broker.id"] = given["node.id"]


def _warnings(properties: Mapping[str, str]) -> list[str]:
    return [warning for name in properties if (warning := _warning(name))]


def _warning(name: str) -> str | None:
    setting = BROKER.get(name)
    if setting is not None:
        return None if setting.acts else f"setting '{name}' is accepted, but kbroker does not act on it"
    import difflib  # noqa: PLC0415  # for a hint only, and 1 ms to import

    close = difflib.get_close_matches(name, BROKER, n=1, cutoff=0.75)
    return f"unknown setting '{name}' is ignored" + (f"; did you mean '{close[0]}'?" if close else "")
