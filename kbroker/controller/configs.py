"""What the controller decides about configurations: (image, changes) -> (records, what became of each). Pure.

A resource is changed as a whole or not at all; all changes of a request are one atomic batch of the metadata log. The
order of the checks, the codes and the messages are Apache Kafka's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from kbroker_wire import ErrorCode
from kbroker_wire.messages.metadata_records import ConfigRecord
from kbroker_wire.schema import Message

from ..config import BrokerConfig
from ..errors import Refusal
from ..metadata.image import BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE, Image
from ..settings.dynamic import broker_setting, check_dynamic
from ..settings.group_config import check_group
from ..settings.setting import INT, LIST, ConfigError, Setting, parse
from ..settings.tables import TOPIC, client_metrics
from .core import MAX_RECORDS_PER_REQUEST, name_error

MAX_CHANGES_PER_REQUEST = 2 * MAX_RECORDS_PER_REQUEST  # resources and settings, looked at without a break
MIN_INT, MAX_INT = -(1 << 31), (1 << 31) - 1
PUSH_INTERVAL = "interval.ms"
MIN_PUSH_INTERVAL_MS, MAX_PUSH_INTERVAL_MS = 100, 3_600_000
MATCHABLE = {
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
}


class Operation(IntEnum):
    """What is done to one setting (KIP-339); the numbers are those of IncrementalAlterConfigs."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigChange(NamedTuple):
    """What a request does to the configuration of one resource.

    operations   (setting, number of the operation, value), in the order of the request
    replaces     what is not named is deleted (AlterConfigs)
    """

    type: int
    name: str
    operations: Sequence[tuple[str, int, str | None]]
    replaces: bool = False


Outcome = Refusal | None  # None: granted


def alter_configs(
    image: Image, config: BrokerConfig, changes: Sequence[ConfigChange]
) -> tuple[list[Message], list[Outcome]]:
    """Records for every resource that can be changed, and in the order of `changes` what became of each.

    config   of the broker that was asked: it checks its own settings and knows the defaults
    """
    if len(changes) + sum(len(change.operations) for change in changes) > MAX_CHANGES_PER_REQUEST:
        return _too_large(changes)
    records: list[Message] = []
    outcome: list[Outcome] = []
    times = Counter((change.type, change.name) for change in changes)
    for change in changes:
        try:
            if times[change.type, change.name] > 1:
                raise Refusal(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            records += _alter(image, config, change)
            outcome.append(None)
        except Refusal as refusal:
            outcome.append(refusal)
    return (records, outcome) if len(records) <= MAX_RECORDS_PER_REQUEST else _too_large(changes)


def _too_large(changes: Sequence[ConfigChange]) -> tuple[list[Message], list[Outcome]]:
    refusal = Refusal(ErrorCode.POLICY_VIOLATION, "Unable to perform excessively large batch operation.")
    return [], [refusal] * len(changes)


def check_form(change: ConfigChange) -> None:
    """What no change of any resource may be. Raises Refusal."""
    if any(times > 1 for times in Counter(name for name, _, _ in change.operations).values()):
        raise Refusal(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    nulls = [name for name, kind, value in change.operations if value is None and kind != Operation.DELETE]
    if nulls:
        raise Refusal(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(nulls)}")


def _alter(image: Image, config: BrokerConfig, change: ConfigChange) -> list[Message]:
    check_form(change)
    kind = KINDS.get(change.type)
    if kind is None:
        raise Refusal(ErrorCode.INVALID_REQUEST, f"Unknown resource type {change.type}")
    name = kind.find(config, change.name)
    old = image.config(change.type, name)
    new = _changed(kind, {} if change.replaces else old, change.operations)
    try:
        kind.check(config, name, new)
    except ConfigError as error:
        raise Refusal(kind.refusal, error.message) from None
    if change.type == TOPIC_RESOURCE and name not in image.topic_ids:
        raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
    return [
        ConfigRecord(resource_type=change.type, resource_name=name, name=key, value=new.get(key))
        for key in {**new, **old}
        if new.get(key) != old.get(key)
    ]


def _changed(kind: Kind, old: Mapping[str, str], operations: Sequence[tuple[str, int, str | None]]) -> dict[str, str]:
    """The whole configuration after `operations`. Raises Refusal."""
    new = dict(old)
    for name, number, value in operations:
        match number:
            case Operation.SET:
                assert value is not None
                new[name] = value
            case Operation.DELETE:
                new.pop(name, None)
            case Operation.APPEND | Operation.SUBTRACT:
                assert value is not None
                new[name] = _list_changed(kind, name, new.get(name), Operation(number), value)
            case _:
                raise Refusal(ErrorCode.INVALID_REQUEST, f"Unknown operations type {number}")
    return new


def _list_changed(kind: Kind, name: str, old: str | None, operation: Operation, value: str) -> str:
    setting = kind.setting(name)
    if setting is None or setting.type is not LIST:
        raise Refusal(ErrorCode.INVALID_CONFIG, kind.not_a_list(name, operation, setting is not None))
    items = [item for item in ((setting.default or "") if old is None else old).split(",") if item]
    for item in value.split(","):
        if operation is Operation.SUBTRACT and item in items:
            items.remove(item)
        elif operation is Operation.APPEND and item not in items:
            items.append(item)
    return ",".join(items)


def _not_a_list(name: str, operation: Operation, known: bool) -> str:
    del known
    return f"Can't {operation.name} to key {name} because its type is not LIST."


def _not_a_list_of_brokers(name: str, operation: Operation, known: bool) -> str:
    if not known:
        return f"Unknown config name: {name}"
    return f"Config value {operation.name.lower()} is not allowed for config key: {name}"


# -- kinds of resources ------------------------------------------------------------------------------------------------


def _find_topic(config: BrokerConfig, name: str) -> str:
    del config
    if not name:
        raise Refusal(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
    reason = name_error(name)
    if reason is not None:
        raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")
    return name


def _check_topic(config: BrokerConfig, name: str, configs: Mapping[str, str]) -> None:
    del name
    config.check_topic(configs)


def node_id(text: str) -> int:
    """The number that a broker's resource is named by. Raises Refusal."""
    if not re.fullmatch(r"[+-]?\d{1,20}", text) or not MIN_INT <= int(text) <= MAX_INT:
        raise Refusal(ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {text}")
    return int(text)


def _find_broker(config: BrokerConfig, name: str) -> str:
    """ "" for all brokers, else this one: only a broker itself knows whether it can be so."""
    if not name:
        return ""
    if node_id(name) != config.node_id:
        raise Refusal(
            ErrorCode.INVALID_REQUEST, f"Unexpected broker id, expected {config.node_id}, but received {name}"
        )
    return str(config.node_id)


def _check_broker(config: BrokerConfig, name: str, configs: Mapping[str, str]) -> None:
    del config
    check_dynamic(configs, per_broker=name != "")


def _find_group(config: BrokerConfig, name: str) -> str:
    del config
    if not name:
        raise Refusal(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
    return name


def _check_group(config: BrokerConfig, name: str, configs: Mapping[str, str]) -> None:
    del name
    check_group(config, configs)


def _find_subscription(config: BrokerConfig, name: str) -> str:
    del config
    if not name:
        raise Refusal(ErrorCode.INVALID_REQUEST, "Subscription name can't be empty")
    return name


def _check_subscription(config: BrokerConfig, name: str, configs: Mapping[str, str]) -> None:
    del config, name
    for key, text in configs.items():
        if key not in client_metrics():
            raise Refusal(ErrorCode.INVALID_REQUEST, f"Unknown client metrics configuration: {key}")
        if key == PUSH_INTERVAL:
            interval = parse(key, INT, text)
            assert isinstance(interval, int)
            if not MIN_PUSH_INTERVAL_MS <= interval <= MAX_PUSH_INTERVAL_MS:
                why = f"Invalid value {interval} for {key}, interval must be between 100 and 3600000 (1 hour)"
                raise Refusal(ErrorCode.INVALID_REQUEST, why)
        value = client_metrics()[key].parse(text)
        if key == "match":
            assert isinstance(value, tuple)
            for pattern in value:
                _check_pattern(pattern)


def _check_pattern(pattern: str) -> None:
    """`client_id=...`: what is matched, and a regular expression."""
    what, _, expression = pattern.partition("=")
    try:
        re.compile(expression.strip())
    except (re.error, RecursionError, OverflowError):
        what = ""
    if what.strip() not in MATCHABLE or not expression or "=" in expression:
        raise ConfigError("match", pattern, f"Illegal client matching pattern: {pattern}")


class Kind(NamedTuple):
    """How one type of resource is configured.

    find          the name its configuration is kept under; raises Refusal
    check         a whole new configuration; raises ConfigError, or Refusal
    setting       the row of a setting that may be a list to append to, None if there is none; Kafka knows of lists
                  for topics and brokers only
    refusal       the code that a ConfigError becomes
    not_a_list    what is said of a setting that is none: (name, operation, whether it is known)
    """

    find: Callable[[BrokerConfig, str], str]
    check: Callable[[BrokerConfig, str, Mapping[str, str]], None]
    setting: Callable[[str], Setting | None] = lambda _name: None
    refusal: ErrorCode = ErrorCode.INVALID_CONFIG
    not_a_list: Callable[[str, Operation, bool], str] = _not_a_list


KINDS = {
    TOPIC_RESOURCE: Kind(_find_topic, _check_topic, TOPIC.get),
    BROKER_RESOURCE: Kind(
        _find_broker,
        _check_broker,
        broker_setting,
        refusal=ErrorCode.INVALID_REQUEST,
        not_a_list=_not_a_list_of_brokers,
    ),
    GROUP_RESOURCE: Kind(_find_group, _check_group),
    CLIENT_METRICS_RESOURCE: Kind(_find_subscription, _check_subscription),
}
