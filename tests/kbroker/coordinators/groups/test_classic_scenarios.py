"""Longer histories of classic groups, as text files: tests/scenarios/classic-*.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from classic_story import Story
from scenario_files import check_scenario, scenarios


@pytest.mark.parametrize("path", scenarios("classic-"), ids=lambda path: path.stem)
def test_a_history_comes_to_what_its_file_says(path: Path, pytestconfig: pytest.Config) -> None:
    check_scenario(path, Story(), pytestconfig)
