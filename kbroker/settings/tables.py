"""The tables of settings by name, in Kafka's alphabetical order."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from . import (
    broker_cluster,
    broker_groups,
    broker_log,
    broker_network,
    broker_own,
    broker_remote,
    broker_replication,
    broker_security,
    broker_transactions,
    topic,
)

if TYPE_CHECKING:
    from .setting import Setting

_BROKER_FILES = (
    broker_cluster,
    broker_groups,
    broker_log,
    broker_network,
    broker_own,
    broker_remote,
    broker_replication,
    broker_security,
    broker_transactions,
)
BROKER: dict[str, Setting] = {row.name: row for row in sorted(row for file in _BROKER_FILES for row in file.ROWS)}
TOPIC: dict[str, Setting] = {row.name: row for row in topic.ROWS}


@cache
def group() -> dict[str, Setting]:
    """The settings of a group: not needed to start a broker."""
    from . import group as file  # noqa: PLC0415

    return {row.name: row for row in file.ROWS}


@cache
def client_metrics() -> dict[str, Setting]:
    """The settings of a client-metrics subscription: not needed to start a broker."""
    from . import client_metrics as file  # noqa: PLC0415

    return {row.name: row for row in file.ROWS}
