"""What is generated into the documentation is what the code says today."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
assert spec is not None
assert spec.loader is not None
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


def test_the_readme_lists_the_served_apis():
    assert generate.README.read_text() == generate.readme(), "stale: python3 run.py docs"
    assert "| Produce | 0 | 3-13 (advertised from 0) |" in generate.readme()


def test_every_api_of_kafka_is_served_or_named_as_missing():
    generated = generate.apis()
    for key, (name, _) in generate.kafka_apis().items():
        assert (f"| {name} | {key} |" in generated) != (f" {name} ({key})" in generated)


def test_the_changelog_and_licence_are_there():
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
    assert "Apache License" in (ROOT / "LICENSE").read_text()
