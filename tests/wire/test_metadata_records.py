"""The metadata log's records against those that Apache Kafka wrote, as its own tool shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kbroker_wire.errors import EncodeError, ProtocolError, UnsupportedVersion
from kbroker_wire.messages import raft_records
from kbroker_wire.messages.metadata import MetadataRequest
from kbroker_wire.messages.metadata_records import (
    RECORDS_BY_TYPE,
    EndTransactionRecord,
    FeatureLevelRecord,
    PartitionChangeRecord,
    TopicRecord,
    UnknownRecordType,
    decode_metadata_record,
    encode_metadata_record,
)
from kbroker_wire.schema import ZERO_UUID, Message, uuid_to_text

RECORDED = Path(__file__).parents[1] / "data" / "metadata-log" / "records.jsonl"
ROWS = [json.loads(line) for line in RECORDED.read_text().splitlines()]
CONTROL = {
    "LEADER_CHANGE": raft_records.LeaderChangeMessage,
    "SNAPSHOT_HEADER": raft_records.SnapshotHeaderRecord,
    "SNAPSHOT_FOOTER": raft_records.SnapshotFooterRecord,
}


def type_name(record: Message) -> str:
    """TopicRecord -> TOPIC_RECORD"""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(record).__name__).upper()


def shown(record: Message, version: int) -> dict[str, Any]:
    """A record as Kafka's tool shows it: without tagged fields that have their default, ids as text."""
    fields = {}
    for field in type(record).fields:
        value = getattr(record, field.name)
        if version in field.versions and not (field.tag is not None and value == field.absent()):
            fields[re.sub("_(.)", lambda match: match[1].upper(), field.name)] = shown_value(field.kind, value, version)
    return fields


def shown_value(kind: str, value: Any, version: int) -> Any:
    if isinstance(value, Message):
        return shown(value, version)
    if isinstance(value, list):
        return [shown_value("uuid" if isinstance(element, bytes) else "", element, version) for element in value]
    return uuid_to_text(value) if kind == "uuid" else value


@pytest.mark.parametrize("row", [row for row in ROWS if row["type"] not in CONTROL], ids=lambda row: row["type"])
def test_recorded_records_are_read_as_kafkas_tool_reads_them_and_written_back(row: dict[str, Any]) -> None:
    value = bytes.fromhex(row["hex"])
    record = decode_metadata_record(memoryview(value))
    assert type_name(record) == row["type"]
    assert shown(record, row["version"]) == row["data"]
    assert encode_metadata_record(record, row["version"]) == value


@pytest.mark.parametrize("row", [row for row in ROWS if row["type"] in CONTROL], ids=lambda row: row["type"])
def test_recorded_control_records_are_read_and_written_back(row: dict[str, Any]) -> None:
    value = bytes.fromhex(row["hex"])
    record, end = CONTROL[row["type"]].decode_from(value, row["version"], 0)
    assert end == len(value)
    assert shown(record, row["version"]) == row["data"]
    assert record.encode(row["version"]) == value


def test_every_type_that_a_log_of_one_node_holds_was_recorded() -> None:
    recorded = {row["type"] for row in ROWS} - set(CONTROL)
    not_recorded = {type_name(table.defaults) for table in RECORDS_BY_TYPE.values()} - recorded
    assert not_recorded == {
        "ABORT_TRANSACTION_RECORD",
        "FENCE_BROKER_RECORD",
        "UNFENCE_BROKER_RECORD",
        "UNREGISTER_BROKER_RECORD",
    }


def test_a_record_is_framed_by_frame_version_type_and_version() -> None:
    record = TopicRecord(name="t", topic_id=ZERO_UUID)
    assert encode_metadata_record(record, 0) == bytes.fromhex("01 02 00 0274" + "00" * 16 + "00")
    assert encode_metadata_record(EndTransactionRecord(), 0) == bytes.fromhex("01 18 00 00")


def test_tagged_fields_of_a_change_are_written_in_tag_order() -> None:
    change = PartitionChangeRecord(partition_id=1, topic_id=ZERO_UUID, leader=3, directories=[], last_known_elr=[3])
    tags = "03  01 04 00000003  07 05 02 00000003  08 01 01"
    assert encode_metadata_record(change, 2) == bytes.fromhex("01 05 02 00000001" + "00" * 16 + tags)


@pytest.mark.parametrize(
    ("value", "error", "problem"),
    [
        ("", ProtocolError, "ends inside"),
        ("00 0c 00", UnsupportedVersion, "frame has no version 0"),
        ("02 0c 00", UnsupportedVersion, "frame has no version 2"),
        ("01 1b 00", UnknownRecordType, "type 27 is not known"),
        ("01 ffffffff0f 00", UnknownRecordType, "type 4294967295"),
        ("01 0c 01", UnsupportedVersion, r"FeatureLevelRecord has no version 1 \(known: 0-0\)"),
        ("01 0c 00 02 74 0001", ProtocolError, "FeatureLevelRecord v0"),
        ("01 0c 00 02 74 0001 00 ff", ProtocolError, "1 bytes too many"),
    ],
)
def test_values_that_are_no_record_are_refused(value: str, error: type[ProtocolError], problem: str) -> None:
    with pytest.raises(error, match=problem):
        decode_metadata_record(bytes.fromhex(value))


def test_what_is_no_record_can_not_be_written_as_one() -> None:
    with pytest.raises(ValueError, match="MetadataRequest is no metadata record"):
        encode_metadata_record(MetadataRequest(topics=None), 1)
    with pytest.raises(EncodeError, match="FeatureLevelRecord v1"):
        encode_metadata_record(FeatureLevelRecord(name="f", feature_level=1), 1)


def test_record_types_are_the_numbers_of_the_tables() -> None:
    assert all(table.record_type == number for number, table in RECORDS_BY_TYPE.items())
    assert len(RECORDS_BY_TYPE) == 16
