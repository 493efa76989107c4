"""What can go wrong, each said in one line: what happened, and where it helps what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kbroker_wire import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")


class Failure(Exception):
    """It can not be done; the message is for a person."""


class Unreachable(Failure):
    """A broker could not be connected to, or went away before it answered.

    passes  whether it may be there soon; not if its host's name leads nowhere
    """

    def __init__(self, message: str, *, passes: bool = True) -> None:
        self.passes = passes
        super().__init__(message)


class Refused(Failure):
    """The broker answered with an error.

    what     of what, "group g"
    message  the broker's own words, if it sent any
    """

    def __init__(self, code: int, what: str, message: str | None = None) -> None:
        self.code = code
        name, usual = _named(code)
        super().__init__(f"{what}: {message or usual} ({name})")

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed soon. What does not exist is not waited for: mostly it is a typo."""
        known = _CODES.get(self.code)
        return known is not None and known.retriable and known is not ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def verdict(
    code: int, what: str, message: str | None = None, advice: Mapping[ErrorCode, str] | None = None
) -> Failure | None:
    """None for NONE; Failure with what `advice` has for the code, else Refused."""
    if code == ErrorCode.NONE:
        return None
    for known, words in (advice or {}).items():
        if known == code:
            return Failure(words)
    return Refused(code, what, message)


def refuse(code: int, what: str, message: str | None = None, advice: Mapping[ErrorCode, str] | None = None) -> None:
    """Raises the verdict, if there is one."""
    if failure := verdict(code, what, message, advice):
        raise failure


def only(rows: Sequence[T], what: str) -> T:
    """The one row that a request for one thing is answered with. Raises Unreachable for any other number."""
    if len(rows) != 1:
        raise Unreachable(f"{what}: the broker answered with {len(rows)} rows instead of one")
    return rows[0]


def lasting(failure: Failure | None) -> Failure | None:
    """The same. Raises it if it is Refused and passes."""
    if isinstance(failure, Refused) and failure.passes:
        raise failure
    return failure


_CODES = {int(code): code for code in ErrorCode}  # a newer broker may send codes that are not among them


def _named(code: int) -> tuple[str, str]:
    if known := _CODES.get(code):
        return known.name, known.message
    return f"error {code}", "an error that this version of kbroker does not know"
