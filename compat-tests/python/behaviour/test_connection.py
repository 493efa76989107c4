"""Framing and the life of a connection: what is answered, what is ignored, and what ends the connection at once."""

import struct

import pytest
from raw_kafka.batches import batch
from raw_kafka.calls import fetch_request, produce_request
from raw_kafka.connection import decode_answer, framed, request_frame, request_header

REQUEST_LIMIT = 104_857_600  # socket.request.max.bytes
ILLEGAL_SASL_STATE = 34
SASL_HANDSHAKE = 17

# A ClientHello as a TLS client starts with it: handshake record, TLS 1.0 on the record layer.
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(32) + b"\x00" * 160


def header(key, version, flexible=False):
    return request_header(key, version, 1, "behaviour", flexible)


METADATA_V1 = header(3, 1)
METADATA_V12 = header(3, 12, flexible=True)

HANGS_UP = {
    "an API key nobody knows": framed(header(9999, 0)),
    "a negative API key": framed(header(-1, 0)),
    "Metadata above its newest version": framed(header(3, 14) + b"\0"),
    "Metadata 99": framed(header(3, 99) + b"\0"),
    "a negative version": framed(header(3, -1) + struct.pack(">i", 0)),
    "Produce 2, advertised but gone": framed(header(0, 2) + struct.pack(">hii", 1, 1000, 0)),
    "Produce 0, advertised but gone": framed(header(0, 0) + struct.pack(">hii", 1, 1000, 0)),
    "Produce above its newest version": framed(header(0, 14, flexible=True) + b"\0" * 16),
    "Fetch 3, below its oldest": framed(header(1, 3) + bytes(20)),
    "Fetch above its newest version": framed(header(1, 19, flexible=True) + bytes(40)),
    "ListOffsets 0, below its oldest": framed(header(2, 0) + bytes(8)),
    "CreateTopics 1, below its oldest": framed(header(19, 1) + bytes(9)),
    "DeleteTopics 0, below its oldest": framed(header(20, 0) + bytes(8)),
    "InitProducerId 6, unstable": request_frame("InitProducerId", 6, 1, {"transaction_timeout_ms": 1000}),
    "OffsetForLeaderEpoch 1, below its oldest": framed(header(23, 1) + bytes(4)),
    "DescribeConfigs 0, below its oldest": framed(header(32, 0) + bytes(4)),
    "LeaderAndIsr, gone from Kafka": framed(header(4, 0) + bytes(20)),
    "Vote, for controllers only": framed(header(52, 0, flexible=True) + b"\0\1\0"),
    "Envelope, for controllers only": framed(header(58, 0, flexible=True) + b"\1\1\1\0"),
    "a body of noise": framed(METADATA_V12 + bytes(range(200, 256))),
    "a body that stops early": framed(METADATA_V1 + struct.pack(">ih", 1, 500) + b"short"),
    "no body": framed(METADATA_V1),
    "an array of 2^31-1 elements": framed(METADATA_V1 + struct.pack(">i", 0x7FFFFFFF)),
    "a compact array of 2^32-2 elements": framed(METADATA_V12 + b"\xff\xff\xff\xff\x0f"),
    "a varint that does not end": framed(METADATA_V12 + b"\xff" * 12),
    "a string of negative length": framed(METADATA_V1 + struct.pack(">ih", 1, -2)),
    "a client id longer than the frame": framed(struct.pack(">hhih", 3, 1, 1, 500) + b"x"),
    "a frame too small for a header": framed(b"\0\3\0\1"),
    "a frame of size 0": struct.pack(">i", 0),
    "a frame of size -1": struct.pack(">i", -1),
    "a frame of the smallest size": struct.pack(">i", -(2**31)),
    "one byte more than the request limit, before its body": struct.pack(">i", REQUEST_LIMIT + 1),
    "TLS on a plaintext port": TLS_HELLO,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("sent", HANGS_UP.values(), ids=HANGS_UP.keys())
def test_hangs_up_without_an_answer_on(sent, connection):
    connection.send_raw(sent)
    assert connection.is_closed()


def test_a_connection_that_is_hung_up_on_leaves_the_others_alone(connect):
    good, bad = connect(), connect()
    good.call("ApiVersions", 0)
    bad.send_raw(struct.pack(">i", -1))
    assert bad.is_closed()
    assert good.call("ApiVersions", 0).error_code == 0


def test_requests_before_a_broken_one_are_answered(connection):
    connection.send_raw(request_frame("ApiVersions", 0, 1, {}) + struct.pack(">i", -1))
    assert decode_answer("ApiVersions", 0, 1, connection.read_frame()).error_code == 0
    assert connection.is_closed()


def test_a_write_before_a_broken_request_is_answered(connection, topic):
    request = request_frame("Produce", 9, 1, produce_request(topic, batch()))
    connection.send_raw(request + struct.pack(">i", -1))
    answer = decode_answer("Produce", 9, 1, connection.read_frame())
    assert answer.responses[0].partition_responses[0].base_offset == 0
    assert connection.is_closed()


def test_a_request_of_exactly_the_limit_is_waited_for(connect):
    patient, other = connect(), connect()
    patient.send_raw(struct.pack(">i", REQUEST_LIMIT) + METADATA_V1)
    for _ in range(3):
        other.call("ApiVersions", 0)
    assert not patient.has_news()


def test_bytes_after_a_well_formed_body_are_ignored(connection):
    connection.send_raw(framed(METADATA_V1 + struct.pack(">i", 0) + b"and more"))
    assert decode_answer("Metadata", 1, 1, connection.read_frame()).topics == []
    assert connection.call("Metadata", 1, topics=[]).topics == []


def test_the_client_id_may_be_null(connection):
    connection.send_raw(request_frame("Metadata", 12, 1, {"topics": []}, client_id=None))
    assert decode_answer("Metadata", 12, 1, connection.read_frame()).topics == []


def test_the_client_id_may_be_long_and_not_ascii(connection):
    connection.send_raw(request_frame("Metadata", 12, 1, {"topics": []}, client_id="größe" * 1000))
    assert decode_answer("Metadata", 12, 1, connection.read_frame()).topics == []


def test_unknown_tagged_fields_are_skipped_in_header_and_body(connection):
    version_10_header = request_header(3, 10, 1, "behaviour", flexible=False) + b"\2\0\1x\7\0"
    body = b"\1\0\0\0" + b"\1\x63\3abc"  # no topics, three flags off, then tag 99 of three bytes
    connection.send_raw(framed(version_10_header + body))
    assert decode_answer("Metadata", 10, 1, connection.read_frame()).topics == []


def test_a_request_may_arrive_byte_by_byte(connection):
    for byte in request_frame("Metadata", 12, 1, {"topics": []}):
        connection.send_raw(bytes([byte]))
    assert decode_answer("Metadata", 12, 1, connection.read_frame()).topics == []


def test_pipelined_requests_are_answered_in_order(connection):
    for round_number in range(60):
        connection.send("ApiVersions", round_number % 3)
        connection.send("Metadata", 12, topics=[])
    for _ in range(120):
        connection.answer()  # raises when it is not the answer to the oldest request


def test_a_long_poll_holds_back_what_is_pipelined_behind_it(connection, topic):
    connection.send("Fetch", 12, **fetch_request([(topic, 0, 0)], max_wait_ms=400, min_bytes=1))
    connection.send("ApiVersions", 0)
    assert connection.answer().responses[0].partitions[0].records == b""
    assert connection.answer().error_code == 0


def test_a_long_poll_holds_back_its_own_connection_only(connect, topic):
    waiting, other = connect(), connect()
    waiting.send("Fetch", 12, **fetch_request([(topic, 0, 0)], max_wait_ms=120_000, min_bytes=1))
    assert other.call("ApiVersions", 0).error_code == 0
    assert not waiting.has_news()


def test_correlation_ids_come_back_as_they_were_sent(connection):
    for correlation_id in (0, -1, 2**31 - 1, -(2**31)):
        connection.send_raw(request_frame("ApiVersions", 0, correlation_id, {}))
        assert decode_answer("ApiVersions", 0, correlation_id, connection.read_frame()).error_code == 0


def test_a_sasl_handshake_on_a_plaintext_listener_is_refused_and_the_connection_stays(connection):
    served = {api.api_key for api in connection.call("ApiVersions", 0).api_keys}
    if SASL_HANDSHAKE not in served:
        pytest.skip("this broker does not serve SaslHandshake")
    answer = connection.call("SaslHandshake", 1, mechanism="PLAIN")
    assert (answer.error_code, answer.mechanisms) == (ILLEGAL_SASL_STATE, [])
    assert connection.call("ApiVersions", 0).error_code == 0


def test_nothing_is_throttled_without_a_quota(connection, topic):
    assert connection.call("Metadata", 12, topics=[]).throttle_time_ms == 0
    assert connection.call("ApiVersions", 1).throttle_time_ms == 0
    assert connection.call("Fetch", 12, **fetch_request([(topic, 0, 0)])).throttle_time_ms == 0


def test_a_client_that_leaves_in_the_middle_of_a_request_is_no_trouble(connect):
    leaving, other = connect(), connect()
    leaving.send_raw(struct.pack(">i", 1000) + b"half a request")
    leaving.close()
    assert other.call("ApiVersions", 0).error_code == 0


def test_api_versions_has_a_plain_response_header_in_every_version(connection):
    for version in range(6):
        connection.send_raw(
            request_frame(
                "ApiVersions", version, 7, {"client_software_name": "behaviour", "client_software_version": "1"}
            )
        )
        frame = connection.read_frame()
        assert frame[:4] == struct.pack(">i", 7)
        assert frame[4:6] == struct.pack(">h", 0), "the error code follows the correlation id at once"
        assert decode_answer("ApiVersions", version, 7, frame).api_keys
