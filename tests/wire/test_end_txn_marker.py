from __future__ import annotations

import pytest

from kbroker_wire.errors import EncodeError, ProtocolError, UnsupportedVersion
from kbroker_wire.messages.end_txn_marker import (
    ControlRecordType,
    EndTxnMarker,
    decode_control_type,
    decode_end_txn_marker,
    encode_end_txn_marker,
)

# Key and value of the markers that Apache Kafka 4.4.0 wrote for one transaction that committed and one that did not.
COMMITTED = bytes.fromhex("0000 0001"), bytes.fromhex("0000 00000000")
ABORTED = bytes.fromhex("0000 0000"), bytes.fromhex("0000 00000000")


def test_markers_are_those_that_kafka_writes() -> None:
    assert encode_end_txn_marker(committed=True, coordinator_epoch=0) == COMMITTED
    assert encode_end_txn_marker(committed=False, coordinator_epoch=0) == ABORTED


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("epoch", [0, 7, -1, (1 << 31) - 1])
def test_a_marker_is_read_as_it_was_written(committed: bool, epoch: int) -> None:
    key, value = encode_end_txn_marker(committed=committed, coordinator_epoch=epoch)
    assert decode_end_txn_marker(memoryview(key), memoryview(value)) == (
        committed,
        EndTxnMarker(coordinator_epoch=epoch),
    )


def test_newer_versions_are_read_by_what_they_begin_with() -> None:
    key, value = bytes.fromhex("0009 0001 ff"), bytes.fromhex("0009 00000003 ffff")
    assert decode_end_txn_marker(key, value) == (True, EndTxnMarker(coordinator_epoch=3))


def test_types_are_told_and_unknown_ones_are_none() -> None:
    assert decode_control_type(b"\0\0\0\2") is ControlRecordType.LEADER_CHANGE
    assert decode_control_type(b"\0\0\0\7") is None
    assert decode_control_type(b"\0\0\xff\xff") is None


@pytest.mark.parametrize(
    ("key", "value", "error", "problem"),
    [
        (None, None, ProtocolError, "at least 4 bytes, not 0"),
        ("000000", None, ProtocolError, "at least 4 bytes, not 3"),
        ("ffff 0000", None, UnsupportedVersion, "control record key has no version -1"),
        ("0000 0002", "0000 00000000", ProtocolError, "LEADER_CHANGE does not end a transaction"),
        ("0000 0009", "0000 00000000", ProtocolError, "unknown type does not end a transaction"),
        ("0000 0000", None, ProtocolError, "too short"),
        ("0000 0000", "00", ProtocolError, "too short"),
        ("0000 0000", "ffff 00000000", UnsupportedVersion, "EndTxnMarker has no version -1"),
        ("0000 0000", "0000 000000", ProtocolError, "ends inside the message"),
    ],
)
def test_what_is_no_marker_is_refused(
    key: str | None, value: str | None, error: type[ProtocolError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        decode_end_txn_marker(key and bytes.fromhex(key), value and bytes.fromhex(value))


def test_an_epoch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EncodeError, match="coordinator_epoch"):
        encode_end_txn_marker(committed=True, coordinator_epoch=1 << 31)
