"""Compiles a table and a version into the straight-line code that decodes or encodes it.

The interpreter in `primitives.py` says what is right; this module says it again as Python source without the decisions
that the version has already taken. What makes it quick:
- Neighbouring fields of fixed width are one `struct.unpack_from` or `pack`. A length prefix, or the count of tagged
  fields, closes such a run and is read and written with it; a compact one by its first byte, nearly always all of it.
- Nested structures are written out in place: no calls, only local variables.
- An encoder collects pieces of bytes and joins them once.

What a decoder trusts: nothing. A length is compared with the bytes that are left before anything is sliced; a count
likewise, each element taken at its smallest size, before anything is allocated. Nor does it make more elements in all
than it is told: they are counted before they are made.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import ProtocolError
from .primitives import FIXED, MAX_STRING_BYTES, records_size, smallest_element, table_of, tag_section, too_many
from .varints import read_unsigned_varint, write_unsigned_varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .primitives import Buffer, Part
    from .schema import Field, Message, Table

    Decoder = Callable[[Buffer, int, int], tuple[Any, int]]  # (data, position, most elements) -> (message, end)
    Encoder = Callable[[Message, list[Part], list[Part] | None], None]  # (message, pieces, parts or None)


def compile_constructor(table: Table) -> Callable[..., None]:
    """`__init__` with one keyword argument for each field."""
    source = _Source("")
    source.names["empty"] = ()
    arguments = ["self", "*"]
    for field in table.fields:
        default = "" if field.required else f"={source.default(field) if field.default != () else 'empty'}"
        arguments.append(f"{field.name}{default}")
        value = f"[] if {field.name} is empty else {field.name}" if field.default == () else field.name
        source.line(f"self.{field.name} = {value}")
    source.lines[0] = f"def __init__({', '.join([*arguments, 'unknown_tags=None'])}):"
    source.line("self.unknown_tags = unknown_tags")
    constructor: Callable[..., None] = source.function("__init__", f"{table.__name__}.__init__")
    return constructor


def compile_decoder(table: Table, version: int) -> Decoder:
    source = _DecoderSource(table, version)
    source.struct(table, "o", "")
    source.flush()
    source.line("return o, p")
    decoder: Decoder = source.function("decode", f"{table.__name__} v{version} decoder")
    return decoder


def compile_encoder(table: Table, version: int) -> Encoder:
    source = _EncoderSource(table, version)
    source.struct(table, "o")
    source.flush()
    encoder: Encoder = source.function("encode", f"{table.__name__} v{version} encoder")
    return encoder


SHORT_ARRAY = 8  # arrays of fewer numbers have ready-made layouts: lists of replicas are that short


class _Source:
    """The text of one function, and the objects that it names."""

    def __init__(self, head: str) -> None:
        self.lines = [head]
        self.depth = 1
        self.names: dict[str, object] = {}
        self.run: list[tuple[str, str]] = []  # fixed-width fields not yet read or written: (expression, struct code)
        self.version = 0
        self.flexible = False

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.line(head)
        self.depth += 1
        yield
        self.flush()
        self.depth -= 1

    def flush(self) -> None:
        """Write the code for the run that is open, if any."""

    def name(self, stem: str, value: object = None) -> str:
        """A name not used before in this function, for a constant or a local variable."""
        name = f"{stem}{len(self.names)}"
        self.names[name] = value
        return name

    def default(self, field: Field) -> str:
        """An expression for the value of an absent field."""
        value = field.absent()
        return repr(value) if field.kind != "struct" or value is None else self.name("default", value)

    def function(self, name: str, title: str) -> Any:
        if len(self.lines) == 1:
            self.line("pass")
        exec(compile("\n".join(self.lines), f"<{title}>", "exec"), self.names)  # noqa: S102  from our tables alone
        return self.names[name]


class _DecoderSource(_Source):
    """def decode(b, p, left): b is the data, p the position, left the number of elements that may still be made.

    Inside, n is a length or count, q the end of a value, o the message.
    """

    def __init__(self, table: Table, version: int) -> None:
        super().__init__("def decode(b, p, left):")
        self.version = version
        self.flexible = version >= table.flexible_from
        self.names.update(
            new=object.__new__,
            varint=read_unsigned_varint,
            string_length=_string_length,
            bad_length=_bad_length,
            bad_count=_bad_count,
            too_many=too_many,
            unknown_tags=_unknown_tags,
            tag_header=_tag_header,
            bad_tag_size=_bad_tag_size,
            split_uuids=_split_uuids,
            layout=struct.Struct,
        )
        self.line("end = len(b)")
        if _holds_records(table, version):
            self.line("if type(b) is not memoryview:")
            self.line("    b = memoryview(b)")

    def flush(self) -> None:
        if not self.run:
            return
        codes = "".join(code for _, code in self.run)
        targets = ", ".join(target for target, _ in self.run)
        layout = struct.Struct(f">{codes}")
        self.run.clear()
        if codes == "B":
            self.line(f"{targets} = b[p]")
        else:
            self.line(f"{targets}, = {self.name('unpack', layout.unpack_from)}(b, p)")
        self.line(f"p += {layout.size}")

    def struct(self, table: Table, target: str, path: str) -> None:
        self.line(f"{target} = new({self.name('table', table)})")
        tagged = []
        for field in table.fields:
            place = f"{target}.{field.name}"
            if self.version not in field.versions:
                self.line(f"{place} = {self.default(field)}")
            elif field.tag is not None:
                self.line(f"{place} = {self.default(field)}")
                tagged.append(field)
            else:
                self.field(field, place, path)
        self.line(f"{target}.unknown_tags = None")
        if self.flexible:
            self.tags(tagged, target, path)

    def tags(self, tagged: list[Field], target: str, path: str) -> None:
        self.run.append(("n", "B"))
        self.flush()
        if not tagged:
            self.line("if n:")
            self.line(f"    {target}.unknown_tags, p, left = unknown_tags(b, p - 1, left, {path!r})")
            return
        seen, unknown, tag, stop = (self.name(stem) for stem in ("seen", "unknown", "tag", "stop"))
        with self.block("if n:"):
            self.line("if n > 127: n, p = varint(b, p - 1)")
            self.line("left -= n")
            self.line(f"if left < 0: raise too_many(n, left, {path!r})")
            self.line(f"{seen} = set()")
            self.line(f"{unknown} = []")
            with self.block("for _ in range(n):"):
                self.line(f"{tag}, {stop}, p = tag_header(b, p, {seen}, {path!r})")
                for word, field in zip(["if"] + ["elif"] * len(tagged), tagged, strict=False):
                    with self.block(f"{word} {tag} == {field.tag}:"):
                        self.field(field, f"{target}.{field.name}", path)
                with self.block("else:"):
                    self.line(f"{unknown}.append(({tag}, bytes(b[p:{stop}])))")
                    self.line(f"p = {stop}")
                self.line(f"if p != {stop}: raise bad_tag_size({tag}, p, {stop}, {path!r})")
            self.line(f"if {unknown}: {target}.unknown_tags = {unknown}")

    def field(self, field: Field, place: str, path: str) -> None:
        path = f"{path}.{field.name}" if path else field.name
        nullable = self.version in field.nullable
        if field.kind == "struct":
            self.nested(field.item, place, nullable, path, tagged=field.tag is not None)
        else:
            self.value(field.kind, field.item, place, nullable, path)

    def value(self, kind: str, item: str | Table | None, place: str, nullable: bool, path: str) -> None:
        if kind in FIXED:
            self.run.append((place, FIXED[kind][0]))
        elif kind == "struct":
            self.nested(item, place, nullable, path)
        else:
            self.length(kind)
            if nullable:
                self.line("if n == -1:")
                self.line(f"    {place} = None")
                with self.block("else:"):
                    self.sized(kind, item, place, path)
            else:
                self.sized(kind, item, place, path)

    def nested(self, item: str | Table | None, place: str, nullable: bool, path: str, *, tagged: bool = False) -> None:
        """Before one that may be None stands an int8, negative for None; in a tagged field a varint, 0 for None."""
        table = table_of(item)
        target = self.name("o")
        if nullable:
            self.run.append(("n", "B" if tagged else "b"))
            self.flush()
            if tagged:
                self.line("if n > 127: n, p = varint(b, p - 1)")
            self.line("if n == 0:" if tagged else "if n < 0:")
            self.line(f"    {place} = None")
            with self.block("else:"):
                self.struct(table, target, path)
                self.line(f"{place} = {target}")
        else:
            self.struct(table, target, path)
            self.line(f"{place} = {target}")

    def length(self, kind: str) -> None:
        """n: the length that comes next, -1 for null."""
        if self.flexible:
            self.run.append(("n", "B"))
            self.flush()
            self.line(f"if n > 127: n, p = {'string_length' if kind == 'string' else 'varint'}(b, p - 1)")
            self.line("n -= 1")
        else:
            self.run.append(("n", "h" if kind == "string" else "i"))
            self.flush()

    def sized(self, kind: str, item: str | Table | None, place: str, path: str) -> None:
        if kind == "array":
            assert item is not None
            self.array(item, place, path)
            return
        self.line("q = p + n")
        self.line(f"if not p <= q <= end: raise bad_length(n, end - p, {path!r})")
        value = {"string": "str(b[p:q], 'utf-8')", "data": "bytes(b[p:q])", "records": "b[p:q]"}[kind]
        self.line(f"{place} = {value}")
        self.line("p = q")

    def array(self, item: str | Table, place: str, path: str) -> None:
        size = smallest_element(item, self.version, self.flexible)
        self.line("left -= n")
        self.line(f"if not 0 <= n * {size} <= end - p or left < 0: raise bad_count(n, end - p, left, {path!r})")
        if isinstance(item, str) and item in FIXED:
            self.numbers(item, place)
            self.line(f"p += n * {size}")
            return
        items, element = self.name("items"), self.name("o")
        self.line(f"{place} = {items} = []")
        with self.block("for _ in range(n):"):
            if isinstance(item, str):
                self.value(item, None, element, False, path)
            else:
                self.struct(item, element, path)
            self.flush()
            self.line(f"{items}.append({element})")

    def numbers(self, kind: str, place: str) -> None:
        """n elements of fixed width."""
        if kind == "uuid":
            self.line(f"{place} = split_uuids(b, p, n)")
            return
        code = FIXED[kind][0]
        short = self.name("short", [layout.unpack_from for layout in _short_layouts(code)])
        unpack = f"{short}[n] if n < {SHORT_ARRAY} else layout(f'>{{n}}{code}').unpack_from"
        self.line(f"{place} = list(({unpack})(b, p))")


class _EncoderSource(_Source):
    """def encode(o, pieces, parts): appends the bytes of o to pieces.

    If parts is a list, pieces are joined and moved there at each `records`.
    """

    def __init__(self, table: Table, version: int) -> None:
        super().__init__("def encode(o, pieces, parts):")
        self.version = version
        self.flexible = version >= table.flexible_from
        self.append = "append"  # where bytes go: another list while a tagged field is encoded
        self.names.update(
            join=b"".join,
            varint=_varint,
            string_varint=_string_varint,
            records_size=records_size,
            tag_section=tag_section,
            join_uuids=_join_uuids,
            layout=struct.Struct,
        )
        self.line("append = pieces.append")

    def flush(self) -> None:
        if self.run:
            self.line(self.pack())
            self.run.clear()

    def pack(self, *more: tuple[str, str]) -> str:
        """A statement that appends the open run and `more`."""
        run = [*self.run, *more]
        layout = struct.Struct(">" + "".join(code for _, code in run))
        return f"{self.append}({self.name('pack', layout.pack)}({', '.join(value for value, _ in run)}))"

    def struct(self, table: Table, source: str) -> None:
        tagged = []
        for field in table.fields:
            value = f"{source}.{field.name}"
            if self.version not in field.versions:
                if not field.ignorable:
                    self.line(f"if not ({self.is_default(field, value)}): raise ValueError")
            elif field.tag is not None:
                tagged.append(field)
            else:
                self.value(field.kind, field.item, value, self.version in field.nullable)
        if self.flexible:
            self.tags(tagged, source)
        else:
            self.line(f"if {source}.unknown_tags: raise ValueError")

    def is_default(self, field: Field, value: str) -> str:
        """An expression that is true if the field needs no place on the wire."""
        if field.default is None:
            return f"{value} is None"
        if field.kind == "array":
            return f"{value} is not None and not len({value})" if field.nullable else f"not len({value})"
        default = self.default(field)
        if field.kind == "struct":
            return f"{value} is {default} or {value} == {default}"
        return f"{value} == {default}"

    def tags(self, tagged: list[Field], source: str) -> None:
        conditions = [f"not {source}.unknown_tags"]
        conditions += [f"({self.is_default(field, f'{source}.{field.name}')})" for field in tagged]
        self.line(f"if {' and '.join(conditions)}:")
        self.line(f"    {self.pack(('0', 'B'))}")
        run, self.run = self.run, []
        with self.block("else:"):
            self.run = run
            self.flush()
            section = self.name("section")
            self.line(f"{section} = []")
            for field in tagged:
                with self.block(f"if not ({self.is_default(field, f'{source}.{field.name}')}):"):
                    self.tagged_field(field, f"{source}.{field.name}", section)
            defined = self.name("defined", frozenset(field.tag for field in tagged))
            self.line(f"{self.append}(tag_section({section}, {source}.unknown_tags, {defined}))")

    def tagged_field(self, field: Field, value: str, section: str) -> None:
        pieces, outer = self.name("pieces"), self.append
        self.append = self.name("append")
        self.line(f"{pieces} = []")
        self.line(f"{self.append} = {pieces}.append")
        nullable = self.version in field.nullable
        if field.kind == "struct":
            self.nested(field.item, value, nullable, tagged=True)
        else:
            self.value(field.kind, field.item, value, nullable)
        self.flush()
        self.append = outer
        self.line(f"{section}.append(({field.tag}, join({pieces})))")

    def value(self, kind: str, item: str | Table | None, value: str, nullable: bool) -> None:
        if kind in FIXED:
            if kind == "uuid":
                self.line(f"if len({value}) != 16: raise ValueError")  # struct would cut or fill it
            self.run.append((value, FIXED[kind][0]))
        elif kind == "struct":
            self.nested(item, value, nullable)
        else:
            local = self.name("v")
            self.line(f"{local} = {value}")
            if kind == "array":
                assert item is not None
                self.array(item, local, nullable)
            elif kind == "records":
                self.records(local, nullable)
            else:
                self.sized(kind, local, nullable)

    def nested(self, item: str | Table | None, value: str, nullable: bool, *, tagged: bool = False) -> None:
        table = table_of(item)
        local = self.name("v")
        self.line(f"{local} = {value}")
        if not nullable:
            self.struct(table, local)
            return
        self.flush()
        null = b"\0" if tagged else b"\xff"
        self.line(f"if {local} is None:")
        self.line(f"    {self.append}({null!r})")
        with self.block("else:"):
            self.run.append(("1", "b"))
            self.struct(table, local)

    def length(self, kind: str, value: str, size: str, nullable: bool) -> None:
        """The prefix of a value that takes or counts `size`, or is None."""
        size = f"{size} + 1" if self.flexible else size
        if nullable:
            size = f"{0 if self.flexible else -1} if {value} is None else {size}"
        self.line(f"n = {size}")
        if not self.flexible:
            self.run.append(("n", "h" if kind == "string" else "i"))
            self.flush()
            return
        self.line("if n < 128:")
        self.line(f"    {self.pack(('n', 'B'))}")
        run, self.run = self.run, []
        with self.block("else:"):
            self.run = run
            self.flush()
            self.line(f"{self.append}({'string_varint' if kind == 'string' else 'varint'}(n))")

    def sized(self, kind: str, local: str, nullable: bool) -> None:
        if kind == "string":
            condition = f"if {local} is not None: " if nullable else ""
            self.line(f"{condition}{local} = {local}.encode()")
        self.length(kind, local, f"len({local})", nullable)
        self.line(f"if {local}: {self.append}({local})")

    def records(self, local: str, nullable: bool) -> None:
        assert self.append == "append", "records can not be in a tagged field"
        self.length("records", local, f"records_size({local})", nullable)
        with self.block(f"if n > {1 if self.flexible else 0}:"):
            self.line("if parts is None:")
            self.line(f"    append({local})")
            with self.block("else:"):
                self.line("parts.append(join(pieces))")
                self.line(f"parts.append({local})")
                self.line("pieces.clear()")

    def numbers(self, code: str, local: str) -> None:
        """The numbers of an array that is neither empty nor None; n is its prefix."""
        packs = [layout.pack for layout in _short_layouts(code)]
        short = self.name("short", packs[:1] + packs if self.flexible else packs)
        pack = f"{short}[n] if n < {SHORT_ARRAY} else layout(f'>{{len({local})}}{code}').pack"
        self.line(f"{self.append}(({pack})(*{local}))")

    def array(self, item: str | Table, local: str, nullable: bool) -> None:
        self.length("array", local, f"len({local})", nullable)
        with self.block(f"if {local}:"):
            if item == "uuid":
                self.line(f"{self.append}(join_uuids({local}))")
            elif isinstance(item, str) and item in FIXED:
                self.numbers(FIXED[item][0], local)
            else:
                element = self.name("o")
                with self.block(f"for {element} in {local}:"):
                    if isinstance(item, str):
                        self.value(item, None, element, False)
                    else:
                        self.struct(item, element)


@cache
def _short_layouts(code: str) -> list[struct.Struct]:
    return [struct.Struct(f">{count}{code}") for count in range(SHORT_ARRAY)]


def _split_uuids(data: Buffer, position: int, count: int) -> list[bytes]:
    return [bytes(data[at : at + 16]) for at in range(position, position + 16 * count, 16)]


def _join_uuids(values: list[bytes]) -> bytes:
    if any(len(value) != 16 for value in values):
        raise ValueError
    return b"".join(values)


_TWO_BYTES = struct.Struct("BB")


def _varint(value: int) -> bytes:
    if value < 1 << 14:
        return _TWO_BYTES.pack(value & 0x7F | 0x80, value >> 7)
    out = bytearray()
    write_unsigned_varint(out, value)
    return bytes(out)


def _string_varint(value: int) -> bytes:
    if value > MAX_STRING_BYTES + 1:
        raise ValueError
    return _varint(value)


def _string_length(data: Buffer, position: int) -> tuple[int, int]:
    value, position = read_unsigned_varint(data, position)
    if value > MAX_STRING_BYTES + 1:
        raise ProtocolError(f"a string of {value - 1} bytes (at most {MAX_STRING_BYTES})")
    return value, position


def _holds_records(table: Table, version: int) -> bool:
    return any(
        version in field.versions
        and (
            field.kind == "records"
            or (field.item is not None and not isinstance(field.item, str) and _holds_records(field.item, version))
        )
        for field in table.fields
    )


def _bad_length(length: int, left: int, path: str) -> ProtocolError:
    return ProtocolError(f"{path}: {'null' if length == -1 else f'{length} bytes'} announced, {left} left")


def _bad_count(count: int, left_bytes: int, left: int, path: str) -> ProtocolError:
    """`left`: how many elements more would still have been made."""
    if left < 0:
        return too_many(count, left, path)
    return ProtocolError(f"{path}: {'null' if count == -1 else f'{count} elements'} announced, {left_bytes} bytes left")


def _bad_tag_size(tag: int, position: int, stop: int, path: str) -> ProtocolError:
    return ProtocolError(f"{path}: tag {tag} ends {position - stop:+} bytes off its announced size")


def _tag_header(data: Buffer, position: int, seen: set[int], path: str) -> tuple[int, int, int]:
    """(tag, where its value ends, where its value starts)"""
    tag, position = read_unsigned_varint(data, position)
    size, position = read_unsigned_varint(data, position)
    if tag in seen:
        raise ProtocolError(f"{path}: tag {tag} comes twice")
    seen.add(tag)
    if size > len(data) - position:
        raise _bad_length(size, len(data) - position, f"{path}, tag {tag}")
    return tag, position + size, position


def _unknown_tags(data: Buffer, position: int, left: int, path: str) -> tuple[list[tuple[int, bytes]], int, int]:
    """The tagged fields of a structure that defines none, from their count on; and how many elements are left then."""
    count, position = read_unsigned_varint(data, position)
    left -= count
    if left < 0:
        raise too_many(count, left, path)
    seen: set[int] = set()
    tags = []
    for _ in range(count):
        tag, end, position = _tag_header(data, position, seen, path)
        tags.append((tag, bytes(data[position:end])))
        position = end
    return tags, position, left
