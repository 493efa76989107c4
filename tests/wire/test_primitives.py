"""The interpreter on its own; test_messages compares it with the compiled codecs for every message."""

from __future__ import annotations

import pytest

from kbroker_wire.errors import EncodeError, ProtocolError
from kbroker_wire.messages.metadata import MetadataBroker, MetadataRequest, MetadataRequestTopic, MetadataResponse
from kbroker_wire.messages.produce import ProduceResponse
from kbroker_wire.primitives import (
    explain_encoding,
    read_message,
    records_size,
    smallest_element,
    tag_section,
    write_message,
)

REQUEST = MetadataRequest(topics=[MetadataRequestTopic(name="ab")], allow_auto_topic_creation=False)
V4 = bytes.fromhex("00000001 0002 6162 00")
V10 = bytes.fromhex("02" + "00" * 16 + "03 6162 00  00 00 00 00")


@pytest.mark.parametrize(("version", "encoded"), [(4, V4), (10, V10)])
def test_messages_are_written_and_read_field_by_field(version: int, encoded: bytes) -> None:
    assert write_message(REQUEST, version) == encoded
    assert read_message(MetadataRequest, encoded + b"tail", version) == (REQUEST, len(encoded))
    assert read_message(MetadataRequest, b"head" + encoded, version, 4) == (REQUEST, 4 + len(encoded))


@pytest.mark.parametrize(
    ("version", "data", "problem"),
    [
        (4, "", "topics: 4 bytes announced, 0 left"),
        (4, "00000001 0002 61", r"topics\[0\].name: 2 bytes announced, 1 left"),
        (4, "fffffffe", "topics: length -2"),
        (4, "7fffffff 00", "topics: 2147483647 elements announced, 1 bytes left"),
        (4, "00000001 0001 ff 00", "can't decode byte 0xff"),
        (4, "00000001 ffff 00", r"topics\[0\].name: is null"),
        (9, "01 000000 02 07 00 07 00", "tag 7 comes twice"),
        (9, "02 818002" + "61" * 32768 + "00 000000 00", "a string of 32768 bytes"),
    ],
)
def test_reading_malformed_bytes_names_the_field(version: int, data: str, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        read_message(MetadataRequest, bytes.fromhex(data), version)


def test_the_failure_of_an_encoder_is_explained_by_the_first_field_at_fault() -> None:
    broker = MetadataBroker(node_id=1, host="h", port=1 << 31)
    error = explain_encoding(MetadataResponse(brokers=[broker], topics=[]), 1, ValueError())
    assert isinstance(error, EncodeError)
    assert error.field == "brokers[0].port"


def test_a_failure_that_has_no_field_at_fault_is_told_as_it_was() -> None:
    error = explain_encoding(ProduceResponse(responses=[]), 3, TypeError("something else"))
    assert (error.field, error.problem) == ("", "something else")


def test_the_smallest_element_is_what_a_count_is_measured_by() -> None:
    assert smallest_element("int64", 0, False) == 8
    assert smallest_element("string", 0, False) == 2
    assert smallest_element("string", 9, True) == 1
    assert smallest_element(MetadataRequestTopic, 4, False) == 2
    assert smallest_element(MetadataRequestTopic, 10, True) == 16 + 1 + 1


def test_a_tag_section_is_sorted_and_refuses_tags_that_come_twice() -> None:
    assert tag_section([(2, b"b")], [(0, b"")], frozenset({2})) == bytes.fromhex("02 00 00 02 01 62")
    assert tag_section([], None, frozenset()) == b"\0"
    with pytest.raises(ValueError, match="twice"):
        tag_section([], [(1, b""), (1, b"")], frozenset())
    with pytest.raises(ValueError, match="no unknown tag"):
        tag_section([], [(2, b"")], frozenset({2}))


def test_the_size_of_records_is_in_bytes() -> None:
    assert [records_size(value) for value in (b"12", bytearray(3), memoryview(b"1234"))] == [2, 3, 4]
