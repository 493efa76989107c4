"""The regular expressions that members subscribe with (KIP-848), and which topics they match.

Their syntax is RE2's: whatever a client sends, matching takes linear time. Apache Kafka uses RE2/J, whose words are
used here to say what is wrong with an expression. An expression must match the whole name of a topic.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple, Protocol

from kbroker_wire import ErrorCode

from ...errors import Refusal
from ...metadata.image import Image

KNOWN = 1000  # expressions whose topics are remembered

# What RE2 says first -> what RE2/J says. The other messages of the two are the same.
_IN_OTHER_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "regexp/syntax: internal error",
    "trailing \\": "trailing backslash at end of expression",
    "bad repetition operator": "invalid nested repetition operator",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator: (?<": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
}


class Pattern(Protocol):
    """A compiled expression."""

    def fullmatch(self, text: str) -> object: ...


def check_regex(regex: str) -> None:
    """Raises Refusal (INVALID_REGULAR_EXPRESSION) with Kafka's message."""
    _compile(regex)


def _compile(regex: str) -> Pattern:
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415  # most brokers never need it

    options = re2.Options()
    options.log_errors = False  # it would write to standard error what clients get wrong
    try:
        pattern: Pattern = re2.compile(regex, options)
    except re2.error as error:
        said = error.args[0]
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        why = next((ours for theirs, ours in _IN_OTHER_WORDS.items() if why.startswith(theirs)), why.partition(": ")[0])
        raise Refusal(
            ErrorCode.INVALID_REGULAR_EXPRESSION,
            f"SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}.",
        ) from None
    return pattern


class _Match(NamedTuple):
    """`names`: all names of topics that were looked at."""

    pattern: Pattern
    names: Mapping[str, bytes]
    matched: frozenset[str]


class Regexes:
    """Topics by regular expression, for all groups of a shard; when topics come and go only what differs is matched."""

    def __init__(self) -> None:
        self._matches: dict[str, _Match] = {}

    def topics(self, regex: str, image: Image) -> frozenset[str]:
        """Names of the topics that match, internal ones too. Raises Refusal (INVALID_REGULAR_EXPRESSION)."""
        names = image.topic_ids
        match = self._matches.pop(regex, None)
        if match is None:
            pattern = _compile(regex)
            match = _Match(pattern, names, _matching(pattern, names.keys()))
        elif match.names is not names:
            new = _matching(match.pattern, names.keys() - match.names.keys())
            match = _Match(match.pattern, names, (match.matched & names.keys()) | new)
        self._matches[regex] = match
        if len(self._matches) > KNOWN:
            del self._matches[next(iter(self._matches))]
        return match.matched


def _matching(pattern: Pattern, names: Set[str]) -> frozenset[str]:
    return frozenset(name for name in names if pattern.fullmatch(name))
