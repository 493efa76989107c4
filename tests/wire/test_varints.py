"""Varints against kafka-python's, and at every bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker_wire.errors import ProtocolError
from kbroker_wire.varints import (
    read_bits,
    read_unsigned_varint,
    read_varint,
    read_varlong,
    write_unsigned_varint,
    write_varint,
    write_varlong,
)
from other_codecs import kafka_decode_varint, kafka_encode_varint

FORMS = {
    "unsigned varint": (write_unsigned_varint, read_unsigned_varint, 0, 2**32 - 1),
    "varint": (write_varint, read_varint, -(2**31), 2**31 - 1),
    "varlong": (write_varlong, read_varlong, -(2**63), 2**63 - 1),
}


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data(), before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_what_is_written_is_read(form: str, data: st.DataObject, before: bytes, after: bytes) -> None:
    write, read, lowest, highest = FORMS[form]
    value = data.draw(st.integers(lowest, highest) | st.integers(0, 70 * 12).map(lambda n: max(lowest, n - 70 * 6)))
    encoded = bytearray(before)
    write(encoded, value)
    end = len(encoded)
    for buffer in (bytes(encoded + after), encoded + after, memoryview(encoded + after)):
        assert read(buffer, len(before)) == (value, end)


@pytest.mark.parametrize("form", FORMS)
def test_bounds_are_kept(form: str) -> None:
    write, read, lowest, highest = FORMS[form]
    for value in (lowest, lowest + 1, 0, highest - 1, highest):
        encoded = bytearray()
        write(encoded, value)
        assert read(encoded, 0) == (value, len(encoded))
    for value in (lowest - 1, highest + 1, 2**70, -(2**70)):
        with pytest.raises(ValueError, match=str(value)):
            write(bytearray(), value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_agree_with_kafka_python(value: int) -> None:
    theirs, ours = bytearray(), bytearray()
    kafka_encode_varint(value, theirs.append)
    write_varlong(ours, value)
    assert ours == theirs
    assert read_varlong(theirs, 0) == kafka_decode_varint(ours)


@pytest.mark.parametrize("form", FORMS)
@given(data=st.binary(max_size=12))
def test_any_bytes_are_a_number_within_bounds_or_a_protocol_error(form: str, data: bytes) -> None:
    _, read, lowest, highest = FORMS[form]
    try:
        value, position = read(data, 0)
    except ProtocolError:
        return
    assert lowest <= value <= highest
    assert 0 < position <= len(data)


@pytest.mark.parametrize(
    ("bits", "encoded", "problem"),
    [
        (32, b"", "ends inside"),
        (32, b"\x80", "ends inside"),
        (32, b"\xff\xff\xff\xff\x0f", None),
        (32, b"\xff\xff\xff\xff\x1f", "more than 32 bits"),
        (32, b"\xff\xff\xff\xff\x8f\x00", "within 32 bits"),
        (64, b"\xff" * 9 + b"\x01", None),
        (64, b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (64, b"\x80" * 10 + b"\x00", "within 64 bits"),
    ],
)
def test_a_number_has_its_bits_and_no_more(bits: int, encoded: bytes, problem: str | None) -> None:
    if problem is None:
        assert read_bits(encoded, 0, bits) == (2**bits - 1, len(encoded))
    else:
        with pytest.raises(ProtocolError, match=problem):
            read_bits(encoded, 0, bits)


def test_a_number_may_be_longer_than_it_needs_to_be() -> None:
    assert read_varint(b"\x82\x80\x00", 0) == (1, 3)
