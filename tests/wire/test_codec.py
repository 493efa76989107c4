"""The compiled codecs, byte by byte and on hostile input. That they agree with the interpreter is in test_messages."""

from __future__ import annotations

import tracemalloc

import pytest

from kbroker_wire.errors import EncodeError, ProtocolError
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest
from kbroker_wire.messages.fetch import FetchableTopicResponse, FetchRequest, FetchResponse, PartitionData
from kbroker_wire.messages.metadata import MetadataRequest
from kbroker_wire.messages.produce import ProducePartition, ProduceRequest, ProduceTopic
from kbroker_wire.primitives import NO_LIMIT, read_message
from kbroker_wire.schema import (
    DEFAULTS,
    ZERO_UUID,
    Message,
    array,
    boolean,
    data,
    float64,
    int8,
    int16,
    int32,
    int64,
    nullable_data,
    nullable_string,
    string,
    struct,
    uint16,
    uint32,
    uuid,
)


class Point(Message):
    x: int = int8(default=0)


class Everything(Message, versions="0-1", flexible="1+"):
    """Every kind; the wire form of each is written down below."""

    a: int = int8()
    b: int = int16()
    c: int = uint16()
    d: int = int32()
    e: int = uint32()
    f: int = int64()
    g: float = float64()
    h: bool = boolean()
    i: bytes = uuid()
    j: str = string()
    k: str | None = nullable_string()
    m: bytes = data()
    n: bytes | None = nullable_data()
    o: list[int] = array(int16)
    p: list[str] | None = array(string, nullable="0+")
    q: list[Point] = array(Point)
    r: Point = struct(Point)
    s: Point | None = struct(Point, nullable="0+")
    t: list[bytes] = array(uuid)
    u: Point = struct(Point, "1+", tag=3, default=DEFAULTS)
    v: str = string("1+", tag=0, default="")
    w: Point | None = struct(Point, "1+", nullable="1+", tag=4, default=DEFAULTS)


VALUE = Everything(
    a=-1, b=-2, c=65535, d=-3, e=4294967295, f=-4, g=0.5, h=True, i=b"0123456789abcdef", j="é", k=None, m=b"mm", n=None,
    o=[1, 2], p=["x"], q=[Point(x=7), Point(x=8)], r=Point(x=9), s=None, t=[ZERO_UUID],
)  # fmt: skip
NUMBERS = "ff fffe ffff fffffffd ffffffff fffffffffffffffc 3fe0000000000000 01" + b"0123456789abcdef".hex()
OLD = bytes.fromhex(
    NUMBERS + "0002 c3a9  ffff  00000002 6d6d  ffffffff  00000002 0001 0002  00000001 0001 78  00000002 07 08  09  ff"
    "00000001" + "00" * 16
)
FLEXIBLE = bytes.fromhex(
    NUMBERS + "03 c3a9  00  03 6d6d  00  03 0001 0002  02 02 78  03 0700 0800  0900  ff 02" + "00" * 16 + "00"
)


@pytest.mark.parametrize(("version", "encoded"), [(0, OLD), (1, FLEXIBLE)], ids=["old", "flexible"])
def test_every_kind_has_its_wire_form(version: int, encoded: bytes) -> None:
    assert VALUE.encode(version) == encoded
    for buffer in (encoded, bytearray(encoded), memoryview(encoded)):
        decoded, end = Everything.decode_from(buffer, version, 0)
        assert decoded == VALUE
        assert end == len(encoded)


def test_tagged_fields_are_written_in_tag_order_between_the_unknown_ones_and_only_if_not_default() -> None:
    message = Everything.decode(FLEXIBLE, 1)
    message.u = Point(x=5)
    message.v = "v"
    message.unknown_tags = [(300, b"!"), (1, b"??")]
    encoded = message.encode(1)
    assert encoded == FLEXIBLE[:-1] + bytes.fromhex("04  00 02 0276  01 02 3f3f  03 02 0500  ac02 01 21")
    decoded = Everything.decode(encoded, 1)
    assert decoded.unknown_tags == [(1, b"??"), (300, b"!")]
    assert (decoded.u, decoded.v) == (Point(x=5), "v")
    message.v, message.u, message.unknown_tags = "", Point(), None
    assert message.encode(1) == FLEXIBLE


def test_a_tagged_struct_with_nothing_but_unknown_tags_is_not_default() -> None:
    message = Everything.decode(FLEXIBLE, 1)
    message.u = Point(unknown_tags=[(5, b"")])
    assert message.encode(1) == FLEXIBLE[:-1] + bytes.fromhex("01 03 04 00 01 05 00")


def test_a_tagged_struct_that_is_none_is_written_as_such_unless_none_is_the_default() -> None:
    message = Everything.decode(FLEXIBLE, 1)
    assert message.w == Point()
    message.w = None
    assert message.encode(1) == FLEXIBLE[:-1] + bytes.fromhex("01 04 01 00")
    assert Everything.decode(message.encode(1), 1).w is None
    message.w = Point(x=6)
    assert message.encode(1) == FLEXIBLE[:-1] + bytes.fromhex("01 04 03 01 0600")
    assert Everything.decode(message.encode(1), 1).w == Point(x=6)


def test_a_decoded_list_is_its_own() -> None:
    first, second = (DeleteTopicsRequest.decode(DeleteTopicsRequest(timeout_ms=1).encode(1), 1) for _ in range(2))
    first.topics.append(first.topics)  # type: ignore[arg-type]
    assert second.topics == []


def produce(records: bytes | memoryview | None) -> ProduceRequest:
    partitions = [ProducePartition(index=0, records=records), ProducePartition(index=1, records=b"second")]
    return ProduceRequest(acks=-1, timeout_ms=1, topic_data=[ProduceTopic(name="t", partition_data=partitions)])


def test_records_are_decoded_as_a_view_of_the_input() -> None:
    frame = bytearray(produce(b"first").encode(9))
    decoded = ProduceRequest.decode(memoryview(frame), 9).topic_data[0].partition_data[0].records
    assert isinstance(decoded, memoryview)
    assert decoded == b"first"
    decoded[0] = ord("F")
    assert b"First" in frame
    assert ProduceRequest.decode(produce(None).encode(9), 9).topic_data[0].partition_data[0].records is None


class InAFile:
    """Records that nobody has read yet."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def fetched(records: object) -> FetchResponse:
    partition = PartitionData(
        partition_index=0, error_code=0, high_watermark=1, aborted_transactions=None, records=records
    )  # type: ignore[arg-type]
    return FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=[partition, partition])])


@pytest.mark.parametrize(("version", "kinds"), [(11, "-r-r"), (12, "-r-r-")])
@pytest.mark.parametrize("size", [1, 126, 127, 128, 20_000])
def test_parts_hold_records_as_the_object_they_were_given_as(version: int, kinds: str, size: int) -> None:
    elsewhere = InAFile(size)
    parts = fetched(elsewhere).encode_parts(version, b"head")
    assert "".join("r" if part is elsewhere else "-" for part in parts) == kinds
    whole = b"".join(b"r" * size if part is elsewhere else part for part in parts)  # type: ignore[misc]
    assert whole == b"head" + fetched(b"r" * size).encode(version)


@pytest.mark.parametrize("records", [None, b"", InAFile(0)])
def test_a_message_without_records_is_one_part(records: object) -> None:
    parts = fetched(records).encode_parts(12, b"head")
    assert parts == [b"head" + fetched(None if records is None else b"").encode(12)]


def test_the_last_part_may_be_the_records() -> None:
    partition = PartitionData(partition_index=0, error_code=0, high_watermark=1, records=b"rrr")
    response = FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=[partition])])
    parts = response.encode_parts(4)
    assert parts[-1] is partition.records
    assert b"".join(parts) == response.encode(4)  # type: ignore[arg-type]


def test_records_elsewhere_can_not_become_bytes() -> None:
    with pytest.raises(EncodeError, match="FetchResponse v12"):
        fetched(InAFile(5)).encode(12)


@pytest.mark.parametrize(
    ("table", "version", "data", "problem"),
    [
        (MetadataRequest, 1, "", r"MetadataRequest v1: the data \(0 bytes\) ends"),
        (MetadataRequest, 1, "7fffffff 0000", "topics: 2147483647 elements announced, 2 bytes left"),
        (MetadataRequest, 1, "fffffffe", "topics: -2 elements announced"),
        (MetadataRequest, 0, "ffffffff", "topics: null announced"),
        (MetadataRequest, 1, "00000001 0005 6161", "topics.name: 5 bytes announced, 2 left"),
        (MetadataRequest, 1, "00000001 ffff", "topics.name: null announced"),
        (MetadataRequest, 1, "00000001 fffe", "topics.name: -2 bytes announced"),
        (MetadataRequest, 1, "00000001 0001 ff", "can't decode byte 0xff"),
        (MetadataRequest, 9, "ffffffff0f 0000", "topics: 4294967294 elements announced"),
        (MetadataRequest, 9, "ffffffffff01", "variable-length"),
        (MetadataRequest, 9, "ffffffff1f", "variable-length"),
        (MetadataRequest, 9, "02 00 00", "topics.name: null announced"),
        (MetadataRequest, 9, "02 818002" + "61" * 32768 + "00", "a string of 32768 bytes"),
        (MetadataRequest, 9, "01 000000 02 05 00 05 00", "tag 5 comes twice"),
        (MetadataRequest, 9, "01 000000 01 05 7f 00", "tag 5: 127 bytes announced, 1 left"),
        (MetadataRequest, 9, "01 000000 ffffffff0f", "ends inside"),
        (FetchRequest, 15, "00" * 21 + "010101 01 01 0e" + "00" * 14, "tag 1 ends -1 bytes off"),
        (FetchRequest, 15, "00" * 21 + "010101 02 01 0d" + "00" * 13 + "010d" + "00" * 13, "tag 1 comes twice"),
    ],
)
def test_malformed_bytes_say_what_is_wrong(table: type[Message], version: int, data: str, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        table.decode(bytes.fromhex(data), version)


def test_a_tagged_field_must_fill_its_size() -> None:
    short = FLEXIBLE[:-1] + bytes.fromhex("01 03 03 050000")
    with pytest.raises(ProtocolError, match=r"tag 3 ends -1 bytes off"):
        Everything.decode(short, 1)
    with pytest.raises(ProtocolError, match=r"tag 3 ends \+1 bytes off"):
        Everything.decode(FLEXIBLE[:-1] + bytes.fromhex("01 03 01 0500"), 1)


def peak_of_refusing(table: type[Message], version: int, data: bytes, most_elements: int = NO_LIMIT) -> int:
    view = memoryview(data)
    with pytest.raises(ProtocolError):  # compiled now, not while memory is measured
        table.decode(view, version, 0, most_elements)
    tracemalloc.start()
    try:
        table.decode(view, version, 0, most_elements)
    except ProtocolError:
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    raise AssertionError("decoded")


@pytest.mark.parametrize("size", [64, 1 << 16, 1 << 20])
@pytest.mark.parametrize(
    ("table", "version", "head"),
    [
        (MetadataRequest, 1, "7fffffff"),  # an array that claims two billion topics
        (MetadataRequest, 9, "ffffffff0f"),
        (DeleteTopicsRequest, 1, "7ffffff0"),  # of strings
        (DeleteTopicsRequest, 4, "f0ffffff0f"),
        (FetchRequest, 7, "ffffffff" + "00" * 21 + "00000001 0000 7fffffff"),  # of structs inside a struct
        (FetchRequest, 7, "ffffffff" + "00" * 21 + "00000000 00000001 0000 7fffffff"),  # of numbers
        (ProduceRequest, 3, "ffff 0001 00000001 00000001 0000 00000001 00000000 7fffffff"),  # records
        (ProduceRequest, 9, "00 0001 00000001 02 01 02 00000000 ffffffff0f"),
        (MetadataRequest, 9, "01 000000 ffffffff0f"),  # tags
        (MetadataRequest, 9, "01 000000 01 05 ffffffff0f"),
    ],
)
def test_memory_follows_the_bytes_that_came_not_those_that_were_announced(
    table: type[Message], version: int, head: str, size: int
) -> None:
    data = bytes.fromhex(head) + b"\xfe" * size
    assert peak_of_refusing(table, version, data) <= 4 * len(data) + 64 * 1024


ELEMENTS = [
    (MetadataRequest, 1, "00000003 000161 000162 000163", 3),
    (MetadataRequest, 9, "04 026100 026200 026300 000000 00", 3),
    (DeleteTopicsRequest, 4, "04 0261 0262 0263 00000000 00", 3),  # strings
    (FetchRequest, 7, "ffffffff" + "00" * 21 + "00000000 00000001 0000 00000002" + "00" * 8, 3),  # a topic, two numbers
    (ProduceRequest, 9, "00 0001 00000001 03 01 02 00000000 01 00 00 01 02 00000000 01 00 00 00", 4),
    (MetadataRequest, 9, "01 000000 02 05 0161 06 0162", 2),  # tags that the structure does not know
    (FetchRequest, 15, "00" * 21 + "010101 02 01 0d" + "00" * 13 + "05 0161", 2),  # and one that it does
]


@pytest.mark.parametrize(("table", "version", "data", "elements"), ELEMENTS)
def test_no_more_elements_are_made_than_are_allowed(
    table: type[Message], version: int, data: str, elements: int
) -> None:
    encoded = bytes.fromhex(data)
    assert table.decode(encoded, version, 0, elements) == table.decode(encoded, version)
    read_message(table, encoded, version, 0, elements)
    for fewer in range(elements):
        with pytest.raises(ProtocolError, match=r"elements announced, \d more are allowed"):
            table.decode(encoded, version, 0, fewer)
        with pytest.raises(ProtocolError, match="elements announced"):
            read_message(table, encoded, version, 0, fewer)


@pytest.mark.parametrize(
    ("table", "version", "head", "element"),
    [
        (ProduceRequest, 9, "00 0001 00000001 02 01 81808001", "00000000 01 00"),  # partitions without records
        (MetadataRequest, 9, "81808001", "0100"),
        (DeleteTopicsRequest, 4, "81808001", "01"),
        (MetadataRequest, 9, "01 000000 80808001", "00 00"),  # tags
    ],
)
def test_what_would_be_too_many_elements_takes_no_memory(
    table: type[Message], version: int, head: str, element: str
) -> None:
    data = bytes.fromhex(head + element * (1 << 21))
    assert peak_of_refusing(table, version, data, most_elements=1 << 20) < 64 * 1024
