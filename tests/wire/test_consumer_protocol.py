from __future__ import annotations

import pytest

from kbroker_wire.errors import ProtocolError, UnsupportedVersion
from kbroker_wire.messages.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)

OWNED = [TopicPartition(topic="t", partitions=[3])]
SUBSCRIPTION = ConsumerProtocolSubscription(
    topics=["t"], user_data=b"u", owned_partitions=OWNED, generation_id=5, rack_id="r"
)
# What each version adds to the one before.
PARTS = ["00000001 0001 74 00000001 75", "00000001 0001 74 00000001 00000003", "00000005", "0001 72"]
ASSIGNMENT = "00000001 0001 74 00000001 00000003 ffffffff"


@pytest.mark.parametrize("version", range(4))
def test_subscriptions_have_the_fields_of_their_version(version: int) -> None:
    encoded = version.to_bytes(2) + bytes.fromhex("".join(PARTS[: version + 1]))
    assert encode_subscription(SUBSCRIPTION, version) == encoded
    assert decode_subscription(memoryview(encoded)) == ConsumerProtocolSubscription(
        topics=["t"],
        user_data=b"u",
        owned_partitions=OWNED if version >= 1 else [],
        generation_id=5 if version >= 2 else -1,
        rack_id="r" if version >= 3 else None,
    )


@pytest.mark.parametrize("version", range(4))
def test_assignments_are_the_same_in_every_version(version: int) -> None:
    encoded = version.to_bytes(2) + bytes.fromhex(ASSIGNMENT)
    assignment = ConsumerProtocolAssignment(assigned_partitions=OWNED)
    assert encode_assignment(assignment, version) == encoded
    assert decode_assignment(encoded) == assignment


def test_the_highest_version_is_written_unless_another_is_asked_for() -> None:
    assert encode_subscription(SUBSCRIPTION) == encode_subscription(SUBSCRIPTION, 3)
    assert encode_assignment(ConsumerProtocolAssignment(assigned_partitions=[]))[:2] == b"\0\3"


def test_newer_versions_are_read_by_what_they_begin_with() -> None:
    newer = b"\x7f\xff" + encode_subscription(SUBSCRIPTION)[2:] + b"more"
    assert decode_subscription(newer) == SUBSCRIPTION
    assert decode_assignment(b"\0\4" + bytes.fromhex(ASSIGNMENT) + b"more").assigned_partitions == OWNED


@pytest.mark.parametrize("decode", [decode_subscription, decode_assignment])
@pytest.mark.parametrize(
    ("encoded", "error", "problem"),
    [
        ("", ProtocolError, "0 bytes are too few"),
        ("00", ProtocolError, "1 bytes are too few"),
        ("ffff 00000000 ffffffff", UnsupportedVersion, "has no version -1"),
        ("0001 0000", ProtocolError, "ends inside the message"),
        ("0000 7fffffff", ProtocolError, "elements announced"),
    ],
)
def test_bytes_that_are_neither_are_refused(
    decode: type, encoded: str, error: type[ProtocolError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        decode(bytes.fromhex(encoded))
