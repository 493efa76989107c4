"""kio, an independent codec, reads what we write, with the same values, and writes the same bytes."""

from __future__ import annotations

import re
from io import BytesIO
from pkgutil import resolve_name
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.schema.index import schema_name_map
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from kbroker_wire.messages import module_name
from kbroker_wire.schema import Field, Message
from message_tables import all_tables, at_version, message_strategy

NOT_IN_KIO = {  # new in Kafka 4.4
    *("ApiVersionsRequest v5", "ApiVersionsResponse v5"),
    *("DeleteGroupsRequest v3", "DeleteGroupsResponse v3"),
    *("TxnOffsetCommitRequest v6", "TxnOffsetCommitResponse v6"),
}
# Modules of records: Apache Kafka's own of them are in test_coordinator_records and test_metadata_records.
RECORDS = re.compile(r"kbroker_wire\.messages\.(metadata|group|transaction)_records")
LAST_MILLISECOND = 253_402_300_799_999  # of the year 9999: kio reads times as datetime


def kio_names(table: type[Message]) -> tuple[str, EntityType]:
    """A request and its response are of one name there."""
    for suffix, entity_type in (("Request", EntityType.request), ("Response", EntityType.response)):
        if table.key is not None and table.__name__.endswith(suffix):
            return module_name(table.__name__.removesuffix(suffix)), entity_type
    return module_name(table.__name__), EntityType.data


def kio_class(table: type[Message], version: int) -> type[Any] | None:
    name, entity_type = kio_names(table)
    path = schema_name_map.get(name, {}).get(version, {}).get(entity_type)
    return None if path is None else resolve_name(path)


def narrowed(field: Field) -> st.SearchStrategy[Any] | None:
    """Values that kio's richer types can hold: it knows codes, durations and times where the wire has numbers."""
    if field.name.endswith("error_code"):
        return st.sampled_from([code.value for code in KioErrorCode])
    if field.name.endswith("_ms"):
        return st.integers(0, (1 << 31) - 1) if field.kind == "int32" else st.integers(0, LAST_MILLISECOND)
    return None


def same_values(ours: Any, theirs: Any) -> bool:
    """Plain values under one name are equal; those for which kio has a type of its own are left to the bytes."""
    if isinstance(ours, Message):
        names = [field.name for field in type(ours).fields if hasattr(theirs, field.name)]
        return all(same_values(getattr(ours, name), getattr(theirs, name)) for name in names)
    if isinstance(ours, list) and theirs is not None:
        return len(ours) == len(theirs) and all(map(same_values, ours, theirs))
    return ours == theirs or not isinstance(theirs, int | str | bytes | bool)


COMPARED = [table for table in all_tables() if any(kio_class(table, version) for version in table.versions)]


@pytest.mark.parametrize("table", COMPARED, ids=[table.__name__ for table in COMPARED])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_kio_reads_and_writes_the_same(table: type[Message], data: st.DataObject) -> None:
    drawn = data.draw(message_strategy(table, narrowed, unknown_tags=st.none()))
    for version in table.versions:
        theirs = kio_class(table, version)
        if theirs is None:
            continue
        message = at_version(drawn, version, version >= table.flexible_from)
        encoded = message.encode(version)
        entity, size = entity_reader(theirs)(encoded, 0)
        assert size == len(encoded)
        assert same_values(message, entity)
        again = BytesIO()
        entity_writer(theirs)(again, entity)
        assert again.getvalue() == encoded


def test_kio_has_every_message_but_those_of_a_brokers_own_logs() -> None:
    missing = {
        f"{table.__name__} v{version}"
        for table in all_tables()
        for version in table.versions
        if kio_class(table, version) is None and not RECORDS.fullmatch(table.__module__)
    }
    assert missing == NOT_IN_KIO
