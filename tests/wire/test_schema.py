from __future__ import annotations

import copy
import pickle

import pytest

from kbroker_wire.errors import EncodeError, ProtocolError, UnsupportedVersion
from kbroker_wire.schema import (
    DEFAULTS,
    NO_VERSION_LIMIT,
    ZERO_UUID,
    Message,
    array,
    int16,
    int32,
    nullable_string,
    records,
    string,
    struct,
    uuid,
    uuid_from_text,
    uuid_to_text,
    version_range,
)


class Leader(Message):
    id: int = int32(default=-1)
    racks: list[str] = array(string, default=())


class Example(Message, key=1234, versions="1-3", flexible="3+"):
    key: str = string()  # a field may be called as the API key is
    count: int = int16("2+", default=7)
    note: str | None = nullable_string("2+", nullable="3+", default="", ignorable=True)
    ids: list[int] = array(int32, default=())
    leader: Leader = struct(Leader, "3+", tag=0, default=DEFAULTS)


class Empty(Message, versions="0"):
    pass


class OtherEmpty(Message, versions="0"):
    pass


class Plain(Message, versions="0"):
    topic_id: bytes = uuid()
    batches: bytes | memoryview | None = records(nullable="0+")


def test_version_ranges_are_read_as_kafka_writes_them() -> None:
    assert version_range("3+") == range(3, NO_VERSION_LIMIT)
    assert version_range("1-4") == range(1, 5)
    assert version_range("7") == range(7, 8)
    assert not version_range(None)


def test_a_table_tells_its_key_versions_and_fields() -> None:
    assert Example.key == 1234
    assert Example(key="k").key == "k"
    assert Example.versions == range(1, 4)
    assert Example.flexible_from == 3
    assert Plain.flexible_from == NO_VERSION_LIMIT
    assert (Plain.key, Plain.record_type) == (None, None)
    assert [field.name for field in Example.fields] == ["key", "count", "note", "ids", "leader"]
    assert not Leader.versions


def test_a_field_without_default_must_be_given() -> None:
    with pytest.raises(TypeError, match="'key'"):
        Example()  # type: ignore[call-arg]


def test_a_field_that_the_table_lacks_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Example(key="k", colour="red")  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Example(key="k").colour = "red"  # type: ignore[attr-defined]


def test_defaults_of_lists_are_not_shared() -> None:
    first, second = Example(key="a"), Example(key="b")
    first.ids.append(1)
    assert second.ids == []


def test_the_shared_default_of_a_struct_is_read_only_and_equal_to_a_fresh_one() -> None:
    message = Example(key="k")
    assert message.leader == Leader()
    assert Leader() == message.leader
    assert isinstance(message.leader, Leader)
    with pytest.raises(AttributeError, match="default"):
        message.leader.id = 5
    message.leader = Leader(id=5)
    assert Example(key="k").leader.id == -1


def test_messages_are_equal_by_value_and_never_hashable() -> None:
    assert Example(key="k", ids=[1]) == Example(key="k", ids=[1])
    assert Example(key="k", ids=[1]) != Example(key="k", ids=[2])
    assert Example(key="k") != Example(key="k", unknown_tags=[(9, b"")])
    assert Example(key="k") == Example(key="k", unknown_tags=[])
    assert Example(key="k") != Leader()
    assert Empty() == Empty()
    assert Empty() != OtherEmpty()
    with pytest.raises(TypeError):
        hash(Example(key="k"))


def test_messages_can_be_copied_and_pickled() -> None:
    message = Example(key="k", leader=Leader(id=3), unknown_tags=[(9, b"x")])
    assert copy.deepcopy(message) == message
    assert pickle.loads(pickle.dumps(message)) == message
    with_default = Example(key="k")
    assert copy.deepcopy(with_default).leader is with_default.leader
    assert pickle.loads(pickle.dumps(with_default)) == with_default


def test_repr_names_the_fields_and_does_not_print_records() -> None:
    assert repr(Plain(topic_id=ZERO_UUID, batches=b"x" * 5000)).endswith("batches=<5000 bytes>)")
    assert repr(Plain(topic_id=ZERO_UUID, batches=None)).endswith("batches=None)")
    assert repr(Leader(id=1, unknown_tags=[(9, b"")])) == "Leader(id=1, racks=[], unknown_tags=[(9, b'')])"


def test_a_field_outside_the_version_has_its_default_when_decoded() -> None:
    decoded = Example.decode(Example(key="k").encode(1), 1)
    assert (decoded.count, decoded.note, decoded.leader) == (7, "", Leader())


def test_a_value_that_the_version_lacks_is_refused_unless_it_is_ignorable() -> None:
    assert Example(key="k", note="dropped").encode(1) == Example(key="k").encode(1)
    with pytest.raises(EncodeError, match=r"Example v1, field count: .* lacks") as caught:
        Example(key="k", count=8).encode(1)
    assert (caught.value.message, caught.value.version, caught.value.field) == ("Example", 1, "count")
    with pytest.raises(EncodeError, match="field leader"):
        Example(key="k", leader=Leader(id=1)).encode(2)
    with pytest.raises(EncodeError, match="no tagged fields"):
        Example(key="k", unknown_tags=[(9, b"")]).encode(2)


@pytest.mark.parametrize(
    ("message", "version", "problem"),
    [
        (Example(key=None), 1, "field key: must not be null"),  # type: ignore[arg-type]
        (Example(key="k", note=None), 2, "field note: must not be null"),
        (Example(key="k", count=1 << 15), 2, "field count: 32768 is no int16"),
        (Example(key="k", count="1"), 2, "field count: '1' is no int16"),  # type: ignore[arg-type]
        (Example(key="\ud800"), 1, "field key: .* is no string"),
        (Example(key="x" * 32768), 1, "field key: a string of 32768 bytes"),
        (Example(key="x" * 32768), 3, "field key: a string of 32768 bytes"),
        (Example(key="k", ids=[1, 1 << 31]), 3, r"field ids\[1\]: 2147483648 is no int32"),
        (Example(key="k", ids=5), 3, "field ids: 5 is no array"),  # type: ignore[arg-type]
        (Example(key="k", leader=Leader(racks=["a", 5])), 3, r"field leader.racks\[1\]: 5 is no string"),  # type: ignore[list-item]
        (Example(key="k", leader=None), 3, "field leader: must not be null"),  # type: ignore[arg-type]
        (Example(key="k", leader=Plain(topic_id=ZERO_UUID, batches=None)), 3, "field leader.id: .* no such field"),  # type: ignore[arg-type]
        (Example(key="k", unknown_tags=[(0, b"")]), 3, "tag 0 is no unknown tag"),
        (Example(key="k", unknown_tags=[(9, b""), (9, b"")]), 3, "field unknown_tags: a tag is given twice"),
        (Plain(topic_id=b"15 bytes only..", batches=None), 0, "field topic_id: a UUID has 16 bytes, not 15"),
        (Plain(topic_id=ZERO_UUID, batches="text"), 0, "field batches: 'text' is no records"),  # type: ignore[arg-type]
    ],
)
def test_an_encoding_error_names_message_version_and_field(message: Message, version: int, problem: str) -> None:
    for encode in (message.encode, message.encode_parts):
        with pytest.raises(EncodeError, match=f"{type(message).__name__} v{version}, {problem}|{problem}"):
            encode(version)


def test_versions_out_of_range_are_refused() -> None:
    with pytest.raises(EncodeError, match=r"Example v4: no such version \(known: 1-3\)"):
        Example(key="k").encode(4)
    with pytest.raises(UnsupportedVersion, match=r"Example has no version 0 \(known: 1-3\)"):
        Example.decode(b"", 0)
    with pytest.raises(ProtocolError):
        Leader.decode(b"\0" * 8, 0)
    with pytest.raises(EncodeError, match="known: none"):
        Leader().encode(0)


def test_codecs_are_compiled_when_first_used() -> None:
    class Fresh(Message, versions="0-9", flexible=None):
        id: int = int32()

    assert Fresh(id=1).encode(4) == b"\0\0\0\1"
    assert (list(Fresh._encoders), list(Fresh._decoders)) == ([4], [])
    Fresh.decode(b"\0\0\0\1", 7)
    assert (list(Fresh._encoders), list(Fresh._decoders)) == ([4], [7])


def test_uuids_are_printed_and_read_as_kafka_does() -> None:
    assert uuid_to_text(ZERO_UUID) == "AAAAAAAAAAAAAAAAAAAAAA"
    value = bytes.fromhex("d6c56f9e29b8436d801ec7ec1c1c6b37")
    assert uuid_to_text(value) == "1sVvnim4Q22AHsfsHBxrNw"
    assert uuid_from_text("1sVvnim4Q22AHsfsHBxrNw") == value


@pytest.mark.parametrize("text", ["", "AAAA", "A" * 21, "A" * 23, "A" * 22 + "==", "!" * 22, "é" * 22])
def test_other_texts_are_no_uuids(text: str) -> None:
    with pytest.raises(ValueError, match="not a UUID"):
        uuid_from_text(text)


def test_only_16_bytes_are_a_uuid() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        uuid_to_text(b"short")
