"""Messages, and fields of messages, that the installed definitions lack; in the shape that they have there.

A field is written `name type versions`, then `?` when it may be null (its default is null then) or `= default`.
"""

from collections.abc import Mapping

Spec = dict[str, object]


def _field(line: str, inner: Mapping[str, list[Spec]]) -> Spec:
    words = line.split()
    name, kind, versions = words[:3]
    spec: Spec = {"name": name, "type": kind, "versions": versions}
    if "?" in words:
        spec |= {"nullableVersions": versions, "default": "null"}
    if "=" in words:
        spec["default"] = words[words.index("=") + 1]
    kind = kind.removeprefix("[]")
    if kind in inner:
        spec["fields"] = inner[kind]
    return spec


def _fields(text: str, **inner: list[Spec]) -> list[Spec]:
    return [_field(line, inner) for line in text.strip().splitlines()]


def _message(key: int, fields: list[Spec], versions: str = "0-1", flexible: str = "0+") -> Spec:
    return {"apiKey": key, "validVersions": versions, "flexibleVersions": flexible, "fields": fields}


_OWNED = _fields("TopicId uuid 0+\nPartitions []int32 0+")
_NAMED = _fields("TopicId uuid 0+\nTopicName string 0+\nPartitions []int32 0+")
_ASSIGNMENT = _fields("TopicPartitions []TopicPartitions 0+", TopicPartitions=_OWNED)
_DESCRIBED_ASSIGNMENT = _fields("TopicPartitions []TopicPartitions 0+", TopicPartitions=_NAMED)
_MEMBER = _fields(
    """
    MemberId string 0+
    InstanceId string 0+ ?
    RackId string 0+ ?
    MemberEpoch int32 0+
    ClientId string 0+
    ClientHost string 0+
    SubscribedTopicNames []string 0+
    SubscribedTopicRegex string 0+ ?
    Assignment Assignment 0+
    TargetAssignment Assignment 0+
    MemberType int8 1+ = -1
    """,
    Assignment=_DESCRIBED_ASSIGNMENT,
)
_GROUP = _fields(
    """
    ErrorCode int16 0+
    ErrorMessage string 0+ ?
    GroupId string 0+
    GroupState string 0+
    GroupEpoch int32 0+
    AssignmentEpoch int32 0+
    AssignorName string 0+
    Members []Member 0+
    AuthorizedOperations int32 0+ = -2147483648
    """,
    Member=_MEMBER,
)

_COMMITTED = _fields(
    """
    PartitionIndex int32 0+
    CommittedOffset int64 0+
    CommittedLeaderEpoch int32 2+ = -1
    CommittedMetadata string 0+ ?
    """
)
_COMMITTED_TOPIC = _fields(
    """
    Name string 0-5
    TopicId uuid 6+
    Partitions []Partition 0+
    """,
    Partition=_COMMITTED,
)
_REFUSED_TOPIC = _fields(
    """
    Name string 0-5
    TopicId uuid 6+
    Partitions []Partition 0+
    """,
    Partition=_fields("PartitionIndex int32 0+\nErrorCode int16 0+"),
)

MESSAGES: Mapping[str, Spec] = {
    "ConsumerGroupHeartbeatRequest": _message(
        68,
        _fields(
            """
            GroupId string 0+
            MemberId string 0+
            MemberEpoch int32 0+
            InstanceId string 0+ ?
            RackId string 0+ ?
            RebalanceTimeoutMs int32 0+ = -1
            SubscribedTopicNames []string 0+ ?
            SubscribedTopicRegex string 1+ ?
            ServerAssignor string 0+ ?
            TopicPartitions []TopicPartitions 0+ ?
            """,
            TopicPartitions=_OWNED,
        ),
    ),
    "ConsumerGroupHeartbeatResponse": _message(
        68,
        _fields(
            """
            ThrottleTimeMs int32 0+
            ErrorCode int16 0+
            ErrorMessage string 0+ ?
            MemberId string 0+ ?
            MemberEpoch int32 0+
            HeartbeatIntervalMs int32 0+
            Assignment Assignment 0+ ?
            """,
            Assignment=_ASSIGNMENT,
        ),
    ),
    "TxnOffsetCommitRequest": _message(
        28,
        _fields(
            """
            TransactionalId string 0+
            GroupId string 0+
            ProducerId int64 0+
            ProducerEpoch int16 0+
            GenerationIdOrMemberEpoch int32 3+ = -1
            MemberId string 3+
            GroupInstanceId string 3+ ?
            Topics []Topic 0+
            """,
            Topic=_COMMITTED_TOPIC,
        ),
        "0-6",
        "3+",
    ),
    "TxnOffsetCommitResponse": _message(
        28, _fields("ThrottleTimeMs int32 0+\nTopics []Topic 0+", Topic=_REFUSED_TOPIC), "0-6", "3+"
    ),
    "ConsumerGroupDescribeRequest": _message(69, _fields("GroupIds []string 0+\nIncludeAuthorizedOperations bool 0+")),
    "ConsumerGroupDescribeResponse": _message(
        69, _fields("ThrottleTimeMs int32 0+\nGroups []DescribedGroup 0+", DescribedGroup=_GROUP)
    ),
}

# ApiVersions 5 (KIP-1242): the definitions stop at version 4.
FIELDS: Mapping[str, list[Spec]] = {
    "ApiVersionsRequest": [
        {"name": "ClusterId", "type": "string", "versions": "5+", "nullableVersions": "5+", "default": "null"},
        {"name": "NodeId", "type": "int32", "versions": "5+", "default": "-1"},
    ],
}
