"""Histories as text: commands at the margin, what came of each indented below it.

Blank lines and lines that begin with "#" are for the reader. `pytest --rewrite-scenarios` writes the outcomes anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

INDENT = "    "
FOLDER = Path(__file__).with_name("scenarios")


def scenarios(prefix: str) -> list[Path]:
    return sorted(FOLDER.glob(f"{prefix}*.txt"))


def check_scenario(path: Path, run: Callable[[str], list[str]], config: pytest.Config) -> None:
    """Each command of the file must come to what stands below it."""
    expected = path.read_text(encoding="utf-8")
    happened = "".join(f"{line}\n" for line in _played(expected, run))
    if config.getoption("--rewrite-scenarios"):
        path.write_text(happened, encoding="utf-8")
        return
    assert happened == expected


def _played(text: str, run: Callable[[str], list[str]]) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith(INDENT):
            continue
        yield line
        if line and not line.startswith("#"):
            yield from (INDENT + outcome for outcome in run(line))
