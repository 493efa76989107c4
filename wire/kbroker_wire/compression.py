"""The five codecs of record batches, bounded in both directions: the one door to the `cramjam` package.

cramjam is imported by the first batch that is compressed. What it takes to be read by every Kafka client:

gzip     members may be concatenated.
snappy   the Java client writes, and expects, the framing of xerial's snappy-java: a 16-byte header, then blocks of at
         most 32 KiB input, each with a big-endian int32 length in front. Others send one raw block. Both are read.
lz4      the frame format with independent blocks; the Java client refuses linked ones.
zstd     frames, KIP-110.

The caller bounds the decompressed size (`max_bytes`), and so the memory: output buffers grow with what really comes
out, not with what a header declares. Raises TooLarge beyond the bound, CorruptCompression for data that is damaged or
cut off, UnsupportedCodec for a number without a codec, all of them ProtocolErrors.
"""

from enum import IntEnum
from typing import TYPE_CHECKING

from .errors import ProtocolError

if TYPE_CHECKING:
    from typing import Protocol

    from typing_extensions import Buffer

    class FrameCodec(Protocol):
        def decompress_into(self, input: Buffer, output: bytearray) -> int: ...  # noqa: A002 - cramjam's name


LZ4_LEVEL = 1  # cramjam's own default is five times slower for a few percent
ZSTD_LEVEL = 3  # Kafka's default, as is gzip's
GZIP_LEVEL = 6

XERIAL_MAGIC = b"\x82SNAPPY\0"
XERIAL_HEADER = XERIAL_MAGIC + b"\0\0\0\1\0\0\0\1"  # version 1, readable since version 1
XERIAL_BLOCK = 32 * 1024
SNAPPY_EXPANSION = 22  # three bytes of snappy make 64 bytes at the most: a larger declared size is a lie

FIRST_OUTPUT = 4 * 1024
OUTPUT_GROWTH = 4


class Codec(IntEnum):
    """The compression of a batch, in the lowest three bits of its attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class UnsupportedCodec(ProtocolError):
    """The attributes name a compression that Kafka does not have."""

    def __init__(self, codec: int) -> None:
        super().__init__(f"there is no compression codec {codec}")
        self.codec = codec


class CorruptCompression(ProtocolError):
    """Compressed data that is damaged or cut off."""


class TooLarge(ProtocolError):
    """More than `max_bytes` bytes would come out."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the data decompresses to more than {max_bytes} bytes")
        self.max_bytes = max_bytes


def compress(codec: int, data: "Buffer", level: int | None = None) -> bytes:
    """`data` as a batch of that codec holds it.

    level    None: the codec's default. gzip 1 to 9, lz4 1 to 17, zstd -131072 to 22; snappy and none have no level

    Raises UnsupportedCodec, ValueError for a level that the codec does not have.
    """
    if codec == Codec.NONE:
        return bytes(data)
    import cramjam  # noqa: PLC0415 - not before somebody compresses

    if codec == Codec.GZIP:
        return bytes(cramjam.gzip.compress(data, level=_level(level, GZIP_LEVEL, 1, 9)))
    if codec == Codec.SNAPPY:
        return _compress_xerial(data)
    if codec == Codec.LZ4:
        lz4 = cramjam.lz4.Compressor(level=_level(level, LZ4_LEVEL, 1, 17), content_checksum=False, block_linked=False)
        lz4.compress(bytes(data))  # it takes no other buffer
        return bytes(lz4.finish())
    if codec == Codec.ZSTD:
        return bytes(cramjam.zstd.compress(data, level=_level(level, ZSTD_LEVEL, -131072, 22)))
    raise UnsupportedCodec(codec)


def decompress(codec: int, data: "Buffer", max_bytes: int) -> bytes:
    """The bytes that were compressed, at most `max_bytes` of them (inclusive)."""
    if codec == Codec.NONE:
        if memoryview(data).nbytes > max_bytes:
            raise TooLarge(max_bytes)
        return bytes(data)
    import cramjam  # noqa: PLC0415 - not before somebody decompresses

    if codec == Codec.ZSTD:
        return _decompress_frames(cramjam.zstd, data, max_bytes)
    if codec == Codec.LZ4:
        return _decompress_frames(cramjam.lz4, data, max_bytes)
    if codec == Codec.SNAPPY:
        return _decompress_snappy(data, max_bytes)
    if codec == Codec.GZIP:
        return _decompress_frames(cramjam.gzip, data, max_bytes)
    raise UnsupportedCodec(codec)


def _level(level: int | None, default: int, lowest: int, highest: int) -> int:
    if level is None:
        return default
    if not lowest <= level <= highest:
        raise ValueError(f"compression level {level} is not between {lowest} and {highest}")
    return level


def _decompress_frames(codec: "FrameCodec", data: "Buffer", max_bytes: int) -> bytes:
    """All frames of gzip, lz4 or zstd in `data`.

    Beginning again in a buffer four times larger, whenever it proves too small, costs one third more work at the most.
    One byte beyond the bound is asked for, so that data which ends exactly there is told from data which goes on.
    """
    import cramjam  # noqa: PLC0415

    size = min(max(FIRST_OUTPUT, OUTPUT_GROWTH * memoryview(data).nbytes), max_bytes + 1)
    while True:
        output = bytearray(size)
        try:
            count = codec.decompress_into(data, output)
        except cramjam.DecompressionError as error:
            if "failed to write whole buffer" not in str(error):  # so says Rust's standard library, for every codec
                raise CorruptCompression(f"the compressed data is damaged: {error}") from None
        else:
            if count > max_bytes:
                raise TooLarge(max_bytes)
            return bytes(memoryview(output)[:count])
        if size > max_bytes:
            raise TooLarge(max_bytes)
        size = min(OUTPUT_GROWTH * size, max_bytes + 1)


def _compress_xerial(data: "Buffer") -> bytes:
    import cramjam  # noqa: PLC0415

    view = memoryview(data).cast("B")
    parts = [XERIAL_HEADER]
    for start in range(0, len(view), XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(view[start : start + XERIAL_BLOCK]))
        parts += (len(block).to_bytes(4, "big"), block)
    return b"".join(parts)


def _decompress_snappy(data: "Buffer", max_bytes: int) -> bytes:
    """Raw blocks, or one. All declared sizes are added up and judged before a byte is decompressed."""
    import cramjam  # noqa: PLC0415

    view = memoryview(data).cast("B")
    blocks = _xerial_blocks(view) if view[:8] == XERIAL_MAGIC else [view]
    try:
        sizes = [cramjam.snappy.decompress_raw_len(block) for block in blocks]
        if sum(sizes) > max_bytes:
            raise TooLarge(max_bytes)
        if any(size > SNAPPY_EXPANSION * len(block) for size, block in zip(sizes, blocks, strict=True)):
            raise CorruptCompression("a snappy block declares more bytes than it could hold")
        return b"".join([bytes(cramjam.snappy.decompress_raw(block)) for block in blocks])
    except cramjam.DecompressionError as error:
        raise CorruptCompression(f"the compressed data is damaged: {error}") from None


def _xerial_blocks(view: memoryview) -> list[memoryview]:
    """The snappy blocks of a xerial stream; streams may be concatenated, each with its header."""
    blocks, position = [], 0
    while position < len(view):
        if view[position : position + 8] == XERIAL_MAGIC:
            position += len(XERIAL_HEADER)
            continue
        size = int.from_bytes(view[position : position + 4], "big")
        position += 4 + size
        if position > len(view):
            break
        blocks.append(view[position - size : position])
    if position != len(view):
        raise CorruptCompression("the snappy data ends inside a block")
    return blocks
