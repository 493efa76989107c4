"""The headers in front of every request and response body.

A request header is v1, or v2 (tagged fields) where the request's version is flexible; its client id is never compact,
so that any broker can read the header of any ApiVersions request. A response header is v0, or v1 (tagged fields) where
the version is flexible; for ApiVersions it is always v0: a client can not know yet what the broker speaks (KIP-511).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from .errors import ProtocolError
from .primitives import MAX_STRING_BYTES
from .schema import NO_VERSION_LIMIT
from .varints import read_unsigned_varint

if TYPE_CHECKING:
    from .primitives import Buffer

API_VERSIONS = 18
NEVER = NO_VERSION_LIMIT

# API key -> the first flexible version, for every API of Apache Kafka 4.4.0, so that a proxy reads headers of APIs
# whose messages it does not know.
FLEXIBLE_FROM = {
    0: 9,  # Produce
    1: 12,  # Fetch
    2: 6,  # ListOffsets
    3: 9,  # Metadata
    8: 8,  # OffsetCommit
    9: 6,  # OffsetFetch
    10: 3,  # FindCoordinator
    11: 6,  # JoinGroup
    12: 4,  # Heartbeat
    13: 4,  # LeaveGroup
    14: 4,  # SyncGroup
    15: 5,  # DescribeGroups
    16: 3,  # ListGroups
    17: NEVER,  # SaslHandshake
    18: 3,  # ApiVersions
    19: 5,  # CreateTopics
    20: 4,  # DeleteTopics
    21: 2,  # DeleteRecords
    22: 2,  # InitProducerId
    23: 4,  # OffsetForLeaderEpoch
    24: 3,  # AddPartitionsToTxn
    25: 3,  # AddOffsetsToTxn
    26: 3,  # EndTxn
    27: 1,  # WriteTxnMarkers
    28: 3,  # TxnOffsetCommit
    29: 2,  # DescribeAcls
    30: 2,  # CreateAcls
    31: 2,  # DeleteAcls
    32: 4,  # DescribeConfigs
    33: 2,  # AlterConfigs
    34: 2,  # AlterReplicaLogDirs
    35: 2,  # DescribeLogDirs
    36: 2,  # SaslAuthenticate
    37: 2,  # CreatePartitions
    38: 2,  # CreateDelegationToken
    39: 2,  # RenewDelegationToken
    40: 2,  # ExpireDelegationToken
    41: 2,  # DescribeDelegationToken
    42: 2,  # DeleteGroups
    43: 2,  # ElectLeaders
    44: 1,  # IncrementalAlterConfigs
    45: 0,  # AlterPartitionReassignments
    46: 0,  # ListPartitionReassignments
    47: NEVER,  # OffsetDelete
    48: 1,  # DescribeClientQuotas
    49: 1,  # AlterClientQuotas
    50: 0,  # DescribeUserScramCredentials
    51: 0,  # AlterUserScramCredentials
    52: 0,  # Vote
    53: 1,  # BeginQuorumEpoch
    54: 1,  # EndQuorumEpoch
    55: 0,  # DescribeQuorum
    56: 0,  # AlterPartition
    57: 0,  # UpdateFeatures
    58: 0,  # Envelope
    59: 0,  # FetchSnapshot
    60: 0,  # DescribeCluster
    61: 0,  # DescribeProducers
    62: 0,  # BrokerRegistration
    63: 0,  # BrokerHeartbeat
    64: 0,  # UnregisterBroker
    65: 0,  # DescribeTransactions
    66: 0,  # ListTransactions
    67: 0,  # AllocateProducerIds
    68: 0,  # ConsumerGroupHeartbeat
    69: 0,  # ConsumerGroupDescribe
    70: 0,  # ControllerRegistration
    71: 0,  # GetTelemetrySubscriptions
    72: 0,  # PushTelemetry
    73: 0,  # AssignReplicasToDirs
    74: 0,  # ListConfigResources
    75: 0,  # DescribeTopicPartitions
    76: 0,  # ShareGroupHeartbeat
    77: 0,  # ShareGroupDescribe
    78: 0,  # ShareFetch
    79: 0,  # ShareAcknowledge
    80: 0,  # AddRaftVoter
    81: 0,  # RemoveRaftVoter
    82: 0,  # UpdateRaftVoter
    83: 0,  # InitializeShareGroupState
    84: 0,  # ReadShareGroupState
    85: 0,  # WriteShareGroupState
    86: 0,  # DeleteShareGroupState
    87: 0,  # ReadShareGroupStateSummary
    88: 0,  # StreamsGroupHeartbeat
    89: 0,  # StreamsGroupDescribe
    90: 0,  # DescribeShareGroupOffsets
    91: 0,  # AlterShareGroupOffsets
    92: 0,  # DeleteShareGroupOffsets
    93: 0,  # StreamsGroupTopologyDescriptionUpdate
    94: 0,  # UnregisterController
}

_FIXED_PART = struct.Struct(">hhih")  # key, version, correlation id, bytes of the client id
_CORRELATION_ID = struct.Struct(">i")
_new_tuple = tuple.__new__

MOST_TAGS = 1024  # of a header: Kafka's have none so far


class RequestHeader(NamedTuple):
    """`correlation_id` is the client's number for the request and comes back in the response's header."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None


def decode_request_header(frame: Buffer) -> tuple[RequestHeader, int]:
    """The header of a frame (without its length prefix), and where the body starts.

    The header of an unknown API key is read as v1. Key and version are not checked: they are what the peer asks for.
    Raises ProtocolError.
    """
    try:
        key, version, correlation_id, length = _FIXED_PART.unpack_from(frame)
        position = 10
        if length >= 0:
            position += length
            if position > len(frame):
                raise ProtocolError(f"request header: client id of {length} bytes, {len(frame) - 10} left")
            client_id = str(frame[10:position], "utf-8")
        elif length == -1:
            client_id = None
        else:
            raise ProtocolError(f"request header: client id of {length} bytes")
        if version >= FLEXIBLE_FROM.get(key, NEVER):
            if frame[position]:
                position = _skip_tags(frame, position)
            else:
                position += 1
    except (struct.error, IndexError):
        raise ProtocolError(f"request header: the data ends after {len(frame)} bytes") from None
    except UnicodeDecodeError as error:
        raise ProtocolError(f"request header: client id: {error}") from None
    return _new_tuple(RequestHeader, (key, version, correlation_id, client_id)), position


def encode_request_header(header: RequestHeader) -> bytes:
    """Raises ValueError for a client id longer than 32,767 bytes."""
    key, version, correlation_id, client_id = header
    text = b"" if client_id is None else client_id.encode()
    if len(text) > MAX_STRING_BYTES:
        raise ValueError(f"a client id of {len(text)} bytes (at most {MAX_STRING_BYTES})")
    length = -1 if client_id is None else len(text)
    tags = b"\0" if version >= FLEXIBLE_FROM.get(key, NEVER) else b""
    return _FIXED_PART.pack(key, version, correlation_id, length) + text + tags


def encode_response_header(api_key: int, api_version: int, correlation_id: int) -> bytes:
    if api_version >= FLEXIBLE_FROM.get(api_key, NEVER) and api_key != API_VERSIONS:
        return _CORRELATION_ID.pack(correlation_id) + b"\0"
    return _CORRELATION_ID.pack(correlation_id)


def decode_response_header(frame: Buffer, api_key: int, api_version: int) -> tuple[int, int]:
    """The correlation id, and where the body starts; key and version are those of the request. Raises ProtocolError."""
    try:
        (correlation_id,) = _CORRELATION_ID.unpack_from(frame)
        position = 4
        if api_version >= FLEXIBLE_FROM.get(api_key, NEVER) and api_key != API_VERSIONS:
            position = _skip_tags(frame, position)
    except (struct.error, IndexError):
        raise ProtocolError(f"response header: the data ends after {len(frame)} bytes") from None
    return correlation_id, position


def _skip_tags(frame: Buffer, position: int) -> int:
    count, position = read_unsigned_varint(frame, position)
    if count > MOST_TAGS:
        raise ProtocolError(f"header: {count} tags (at most {MOST_TAGS})")
    seen = set()
    for _ in range(count):
        tag, position = read_unsigned_varint(frame, position)
        size, position = read_unsigned_varint(frame, position)
        position += size
        if tag in seen:
            raise ProtocolError(f"header: tag {tag} comes twice")
        seen.add(tag)
        if position > len(frame):
            raise ProtocolError(f"header: tag {tag} has {size} bytes, {size + len(frame) - position} left")
    return position
