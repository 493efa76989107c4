"""A message is a table: a class whose body lists its fields in wire order, with Kafka's version ranges.

    class HeartbeatResponse(Message, key=12, versions="0-4", flexible="4+"):
        throttle_time_ms: int = int32("1+", default=0, ignorable=True)
        error_code: int = int16()

A field without `default` must be given by whoever builds the message, and type checkers say so. Ranges are written as
Kafka writes them: "3+", "1-4", "7". Encoders and decoders are compiled from the table when first used (`codec.py`), one
for each version; importing a table compiles nothing. Nested structures are `Message` classes without a key.

What Python sees for what is on the wire: int8 to int64 and uint16, uint32 are int; float64 is float; string is str,
data is bytes; uuid is 16 bytes; records is a memoryview of the input, neither parsed nor copied; arrays are lists.
"""

from __future__ import annotations

import struct as _struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, dataclass_transform, overload

from . import codec
from .errors import EncodeError, ProtocolError, UnsupportedVersion
from .primitives import NO_LIMIT, ZERO, explain_encoding, records_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from .primitives import Buffer, Part

T = TypeVar("T")
M = TypeVar("M", bound="Message")

NO_VERSION_LIMIT = 1 << 15  # versions are int16 on the wire
ZERO_UUID: Final = bytes(16)

_REQUIRED: Final[Any] = object()  # stands where no default was declared
DEFAULTS: Final[Any] = object()  # as the default of a struct: all of its fields at their defaults


def version_range(text: str | None) -> range:
    """Kafka's notation as a range: "3+", "1-4", "7"; None is no version at all."""
    if text is None:
        return range(0)
    first, dash, last = text.partition("-")
    if dash:
        return range(int(first), int(last) + 1)
    if first.endswith("+"):
        return range(int(first[:-1]), NO_VERSION_LIMIT)
    return range(int(first), int(first) + 1)


class Field:
    """One row of a table.

    kind       the name of the function below that declares it; a nullable one's is that of the plain one
    item       of an array: the kind of its elements, or their table; of a struct: its table; else None
    versions   where the field exists; elsewhere it has its default when decoded
    nullable   versions in which it may be None
    tag        its number if it is a tagged field (KIP-482), else None
    default    what it is when absent; () for an empty list, DEFAULTS for a struct with all fields at their defaults
    required   no default was declared, so a builder must give the field (`default` is then Kafka's default of the type)
    ignorable  a version that lacks the field drops its value silently; else only the default may be encoded there
    """

    __slots__ = ("default", "ignorable", "item", "kind", "name", "nullable", "required", "tag", "versions")

    def __init__(
        self,
        kind: str,
        versions: str,
        default: Any,
        *,
        item: str | Table | None = None,
        nullable: str | None = None,
        tag: int | None = None,
        ignorable: bool = False,
    ) -> None:
        self.name = ""  # the table names it
        self.kind = kind
        self.item = item
        self.versions = version_range(versions)
        self.nullable = version_range(nullable)
        self.tag = tag
        self.required = default is _REQUIRED
        self.default = (DEFAULTS if kind == "struct" else ZERO[kind]) if self.required else default
        self.ignorable = ignorable

    def __repr__(self) -> str:
        return f"<{self.name}: {self.kind}>"

    def absent(self) -> Any:
        """The value of the field where the wire has none; a struct's is shared and read-only, a list is a new one."""
        if self.default == ():
            return []
        if self.default is DEFAULTS:
            assert isinstance(self.item, Table)
            return self.item.defaults
        return self.default


def _field(kind: str, versions: str, default: Any, **more: Any) -> Any:
    """A Field that type checkers take for the value it describes."""
    return Field(kind, versions, default, **more)


def int8(versions: str = "0+", *, default: int = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> int:
    value: int = _field("int8", versions, default, tag=tag, ignorable=ignorable)
    return value


def int16(versions: str = "0+", *, default: int = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> int:
    value: int = _field("int16", versions, default, tag=tag, ignorable=ignorable)
    return value


def uint16(versions: str = "0+", *, default: int = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> int:
    value: int = _field("uint16", versions, default, tag=tag, ignorable=ignorable)
    return value


def int32(versions: str = "0+", *, default: int = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> int:
    value: int = _field("int32", versions, default, tag=tag, ignorable=ignorable)
    return value


def uint32(versions: str = "0+", *, default: int = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> int:
    value: int = _field("uint32", versions, default, tag=tag, ignorable=ignorable)
    return value


def int64(versions: str = "0+", *, default: int = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> int:
    value: int = _field("int64", versions, default, tag=tag, ignorable=ignorable)
    return value


def float64(
    versions: str = "0+", *, default: float = _REQUIRED, tag: int | None = None, ignorable: bool = False
) -> float:
    value: float = _field("float64", versions, default, tag=tag, ignorable=ignorable)
    return value


def boolean(
    versions: str = "0+", *, default: bool = _REQUIRED, tag: int | None = None, ignorable: bool = False
) -> bool:
    value: bool = _field("boolean", versions, default, tag=tag, ignorable=ignorable)
    return value


def uuid(versions: str = "0+", *, default: bytes = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> bytes:
    """16 bytes; `uuid_to_text` gives the form that Kafka prints."""
    value: bytes = _field("uuid", versions, default, tag=tag, ignorable=ignorable)
    return value


def string(versions: str = "0+", *, default: str = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> str:
    """UTF-8, at most 32,767 bytes."""
    value: str = _field("string", versions, default, tag=tag, ignorable=ignorable)
    return value


def nullable_string(
    versions: str = "0+",
    *,
    nullable: str | None = None,
    default: str | None = _REQUIRED,
    tag: int | None = None,
    ignorable: bool = False,
) -> str | None:
    """`nullable`: the versions in which it may be None, if not all of them."""
    more = {"nullable": nullable or versions, "tag": tag, "ignorable": ignorable}
    value: str | None = _field("string", versions, default, **more)
    return value


def data(versions: str = "0+", *, default: bytes = _REQUIRED, tag: int | None = None, ignorable: bool = False) -> bytes:
    """Kafka's type "bytes". Decoded as a copy."""
    value: bytes = _field("data", versions, default, tag=tag, ignorable=ignorable)
    return value


def nullable_data(
    versions: str = "0+",
    *,
    nullable: str | None = None,
    default: bytes | None = _REQUIRED,
    tag: int | None = None,
    ignorable: bool = False,
) -> bytes | None:
    more = {"nullable": nullable or versions, "tag": tag, "ignorable": ignorable}
    value: bytes | None = _field("data", versions, default, **more)
    return value


def records(versions: str = "0+", *, nullable: str | None = None, default: None = _REQUIRED) -> Any:
    """Record batches, opaque. Decoded: a memoryview of the input. To encode: bytes-like, or an object with `nbytes`."""
    return _field("records", versions, default, nullable=nullable)


@overload
def array(
    item: Callable[..., T],
    versions: str = "0+",
    *,
    default: tuple[()] = _REQUIRED,
    tag: int | None = None,
    ignorable: bool = False,
) -> list[T]: ...
@overload
def array(
    item: Callable[..., T],
    versions: str = "0+",
    *,
    nullable: str,
    default: tuple[()] | None = _REQUIRED,
    tag: int | None = None,
    ignorable: bool = False,
) -> list[T] | None: ...
def array(
    item: Callable[..., T],
    versions: str = "0+",
    *,
    nullable: str | None = None,
    default: tuple[()] | None = _REQUIRED,
    tag: int | None = None,
    ignorable: bool = False,
) -> list[T] | None:
    """A list of `item`: a table, or one of the functions above. The default () makes a new empty list each time."""
    kind = item if isinstance(item, Table) else item.__name__
    more = {"item": kind, "nullable": nullable, "tag": tag, "ignorable": ignorable}
    value: list[T] | None = _field("array", versions, default, **more)
    return value


@overload
def struct(
    item: type[M], versions: str = "0+", *, default: Any = _REQUIRED, tag: int | None = None, ignorable: bool = False
) -> M: ...
@overload
def struct(
    item: type[M],
    versions: str = "0+",
    *,
    nullable: str,
    default: Any = _REQUIRED,
    tag: int | None = None,
    ignorable: bool = False,
) -> M | None: ...
def struct(
    item: type[M],
    versions: str = "0+",
    *,
    nullable: str | None = None,
    default: Any = _REQUIRED,
    tag: int | None = None,
    ignorable: bool = False,
) -> M | None:
    """One nested structure. `default` is DEFAULTS or None."""
    more = {"item": item, "nullable": nullable, "tag": tag, "ignorable": ignorable}
    value: M | None = _field("struct", versions, default, **more)
    return value


@dataclass_transform(
    kw_only_default=True,
    field_specifiers=(
        int8,
        int16,
        uint16,
        int32,
        uint32,
        int64,
        float64,
        boolean,
        uuid,
        string,
        nullable_string,
        data,
        nullable_data,
        records,
        array,
        struct,
    ),
)
class Table(type):
    """The class of message classes: collects the fields, makes the slots, keeps the compiled codecs.

    What describes a message is a property here, not an attribute there, because a field may have the same name
    (FindCoordinatorRequest.key).
    """

    _table: Table  # the class itself, also for its shared default
    _key: int | None
    _record_type: int | None
    _versions: range
    _flexible_from: int
    _fields: tuple[Field, ...]
    _decoders: dict[int, codec.Decoder]
    _encoders: dict[int, codec.Encoder]
    _defaults: Message | None

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        key: int | None = None,
        record: int | None = None,
        versions: str | None = None,
        flexible: str | None = None,
    ) -> Table:
        fields = []
        for attribute, value in list(namespace.items()):
            if isinstance(value, Field):
                value.name = attribute
                fields.append(value)
                del namespace[attribute]
        namespace.setdefault("__slots__", tuple(field.name for field in fields))
        table = super().__new__(mcs, name, bases, namespace)
        table._table = table
        table._key = key
        table._record_type = record
        table._versions = version_range(versions)
        table._flexible_from = version_range(flexible).start if flexible else NO_VERSION_LIMIT
        table._fields = tuple(fields)
        table._decoders = {}
        table._encoders = {}
        table._defaults = None
        return table

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_keywords: object) -> None:
        super().__init__(name, bases, namespace)

    @property
    def key(cls) -> int | None:
        """The API key; None for what is not a request or response."""
        return cls._key

    @property
    def record_type(cls) -> int | None:
        """The number of a metadata-log record's type, else None."""
        return cls._record_type

    @property
    def versions(cls) -> range:
        """The versions there are to encode and decode; none for nested structures: theirs are the message's."""
        return cls._versions

    @property
    def flexible_from(cls) -> int:
        """The first version with compact lengths and tagged fields (KIP-482); NO_VERSION_LIMIT if there is none."""
        return cls._flexible_from

    @property
    def fields(cls) -> tuple[Field, ...]:
        return cls._fields

    @property
    def defaults(cls) -> Any:
        """The one instance with every field at its default, shared by all messages and therefore read-only."""
        if cls._defaults is None:
            cls._defaults = _shared_defaults(cls)
        return cls._defaults

    def blank(cls) -> Any:
        """An instance with no field set, for decoders to fill."""
        return object.__new__(cls)  # type: ignore[arg-type]

    def decoder(cls, version: int) -> codec.Decoder:
        """The compiled decoder of a version; compiled now if it is the first use."""
        if version not in cls._versions:
            raise UnsupportedVersion(cls.__name__, version, cls._versions)
        decoder = cls._decoders[version] = codec.compile_decoder(cls, version)
        return decoder

    def encoder(cls, version: int) -> codec.Encoder:
        """The compiled encoder of a version; compiled now if it is the first use."""
        if version not in cls._versions:
            known = f"{cls._versions.start}-{cls._versions.stop - 1}" if cls._versions else "none"
            raise EncodeError(cls.__name__, version, "", f"no such version (known: {known})")
        encoder = cls._encoders[version] = codec.compile_encoder(cls, version)
        return encoder


class Message(metaclass=Table):
    """A request, response, record or nested structure. Subclasses get slots, keyword __init__, __eq__ and __repr__."""

    __slots__ = ("unknown_tags",)

    if TYPE_CHECKING:
        # (tag, bytes) of tagged fields that the table does not have: kept when decoded, written back in tag order
        unknown_tags: list[tuple[int, bytes]] | None = None

    def __init__(self, **values: Any) -> None:
        # Runs once per class: the compiled constructor takes its place and serves all further calls.
        cls = type(self)
        cls.__init__ = codec.compile_constructor(cls)  # type: ignore[method-assign]
        cls.__init__(self, **values)

    @classmethod
    def decode(cls, data: Buffer, version: int, position: int = 0, most_elements: int = NO_LIMIT) -> Self:
        """The message that starts at `position`; bytes behind it are ignored, as Kafka does.

        most_elements   of all arrays together, tagged fields among them: every one becomes an object, which may take 80
                        times its bytes; for data of strangers

        Raises ProtocolError for bytes that are not such a message, its subclass UnsupportedVersion for a version out of
        range.
        """
        return cls.decode_from(data, version, position, most_elements)[0]

    @classmethod
    def decode_from(cls, data: Buffer, version: int, position: int, most_elements: int = NO_LIMIT) -> tuple[Self, int]:
        """As `decode`, and the position behind the message."""
        decoder = cls._decoders.get(version) or cls.decoder(version)
        try:
            return decoder(data, position, most_elements)
        except (_struct.error, IndexError):
            problem: object = f"the data ({len(data) - position} bytes) ends inside the message"
        except (UnicodeDecodeError, ProtocolError) as error:
            problem = error
        raise ProtocolError(f"{cls.__name__} v{version}: {problem}")

    def encode(self, version: int) -> bytes:
        """Raises EncodeError, naming the field, for what the version can not express."""
        cls = type(self)
        encoder = cls._encoders.get(version) or cls.encoder(version)
        pieces: list[Part] = []
        try:
            encoder(self, pieces, None)
            return b"".join(pieces)  # type: ignore[arg-type]
        except (_struct.error, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise explain_encoding(self, version, error) from error

    def encode_parts(self, version: int, prefix: bytes = b"") -> list[Part]:
        """`prefix` and the message as parts to be sent one after the other.

        Each `records` value that is not empty is a part of its own, the very object that the message holds, never
        copied or read; all bytes between two of them are one part. Raises as `encode`.
        """
        cls = type(self)
        encoder = cls._encoders.get(version) or cls.encoder(version)
        pieces: list[Part] = [prefix]
        parts: list[Part] = []
        try:
            encoder(self, pieces, parts)
            if pieces:
                parts.append(b"".join(pieces))  # type: ignore[arg-type]
        except (_struct.error, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise explain_encoding(self, version, error) from error
        return parts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message) or type(other)._table is not type(self)._table:
            return NotImplemented
        if (self.unknown_tags or None) != (other.unknown_tags or None):
            return False
        return all(getattr(self, field.name) == getattr(other, field.name) for field in type(self).fields)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = []
        for field in type(self).fields:
            value = getattr(self, field.name)
            text = f"<{records_size(value)} bytes>" if field.kind == "records" and value is not None else repr(value)
            shown.append(f"{field.name}={text}")
        if self.unknown_tags:
            shown.append(f"unknown_tags={self.unknown_tags!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _shared_defaults(table: Table) -> Message:
    """An instance of `table` that equals an ordinary one, refuses to be changed, and is its own copy."""

    def refuse(_self: Message, name: str, _value: object) -> None:
        raise AttributeError(
            f"this {table.__name__} is the default shared by all messages: assign a new one, not its {name}"
        )

    def reduce(_self: Message) -> tuple[Callable[[Table], Message], tuple[Table]]:
        return attrgetter("defaults"), (table,)

    body = {"__slots__": (), "__setattr__": refuse, "__reduce__": reduce}
    frozen = type.__new__(Table, table.__name__, (table,), body)
    instance: Message = frozen.blank()
    object.__setattr__(instance, "unknown_tags", None)
    for field in table.fields:
        object.__setattr__(instance, field.name, field.absent())
    return instance


def uuid_to_text(value: bytes) -> str:
    """Kafka's form of a UUID: URL-safe base64 without padding, 22 characters."""
    if len(value) != 16:
        raise ValueError(f"a UUID has 16 bytes, not {len(value)}")
    return urlsafe_b64encode(value)[:22].decode()


def uuid_from_text(text: str) -> bytes:
    """The inverse of `uuid_to_text`; ValueError for anything else."""
    try:
        value = urlsafe_b64decode(text + "==")
    except ValueError:
        value = b""
    if len(text) != 22 or len(value) != 16:
        raise ValueError(f"{text!r} is not a UUID in Kafka's form (22 characters of URL-safe base64)")
    return value
