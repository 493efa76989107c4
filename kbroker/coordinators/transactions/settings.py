"""The settings of transactional ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ...config import BrokerConfig


@dataclass(frozen=True, slots=True)
class TransactionSettings:
    """Times in milliseconds.

    max_timeout_ms   the longest timeout that a producer may ask for
    expiration_ms    a transactional id that is not used for so long is forgotten
    """

    max_timeout_ms: int = 900_000
    expiration_ms: int = 604_800_000

    @classmethod
    def from_config(cls, config: BrokerConfig) -> Self:
        return cls(config.int("transaction.max.timeout.ms"), config.int("transactional.id.expiration.ms"))
