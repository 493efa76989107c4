"""The settings of consumer groups (KIP-848)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, Self

from ...config import BrokerConfig
from ...settings.setting import ConfigError
from .assignors import ASSIGNORS


class MigrationPolicy(Enum):
    """Which groups may change their protocol while they run."""

    DISABLED = "disabled"
    DOWNGRADE = "downgrade"  # to classic, when the last member that spoke the consumer protocol goes
    UPGRADE = "upgrade"  # from classic, when the first such member comes
    BIDIRECTIONAL = "bidirectional"

    @property
    def upgrades(self) -> bool:
        return self in (MigrationPolicy.UPGRADE, MigrationPolicy.BIDIRECTIONAL)

    @property
    def downgrades(self) -> bool:
        return self in (MigrationPolicy.DOWNGRADE, MigrationPolicy.BIDIRECTIONAL)


class GroupTimes(Protocol):
    """What may be set for each group, in milliseconds.

    assignment_interval   least time between two target assignments
    """

    consumer_session_timeout_ms: int
    consumer_heartbeat_interval_ms: int
    consumer_assignment_interval_ms: int


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """The same for all groups.

    max_size           members a group may have
    classic_max_size   members a group may have to become a classic one
    assignors          names, of which the first is the default
    """

    max_size: int = (1 << 31) - 1
    classic_max_size: int = (1 << 31) - 1
    assignors: tuple[str, ...] = ("uniform", "range")
    migration: MigrationPolicy = MigrationPolicy.BIDIRECTIONAL

    @classmethod
    def from_config(cls, config: BrokerConfig) -> Self:
        """Raises ConfigError for an assignor that there is not."""
        assignors = config.list("group.consumer.assignors")
        unknown = [name for name in assignors if name not in ASSIGNORS]
        if unknown or not assignors:
            why = "there must be one" if not assignors else f"there is no assignor {unknown[0]}"
            raise ConfigError.invalid("group.consumer.assignors", ",".join(assignors), why, ", ".join(ASSIGNORS))
        return cls(
            config.int("group.consumer.max.size"),
            config.int("group.max.size"),
            assignors,
            MigrationPolicy(config.str("group.consumer.migration.policy").lower()),
        )
