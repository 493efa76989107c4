"""The levels of a running broker's loggers, in Kafka's words (KIP-412): the root, and those of kbroker itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from .describe import ConfigRow, ConfigSource
from .setting import ConfigError

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
_BELOW_DEBUG = 5  # Kafka's TRACE, for which Python has no name


def describe_loggers() -> list[ConfigRow]:
    """One row a logger; the value is the level from which on its lines are written, its own or inherited.

    Loggers of other packages in this process are nobody's business but theirs.
    """
    rows = [_row(ROOT, logging.getLogger())]
    return rows + [_row(name, logging.getLogger(name)) for name in sorted(_names())]


def _names() -> list[str]:
    known = list(logging.getLogger().manager.loggerDict)
    return [name for name in known if name.split(".")[0].startswith(_PACKAGE)]


def change_levels(wanted: Mapping[str, str | None], *, validate_only: bool = False) -> None:
    """Set the levels of loggers, by Kafka's words; None: that of the logger above counts again. All or none.

    Raises ConfigError for a logger that is not there, and for an unknown level, in Kafka's words.
    """
    levels = {word: level for level, word in _LEVELS} | {"TRACE": _BELOW_DEBUG}
    known = {ROOT, *_names()}
    for name, word in wanted.items():
        if name not in known:
            raise ConfigError(name, word, f"Logger {name} does not exist!")
        if word is not None and word not in levels:
            why = f"Cannot set the log level of {name} to {word} as it is not a supported log level."
            raise ConfigError(name, word, f"{why} Valid log levels are {', '.join(sorted(levels))}")
    if not validate_only:
        for name, word in wanted.items():
            logging.getLogger(None if name == ROOT else name).setLevel(logging.NOTSET if word is None else levels[word])


def _row(name: str, logger: logging.Logger) -> ConfigRow:
    level = logger.getEffectiveLevel()
    word = next((word for least, word in _LEVELS if level >= least), "TRACE")
    return ConfigRow(name, word, False, ConfigSource.DYNAMIC_BROKER_LOGGER, False, (), 0, "")
