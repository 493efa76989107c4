"""For tests: every message table there is, and Hypothesis strategies made from them."""

from __future__ import annotations

import pkgutil
from copy import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from kbroker_wire import messages as package
from kbroker_wire.primitives import ZERO
from kbroker_wire.schema import Field, Message, Table

if TYPE_CHECKING:
    from collections.abc import Callable

INTEGERS = {
    "int8": st.integers(-(1 << 7), (1 << 7) - 1),
    "int16": st.integers(-(1 << 15), (1 << 15) - 1),
    "uint16": st.integers(0, (1 << 16) - 1),
    "int32": st.integers(-(1 << 31), (1 << 31) - 1),
    "uint32": st.integers(0, (1 << 32) - 1),
    "int64": st.integers(-(1 << 63), (1 << 63) - 1),
}
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    **INTEGERS,
    "float64": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "uuid": st.binary(min_size=16, max_size=16),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["é" * 63, "x" * 128]),
    "data": st.binary(max_size=6) | st.sampled_from([b"y" * 127, b"z" * 20_000]),
    "records": st.binary(max_size=9) | st.sampled_from([b"r" * 126, b"r" * 127, b"r" * 20_000]),
}
# Tags that no table defines.
UNKNOWN_TAGS = st.none() | st.dictionaries(
    st.integers(200, (1 << 32) - 1), st.binary(max_size=3), min_size=1, max_size=2
).map(lambda tags: sorted(tags.items()))


def all_tables() -> list[type[Message]]:
    """Every table with versions of its own, in the order of modules and names."""
    found: list[type[Message]] = []
    for module in pkgutil.iter_modules(package.__path__):
        members = vars(import_module(f"{package.__name__}.{module.name}"))
        found += [
            table
            for table in members.values()
            if isinstance(table, Table) and issubclass(table, Message) and table.versions
        ]
    return sorted(set(found), key=lambda table: (table.__module__, table.__name__))


def message_strategy(
    table: type[Message],
    leaf: Callable[[Field], st.SearchStrategy[Any] | None] = lambda _field: None,
    unknown_tags: st.SearchStrategy[list[tuple[int, bytes]] | None] = UNKNOWN_TAGS,
) -> st.SearchStrategy[Message]:
    """Messages with values in all fields of all versions; `at_version` makes them fit one.

    leaf  may give the strategy for a field; None leaves it to the field's kind
    """

    def values(field: Field) -> st.SearchStrategy[Any]:
        chosen = leaf(field)
        if chosen is not None:
            return chosen
        if isinstance(field.item, Table):
            of_item = message_strategy(field.item, leaf, unknown_tags)
        else:
            of_item = LEAVES[field.item or field.kind]
        if field.kind == "array":
            # nine numbers are more than the codec has ready-made layouts for
            of_item = st.lists(of_item, max_size=2 if isinstance(field.item, Table) else 9)
        return st.none() | of_item if field.nullable else of_item

    return st.builds(table, unknown_tags=unknown_tags, **{field.name: values(field) for field in table.fields})


def at_version(message: Message, version: int, flexible: bool) -> Message:
    """The part of a message that the version can express, as decoding would give it."""
    table = type(message)
    fitting = copy(message)
    if not flexible:
        fitting.unknown_tags = None
    for field in table.fields:
        setattr(fitting, field.name, _value_at_version(field, getattr(message, field.name), version, flexible))
    return fitting


def _value_at_version(field: Field, value: Any, version: int, flexible: bool) -> Any:
    if version not in field.versions:
        return field.absent()
    if value is None:
        return None if version in field.nullable else [] if field.kind == "array" else ZERO[field.kind]
    if isinstance(value, Message):
        return at_version(value, version, flexible)
    if field.kind == "array" and isinstance(field.item, Table):
        return [at_version(element, version, flexible) for element in value]
    return value
