"""The control record that ends a transaction in a partition (KIP-98), and the keys of all control records.

A key is its version as int16 and the record's type as int16; the value of an end marker is its version as int16 and
the message. Newer versions are read as version 0, as fields are only ever added at the end.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ..errors import ProtocolError, UnsupportedVersion
from ..schema import Message, int32

if TYPE_CHECKING:
    from ..primitives import Buffer

KEY_BYTES = 4


class ControlRecordType(IntEnum):
    """Readers skip types that they do not know."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


_KNOWN_TYPES = frozenset(ControlRecordType)
# type -> key; only end markers are written outside of the metadata log
_MARKER_KEYS = {kind: bytes(2) + kind.to_bytes(2) for kind in (ControlRecordType.ABORT, ControlRecordType.COMMIT)}


class EndTxnMarker(Message, versions="0"):
    """`coordinator_epoch`: of the coordinator that ended the transaction; one of an older epoch is fenced."""

    coordinator_epoch: int = int32()


def encode_end_txn_marker(*, committed: bool, coordinator_epoch: int) -> tuple[bytes, bytes]:
    """Key and value of the one record in the control batch that ends a transaction. Raises EncodeError."""
    kind = ControlRecordType.COMMIT if committed else ControlRecordType.ABORT
    return _MARKER_KEYS[kind], bytes(2) + EndTxnMarker(coordinator_epoch=coordinator_epoch).encode(0)


def decode_control_type(key: Buffer | None) -> ControlRecordType | None:
    """The type in a control record's key; None for one that is not known. Raises ProtocolError for what is no key."""
    if key is None or len(key) < KEY_BYTES:
        raise ProtocolError(f"a control record's key has at least {KEY_BYTES} bytes, not {len(key or b'')}")
    version = int.from_bytes(key[:2], signed=True)
    if version < 0:
        raise UnsupportedVersion("control record key", version, range(1))
    number = int.from_bytes(key[2:4], signed=True)
    return ControlRecordType(number) if number in _KNOWN_TYPES else None


def decode_end_txn_marker(key: Buffer | None, value: Buffer | None) -> tuple[bool, EndTxnMarker]:
    """(committed, marker) of a control record. Raises ProtocolError, also for one of another type."""
    kind = decode_control_type(key)
    if kind not in _MARKER_KEYS:
        raise ProtocolError(
            f"a control record of {'unknown type' if kind is None else kind.name} does not end a transaction"
        )
    if value is None or len(value) < 2:
        raise ProtocolError("the value of an end marker is too short to tell its version")
    version = int.from_bytes(value[:2], signed=True)
    if version < 0:
        raise UnsupportedVersion(EndTxnMarker.__name__, version, EndTxnMarker.versions)
    return kind is ControlRecordType.COMMIT, EndTxnMarker.decode(value, 0, 2)
