"""The levels of a running broker's loggers, in Kafka's words (KIP-412): the root, and those of kbroker itself."""

from __future__ import annotations

import logging

from .describe import ConfigRow, ConfigSource

ROOT = "root"  # what Kafka calls the logger that has no name
_PACKAGE = "kbroker"
# From which of Python's levels on Kafka's word for it holds; CRITICAL is its FATAL.
_LEVELS = (
    (logging.CRITICAL, "FATAL"),
    (logging.ERROR, "ERROR"),
    (logging.WARNING, "WARN"),
    (logging.INFO, "INFO"),
    (logging.DEBUG, "DEBUG"),
)


def describe_loggers() -> list[ConfigRow]:
    """One row a logger; the value is the level from which on its lines are written, its own or inherited.

    Loggers of other packages in this process are nobody's business but theirs.
    """
    root = logging.getLogger()
    names = [name for name in list(root.manager.loggerDict) if name.split(".")[0].startswith(_PACKAGE)]
    rows = [_row(ROOT, root)]
    return rows + [_row(name, logging.getLogger(name)) for name in sorted(names)]


def _row(name: str, logger: logging.Logger) -> ConfigRow:
    level = logger.getEffectiveLevel()
    word = next((word for least, word in _LEVELS if level >= least), "TRACE")
    return ConfigRow(name, word, False, ConfigSource.DYNAMIC_BROKER_LOGGER, False, (), 0, "")
