"""The settings of transactional ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ...config import BrokerConfig


@dataclass(frozen=True, slots=True)
class TransactionSettings:
    """`expiration_ms`: a transactional id without a transaction for so long is forgotten."""

    expiration_ms: int = 604_800_000

    @classmethod
    def from_config(cls, config: BrokerConfig) -> Self:
        return cls(config.int("transactional.id.expiration.ms"))
