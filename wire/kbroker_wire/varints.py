"""Variable-length integers: seven bits a byte, the lowest first, the high bit set on all bytes but the last.

Records and headers use the signed forms (zigzag: 0, -1, 1, -2 ... become 0, 1, 2, 3 ...), compact strings, arrays and
tags of messages the unsigned one. A varint has 32 bits and at most 5 bytes, a varlong 64 and at most 10. As in Kafka, a
value may be written longer than it needs to be, but no bit may lie outside its width.

Readers take (data, position), return (value, position behind it) and raise ProtocolError for a value that is cut off or
too large. Writers append to a bytearray and raise ValueError for a number that does not fit.
"""

from .errors import ProtocolError

Buffer = bytes | bytearray | memoryview


def read_bits(data: Buffer, position: int, bits: int) -> tuple[int, int]:
    """The unsigned number of at most `bits` bits, as it stands there: zigzag is not undone."""
    value = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= bits:
                raise ProtocolError(f"a variable-length number does not end within {bits} bits")
    except IndexError:
        raise ProtocolError("the data ends inside a variable-length number") from None
    if value >> bits:
        raise ProtocolError(f"a variable-length number has more than {bits} bits")
    return value, position


# Most numbers are small: one of one byte is told at once.


def read_unsigned_varint(data: Buffer, position: int) -> tuple[int, int]:
    """0 to 2**32 - 1, in 1 to 5 bytes."""
    if position < len(data) and (value := data[position]) < 0x80:
        return value, position + 1
    return read_bits(data, position, 32)


def read_varint(data: Buffer, position: int) -> tuple[int, int]:
    """-2**31 to 2**31 - 1, in 1 to 5 bytes."""
    if position < len(data) and (value := data[position]) < 0x80:
        return (value >> 1) ^ -(value & 1), position + 1
    value, position = read_bits(data, position, 32)
    return (value >> 1) ^ -(value & 1), position


def read_varlong(data: Buffer, position: int) -> tuple[int, int]:
    """-2**63 to 2**63 - 1, in 1 to 10 bytes."""
    if position < len(data) and (value := data[position]) < 0x80:
        return (value >> 1) ^ -(value & 1), position + 1
    value, position = read_bits(data, position, 64)
    return (value >> 1) ^ -(value & 1), position


def write_unsigned_varint(into: bytearray, value: int) -> None:
    """Append `value`, 0 to 2**32 - 1."""
    if value >> 32:
        raise ValueError(f"{value} is no unsigned 32-bit number")
    _write(into, value)


def write_varint(into: bytearray, value: int) -> None:
    """Append `value`, -2**31 to 2**31 - 1."""
    zigzag = (value << 1) ^ (value >> 63)
    if zigzag >> 32:
        raise ValueError(f"{value} is no 32-bit number")
    _write(into, zigzag)


def write_varlong(into: bytearray, value: int) -> None:
    """Append `value`, -2**63 to 2**63 - 1."""
    zigzag = (value << 1) ^ (value >> 63)
    if zigzag >> 64:
        raise ValueError(f"{value} is no 64-bit number")
    _write(into, zigzag)


def _write(into: bytearray, value: int) -> None:
    while value >= 0x80:
        into.append((value & 0x7F) | 0x80)
        value >>= 7
    into.append(value)
