"""Writes what the documentation says of the code's tables: `python3 run.py docs`. A test finds it stale."""

from pathlib import Path

from kbroker.apis import APIS
from kbroker.settings.page import configuration_page

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
CONFIGURATION = HERE / "configuration.md"
BEGIN = "<!-- apis: from kbroker/apis.py by `python3 run.py docs` -->\n"
END = "<!-- end of apis -->\n"


def apis() -> str:
    """The served APIs as a table; a version range that is advertised differently says so."""
    rows = ["| API | key | versions |", "|---|---|---|"]
    for api in APIS:
        told = "" if api.advertised is None else f" (advertised from {api.advertised})"
        rows.append(f"| {api.name} | {api.key} | {api.first}-{api.last}{told} |")
    return "\n".join(rows) + "\n"


def readme() -> str:
    """README.md as it should be."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + apis() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
    CONFIGURATION.write_text(configuration_page(), encoding="utf-8")
