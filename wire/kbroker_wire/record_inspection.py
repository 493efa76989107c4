"""Looking into record batches without making records: a broker's deep validation, and the search by timestamp.

These loops run once a record on a broker's own path, so they are written for speed: one pass over a bytes object, the
one- and two-byte forms of every number in line, lengths skipped over instead of sliced.
"""

from collections.abc import Iterator
from typing import NamedTuple

from .errors import ProtocolError
from .records import LOG_APPEND_TIME_FLAG, MAX_DECOMPRESSED_BYTES, InvalidRecord, RecordBatch
from .varints import read_bits, read_varint, read_varlong


class Inspection(NamedTuple):
    """What a walk over a sound batch saw. Timestamps are what a consumer would see, in ms."""

    min_timestamp: int
    max_timestamp: int  # may differ from the header's, which Kafka then corrects: RecordBatch.set_max_timestamp
    offset_of_max_timestamp: int  # of the first record that has it, as the batch is numbered now
    without_key: list[int]  # positions in the batch, 0 being the first record
    body_bytes: int  # the records decompressed


def validate_records(batch: RecordBatch, *, max_bytes: int = MAX_DECOMPRESSED_BYTES) -> Inspection:
    """Walk every record of `batch` and see that all of it is as a producer must write it.

    Offsets must count 0, 1, 2 ... up to the header's last offset, the record count be exact, every length meet its
    record's end, and no byte be left over. The CRC is not looked at. What is no matter of form is for the caller to
    judge by the Inspection: missing keys (a compacted topic refuses them), timestamps (see `timestamps_outside`).

    max_bytes    bound of the decompressed size

    Raises InvalidRecord with the position of the record; TooLarge, CorruptCompression, UnsupportedCodec.
    """
    header = batch.header
    count = header.record_count
    if count <= 0 or header.last_offset_delta != count - 1:
        offsets = f"[{header.base_offset}, {header.last_offset}]"
        raise InvalidRecord(f"Inconsistent batch offset range {offsets} and count of records {count}")
    data = batch.body(max_bytes)
    without_key: list[int] = []
    oldest, newest, newest_at = _walk(data, count, without_key)
    if header.attributes & LOG_APPEND_TIME_FLAG:
        return Inspection(header.max_timestamp, header.max_timestamp, header.base_offset, without_key, len(data))
    base = header.base_timestamp
    return Inspection(base + oldest, base + newest, header.base_offset + newest_at, without_key, len(data))


def timestamps_outside(
    batch: RecordBatch, earliest: int, latest: int, *, max_bytes: int = MAX_DECOMPRESSED_BYTES
) -> list[tuple[int, int]]:
    """(position in the batch, timestamp) of each record outside [earliest, latest] ms, except -1: no timestamp."""
    return [
        (index, timestamp)
        for index, (_, timestamp) in enumerate(_stamps(batch, max_bytes))
        if timestamp != -1 and not earliest <= timestamp <= latest
    ]


def find_timestamp(
    batch: RecordBatch, timestamp: int, *, from_offset: int = 0, max_bytes: int = MAX_DECOMPRESSED_BYTES
) -> tuple[int, int] | None:
    """(offset, timestamp) of the first record at or after `from_offset` that is at least as new as `timestamp` (ms)."""
    if batch.header.max_timestamp < timestamp:
        return None
    for offset, stamp in _stamps(batch, max_bytes):
        if stamp >= timestamp and offset >= from_offset:
            return offset, stamp
    return None


def offset_of_max_timestamp(batch: RecordBatch, *, max_bytes: int = MAX_DECOMPRESSED_BYTES) -> tuple[int, int]:
    """(offset, timestamp) of the newest record, of the first if several are. Raises InvalidRecord if there is none."""
    newest = max(_stamps(batch, max_bytes), key=lambda found: found[1], default=None)
    if newest is None:
        raise InvalidRecord("a batch without records has no newest one")
    return newest


def _stamps(batch: RecordBatch, max_bytes: int) -> Iterator[tuple[int, int]]:
    """(offset, timestamp) of every record; the rest of each is skipped by its length."""
    header = batch.header
    data = batch.body(max_bytes)
    appended = header.max_timestamp if header.attributes & LOG_APPEND_TIME_FLAG else None
    position = 0
    for index in range(header.record_count):
        try:
            length, position = read_varint(data, position)
            timestamp_delta, behind = read_varlong(data, position + 1)
            offset_delta, behind = read_varint(data, behind)
        except ProtocolError as error:
            raise InvalidRecord(f"record {index} is malformed: {error}") from None
        position += length
        if position < behind or position > len(data):
            raise InvalidRecord(f"record {index} has an impossible length of {length} bytes")
        yield (
            header.base_offset + offset_delta,
            header.base_timestamp + timestamp_delta if appended is None else appended,
        )


def _walk(data: bytes, count: int, without_key: list[int]) -> tuple[int, int, int]:  # noqa: C901, PLR0912, PLR0915
    """Smallest and largest timestamp delta, and the position of the first record with the largest.

    Positions of records without a key are added to `without_key`. A number n is read as it stands, in zigzag: n & 1
    means negative, and n >> 1 is its amount if it is not.
    """
    position = index = newest_at = 0
    oldest, newest = 2**64, -(2**64)
    try:
        for index in range(count):
            n = data[position]
            position += 1
            if n > 127:
                more = data[position]
                if more < 128:
                    position += 1
                    n += (more << 7) - 128
                else:
                    n, position = read_bits(data, position - 1, 32)
            if n & 1:
                problem = "has a negative length"
                break
            end = position + (n >> 1)

            position += 1  # the attributes of a record are not used
            n = data[position]
            position += 1
            if n > 127:
                more = data[position]
                if more < 128:
                    position += 1
                    n += (more << 7) - 128
                else:
                    n, position = read_bits(data, position - 1, 64)
            delta = (n >> 1) ^ -(n & 1)
            if delta > newest:
                newest = delta
                newest_at = index
            if delta < oldest:  # noqa: PLR1730 - min() takes longer
                oldest = delta

            n = data[position]
            position += 1
            if n > 127:
                more = data[position]
                if more < 128:
                    position += 1
                    n += (more << 7) - 128
                else:
                    n, position = read_bits(data, position - 1, 32)
            if n != index << 1:
                problem = f"has offset delta {(n >> 1) ^ -(n & 1)}"
                break

            n = data[position]  # the key's length
            position += 1
            if n > 127:
                more = data[position]
                if more < 128:
                    position += 1
                    n += (more << 7) - 128
                else:
                    n, position = read_bits(data, position - 1, 32)
            if n & 1:
                without_key.append(index)
            else:
                position += n >> 1

            n = data[position]  # the value's length
            position += 1
            if n > 127:
                more = data[position]
                if more < 128:
                    position += 1
                    n += (more << 7) - 128
                else:
                    n, position = read_bits(data, position - 1, 32)
            if not n & 1:
                position += n >> 1

            if data[position]:
                position = _skip_headers(data, position)
            else:
                position += 1
            if position != end:
                problem = f"ends {position - end} bytes behind its announced end"
                break
        else:
            problem = ""
    except IndexError:
        problem = f"of {count} is cut off"
    except ProtocolError as error:
        problem = f"is malformed: {error}"
    if problem:
        raise InvalidRecord(f"record {index} {problem}")
    if position != len(data):
        raise InvalidRecord(f"{len(data) - position} bytes follow the last of {count} records")
    return oldest, newest, newest_at


def _skip_headers(data: bytes, position: int) -> int:
    """The position behind the headers whose number stands at `position`."""
    count, position = read_varint(data, position)
    if not 0 <= count <= len(data) - position:
        raise ProtocolError(f"{count} headers are announced")
    for _ in range(count):
        length, position = read_varint(data, position)
        if length < 0:
            raise ProtocolError("a header has no key")
        length, position = read_varint(data, position + length)
        position += max(length, 0)
    return position
