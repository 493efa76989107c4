"""Every table against Kafka's own definitions, which the installed kafka-python carries, field by field."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from kbroker_wire.headers import FLEXIBLE_FROM, NEVER
from kbroker_wire.schema import DEFAULTS, NO_VERSION_LIMIT, ZERO_UUID, Field, Message, Table, version_range
from message_tables import all_tables

# The only differences there may be, each with its reason.
DIFFERENCES = {
    # The definitions are older than Kafka 4.4, which added v5 (KIP-1242).
    "ApiVersionsRequest": [
        "versions: 0-4 there, 0-5 here",
        "cluster_id: not there",
        "node_id: not there",
    ],
    "ApiVersionsResponse": ["versions: 0-4 there, 0-5 here"],
    # One table serves the subscription, where owned partitions came with v1, and the assignment.
    "ConsumerProtocolSubscription": [
        "owned_partitions.topic: versions range(1, 32768) there, range(0, 32768) here",
        "owned_partitions.partitions: versions range(1, 32768) there, range(0, 32768) here",
    ],
    # The definitions are older than Kafka 4.4, which added v3.
    "DeleteGroupsRequest": ["versions: 0-2 there, 0-3 here"],
    "DeleteGroupsResponse": [
        "versions: 0-2 there, 0-3 here",
        "results.error_message: not there",
    ],
    # v6 is marked unstable; Kafka does not serve it.
    "InitProducerIdRequest": [
        "versions: 0-6 there, 0-5 here",
        "enable2_pc: not here",
        "keep_prepared_txn: not here",
    ],
    "InitProducerIdResponse": [
        "versions: 0-6 there, 0-5 here",
        "ongoing_txn_producer_id: not here",
        "ongoing_txn_producer_epoch: not here",
    ],
    # The definitions are older than Kafka 4.4, which added v6 (KIP-1319).
    "TxnOffsetCommitRequest": [
        "versions: 0-5 there, 0-6 here",
        "generation_id_or_member_epoch: not there",
        "generation_id: not here",
        "topics.topic_id: not there",
        "topics.name: versions range(0, 32768) there, range(0, 6) here",
        "topics.name: ignorable False there, True here",
    ],
    "TxnOffsetCommitResponse": [
        "versions: 0-5 there, 0-6 here",
        "topics.topic_id: not there",
        "topics.name: versions range(0, 32768) there, range(0, 6) here",
        "topics.name: ignorable False there, True here",
    ],
}
# Messages of which kafka-python has no definition. Those that brokers keep in logs of their own are compared with
# recorded ones (test_metadata_records, test_coordinator_records), the others with kio (test_kio).
WITHOUT_DEFINITION = re.compile(
    r"kbroker_wire\.messages\."
    r"((metadata|raft|group|transaction)_records|consumer_group_(describe|heartbeat)|end_txn_marker)"
)

KINDS = {"bool": "boolean", "bytes": "data"}
EMPTY = {"string": "", "data": b"", "uuid": ZERO_UUID, "float64": 0.0, "boolean": False, "records": None}


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Name -> definition: JSON with comments."""
    package = find_spec("kafka")
    assert package is not None
    assert package.submodule_search_locations is not None
    found = {}
    for path in Path(package.submodule_search_locations[0]).glob("protocol/schemas/resources/*.json"):
        definition = json.loads(re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE))
        found[definition["name"]] = definition
    return found


def snake_case(name: str) -> str:
    """TimeoutMs -> timeout_ms, KRaftVersion -> k_raft_version"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def default_of(definition: dict[str, Any], kind: str) -> object:
    """A definition's default in our terms; the type's own where it declares none."""
    text = str(definition.get("default", "")).lower()
    if text == "null":
        return None
    if definition["type"].startswith("[]"):
        return ()
    if kind == "struct":
        return DEFAULTS
    if kind == "boolean":
        return text == "true"
    if "int" in kind:
        return int(text or "0", 0)
    return definition["default"] if text else EMPTY[kind]


def overlap(one: range, other: range) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def traits(definition: dict[str, Any]) -> dict[str, Any]:
    """What a definition says of a field, comparable with `traits_here`."""
    item = definition["type"].removeprefix("[]")
    kind = "struct" if item[0].isupper() else KINDS.get(item, item)
    tagged = definition.get("tag") is not None
    if tagged:
        assert definition["taggedVersions"] == definition.get("versions", definition["taggedVersions"])
    return {
        "type": ("[]" if definition["type"].startswith("[]") else "") + kind,
        "versions": version_range(definition.get("versions") or definition["taggedVersions"]),
        "nullable": version_range(definition.get("nullableVersions")),
        "tag": definition.get("tag"),
        "ignorable": definition.get("ignorable", False),
        "default": default_of(definition, kind),
    }


def traits_here(field: Field) -> dict[str, Any]:
    item = "struct" if isinstance(field.item, Table) else field.item
    return {
        "type": f"[]{item}" if field.kind == "array" else field.kind,
        "versions": field.versions,
        "nullable": field.nullable,
        "tag": field.tag,
        "ignorable": field.ignorable,
        "default": field.default,
    }


def field_differences(table: Table, definition: dict[str, Any], fields: list[dict[str, Any]], path: str) -> list[str]:
    """`fields` are those of `definition` or of a structure inside it. Those of no valid version are not counted."""
    here = {field.name: field for field in table.fields}
    valid = version_range(definition["validVersions"])
    there = {snake_case(field["name"]): field for field in fields if overlap(traits(field)["versions"], valid)}
    found = [f"{path}{name}: not there" for name in here if name not in there]
    found += [f"{path}{name}: not here" for name in there if name not in here]
    common = [name for name in here if name in there]
    if common != [name for name in there if name in here]:
        found.append(f"{path}: the order of fields")
    for name in common:
        ours, theirs = traits_here(here[name]), traits(there[name])
        found += [
            f"{path}{name}: {key} {theirs[key]} there, {ours[key]} here" for key in ours if ours[key] != theirs[key]
        ]
        item = here[name].item
        if isinstance(item, Table):
            inner = there[name].get("fields") or common_struct(definition, there[name]["type"].removeprefix("[]"))
            found += field_differences(item, definition, inner, f"{path}{name}.")
    return found


def common_struct(definition: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return next(struct["fields"] for struct in definition["commonStructs"] if struct["name"] == name)


def differences(table: type[Message], definition: dict[str, Any]) -> list[str]:
    found = []
    if definition.get("apiKey") != table.key:
        found.append(f"key: {definition.get('apiKey')} there, {table.key} here")
    if version_range(definition["validVersions"]) != table.versions:
        ours = f"{table.versions.start}-{table.versions.stop - 1}"
        found.append(f"versions: {definition['validVersions']} there, {ours} here")
    if flexible_from(definition) != table.flexible_from:
        found.append(f"flexible: {definition['flexibleVersions']} there, {table.flexible_from}+ here")
    return found + field_differences(table, definition, definition["fields"], "")


def flexible_from(definition: dict[str, Any]) -> int:
    text = definition["flexibleVersions"]
    return NO_VERSION_LIMIT if text == "none" else version_range(text).start


DEFINED = [table for table in all_tables() if not WITHOUT_DEFINITION.fullmatch(table.__module__)]


@pytest.mark.parametrize("table", DEFINED, ids=[table.__name__ for table in DEFINED])
def test_a_table_is_kafkas_definition(table: type[Message]) -> None:
    assert differences(table, definitions()[table.__name__]) == DIFFERENCES.get(table.__name__, [])


def test_the_list_of_differences_is_no_longer_than_need_be() -> None:
    assert set(DIFFERENCES) <= {table.__name__ for table in DEFINED}


def test_the_first_flexible_versions_are_those_of_the_definitions() -> None:
    requests = [definition for definition in definitions().values() if definition["type"] == "request"]
    served = {definition["apiKey"]: flexible_from(definition) for definition in requests}
    assert len(served) > 40
    differing = {key: first for key, first in served.items() if FLEXIBLE_FROM.get(key, NEVER) != first}
    assert differing == {}


def test_a_difference_would_be_named() -> None:
    """The comparison itself: one change of each kind in a definition."""
    table = next(table for table in DEFINED if table.__name__ == "ListOffsetsRequest")
    definition = json.loads(json.dumps(definitions()["ListOffsetsRequest"]))
    definition["validVersions"] = "1-99"
    definition["fields"][0]["name"] = "Replica"
    definition["fields"][1]["versions"] = "5+"
    partition = definition["fields"][2]["fields"][1]["fields"]
    next(field for field in partition if field["name"] == "CurrentLeaderEpoch")["default"] = "5"
    assert differences(table, definition) == [
        "versions: 1-99 there, 1-11 here",
        "replica_id: not there",
        "replica: not here",
        "isolation_level: versions range(5, 32768) there, range(2, 32768) here",
        "topics.partitions.current_leader_epoch: default 5 there, -1 here",
    ]
