"""Message sets of magic 0 and 1, as kafka-python and aiokafka still build them, and by hand where they cannot."""

import struct
import tracemalloc
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire import legacy
from kbroker_wire.compression import Codec, CorruptCompression, TooLarge, UnsupportedCodec, compress
from kbroker_wire.errors import ProtocolError
from kbroker_wire.legacy import LegacyMessage, read_messages
from kbroker_wire.records import CorruptBatch, InvalidRecord, TimestampType, UnsupportedMagic
from other_codecs import AiokafkaLegacyBuilder, KafkaLegacyBuilder
from record_strategies import blobs

CREATED, APPENDED = TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME
OLD_CODECS = [Codec.NONE, Codec.GZIP, Codec.SNAPPY, Codec.LZ4]
BUILDERS = [(KafkaLegacyBuilder, codec, magic) for codec in OLD_CODECS[:2] for magic in (0, 1)]
BUILDERS += [(AiokafkaLegacyBuilder, codec, magic) for codec in OLD_CODECS for magic in (0, 1)]
BUILDERS.remove((AiokafkaLegacyBuilder, Codec.LZ4, 0))  # which it refuses to build


def message(
    offset: int,
    value: bytes | None,
    *,
    magic: int = 1,
    attributes: int = 0,
    timestamp: int = 1000,
    key: bytes | None = None,
) -> bytes:
    """One entry of a message set."""
    body = struct.pack(">bb", magic, attributes) + (struct.pack(">q", timestamp) if magic == 1 else b"")
    for field in (key, value):
        body += struct.pack(">i", -1) if field is None else struct.pack(">i", len(field)) + field
    return struct.pack(">qiI", offset, len(body) + 4, crc32(body)) + body


def read(data: bytes) -> list[LegacyMessage]:
    return list(read_messages(data, strict=True))


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize(("builder", "codec", "magic"), BUILDERS)
@given(fields=st.lists(st.tuples(st.integers(0, 2**53), blobs, blobs), min_size=1, max_size=8))
def test_what_others_build_is_read(builder: type, codec: Codec, magic: int, fields: list[tuple]) -> None:
    theirs = builder(magic, int(codec), 2**30)
    for offset, (timestamp, key, value) in enumerate(fields):
        assert theirs.append(offset, timestamp, key, value)
    data = bytearray(theirs.build())
    if codec and magic:
        data[:8] = struct.pack(">q", 700 + len(fields) - 1)  # the broker gives a wrapper its last message's offset
    base = 700 if codec and magic else 0
    assert read(memoryview(data)) == [
        LegacyMessage(base + index, timestamp if magic else -1, key, value, CREATED, magic)
        for index, (timestamp, key, value) in enumerate(fields)
    ]


def test_messages_stand_one_behind_the_other_and_a_cut_one_is_left_out() -> None:
    first, second = message(5, b"one", magic=0), message(9, b"two", key=b"k", timestamp=77)
    expected = [
        LegacyMessage(5, -1, None, b"one", CREATED, 0),
        LegacyMessage(9, 77, b"k", b"two", CREATED, 1),
    ]
    assert read(first + second) == expected
    for end in range(len(first), len(first + second)):
        assert list(read_messages((first + second)[:end])) == expected[:1]
        if end > len(first):
            with pytest.raises(CorruptBatch, match="ends inside a message"):
                read((first + second)[:end])
    assert read(b"") == []


def test_relative_offsets_count_back_from_the_wrapper_and_absolute_ones_stay() -> None:
    for magic, expected in ((1, [95, 98, 100]), (0, [0, 3, 5])):
        inner = b"".join(message(offset, b"x", magic=magic) for offset in (0, 3, 5))
        wrapper = message(100, compress(Codec.GZIP, inner), magic=magic, attributes=Codec.GZIP)
        assert [found.offset for found in read(wrapper)] == expected


def test_a_wrapper_stamped_by_the_broker_lends_its_timestamp() -> None:
    inner = message(0, b"a", timestamp=1) + message(1, b"b", timestamp=2)
    packed = compress(Codec.SNAPPY, inner)
    created = read(message(1, packed, attributes=Codec.SNAPPY, timestamp=50))
    assert [(found.timestamp, found.timestamp_type) for found in created] == [(1, CREATED), (2, CREATED)]
    appended = read(message(1, packed, attributes=Codec.SNAPPY | 8, timestamp=50))
    assert [(found.timestamp, found.timestamp_type) for found in appended] == [(50, APPENDED)] * 2
    assert read(message(0, b"a", attributes=8, timestamp=50))[0][1:] == (50, None, b"a", APPENDED, 1)


def test_magic_0_lz4_has_a_header_checksum_of_its_own_kind() -> None:
    """Producers of magic 0 summed the frame's magic number too: whatever stands there, it is not looked at."""
    frame = bytearray(compress(Codec.LZ4, message(0, b"old", magic=0)))
    assert frame[:4] == b"\x04\x22\x4d\x18"
    frame[6] ^= 0xFF
    wrapper = message(0, bytes(frame), magic=0, attributes=Codec.LZ4)
    assert [found.value for found in read(wrapper)] == [b"old"]
    with pytest.raises(CorruptCompression):
        read(message(0, bytes(frame), magic=1, attributes=Codec.LZ4))


def test_magic_0_lz4_may_say_its_size_in_the_frame_header() -> None:
    """The checksum then covers ten bytes; the decoder would refuse a wrong one."""
    plain = message(0, b"old", magic=0)
    frame = compress(Codec.LZ4, plain)
    sized = frame[:4] + bytes([frame[4] | 0x08, frame[5]]) + struct.pack("<Q", len(plain)) + b"?" + frame[7:]
    assert [found.value for found in read(message(0, sized, magic=0, attributes=Codec.LZ4))] == [b"old"]


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", 0x02CC5D05), (b"a", 0x550D7456), (b"abc", 0x32D153FF), (b"abcd", 0xA3643705)]
)
def test_xxhash_has_its_published_values(data: bytes, expected: int) -> None:
    assert legacy._xxh32(data) == expected


@pytest.mark.parametrize("position", range(12, 40))
def test_a_flipped_bit_is_found_by_the_crc_or_before(position: int) -> None:
    damaged = bytearray(message(0, b"x" * 10))
    damaged[position] ^= 1
    with pytest.raises(CorruptBatch):
        read(bytes(damaged))


@pytest.mark.parametrize("magic", [2, 3, 255])
def test_another_magic_is_named(magic: int) -> None:
    data = bytearray(message(0, b"x"))
    data[16] = magic
    with pytest.raises(UnsupportedMagic) as caught:
        list(read_messages(data))
    assert caught.value.magic == magic


@pytest.mark.parametrize(("magic", "size"), [(0, 13), (1, 21), (1, 0), (0, -1), (1, -(2**31))])
def test_a_size_that_holds_no_message_is_corrupt(magic: int, size: int) -> None:
    data = bytearray(message(0, b"x", magic=magic))
    data[8:12] = struct.pack(">i", size)
    with pytest.raises(CorruptBatch, match=f"a message of {size} bytes is smaller"):
        list(read_messages(data))


def wrapped(inner: bytes, *, codec: int = Codec.GZIP, magic: int = 1) -> bytes:
    return message(0, compress(codec, inner), magic=magic, attributes=codec)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (wrapped(b""), "holds no message"),
        (message(3, None, attributes=Codec.GZIP), "offset 3 has a null value"),
        (wrapped(message(0, b"x", magic=0)), "magic 0 is in a wrapper of magic 1"),
        (wrapped(message(0, b"x"), magic=0), "magic 1 is in a wrapper of magic 0"),
        (wrapped(wrapped(message(0, b"x"))), "a compressed message is inside"),
    ],
)
def test_wrappers_hold_plain_messages_of_their_magic(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidRecord, match=problem):
        read(data)


def test_a_wrapper_holds_whole_messages() -> None:
    with pytest.raises(CorruptBatch, match="ends inside"):
        read(wrapped(message(0, b"x") + message(1, b"y")[:-1]))


@pytest.mark.parametrize("codec", [Codec.ZSTD, 5, 6, 7])
def test_codecs_that_came_later_are_refused(codec: int) -> None:
    with pytest.raises(UnsupportedCodec):
        read(message(0, b"x", attributes=codec))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (struct.pack(">i", 100) + struct.pack(">i", -1), "cut off in a field of 100 bytes"),
        (struct.pack(">i", 4) + b"abcd", "is cut off"),
        (struct.pack(">ii", -1, -1) + b"more", "4 bytes follow"),
    ],
)
def test_key_and_value_fill_the_message(fields: bytes, problem: str) -> None:
    body = struct.pack(">bbq", 1, 0, 1000) + fields
    with pytest.raises(InvalidRecord, match=problem):
        read(struct.pack(">qiI", 0, len(body) + 4, crc32(body)) + body)


def test_a_bomb_is_stopped_at_the_bound() -> None:
    bomb = wrapped(message(0, bytes(2**25)))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            list(read_messages(bomb, max_bytes=2**18))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@settings(max_examples=200, deadline=None)
@given(data=st.data(), codec=st.sampled_from(OLD_CODECS), magic=st.integers(0, 1))
def test_any_damage_raises_protocol_errors_only(data: st.DataObject, codec: Codec, magic: int) -> None:
    inner = bytearray(message(0, b"value", key=b"key", magic=magic) + message(1, None, magic=magic))
    for _ in range(data.draw(st.integers(1, 3))):
        inner[data.draw(st.integers(0, len(inner) - 1))] = data.draw(st.integers(0, 255))
    inner = inner[: data.draw(st.sampled_from([len(inner), data.draw(st.integers(0, len(inner)))]))]
    for damaged in (inner, message(1, compress(codec, inner), magic=magic, attributes=codec)):
        for strict in (False, True):
            try:
                list(read_messages(damaged, strict=strict, max_bytes=10_000))
            except ProtocolError:
                pass


@settings(max_examples=200, deadline=None)
@given(attributes=st.integers(0, 127), fields=st.binary(max_size=40), magic=st.integers(0, 1))
def test_any_bytes_under_a_right_crc_raise_protocol_errors_only(attributes: int, fields: bytes, magic: int) -> None:
    body = struct.pack(">bb", magic, attributes) + fields
    try:
        read(struct.pack(">qiI", 0, len(body) + 4, crc32(body)) + body)
    except ProtocolError:
        pass
