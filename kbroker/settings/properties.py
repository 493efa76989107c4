"""Java's .properties text, as in server.properties (the rules of java.util.Properties.load)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .setting import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANKS = " \t\f"
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def load_properties(data: bytes) -> dict[str, str]:
    """Keys and values of a file; a key that comes twice has its last value.

    The bytes are UTF-8 (with or without its mark) or, where they are not valid UTF-8, Latin-1 as in old Java files.
    Raises ConfigError for a malformed \\uXXXX.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        key, value = _split(line)
        found[_unescape(key)] = _unescape(value)
    return found


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, blank ones and leading blanks; an odd number of backslashes at its end joins the next."""
    joined = ""
    for raw in re.split(r"\r\n|\r|\n", text):
        line = raw.lstrip(_BLANKS)
        if not joined and (not line or line[0] in "#!"):
            continue
        joined += line
        if (len(line) - len(line.rstrip("\\"))) % 2:
            joined = joined[:-1]
        else:
            yield joined
            joined = ""
    if joined:
        yield joined


def _split(line: str) -> tuple[str, str]:
    """The key ends at the first `=`, `:` or blank that is not escaped; one `=` or `:` may stand among the blanks."""
    end = 0
    while end < len(line) and line[end] not in "=: \t\f":
        end += 2 if line[end] == "\\" else 1
    rest = line[end:].lstrip(_BLANKS)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANKS)
    return line[:end], rest


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        what = match[1]
        if what[0] != "u":
            return _ESCAPES.get(what, what)
        if len(what) != 5:
            raise ConfigError(text, None, f"Malformed \\uxxxx encoding in {text!r}")
        return chr(int(what[1:], 16))

    unescaped = re.sub(r"\\(u[0-9a-fA-F]{0,4}|.|$)", replace, text, flags=re.DOTALL)
    return unescaped.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )  # two escapes make one astral character
