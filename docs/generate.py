"""Writes what the documentation says of the code's tables: `python3 run.py docs`. A test finds it stale."""

from pathlib import Path

from kbroker.apis import APIS
from kbroker.settings.page import configuration_page

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
CONFIGURATION = HERE / "configuration.md"
BEGIN = "<!-- apis: from kbroker/apis.py by `python3 run.py docs` -->\n"
END = "<!-- end of apis -->\n"
# What a broker of Apache Kafka 4.4 advertises: key, name, versions.
KAFKA_APIS = HERE / "kafka-apis.txt"


def kafka_apis() -> dict[int, tuple[str, str]]:
    """Key -> name and versions."""
    rows = (line.split() for line in KAFKA_APIS.read_text(encoding="utf-8").splitlines())
    return {int(key): (name, versions) for key, name, versions in rows}


def apis() -> str:
    """The served APIs as a table, and what Kafka has and kbroker lacks.

    A version range that is advertised differently, or is not Kafka's, says so.
    """
    rows = ["| API | key | versions |", "|---|---|---|"]
    missing = kafka_apis()
    for api in APIS:
        told = "" if api.advertised is None else f" (advertised from {api.advertised})"
        name, versions = missing.pop(api.key)
        assert name == api.name, f"{api.key} is {name}"
        if versions != f"{api.advertised_first}-{api.last}":
            told += f" (of {versions})"
        rows.append(f"| {api.name} | {api.key} | {api.first}-{api.last}{told} |")
    lacking = ", ".join(f"{name} ({key})" for key, (name, _) in missing.items())
    return "\n".join(rows) + f"\n\nApache Kafka 4.4 has these too, kbroker does not: {lacking or 'none'}.\n"


def readme() -> str:
    """README.md as it should be."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + apis() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
    CONFIGURATION.write_text(configuration_page(), encoding="utf-8")
