from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire.errors import ProtocolError
from kbroker_wire.headers import (
    API_VERSIONS,
    FLEXIBLE_FROM,
    RequestHeader,
    decode_request_header,
    decode_response_header,
    encode_request_header,
    encode_response_header,
)
from message_tables import INTEGERS, all_tables

HEADERS = st.builds(
    RequestHeader,
    api_key=st.sampled_from(sorted(FLEXIBLE_FROM)) | INTEGERS["int16"],
    api_version=st.integers(-1, 20) | INTEGERS["int16"],
    correlation_id=INTEGERS["int32"],
    client_id=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


def test_a_header_of_version_1() -> None:
    frame = bytes.fromhex("0000 0007 00000005 0003 616263") + b"body"
    assert decode_request_header(frame) == (RequestHeader(0, 7, 5, "abc"), 13)
    assert encode_request_header(RequestHeader(0, 7, 5, "abc")) == frame[:13]


def test_a_flexible_header_has_tags_but_no_compact_client_id() -> None:
    frame = bytes.fromhex("0000 0009 00000005 0003 616263 00")
    assert decode_request_header(frame + b"body") == (RequestHeader(0, 9, 5, "abc"), 14)
    assert encode_request_header(RequestHeader(0, 9, 5, "abc")) == frame


def test_a_client_id_may_be_null() -> None:
    frame = bytes.fromhex("0003 0000 00000001 ffff")
    assert decode_request_header(frame) == (RequestHeader(3, 0, 1, None), 10)
    assert encode_request_header(RequestHeader(3, 0, 1, None)) == frame


def test_tags_of_a_header_are_skipped() -> None:
    frame = bytes.fromhex("0012 0003 00000001 0000 02 00 02 aabb 8101 00") + b"body"
    header, position = decode_request_header(memoryview(frame))
    assert header == RequestHeader(18, 3, 1, "")
    assert frame[position:] == b"body"
    response = bytes.fromhex("00000001 01 05 01 aa") + b"body"
    assert decode_response_header(response, 3, 9) == (1, 8)


def test_an_unknown_api_key_has_a_header_of_version_1() -> None:
    assert decode_request_header(bytes.fromhex("03e8 0009 00000005 0000 00")) == (RequestHeader(1000, 9, 5, ""), 10)


def test_a_version_of_api_versions_from_the_future_is_flexible() -> None:
    assert decode_request_header(bytes.fromhex("0012 7fff 00000005 0000 00"))[1] == 11


def test_response_headers() -> None:
    assert encode_response_header(0, 8, 258) == bytes.fromhex("00000102")
    assert encode_response_header(0, 9, 258) == bytes.fromhex("00000102 00")
    assert decode_response_header(bytes.fromhex("00000102"), 0, 8) == (258, 4)
    assert decode_response_header(bytes.fromhex("00000102 00"), 0, 9) == (258, 5)


@pytest.mark.parametrize("version", range(6))
def test_the_response_header_of_api_versions_never_has_tags(version: int) -> None:
    assert encode_response_header(API_VERSIONS, version, 1) == b"\0\0\0\1"
    assert decode_response_header(b"\0\0\0\1\0", API_VERSIONS, version) == (1, 4)


@settings(max_examples=60, deadline=None)
@given(header=HEADERS)
def test_a_header_comes_back_and_every_part_of_it_is_refused(header: RequestHeader) -> None:
    encoded = encode_request_header(header)
    assert decode_request_header(encoded + b"tail") == (header, len(encoded))
    for cut in range(len(encoded)):
        with pytest.raises(ProtocolError):
            decode_request_header(encoded[:cut])


@settings(max_examples=100, deadline=None)
@given(frame=st.binary(max_size=24), key=st.sampled_from([0, 3, 18]), version=st.integers(0, 13))
def test_any_bytes_are_a_header_or_a_protocol_error(frame: bytes, key: int, version: int) -> None:
    for decode in (
        lambda: decode_request_header(frame),
        lambda: decode_request_header(bytes((0, key, 0, version)) + frame),
        lambda: decode_response_header(frame, key, version),
    ):
        try:
            decode()
        except ProtocolError:
            pass


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ("", "ends after 0 bytes"),
        ("0003 0000 00000001 fffe", "client id of -2 bytes"),
        ("0003 0000 00000001 0005 6161", "client id of 5 bytes, 2 left"),
        ("0003 0000 00000001 0001 ff", "client id: 'utf-8' codec"),
        ("0003 0009 00000001 0000", "ends after 10 bytes"),
        ("0003 0009 00000001 0000 02 00 00 00 00", "tag 0 comes twice"),
        ("0003 0009 00000001 0000 01 00 05 00", "tag 0 has 5 bytes, 1 left"),
        ("0003 0009 00000001 0000 ffffffffff", "variable-length"),
        ("0003 0009 00000001 0000 8108" + "00" * 8192, r"1025 tags \(at most 1024\)"),
    ],
)
def test_a_broken_request_header_says_what_is_wrong(frame: str, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        decode_request_header(bytes.fromhex(frame))


def test_a_client_id_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="32768"):
        encode_request_header(RequestHeader(0, 0, 0, "x" * 32768))


def test_the_flexible_versions_are_those_of_the_tables() -> None:
    for table in all_tables():
        if table.key is not None:
            assert FLEXIBLE_FROM[table.key] == table.flexible_from, table
