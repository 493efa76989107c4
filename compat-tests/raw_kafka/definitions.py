"""Kafka's message definitions as kafka-python ships them (JSON, one file per request and response)."""

import importlib.util
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import newer

ALL_VERSIONS = range(32768)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `name` in snake_case, `kind` a primitive's name or "struct"; versions as ranges."""

    name: str
    kind: str
    is_array: bool
    versions: range
    nullable: range
    tagged: range
    tag: int
    default: object
    fields: tuple["Field", ...]


@dataclass(frozen=True, slots=True)
class Definition:
    name: str
    api_key: int
    versions: range
    flexible: range
    fields: tuple[Field, ...]


def versions(text: str) -> range:
    """ "3", "3-5", "3+" or "none" as a range of version numbers."""
    if text in {"none", ""}:
        return range(0)
    if text.endswith("+"):
        return range(int(text[:-1]), ALL_VERSIONS.stop)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _default(spec: dict[str, object], kind: str, is_array: bool) -> object:
    given = spec.get("default")
    if given == "null":
        return None
    if is_array:
        return ()
    match kind:
        case "struct":
            return {}
        case "string":
            return given or ""
        case "bool":
            return str(given).lower() == "true"
        case "bytes" | "records":
            return b""
        case "uuid":
            return None  # encoded as the zero id
        case _:
            return int(str(given), 0) if given not in (None, "") else 0


def _field(spec: dict[str, object], shared: dict[str, list[dict[str, object]]]) -> Field:
    kind = str(spec["type"])
    is_array = kind.startswith("[]")
    kind = kind.removeprefix("[]")
    fields: tuple[Field, ...] = ()
    if kind[0].isupper():
        inner = spec.get("fields") or shared[kind]
        fields = tuple(_field(each, shared) for each in inner)  # type: ignore[attr-defined]
        kind = "struct"
    return Field(
        name=snake_case(str(spec["name"])),
        kind=kind,
        is_array=is_array,
        versions=versions(str(spec["versions"])),
        nullable=versions(str(spec.get("nullableVersions", ""))),
        tagged=versions(str(spec.get("taggedVersions", ""))),
        tag=int(str(spec.get("tag", -1))),
        default=_default(spec, kind, is_array),
        fields=fields,
    )


@cache
def _folder() -> Path:
    """Where kafka-python keeps the definitions; found without importing it, which is slow and warns."""
    package = importlib.util.find_spec("kafka")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("kafka-python is not installed; its message definitions are needed")
    return Path(package.origin).parent / "protocol" / "schemas" / "resources"


def _text(message: str) -> str:
    """The definition as JSON."""
    if message in newer.MESSAGES:
        return json.dumps(newer.MESSAGES[message])
    text = (_folder() / f"{message}.json").read_text()
    return re.sub(r"(?m)^\s*//.*$", "", text)


@cache
def definition(message: str) -> Definition:
    """The table of one message, for example `definition("FetchRequest")`. Raises FileNotFoundError if unknown."""
    spec = json.loads(_text(message))
    shared = {each["name"]: each["fields"] for each in spec.get("commonStructs", [])}
    fields = [*spec["fields"], *newer.FIELDS.get(message, [])]
    return Definition(
        name=message,
        api_key=spec["apiKey"],
        versions=versions(spec["validVersions"]),
        flexible=versions(spec["flexibleVersions"]),
        fields=tuple(_field(each, shared) for each in fields),
    )
