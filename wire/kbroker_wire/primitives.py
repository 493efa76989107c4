"""The field types of Kafka's protocol, and a plain interpreter that reads and writes messages field by field.

The interpreter walks the same tables as the compiled codecs of `codec.py`. It is several times slower and much easier
to read, so it is what they are tested against; and when a compiled encoder fails, it finds which field is at fault.

Types: https://kafka.apache.org/protocol#protocol_types, flexible versions (compact lengths, tagged fields): KIP-482.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Protocol

from .errors import EncodeError, ProtocolError
from .varints import read_unsigned_varint, write_unsigned_varint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .schema import Field, Message, Table

Buffer = bytes | bytearray | memoryview


class Elsewhere(Protocol):
    """Record batches that are not in memory, such as a range of a file: all that an encoder must know is their size."""

    @property
    def nbytes(self) -> int: ...


Records = bytes | bytearray | memoryview | Elsewhere  # what a `records` field may hold when a message is encoded
Part = Records

NO_LIMIT = 1 << 62  # elements: only the bytes bound how many there are
MAX_STRING_BYTES = 0x7FFF  # also in compact form: Kafka refuses to read or write more
NULL = -1

# kind -> (struct code, bytes)
FIXED = {
    "int8": ("b", 1),
    "int16": ("h", 2),
    "uint16": ("H", 2),
    "int32": ("i", 4),
    "uint32": ("I", 4),
    "int64": ("q", 8),
    "float64": ("d", 8),
    "boolean": ("?", 1),
    "uuid": ("16s", 16),
}
# kind -> what Kafka puts where nothing else is declared; a struct's is made of its fields' defaults
ZERO: dict[str, object] = {
    **dict.fromkeys(("int8", "int16", "uint16", "int32", "uint32", "int64"), 0),
    "float64": 0.0,
    "boolean": False,
    "uuid": bytes(16),
    "string": "",
    "data": b"",
    "records": None,
    "array": (),
}


def records_size(value: Records) -> int:
    """The bytes of a `records` value."""
    return len(value) if isinstance(value, bytes | bytearray) else value.nbytes


def table_of(item: str | Table | None) -> Table:
    """The table of a structure, or of an array's elements."""
    assert item is not None
    assert not isinstance(item, str)
    return item


def smallest(kind: str, item: str | Table | None, version: int, flexible: bool) -> int:
    """The fewest bytes that a value of this kind takes on the wire."""
    if kind in FIXED:
        return FIXED[kind][1]
    if kind == "struct":
        fields = [field for field in table_of(item).fields if version in field.versions and field.tag is None]
        return flexible + sum(
            1
            if version in field.nullable and field.kind == "struct"
            else smallest(field.kind, field.item, version, flexible)
            for field in fields
        )
    if flexible:
        return 1
    return 2 if kind == "string" else 4


def smallest_element(item: str | Table, version: int, flexible: bool) -> int:
    """The fewest bytes of an array's element, at least 1: what a declared count is measured by."""
    size = (
        smallest(item, None, version, flexible)
        if isinstance(item, str)
        else smallest("struct", item, version, flexible)
    )
    return max(1, size)


def tag_section(
    tags: Iterable[tuple[int, bytes]], unknown: Iterable[tuple[int, bytes]] | None, defined: frozenset[int]
) -> bytes:
    """Tagged fields as they close a structure: count, then (tag, size, bytes) in the order of the tags.

    defined   the tags that the version knows: none of them may be among the unknown ones
    """
    section = [*tags, *(unknown or ())]
    if len(section) == 1 and not unknown:  # as most are
        [(tag, value)] = section
        if tag < 0x80 and len(value) < 0x80:
            return bytes((1, tag, len(value))) + value
    section.sort()
    for tag, _ in unknown or ():
        if tag in defined:
            raise ValueError(f"tag {tag} is no unknown tag")
    if len({tag for tag, _ in section}) != len(section):
        raise ValueError("a tag is given twice")
    out = bytearray()
    write_unsigned_varint(out, len(section))
    for tag, value in section:
        write_unsigned_varint(out, tag)
        write_unsigned_varint(out, len(value))
        out += value
    return bytes(out)


def too_many(count: int, left: int, path: str) -> ProtocolError:
    """For `count` more elements or tags, after which `left` (negative) would be left of what a message may have."""
    return ProtocolError(f"{path}: {count} elements announced, {count + left} more are allowed")


def read_message(
    table: Table, data: Buffer, version: int, position: int = 0, most_elements: int = NO_LIMIT
) -> tuple[Message, int]:
    """A message and the position behind it. Raises ProtocolError."""
    reader = _Reader(data, position, version, version >= table.flexible_from, most_elements)
    return reader.struct(table, table.__name__), reader.position


def write_message(message: Message, version: int) -> bytes:
    """Raises EncodeError, naming the first field that the version can not express."""
    table = type(message)
    writer = _Writer(table.__name__, version, version >= table.flexible_from)
    writer.struct(message, table, "")
    return bytes(writer.out)


def explain_encoding(message: Message, version: int, failure: Exception) -> EncodeError:
    """The EncodeError for a message that a compiled encoder failed on."""
    try:
        write_message(message, version)
    except EncodeError as error:
        return error
    return EncodeError(type(message).__name__, version, "", str(failure))


class _Reader:
    def __init__(self, data: Buffer, position: int, version: int, flexible: bool, most_elements: int) -> None:
        self.view = memoryview(data)
        self.elements_left = most_elements
        self.position = position
        self.version = version
        self.flexible = flexible

    def take(self, size: int, path: str) -> memoryview:
        left = len(self.view) - self.position
        if not 0 <= size <= left:
            raise ProtocolError(f"{path}: {size} bytes announced, {left} left")
        self.position += size
        return self.view[self.position - size : self.position]

    def counted(self, count: int, path: str) -> int:
        """`count` elements or tags, before they are made."""
        self.elements_left -= count
        if self.elements_left < 0:
            raise too_many(count, self.elements_left, path)
        return count

    def fixed(self, kind: str, path: str) -> Any:
        code, size = FIXED[kind]
        return struct.unpack(f">{code}", self.take(size, path))[0]

    def unsigned_varint(self) -> int:
        value, self.position = read_unsigned_varint(self.view, self.position)
        return value

    def length(self, kind: str, path: str) -> int:
        """The length in front of a value of variable size, NULL for null."""
        if self.flexible:
            return self.unsigned_varint() - 1
        length: int = self.fixed("int16" if kind == "string" else "int32", path)
        if length < NULL:
            raise ProtocolError(f"{path}: length {length}")
        return length

    def struct(self, table: Table, path: str) -> Message:
        message: Message = table.blank()
        message.unknown_tags = None
        tagged = {}
        for field in table.fields:
            if self.version not in field.versions:
                setattr(message, field.name, field.absent())
            elif field.tag is not None:
                setattr(message, field.name, field.absent())
                tagged[field.tag] = field
            else:
                setattr(message, field.name, self.field(field, path))
        if self.flexible:
            self.tags(message, tagged, path)
        return message

    def tags(self, message: Message, tagged: dict[int, Field], path: str) -> None:
        seen = set()
        unknown = []
        for _ in range(self.counted(self.unsigned_varint(), path)):
            tag = self.unsigned_varint()
            size = self.unsigned_varint()
            if tag in seen:
                raise ProtocolError(f"{path}: tag {tag} comes twice")
            seen.add(tag)
            if tag in tagged:
                end = self.position + size
                setattr(message, tagged[tag].name, self.field(tagged[tag], path))
                if self.position != end:
                    raise ProtocolError(f"{path}.{tagged[tag].name}: does not fill its {size} bytes")
            else:
                unknown.append((tag, bytes(self.take(size, f"{path}, tag {tag}"))))
        if unknown:
            message.unknown_tags = unknown

    def field(self, field: Field, path: str) -> Any:
        path = f"{path}.{field.name}"
        nullable = self.version in field.nullable
        if field.kind == "struct" and field.tag is not None and nullable:
            return self.struct(table_of(field.item), path) if self.unsigned_varint() else None
        return self.value(field.kind, field.item, nullable, path)

    def value(self, kind: str, item: str | Table | None, nullable: bool, path: str) -> Any:
        if kind in FIXED:
            return self.fixed(kind, path)
        if kind == "struct":
            is_null = nullable and self.fixed("int8", path) < 0
            return None if is_null else self.struct(table_of(item), path)
        length = self.length(kind, path)
        if length == NULL:
            if not nullable:
                raise ProtocolError(f"{path}: is null")
            return None
        if kind == "array":
            assert item is not None
            return self.array(item, length, path)
        return self.sized(kind, length, path)

    def sized(self, kind: str, length: int, path: str) -> Any:
        if kind == "string" and length > MAX_STRING_BYTES:
            raise ProtocolError(f"{path}: a string of {length} bytes")
        taken = self.take(length, path)
        if kind == "records":
            return taken
        if kind == "data":
            return bytes(taken)
        try:
            return str(taken, "utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"{path}: {error}") from None

    def array(self, item: str | Table, count: int, path: str) -> list[Any]:
        left = len(self.view) - self.position
        if count * smallest_element(item, self.version, self.flexible) > left:
            raise ProtocolError(f"{path}: {count} elements announced, {left} bytes left")
        self.counted(count, path)
        kind, table = (item, None) if isinstance(item, str) else ("struct", item)
        return [self.value(kind, table, False, f"{path}[{index}]") for index in range(count)]


class _Writer:
    def __init__(self, name: str, version: int, flexible: bool) -> None:
        self.name = name
        self.version = version
        self.flexible = flexible
        self.out = bytearray()

    def refuse(self, path: str, problem: str) -> EncodeError:
        return EncodeError(self.name, self.version, path.lstrip("."), problem)

    def struct(self, message: Message, table: Table, path: str) -> None:
        tagged = []
        for field in table.fields:
            at = f"{path}.{field.name}"
            try:
                value = getattr(message, field.name)
            except AttributeError:
                raise self.refuse(at, f"{message!r:.100} has no such field") from None
            is_default = value == field.absent()
            if self.version not in field.versions:
                if not is_default and not field.ignorable:
                    raise self.refuse(at, f"the version lacks the field, which is {value!r:.100}")
            elif field.tag is None:
                self.field(field, value, at)
            elif not is_default:
                tagged.append((field.tag, self.apart(field, value, at)))
        self.tags(message, table, tagged, path)

    def tags(self, message: Message, table: Table, tagged: list[tuple[int, bytes]], path: str) -> None:
        unknown = message.unknown_tags
        if not self.flexible:
            if unknown:
                raise self.refuse(path, "the version has no tagged fields, but unknown_tags is not empty")
            return
        known = (field.tag for field in table.fields if self.version in field.versions)
        try:
            self.out += tag_section(tagged, unknown, frozenset(tag for tag in known if tag is not None))
        except (TypeError, ValueError) as error:
            raise self.refuse(f"{path}.unknown_tags", str(error)) from None

    def apart(self, field: Field, value: Any, path: str) -> bytes:
        """A tagged field's bytes: its size must be known before them."""
        outer, self.out = self.out, bytearray()
        self.field(field, value, path)
        inner, self.out = self.out, outer
        return bytes(inner)

    def length(self, kind: str, length: int) -> None:
        if self.flexible:
            write_unsigned_varint(self.out, length + 1)
        else:
            self.out += struct.pack(">h" if kind == "string" else ">i", length)

    def field(self, field: Field, value: Any, path: str) -> None:
        nullable = self.version in field.nullable
        if field.kind == "struct" and field.tag is not None and nullable:
            self.out.append(0 if value is None else 1)  # elsewhere an int8, -1 for null
            if value is not None:
                self.value(field.kind, field.item, value, False, path)
        else:
            self.value(field.kind, field.item, value, nullable, path)

    def value(self, kind: str, item: str | Table | None, value: Any, nullable: bool, path: str) -> None:
        if value is None and not nullable:
            raise self.refuse(path, "must not be null")
        try:
            if kind == "struct":
                if nullable:
                    self.out += b"\xff" if value is None else b"\x01"
                if value is not None:
                    self.struct(value, table_of(item), path)
            elif kind in FIXED:
                if kind == "uuid" and len(value) != 16:
                    raise self.refuse(path, f"a UUID has 16 bytes, not {len(value)}")
                self.out += struct.pack(f">{FIXED[kind][0]}", value)
            elif value is None:
                self.length(kind, NULL)
            elif kind == "array":
                assert item is not None
                self.array(item, value, path)
            else:
                self.sized(kind, value, path)
        except EncodeError:
            raise
        except (struct.error, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise self.refuse(path, f"{value!r:.100} is no {kind} ({error})") from None

    def array(self, item: str | Table, values: list[Any], path: str) -> None:
        self.length("array", len(values))
        kind, table = (item, None) if isinstance(item, str) else ("struct", item)
        for index, value in enumerate(values):
            self.value(kind, table, value, False, f"{path}[{index}]")

    def sized(self, kind: str, value: Any, path: str) -> None:
        if kind == "string":
            value = value.encode()
            if len(value) > MAX_STRING_BYTES:
                raise self.refuse(path, f"a string of {len(value)} bytes (at most {MAX_STRING_BYTES})")
        self.length(kind, records_size(value) if kind == "records" else len(value))
        self.out += value
