"""What a setting is: name, type, default, bounds, and Kafka's very words when a value is wrong.

The rules are those of Kafka's ConfigDef: text is trimmed of characters up to U+0020, a boolean is `true` or `false` in
any case, a list is split at commas, numbers are Java's (a sign, decimal digits, no underscores), and a value is parsed
before it is held against its bounds. The messages were taken from Apache Kafka 4.4.0.
"""

from __future__ import annotations

import math
import re
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = bool | int | float | str | tuple[str, ...] | None


class ConfigError(Exception):
    """A setting's value is refused.

    key, value   what was given
    message      what Apache Kafka answers to a client; `str()` adds `allowed`, in words for people
    """

    def __init__(self, key: str, value: str | None, message: str, allowed: str = "") -> None:
        super().__init__(f"{message} (allowed: {allowed})" if allowed else message)
        self.key, self.value, self.message, self.allowed = key, value, message, allowed

    @classmethod
    def invalid(cls, key: str, value: str, why: str, allowed: str = "") -> ConfigError:
        """The sentence Kafka makes of most refusals."""
        return cls(key, value, f"Invalid value {value} for configuration {key}: {why}", allowed)


class ConfigType(IntEnum):
    """The type of a setting; the numbers are those of DescribeConfigs v3+ (KIP-226, KIP-569)."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


BOOLEAN, STRING, INT, SHORT, LONG, DOUBLE, LIST, CLASS, PASSWORD = ConfigType

# How a running broker lets a setting change (KIP-226).
READ_ONLY, PER_BROKER, CLUSTER_WIDE = "read-only", "per-broker", "cluster-wide"


class Bound(Protocol):
    """What a parsed value must fulfil beyond its type."""

    def check(self, name: str, value: Value) -> None:
        """Raise ConfigError in Kafka's words."""

    def allowed(self) -> str:
        """The allowed values, in a few words for people."""


class Setting(NamedTuple):
    """One row of a table. `default` is text as Kafka writes it, None when there is none."""

    name: str
    type: ConfigType
    default: str | None
    bound: Bound | None = None
    update: str = READ_ONLY
    acts: bool = False  # does kbroker act on it today?
    synonym: str = ""  # of a topic's or group's setting: the broker setting that gives its default
    hidden: bool = False  # taken when set, never listed (Kafka's "internal" settings)
    doc: str = ""

    @property
    def sensitive(self) -> bool:
        return self.type is PASSWORD

    def parse(self, text: str | None) -> Value:
        """The typed value of `text`, checked. Raises ConfigError."""
        value = None if text is None else parse(self.name, self.type, text, self.allowed())
        if self.bound is not None and (value is not None or not self.nullable):
            try:
                self.bound.check(self.name, value)
            except ConfigError as error:
                raise ConfigError(self.name, text, error.message, self.allowed()) from None
        return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value  # Kafka drops what comes twice

    @property
    def nullable(self) -> bool:
        return self.default is None

    def allowed(self) -> str:
        """The type, and the bounds if any: `INT, 1 or more`."""
        what = "true or false" if self.type is BOOLEAN else self.type.name
        return what if self.bound is None else f"{what}, {self.bound.allowed()}"


_BLANKS = "".join(map(chr, range(0x21)))  # what Java's String.trim() removes
_BITS = {SHORT: 15, INT: 31, LONG: 63}
_DECIMAL = r"[+-]?(?:NaN|Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?)"
_LONGEST_NUMBER = 400  # characters; beyond it nothing is a number, and Python's own int() refuses 4,300 digits


def parse(name: str, kind: ConfigType, text: str, allowed: str = "") -> Value:
    """`text` as a value of `kind`; bounds are not looked at. Raises ConfigError."""
    if kind is PASSWORD:
        return text
    text = text.strip(_BLANKS)
    if kind in _BITS:
        number = _integer(text)
        if number is None or not -1 << _BITS[kind] <= number < 1 << _BITS[kind]:
            raise ConfigError.invalid(name, text, f"Not a number of type {kind.name}", allowed)
        return number
    if kind is BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise ConfigError.invalid(name, text, "Expected value to be either true or false", allowed)
        return text.lower() == "true"
    if kind is DOUBLE:
        if len(text) > _LONGEST_NUMBER or not re.fullmatch(_DECIMAL, text, re.ASCII):
            raise ConfigError.invalid(name, text, "Not a number of type DOUBLE", allowed)
        return float(text.rstrip("fFdD"))
    if kind is LIST:
        return tuple(part.strip() for part in text.split(",")) if text else ()
    return text


def _integer(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return int(text) if digits.isdecimal() and len(digits) <= _LONGEST_NUMBER else None


def show(value: Value) -> str | None:
    """A typed value as Kafka writes it in its answers."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return java_double(value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def java_double(value: float) -> str:
    """Java's Double.toString: plain from 10^-3 up to 10^7, else computerized scientific notation such as 1.0E-4."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    digits, exponent = _scientific(abs(value))
    return f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def _scientific(value: float) -> tuple[str, int]:
    """The shortest digits that read back as `value`, and the decimal exponent of the first one."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    leading = len(digits) - len(digits.lstrip("0"))
    return digits.strip("0"), int(exponent or 0) + len(whole) - 1 - leading


class Range(NamedTuple):
    """Numbers from `at_least` to `at_most`, both allowed; None leaves that side open."""

    at_least: int | None = None
    at_most: int | float | None = None

    def check(self, name: str, value: Value) -> None:
        assert isinstance(value, (int, float))
        if self.at_least is not None and value < self.at_least:
            raise ConfigError.invalid(name, str(show(value)), f"Value must be at least {self.at_least}")
        if self.at_most is not None and value > self.at_most:
            raise ConfigError.invalid(name, str(show(value)), f"Value must be no more than {self.at_most}")

    def allowed(self) -> str:
        if self.at_most is None:
            return f"{self.at_least} or more"
        return f"{self.at_least} to {self.at_most}" if self.at_least is not None else f"up to {self.at_most}"


class GzipLevel:
    """A level of gzip compression, -1 being the codec's own default (KIP-780)."""

    def check(self, name: str, value: Value) -> None:
        assert isinstance(value, int)
        if not 1 <= value <= 9 and value != -1:
            raise ConfigError.invalid(name, str(value), "Value must be between 1 and 9 or equal to -1")

    def allowed(self) -> str:
        return "1 to 9, or -1"


class OneOf:
    """One of some words, or a list of them."""

    def __init__(self, *words: str, any_case: bool = False) -> None:
        self.words, self.any_case = words, any_case

    def check(self, name: str, value: Value) -> None:
        for word in _each(value):
            if word not in self.words and not (self.any_case and word.lower() in map(str.lower, self.words)):
                if not word and isinstance(value, tuple):
                    raise ConfigError(name, word, f"Configuration '{name}' values must not be empty.")
                note = " (case insensitive)" if self.any_case else ""
                raise ConfigError.invalid(name, word, f"String must be one of{note}: {', '.join(self.words)}")

    def allowed(self) -> str:
        return "one of " + ", ".join(self.words)


class NonEmpty:
    """A text, or every element of a list, must not be empty."""

    def check(self, name: str, value: Value) -> None:
        if isinstance(value, tuple):
            if "" in value:
                raise ConfigError(name, "", f"Configuration '{name}' values must not be empty.")
        elif value == "":
            raise ConfigError.invalid(name, "", "String must be non-empty")

    def allowed(self) -> str:
        return "not empty"


class ThrottledReplicas:
    """`*`, or a list of partition:broker pairs (KIP-73)."""

    form = "[partitionId]:[brokerId],[partitionId]:[brokerId],..."

    def check(self, name: str, value: Value) -> None:
        assert isinstance(value, tuple)
        if value != ("*",) and not all(re.fullmatch(r"[0-9]+:[0-9]+", pair, re.ASCII) for pair in value):
            shown = f"[{', '.join(value)}]"
            why = f"{name} must be the literal '*' or a list of replicas in the following format: {self.form}"
            raise ConfigError.invalid(name, shown, why)

    def allowed(self) -> str:
        return f"* or {self.form}"


def _each(value: Value) -> Iterable[str]:
    return value if isinstance(value, tuple) else (str(value),)
