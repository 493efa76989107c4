"""Codecs against the standard library, kafka-python and aiokafka; bombs, damage and declared sizes."""

import gzip
import random
import struct
import subprocess
import sys
import tracemalloc

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire.compression import (
    FIRST_OUTPUT,
    XERIAL_BLOCK,
    XERIAL_HEADER,
    Codec,
    CorruptCompression,
    TooLarge,
    UnsupportedCodec,
    compress,
    decompress,
)
from kbroker_wire.errors import ProtocolError
from other_codecs import aiokafka_codec, kafka_codec

MIB = 1024 * 1024
COMPRESSING = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
TEXT = b"".join(b"%d bottles of beer on the wall, " % n for n in range(20_000))

# (codec, compress, decompress) as other projects have them
FOREIGN = [
    (Codec.GZIP, gzip.compress, gzip.decompress),
    (Codec.GZIP, kafka_codec.gzip_encode, kafka_codec.gzip_decode),
    (Codec.GZIP, aiokafka_codec.gzip_encode, aiokafka_codec.gzip_decode),
    (Codec.SNAPPY, aiokafka_codec.snappy_encode, aiokafka_codec.snappy_decode),
    (Codec.SNAPPY, lambda data: bytes(cramjam.snappy.compress_raw(data)), aiokafka_codec.snappy_decode),
    (Codec.LZ4, aiokafka_codec.lz4_encode, aiokafka_codec.lz4_decode),
    (Codec.LZ4, lambda data: bytes(cramjam.lz4.compress(data)), aiokafka_codec.lz4_decode),  # linked blocks
    (Codec.ZSTD, aiokafka_codec.zstd_encode, aiokafka_codec.zstd_decode),
]

payloads = st.one_of(
    st.binary(max_size=200),
    st.integers(0, 200_000).map(lambda size: TEXT[:size]),
    st.integers(0, 70_000).map(lambda size: random.Random(size).randbytes(size)),
)


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("codec", Codec)
@given(data=payloads)
def test_what_was_compressed_comes_out_again(codec: Codec, data: bytes) -> None:
    packed = compress(codec, memoryview(bytearray(data)))
    assert decompress(codec, packed, len(data)) == data
    assert decompress(codec, memoryview(b"x" + packed)[1:], len(data) + 1) == data


@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("foreign", FOREIGN)
@given(data=payloads)
def test_other_implementations_read_ours_and_we_read_theirs(foreign: tuple, data: bytes) -> None:
    codec, their_compress, their_decompress = foreign
    assert decompress(codec, their_compress(data), len(data)) == data
    if data:  # aiokafka does not know a xerial stream without a block
        assert their_decompress(compress(codec, data)) == data


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("size", [0, 1, FIRST_OUTPUT, FIRST_OUTPUT + 1, len(TEXT)])
def test_the_bound_is_inclusive_and_exact(codec: Codec, size: int) -> None:
    packed = compress(codec, TEXT[:size])
    assert decompress(codec, packed, size) == TEXT[:size]
    if size:
        with pytest.raises(TooLarge, match=f"more than {size - 1} bytes"):
            decompress(codec, packed, size - 1)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_concatenated_streams_are_read_to_the_end(codec: Codec) -> None:
    packed = compress(codec, b"first " * 1000) + compress(codec, b"second" * 1000)
    assert decompress(codec, packed, 12_000) == b"first " * 1000 + b"second" * 1000
    with pytest.raises(TooLarge):
        decompress(codec, packed, 11_999)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_bomb_costs_no_more_memory_than_the_bound(codec: Codec) -> None:
    bomb = compress(codec, bytes(64 * MIB))
    decompress(codec, compress(codec, b"warm up"), 100)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decompress(codec, bomb, MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB + 8 * len(bomb)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_small_data_takes_little_memory_under_a_large_bound(codec: Codec) -> None:
    packed = compress(codec, b"a few bytes")
    tracemalloc.start()
    try:
        decompress(codec, packed, 100 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024


@pytest.mark.parametrize("codec", COMPRESSING)
@pytest.mark.parametrize("cut", [1, 3, 8])
def test_data_that_is_cut_off_is_corrupt(codec: Codec, cut: int) -> None:
    packed = compress(codec, TEXT[:5000])
    with pytest.raises(CorruptCompression):
        decompress(codec, packed[:-cut], MIB)


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.LZ4, Codec.ZSTD])
def test_nothing_is_not_a_stream(codec: Codec) -> None:
    with pytest.raises(CorruptCompression):
        decompress(codec, b"", MIB)


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("codec", COMPRESSING)
@given(data=st.data())
def test_damaged_data_raises_protocol_errors_only(codec: Codec, data: st.DataObject) -> None:
    packed = bytearray(compress(codec, TEXT[:3000]))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(packed)))
    try:
        assert len(decompress(codec, packed[:end], 10_000)) <= 10_000
    except ProtocolError:
        pass


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("codec", COMPRESSING)
@given(data=st.binary(max_size=60))
def test_any_bytes_raise_protocol_errors_only(codec: Codec, data: bytes) -> None:
    magic = {Codec.GZIP: b"\x1f\x8b\x08", Codec.SNAPPY: XERIAL_HEADER, Codec.LZ4: b"\x04\x22\x4d\x18"}
    for packed in (data, magic.get(codec, b"\x28\xb5\x2f\xfd") + data):
        try:
            assert len(decompress(codec, packed, 1000)) <= 1000
        except ProtocolError:
            pass


@pytest.mark.parametrize("codec", [-1, 5, 6, 7])
def test_there_are_five_codecs(codec: int) -> None:
    with pytest.raises(UnsupportedCodec, match=f"no compression codec {codec}"):
        compress(codec, b"")
    with pytest.raises(UnsupportedCodec):
        decompress(codec, b"", 1)


def test_levels_are_checked_and_change_the_size() -> None:
    for codec, lowest, highest in ((Codec.GZIP, 1, 9), (Codec.LZ4, 1, 17), (Codec.ZSTD, -131072, 22)):
        with pytest.raises(ValueError, match=f"level {lowest - 1} is not between {lowest} and {highest}"):
            compress(codec, b"x", lowest - 1)
        with pytest.raises(ValueError):
            compress(codec, b"x", highest + 1)
        fast, small = compress(codec, TEXT, lowest), compress(codec, TEXT, min(highest, 12))
        assert len(small) < len(fast)
        assert decompress(codec, fast, len(TEXT)) == decompress(codec, small, len(TEXT)) == TEXT


def test_snappy_is_framed_as_the_java_client_frames_it() -> None:
    packed = compress(Codec.SNAPPY, TEXT[: XERIAL_BLOCK + 1])
    assert packed[:16] == bytes.fromhex("82534e41505059000000000100000001")
    (first,) = struct.unpack_from(">i", packed, 16)
    assert len(cramjam.snappy.decompress_raw(packed[20 : 20 + first])) == XERIAL_BLOCK
    (second,) = struct.unpack_from(">i", packed, 20 + first)
    assert bytes(cramjam.snappy.decompress_raw(packed[24 + first :])) == TEXT[XERIAL_BLOCK : XERIAL_BLOCK + 1]
    assert len(packed) == 24 + first + second


def test_a_snappy_block_cannot_declare_what_it_cannot_hold() -> None:
    raw = b"\x80\x80\x80\x20" + b"\x04ab"  # declares 64 MiB
    for packed in (raw, XERIAL_HEADER + len(raw).to_bytes(4, "big") + raw):
        with pytest.raises(CorruptCompression, match="declares more bytes"):
            decompress(Codec.SNAPPY, packed, 100 * MIB)
        with pytest.raises(TooLarge):
            decompress(Codec.SNAPPY, packed, MIB)


def test_lz4_blocks_are_independent_as_the_java_client_demands() -> None:
    flags = compress(Codec.LZ4, TEXT)[4]
    assert flags >> 6 == 1  # version
    assert flags & 0x20  # independent blocks


def test_a_zstd_window_is_bounded() -> None:
    """One repeated byte, in a frame that asks for a window of 128 MiB (zstd's limit), and one that asks for 2 GiB."""
    block = ((1000 << 3) | (1 << 1) | 1).to_bytes(3, "little") + b"x"
    assert decompress(Codec.ZSTD, b"\x28\xb5\x2f\xfd\x00\x88" + block, 1000) == b"x" * 1000
    with pytest.raises(CorruptCompression, match="too much memory"):
        decompress(Codec.ZSTD, b"\x28\xb5\x2f\xfd\x00\xa8" + block, 1000)


def test_cramjam_is_imported_by_the_first_compressed_batch() -> None:
    program = (
        "import sys\n"
        "from kbroker_wire.compression import *\n"
        "assert decompress(0, compress(0, b'plain'), 5) == b'plain'\n"
        "assert 'cramjam' not in sys.modules\n"
        "assert decompress(4, compress(4, b'packed'), 6) == b'packed'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
