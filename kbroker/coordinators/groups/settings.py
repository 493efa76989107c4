"""The settings of classic groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ...config import BrokerConfig


@dataclass(frozen=True, slots=True)
class ClassicSettings:
    """Times in milliseconds.

    initial_rebalance_delay_ms   how long the first rebalance of an empty group waits for the next member
    max_size                     members a group may have
    """

    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 3_000
    max_size: int = (1 << 31) - 1

    @classmethod
    def from_config(cls, config: BrokerConfig) -> Self:
        return cls(
            config.int("group.min.session.timeout.ms"),
            config.int("group.max.session.timeout.ms"),
            config.int("group.initial.rebalance.delay.ms"),
            config.int("group.max.size"),
        )
