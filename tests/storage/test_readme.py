"""The example at the package's door runs as it stands."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "storage" / "README.md"


def test_the_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(README), "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "b'second'\n"


def test_every_module_is_in_the_table():
    first_cells = re.findall(r"^\| .*?\|", README.read_text(encoding="utf-8"), re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", "".join(first_cells)))
    modules = {path.stem for path in (README.parent / "kbroker_storage").glob("*.py")} - {"__init__"}
    assert modules <= named
