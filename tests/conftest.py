"""Flags of the test suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-scenarios",
        action="store_true",
        help="write into tests/scenarios/*.txt what happens now, to be reviewed as a diff",
    )
