"""Frames that real clients and Apache Kafka sent each other decode, and encode back byte for byte."""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from kbroker_wire.errors import ErrorCode
from kbroker_wire.headers import (
    API_VERSIONS,
    decode_request_header,
    decode_response_header,
    encode_request_header,
    encode_response_header,
)
from kbroker_wire.messages import API_NAMES, message_pair
from kbroker_wire.messages.api_versions import ApiVersionsResponse

RECORDED = Path(__file__).parents[1] / "data" / "captures" / "frames.jsonl.xz"
NOT_RECORDED = {  # no client used them in its session
    "AlterConfigs",
    "AlterPartitionReassignments",
    "AlterReplicaLogDirs",
    "CreateAcls",
    "DeleteAcls",
    "DescribeUserScramCredentials",
    "ElectLeaders",
    "ListConfigResources",
    "OffsetForLeaderEpoch",
}
COMPLETE = {  # recorded in every version
    *("OffsetCommit", "OffsetFetch", "JoinGroup", "Heartbeat", "LeaveGroup", "SyncGroup"),
    *(
        "DescribeGroups",
        "ListGroups",
        "DeleteGroups",
        "OffsetDelete",
        "ConsumerGroupHeartbeat",
        "ConsumerGroupDescribe",
    ),
    *("AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers", "TxnOffsetCommit"),
    *("DescribeProducers", "DescribeTransactions", "ListTransactions"),
}
WITHOUT_ANSWER = {"DescribeLogDirs"}  # the session ended before it came


class Frame(NamedTuple):
    client: str
    key: int
    version: int
    direction: str
    body: bytes


@cache
def frames() -> tuple[Frame, ...]:
    with lzma.open(RECORDED, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return tuple(Frame(r["client"], r["api"], r["version"], r["dir"], bytes.fromhex(r["hex"])) for r in rows)


def of_api(key: int, direction: str) -> list[Frame]:
    return [frame for frame in frames() if frame.key == key and frame.direction == direction]


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.values())
def test_requests_come_back_byte_for_byte(key: int) -> None:
    request = message_pair(key)[0]
    for frame in of_api(key, "request"):
        header, position = decode_request_header(memoryview(frame.body))
        assert (header.api_key, header.api_version) == (frame.key, frame.version)
        message, end = request.decode_from(memoryview(frame.body), frame.version, position)
        assert end == len(frame.body), frame
        assert encode_request_header(header) + message.encode(frame.version) == frame.body, frame


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.values())
def test_responses_come_back_byte_for_byte(key: int) -> None:
    response = message_pair(key)[1]
    for frame in of_api(key, "response"):
        version = body_version(frame)
        correlation_id, position = decode_response_header(memoryview(frame.body), key, frame.version)
        message, end = response.decode_from(memoryview(frame.body), version, position)
        assert end == len(frame.body), frame
        head = encode_response_header(key, frame.version, correlation_id)
        assert head + message.encode(version) == frame.body, frame
        assert b"".join(message.encode_parts(version, head)) == frame.body, frame  # type: ignore[arg-type]


def body_version(frame: Frame) -> int:
    """The version of a response's body: that of the request, or 0 if it refuses that version of ApiVersions."""
    refused = frame.key == API_VERSIONS and frame.body[4:6] == ErrorCode.UNSUPPORTED_VERSION.to_bytes(2)
    return 0 if refused else frame.version


def test_a_version_of_api_versions_that_a_broker_lacks_is_refused_in_the_form_of_version_0() -> None:
    refusals = [frame for frame in of_api(API_VERSIONS, "response") if body_version(frame) != frame.version]
    assert refusals
    for frame in refusals:
        message = ApiVersionsResponse.decode(frame.body, 0, 4)
        assert message.error_code == ErrorCode.UNSUPPORTED_VERSION


def test_the_recordings_hold_requests_and_responses_of_nearly_every_api() -> None:
    recorded = {key: {frame.version for frame in frames() if frame.key == key} for key in API_NAMES}
    unused = {API_NAMES[key] for key, versions in recorded.items() if not versions}
    assert unused == NOT_RECORDED
    for key, versions in recorded.items():
        request, response = message_pair(key)
        assert set(request.versions) == versions or API_NAMES[key] not in COMPLETE
        for version in versions:
            assert version in request.versions, (request, version)
            directions = {frame.direction for frame in frames() if (frame.key, frame.version) == (key, version)}
            answered = API_NAMES[key] not in WITHOUT_ANSWER
            assert directions == {"request", "response"} if answered else {"request"}, (response, version)
