"""Levels of loggers in Kafka's words."""

from __future__ import annotations

import logging

import pytest

from kbroker.settings.loggers import describe_loggers


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (1, "TRACE"),
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (25, "INFO"),
        (logging.WARNING, "WARN"),
        (logging.ERROR, "ERROR"),
        (logging.CRITICAL, "FATAL"),
        (99, "FATAL"),
    ],
)
def test_pythons_levels_have_names_of_kafka(level: int, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("kbroker.tested"), "level", level)
    assert {row.name: row.value for row in describe_loggers()}["kbroker.tested"] == word


def test_loggers_of_others_in_the_process_are_not_listed() -> None:
    logging.getLogger("kbroker.broker")
    logging.getLogger("application.kbroker")
    names = [row.name for row in describe_loggers()]
    assert names[0] == "root"
    assert names[1:] == sorted(names[1:])
    assert "kbroker.broker" in names
    assert "application.kbroker" not in names
