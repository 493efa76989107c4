"""Longer histories of consumer groups, as text files: tests/scenarios/consumer-*.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumer_story import Story
from scenario_files import check_scenario, scenarios


@pytest.mark.parametrize("path", scenarios("consumer-"), ids=lambda path: path.stem)
def test_a_history_comes_to_what_its_file_says(path: Path, pytestconfig: pytest.Config) -> None:
    check_scenario(path, Story(), pytestconfig)
