"""What of a broker's configuration may be changed while it runs (KIP-226), and the check of such a change.

A change is for one broker, or for all of them; what one broker has of its own goes first. The order of the checks and
the messages are Apache Kafka's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .listeners import PER_IP_OVERRIDES, parse_overrides
from .setting import CLUSTER_WIDE, LONG, PER_BROKER, READ_ONLY, ConfigError, Range, Setting
from .tables import BROKER

if TYPE_CHECKING:
    from collections.abc import Mapping

# Settings that a configuration file can not have.
ONLY_DYNAMIC = {
    row.name: row
    for row in (
        Setting("follower.replication.throttled.rate", LONG, None, Range(0), update=CLUSTER_WIDE,
                doc="Bytes per second that throttled replicas may copy in."),
        Setting("leader.replication.throttled.rate", LONG, None, Range(0), update=CLUSTER_WIDE,
                doc="Bytes per second that throttled replicas may copy out."),
        Setting("replica.alter.log.dirs.io.max.bytes.per.second", LONG, None, Range(0), update=CLUSTER_WIDE,
                doc="Bytes per second that may be moved between the folders of a broker."),
    )
}  # fmt: skip
_OF_LISTENER = re.compile(r"listener\.name\.[^.]*\.(.*)", re.DOTALL)
# Those of a listener that may be set for all brokers at once.
_FOR_EVERY_LISTENER = {"max.connections", "max.connection.creation.rate", "num.network.threads"}
# Those that may be changed for a named listener only.
_NEEDS_LISTENER = {
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
}


def base_name(name: str) -> str:
    """The setting behind one of a named listener: listener.name.internal.ssl.protocol -> ssl.protocol."""
    match = _OF_LISTENER.fullmatch(name)
    return match[1] if match else name


def broker_setting(name: str) -> Setting | None:
    """The row of a broker's setting, also of a listener's; None for a name that nobody knows."""
    return BROKER.get(name) or ONLY_DYNAMIC.get(name) or BROKER.get(base_name(name))


def is_read_only(name: str) -> bool:
    """Whether it is a broker's setting that counts at a start only."""
    return name in BROKER and BROKER[name].update == READ_ONLY


def check_dynamic(configs: Mapping[str, str], *, per_broker: bool) -> None:
    """Whether these may be the dynamic settings of one broker, or else of all. Unknown names may: plug-ins have them.

    Raises ConfigError.
    """
    _refuse("Cannot update these configs dynamically", [name for name in configs if is_read_only(name)])
    _refuse(
        "These security configs can be dynamically updated only per-listener using the listener prefix",
        [name for name in configs if name in _NEEDS_LISTENER],
    )
    for name, text in configs.items():
        setting = broker_setting(name)
        if setting is not None:
            setting.parse(text)
    if not per_broker:
        _refuse(
            "Cannot update these configs at default cluster level, broker id must be specified",
            [name for name in configs if _is_per_broker(name)],
        )
    _check_values(configs)


def _refuse(why: str, names: list[str]) -> None:
    if names:
        raise ConfigError(names[0], None, f"{why}: [{', '.join(names)}]")


def _is_per_broker(name: str) -> bool:
    if name in BROKER:
        return BROKER[name].update == PER_BROKER
    return base_name(name) != name and base_name(name) not in _FOR_EVERY_LISTENER


def _check_values(configs: Mapping[str, str]) -> None:
    """Beyond types and bounds."""
    retention = configs.get("log.retention.ms")
    if retention is not None and int(retention) == 0:
        why = "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"
        raise ConfigError("log.retention.ms", retention, f"requirement failed: {why}")
    parse_overrides(configs.get(PER_IP_OVERRIDES, ""))
    if configs.get("max.connections.per.ip", "").strip() == "0" and not configs.get(PER_IP_OVERRIDES):
        why = f"max.connections.per.ip can be set to zero only if {PER_IP_OVERRIDES} property is set."
        raise ConfigError("max.connections.per.ip", "0", f"requirement failed: {why}")
