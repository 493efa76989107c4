"""The settings of a client-metrics subscription (KIP-714)."""

from __future__ import annotations

from .setting import INT, LIST, NonEmpty, Range, Setting

# fmt: off
ROWS = (
    Setting("interval.ms", INT, "300000", Range(100, 3600000), doc="How often a client pushes its metrics."),
    Setting("match", LIST, "", NonEmpty(), doc="Which clients: key=regular expression, for example client_id=app-.*"),
    Setting("metrics", LIST, "", NonEmpty(), doc="Prefixes of the names of the metrics to push; * for all."),
)
