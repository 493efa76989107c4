"""Typed look-ups of settings by Kafka's name."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .setting import Setting, Value


class Values(dict[str, "Value"]):
    """The values that were given, typed; a default is parsed when first asked for."""

    __slots__ = ("table",)

    def __init__(self, table: Mapping[str, Setting], given: Mapping[str, Value]) -> None:
        super().__init__(given)
        self.table = table

    def __missing__(self, name: str) -> Value:
        setting = self.table[name]
        value = self[name] = None if setting.default is None else setting.parse(setting.default)
        return value


class TypedLookups:
    """Accessors for type checkers: each asserts the type, and raises KeyError for a name that no table has."""

    __slots__ = ("values",)

    def __init__(self, values: Values) -> None:
        self.values = values

    def __getitem__(self, name: builtins.str) -> Value:
        return self.values[name]

    def int(self, name: builtins.str) -> builtins.int:
        value = self.values[name]
        assert isinstance(value, builtins.int), (name, value)
        return value

    def bool(self, name: builtins.str) -> builtins.bool:
        value = self.values[name]
        assert isinstance(value, builtins.bool), (name, value)
        return value

    def float(self, name: builtins.str) -> builtins.float:
        value = self.values[name]
        assert isinstance(value, builtins.float), (name, value)
        return value

    def str(self, name: builtins.str) -> builtins.str:
        value = self.values[name]
        assert isinstance(value, builtins.str), (name, value)
        return value

    def list(self, name: builtins.str) -> tuple[builtins.str, ...]:
        """A list's elements; none when it has no value."""
        value = self.values[name]
        if value is None:
            return ()
        assert isinstance(value, tuple), (name, value)
        return value

    def optional_int(self, name: builtins.str) -> builtins.int | None:
        return None if self.values[name] is None else self.int(name)

    def optional_str(self, name: builtins.str) -> builtins.str | None:
        return None if self.values[name] is None else self.str(name)
