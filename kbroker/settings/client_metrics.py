"""The settings of a client-metrics subscription (KIP-714)."""

from __future__ import annotations

from .setting import INT, LIST, Setting

# fmt: off
ROWS = (
    Setting("interval.ms", INT, "300000"),
    Setting("match", LIST, ""),
    Setting("metrics", LIST, ""),
)
