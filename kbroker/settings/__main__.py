"""`python -m kbroker.settings` rewrites docs/configuration.md of the project it is run in; a test finds it stale."""

from __future__ import annotations

import sys
from pathlib import Path

from .page import configuration_page

page = Path("docs/configuration.md")
if not page.parent.is_dir():
    sys.exit("run this in the project's folder: there is no docs/ here")
page.write_text(configuration_page(), encoding="utf-8")
