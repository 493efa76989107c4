"""Messages to bytes and back, interpreted field by field: slow, strict and independent of the broker's own codec.

Requests are plain dicts with snake_case keys. A missing key gets the field's default, a key that the version does not
have is left out, and a key that no version has is an error (a typing mistake in a test). `_tags` holds raw tagged
fields to add: {number: bytes}. Responses are `Struct`s: attributes in snake_case, unknown tagged fields in `_tags`.
"""

import struct
from collections.abc import Mapping
from types import SimpleNamespace
from uuid import UUID

from .definitions import Definition, Field

ZERO_UUID = UUID(int=0)
_NUMBERS = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}


class Struct(SimpleNamespace):
    """A decoded structure: one attribute per field of its version."""


class BadAnswer(AssertionError):
    """The broker sent bytes that are not the message they should be."""


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Encoder:
    def __init__(self, version: int, flexible: bool) -> None:
        self.version = version
        self.flexible = flexible
        self.out = bytearray()

    def message(self, fields: tuple[Field, ...], values: Mapping[str, object]) -> None:
        unknown = values.keys() - {field.name for field in fields} - {"_tags"}
        if unknown:
            raise TypeError(f"no such field: {sorted(unknown)}; there are {[field.name for field in fields]}")
        tags: dict[int, bytes] = dict(values.get("_tags", {}))  # type: ignore[call-overload]
        for field in fields:
            if self.version not in field.versions:
                continue
            value = values.get(field.name, field.default)
            if self.version not in field.tagged:
                self.value(field, value)
            elif field.name in values and value != field.default:
                inner = Encoder(self.version, self.flexible)
                inner.value(field, value)
                tags[field.tag] = bytes(inner.out)
        if self.flexible:
            self.tagged(tags)

    def tagged(self, tags: Mapping[int, bytes]) -> None:
        self.out += uvarint(len(tags))
        for tag, body in sorted(tags.items()):
            self.out += uvarint(tag) + uvarint(len(body)) + body

    def value(self, field: Field, value: object) -> None:
        if field.is_array:
            self.length(None if value is None else len(value), ">i")  # type: ignore[arg-type]
            for item in value or ():  # type: ignore[attr-defined]
                self.one(field, item, nullable=False)
        else:
            self.one(field, value, nullable=self.version in field.nullable)

    def one(self, field: Field, value: object, *, nullable: bool) -> None:
        match field.kind:
            case "struct":
                if nullable:
                    self.out += b"\xff" if value is None else b"\x01"
                if value is not None:
                    self.message(field.fields, value)  # type: ignore[arg-type]
            case "string":
                self.bytes(None if value is None else str(value).encode(), ">h")
            case "bytes" | "records":
                self.bytes(value, ">i")  # type: ignore[arg-type]
            case "bool":
                self.out.append(bool(value))
            case "uuid":
                self.out += (value or ZERO_UUID).bytes  # type: ignore[attr-defined]
            case kind:
                self.out += struct.pack(_NUMBERS[kind], value)

    def bytes(self, value: bytes | None, width: str) -> None:
        self.length(None if value is None else len(value), width)
        self.out += value or b""

    def length(self, length: int | None, width: str) -> None:
        if self.flexible:
            self.out += uvarint(0 if length is None else length + 1)
        else:
            self.out += struct.pack(width, -1 if length is None else length)


class Decoder:
    def __init__(self, data: bytes, version: int, flexible: bool) -> None:
        self.data = data
        self.at = 0
        self.version = version
        self.flexible = flexible

    def take(self, length: int) -> bytes:
        if not 0 <= length <= len(self.data) - self.at:
            raise BadAnswer(f"{length} bytes wanted at {self.at} of {len(self.data)}")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, width: str) -> int:
        value: int = struct.unpack(width, self.take(struct.calcsize(width)))[0]
        return value

    def uvarint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise BadAnswer(f"a varint of more than 5 bytes ends at {self.at}")

    def length(self, width: str) -> int:
        return self.uvarint() - 1 if self.flexible else self.number(width)

    def message(self, fields: tuple[Field, ...]) -> Struct:
        result = Struct()
        by_tag: dict[int, Field] = {}
        for field in fields:
            if self.version not in field.versions:
                continue
            if self.version in field.tagged:
                by_tag[field.tag] = field
                setattr(result, field.name, field.default)
            else:
                setattr(result, field.name, self.value(field))
        if self.flexible:
            self.tagged(result, by_tag)
        return result

    def tagged(self, result: Struct, by_tag: Mapping[int, Field]) -> None:
        last = -1
        unknown: dict[int, bytes] = {}
        for _ in range(self.uvarint()):
            tag = self.uvarint()
            if tag <= last:
                raise BadAnswer(f"tag {tag} after tag {last}")
            last = tag
            body = self.take(self.uvarint())
            if tag not in by_tag:
                unknown[tag] = body
                continue
            inner = Decoder(body, self.version, self.flexible)
            value = inner.value(by_tag[tag])
            inner.end()
            if value in (by_tag[tag].default, []):
                raise BadAnswer(f"{by_tag[tag].name} is sent although it has its default, {value!r}")
            setattr(result, by_tag[tag].name, value)
        if unknown:
            result._tags = unknown

    def value(self, field: Field) -> object:
        nullable = self.version in field.nullable
        if not field.is_array:
            return self.one(field, nullable)
        count = self.length(">i")
        if count < 0:
            self.allow_null(field, nullable)
            return None
        return [self.one(field, nullable=False) for _ in range(count)]

    def one(self, field: Field, nullable: bool) -> object:
        match field.kind:
            case "struct":
                if nullable and self.number(">b") < 0:
                    return None
                return self.message(field.fields)
            case "string" | "bytes" | "records":
                length = self.length(">h" if field.kind == "string" else ">i")
                if length < 0:
                    self.allow_null(field, nullable)
                    return None
                raw = self.take(length)
                return raw.decode() if field.kind == "string" else raw
            case "bool":
                return self.take(1) != b"\0"
            case "uuid":
                return UUID(bytes=self.take(16))
            case kind:
                return self.number(_NUMBERS[kind])

    def allow_null(self, field: Field, nullable: bool) -> None:
        if not nullable:
            raise BadAnswer(f"{field.name} is null, which version {self.version} does not allow")

    def end(self) -> None:
        if self.at != len(self.data):
            raise BadAnswer(f"{len(self.data) - self.at} bytes after the end of the message")


def encode(message: Definition, version: int, values: Mapping[str, object]) -> bytes:
    """The body of a request. Works for versions outside the definition's own range as well (to send odd ones)."""
    encoder = Encoder(version, version in message.flexible)
    encoder.message(message.fields, values)
    return bytes(encoder.out)


def decode(message: Definition, version: int, body: bytes) -> Struct:
    """A whole response body; raises BadAnswer when a byte is missing, left over or out of order."""
    decoder = Decoder(body, version, version in message.flexible)
    result = decoder.message(message.fields)
    decoder.end()
    return result
