"""Records of the coordinators' logs against those that Apache Kafka wrote, as its own tool shows them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire.errors import EncodeError, ProtocolError, UnsupportedVersion
from kbroker_wire.messages import group_records, transaction_records
from kbroker_wire.messages.consumer_protocol import decode_assignment, decode_subscription
from kbroker_wire.messages.coordinator_records import (
    GROUP_RECORDS,
    TRANSACTION_RECORDS,
    RecordType,
    UnknownCoordinatorRecord,
    decode_record,
    encode_record,
)
from kbroker_wire.messages.group_records import (
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
    GroupMetadataKey,
    OffsetCommitKey,
    OffsetCommitValue,
)
from kbroker_wire.messages.heartbeat import HeartbeatResponse
from kbroker_wire.messages.transaction_records import TransactionLogKey, TransactionLogValue
from kbroker_wire.schema import ZERO_UUID, Field, Message, Table, uuid_to_text
from message_tables import at_version, message_strategy

RECORDED = Path(__file__).parents[1] / "data" / "coordinator-logs" / "records.jsonl"
ROWS = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
LOGS = {"group": GROUP_RECORDS, "transaction": TRANSACTION_RECORDS}
# What the tool reads further: bytes of clients
CLIENTS = {"subscription": decode_subscription, "assignment": decode_assignment}
ALL_TYPES = [pytest.param(records, number, id=f"{log}-{number}") for log, records in LOGS.items() for number in records]


def identity(row: dict[str, Any]) -> str:
    return f"{row['log']}-{row['type']}-v{row['version']}"


def shown(message: Message, version: int) -> dict[str, Any]:
    """A message as Kafka's tool shows it: without tagged fields that have their default."""
    fields = {}
    for field in type(message).fields:
        value = getattr(message, field.name)
        if version in field.versions and not (field.tag is not None and value == field.absent()):
            fields[re.sub("_(.)", lambda match: match[1].upper(), field.name)] = shown_value(field, value, version)
    return fields


def shown_value(field: Field, value: Any, version: int) -> Any:
    if isinstance(value, Message):
        return shown(value, version)
    if isinstance(field.item, Table) and value is not None:
        return [shown(element, version) for element in value]
    if field.kind == "data" and field.name in CLIENTS:
        return shown(CLIENTS[field.name](value), int.from_bytes(value[:2]))
    if field.kind == "data":
        return b64encode(value).decode()
    return uuid_to_text(value) if field.kind == "uuid" else value


@pytest.mark.parametrize("row", ROWS, ids=identity)
def test_recorded_records_are_read_as_kafkas_tool_reads_them_and_written_back(row: dict[str, Any]) -> None:
    key, value = bytes.fromhex(row["key"]), row["value"] and bytes.fromhex(row["value"])
    decoded_key, decoded = decode_record(LOGS[row["log"]], memoryview(key), value and memoryview(value))
    assert shown(decoded_key, 0) == row["key_data"]
    assert (decoded and shown(decoded, row["version"])) == row["data"]
    assert encode_record(decoded_key, decoded, row["version"]) == (key, value)


@pytest.mark.parametrize("row", [row for row in ROWS if row["value"]], ids=identity)
def test_a_value_is_written_in_the_version_that_kafka_writes(row: dict[str, Any]) -> None:
    key, value = bytes.fromhex(row["key"]), bytes.fromhex(row["value"])
    before_feature = row["log"] == "transaction" and row["version"] == 0  # of a cluster without transaction.version 1
    written = encode_record(*decode_record(LOGS[row["log"]], key, value))
    assert (written == (key, value)) != before_feature


def test_every_type_that_kafka_writes_was_recorded_with_and_without_value() -> None:
    recorded = {(row["log"], row["type"]) for row in ROWS if row["value"]}
    assert recorded == {(log, number) for log, records in LOGS.items() for number in records} - {
        ("group", 0),  # older than the oldest that Kafka 4 can be upgraded from
        ("group", 4),  # written by 4.0 alone
    }
    assert {row["type"] for row in ROWS if not row["value"]} == {1, 2, 5, 7, 8, 16}


def test_recorded_members_and_assignments_make_sense() -> None:
    """What the group coordinator relies on, in Kafka's own records."""
    values = [
        decode_record(GROUP_RECORDS, bytes.fromhex(row["key"]), bytes.fromhex(row["value"]))[1]
        for row in ROWS
        if row["log"] == "group" and row["value"]
    ]
    members = [value for value in values if isinstance(value, ConsumerGroupMemberMetadataValue)]
    classic = [member.classic_member_metadata for member in members if member.classic_member_metadata]
    assert [[protocol.name for protocol in metadata.supported_protocols] for metadata in classic] == [
        ["range", "roundrobin"]
    ]
    current = [value for value in values if isinstance(value, ConsumerGroupCurrentMemberAssignmentValue)]
    assert {value.state for value in current if value.partitions_pending_revocation} == {1}
    assert {value.state for value in current if not value.partitions_pending_revocation} == {0}
    for topic in (topic for value in current for topic in value.assigned_partitions):
        assert len(topic.assignment_epochs or []) == len(topic.partitions)


@pytest.mark.parametrize(("records", "number"), ALL_TYPES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_reading_gives_back_what_was_written(records: dict[int, RecordType], number: int, data: st.DataObject) -> None:
    record_type = records[number]
    key = data.draw(message_strategy(record_type.key, unknown_tags=st.none()))
    drawn = data.draw(message_strategy(record_type.value))
    assert decode_record(records, *encode_record(key, None)) == (key, None)
    for version in record_type.value.versions:
        value = at_version(drawn, version, version >= record_type.value.flexible_from)
        encoded_key, encoded = encode_record(key, value, version)
        assert encoded is not None
        assert int.from_bytes(encoded[:2]) == version
        assert decode_record(records, encoded_key, encoded) == (key, value)


def test_every_table_belongs_to_one_type() -> None:
    for module, records in ((group_records, GROUP_RECORDS), (transaction_records, TRANSACTION_RECORDS)):
        tables = {table for table in vars(module).values() if isinstance(table, Table) and table.versions}
        assert tables == {table for record_type in records.values() for table in (record_type.key, record_type.value)}
        for record_type in records.values():
            assert record_type.value.__name__ == record_type.key.__name__.removesuffix("Key") + "Value"
            assert record_type.written in record_type.value.versions


def test_the_older_type_of_a_commits_key_is_read_and_not_written() -> None:
    key = OffsetCommitKey(group="g", topic="t", partition=1)
    (encoded, _) = encode_record(key, None)
    assert encoded == bytes.fromhex("0001 0001 67 0001 74 00000001")
    assert decode_record(GROUP_RECORDS, b"\0\0" + encoded[2:], None) == (key, None)


@pytest.mark.parametrize(
    ("version", "encoded", "leader_epoch"),
    [
        (0, "0000 0000000000000005 0001 6d 0000000000000007", -1),
        (1, "0001 0000000000000005 0001 6d 0000000000000007 ffffffffffffffff", -1),
        (2, "0002 0000000000000005 0001 6d 0000000000000007", -1),
        (3, "0003 0000000000000005 00000002 0001 6d 0000000000000007", 2),
        (4, "0004 0000000000000005 00000002 02 6d 0000000000000007 00", 2),
    ],
)
def test_commits_of_every_version_are_read(version: int, encoded: str, leader_epoch: int) -> None:
    key = OffsetCommitKey(group="g", topic="t", partition=1)
    value = OffsetCommitValue(offset=5, leader_epoch=leader_epoch, metadata="m", commit_timestamp=7)
    assert encode_record(key, value, version)[1] == bytes.fromhex(encoded)
    assert decode_record(GROUP_RECORDS, encode_record(key, None)[0], bytes.fromhex(encoded)) == (key, value)


def test_a_commit_with_an_expiry_is_written_as_the_one_version_that_has_room_for_it() -> None:
    key = OffsetCommitKey(group="g", topic="t", partition=1)
    value = OffsetCommitValue(offset=5, metadata="", commit_timestamp=7, expire_timestamp=8, topic_id=b"i" * 16)
    encoded_key, encoded = encode_record(key, value)
    assert decode_record(GROUP_RECORDS, encoded_key, encoded) == (
        key,
        OffsetCommitValue(offset=5, metadata="", commit_timestamp=7, expire_timestamp=8, topic_id=ZERO_UUID),
    )


@pytest.mark.parametrize(
    ("key", "value", "error", "problem"),
    [
        (None, None, ProtocolError, "key is too short"),
        ("00", None, ProtocolError, "key is too short"),
        ("0009 0001 67", None, UnknownCoordinatorRecord, "type 9 is not known"),
        ("ffff 0001 67", None, UnknownCoordinatorRecord, "type -1 is not known"),
        ("0002 0002 67", None, ProtocolError, "GroupMetadataKey v0"),
        ("0002 0001 67", "", ProtocolError, "GroupMetadataKey is too short"),
        ("0002 0001 67", "0005", UnsupportedVersion, r"GroupMetadataValue has no version 5 \(known: 0-4\)"),
        ("0002 0001 67", "ffff", UnsupportedVersion, "GroupMetadataValue has no version"),
        ("0002 0001 67", "0003 0000", ProtocolError, "GroupMetadataValue v3"),
    ],
)
def test_what_is_no_record_is_refused(
    key: str | None, value: str | None, error: type[ProtocolError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        decode_record(GROUP_RECORDS, key and bytes.fromhex(key), None if value is None else bytes.fromhex(value))


def test_an_unknown_type_is_told_so_that_a_loader_may_skip_it() -> None:
    with pytest.raises(UnknownCoordinatorRecord) as caught:
        decode_record(TRANSACTION_RECORDS, b"\0\x11", b"\0\0")
    assert caught.value.record_type == 17


def test_what_is_no_record_can_not_be_written_as_one() -> None:
    log_key = TransactionLogKey(transactional_id="t")
    with pytest.raises(ValueError, match="HeartbeatResponse is no key"):
        encode_record(HeartbeatResponse(error_code=0), None)
    with pytest.raises(ValueError, match="TransactionLogKey has no value of OffsetCommitValue"):
        encode_record(log_key, OffsetCommitValue(offset=1, metadata="", commit_timestamp=1))
    value = TransactionLogValue(
        producer_id=1,
        producer_epoch=1,
        transaction_timeout_ms=1,
        transaction_status=0,
        transaction_partitions=None,
        transaction_last_update_timestamp_ms=1,
        transaction_start_timestamp_ms=-1,
    )
    with pytest.raises(EncodeError, match="TransactionLogValue v2: no such version"):
        encode_record(log_key, value, 2)
    value.previous_producer_id = 1
    with pytest.raises(EncodeError, match="TransactionLogValue v0, field previous_producer_id"):
        encode_record(log_key, value, 0)
    with pytest.raises(EncodeError, match="GroupMetadataKey v0, field group"):
        encode_record(GroupMetadataKey(group="g" * 40_000), None)
