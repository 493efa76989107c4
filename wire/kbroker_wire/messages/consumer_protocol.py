"""What consumers put into JoinGroup and SyncGroup, whose bytes brokers hand on unread: subscription and assignment.

Both stand behind their version as int16. A broker reads them where it must know which topics a classic group consumes,
and where classic members and those of the consumer protocol share a group (KIP-848).

v1  the partitions that the member owns (KIP-429)
v2  the generation in which it owned them
v3  rack (KIP-881)

A newer version is read as v3, as fields are only ever added at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..errors import ProtocolError, UnsupportedVersion
from ..schema import Message, array, int32, nullable_data, nullable_string, string

if TYPE_CHECKING:
    from ..primitives import Buffer

M = TypeVar("M", bound=Message)

HIGHEST_VERSION = 3


class TopicPartition(Message):
    topic: str = string()
    partitions: list[int] = array(int32)


class ConsumerProtocolSubscription(Message, versions="0-3"):
    """`user_data` is the assignor's own. `generation_id` is -1 for none, `rack_id` None or "" for none."""

    topics: list[str] = array(string)
    user_data: bytes | None = nullable_data(default=None)
    owned_partitions: list[TopicPartition] = array(TopicPartition, "1+", default=(), ignorable=True)
    generation_id: int = int32("2+", default=-1, ignorable=True)
    rack_id: str | None = nullable_string("3+", default=None, ignorable=True)


class ConsumerProtocolAssignment(Message, versions="0-3"):
    assigned_partitions: list[TopicPartition] = array(TopicPartition)
    user_data: bytes | None = nullable_data(default=None)


def encode_subscription(subscription: ConsumerProtocolSubscription, version: int = HIGHEST_VERSION) -> bytes:
    """Raises EncodeError. What the version has no room for is left out."""
    return version.to_bytes(2) + subscription.encode(version)


def decode_subscription(metadata: Buffer) -> ConsumerProtocolSubscription:
    """Of the metadata of a JoinGroup protocol. Bytes behind it are ignored. Raises ProtocolError."""
    return _decode(ConsumerProtocolSubscription, metadata)


def encode_assignment(assignment: ConsumerProtocolAssignment, version: int = HIGHEST_VERSION) -> bytes:
    """Raises EncodeError."""
    return version.to_bytes(2) + assignment.encode(version)


def decode_assignment(assignment: Buffer) -> ConsumerProtocolAssignment:
    """Of the assignment in SyncGroup. Bytes behind it are ignored. Raises ProtocolError."""
    return _decode(ConsumerProtocolAssignment, assignment)


def _decode(table: type[M], data: Buffer) -> M:
    if len(data) < 2:
        raise ProtocolError(f"{table.__name__}: {len(data)} bytes are too few to tell the version")
    version = int.from_bytes(data[:2], signed=True)
    if version < 0:
        raise UnsupportedVersion(table.__name__, version, table.versions)
    return table.decode(data, min(version, HIGHEST_VERSION), 2)
