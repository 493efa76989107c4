"""Records of `__consumer_offsets`: committed offsets and groups, as the group coordinator keeps them in its log.

Each record is a pair of tables, key and value; a value of None removes what the key names. The number of the key's type
and the version of the value stand before the bodies (`coordinator_records`). Times are milliseconds since 1970.

A classic group is one GroupMetadata record, replaced at every generation. A group of the consumer protocol (KIP-848) is
many: its epoch, each member, the target assignment's epoch and its part for each member, what each member owns now, and
what its regular expressions stand for.
"""

from ..schema import (
    ZERO_UUID,
    Message,
    array,
    data,
    int8,
    int32,
    int64,
    nullable_string,
    string,
    struct,
    uuid,
)


class OffsetCommitKey(Message, versions="0"):
    group: str = string()
    topic: str = string()
    partition: int = int32()


class OffsetCommitValue(Message, versions="0-4", flexible="4+"):
    """v1 alone has `expire_timestamp`, which is set when the client asks for a retention (OffsetCommit v2-4).

    topic_id  ZERO_UUID where it is not known: the commit was written before v4, or as v1
    """

    offset: int = int64()
    leader_epoch: int = int32("3+", default=-1, ignorable=True)
    metadata: str = string()
    commit_timestamp: int = int64()
    expire_timestamp: int = int64("1", default=-1, ignorable=True)
    topic_id: bytes = uuid("4+", tag=0, default=ZERO_UUID, ignorable=True)


class GroupMetadataKey(Message, versions="0"):
    group: str = string()


class MemberMetadata(Message):
    """Timeouts in ms; `subscription` and `assignment` are the client's own bytes (`consumer_protocol`)."""

    member_id: str = string()
    group_instance_id: str | None = nullable_string("3+", default=None, ignorable=True)
    client_id: str = string()
    client_host: str = string()
    rebalance_timeout: int = int32("1+", default=-1, ignorable=True)
    session_timeout: int = int32()
    subscription: bytes = data()
    assignment: bytes = data()


class GroupMetadataValue(Message, versions="0-4", flexible="4+"):
    protocol_type: str = string()
    generation: int = int32()
    protocol: str | None = nullable_string()
    leader: str | None = nullable_string()
    current_state_timestamp: int = int64("2+", default=-1, ignorable=True)
    members: list[MemberMetadata] = array(MemberMetadata)


class ConsumerGroupMetadataKey(Message, versions="0"):
    group_id: str = string()


class ConsumerGroupMetadataValue(Message, versions="0", flexible="0+"):
    """`metadata_hash` changes with the topics that the group subscribes to (KIP-1101)."""

    epoch: int = int32()
    metadata_hash: int = int64(tag=0, default=0)


class ConsumerGroupPartitionMetadataKey(Message, versions="0"):
    group_id: str = string()


class PartitionMetadata(Message):
    partition: int = int32()
    racks: list[str] = array(string)


class TopicMetadata(Message):
    topic_id: bytes = uuid()
    topic_name: str = string()
    num_partitions: int = int32()
    partition_metadata: list[PartitionMetadata] = array(PartitionMetadata)


class ConsumerGroupPartitionMetadataValue(Message, versions="0", flexible="0+"):
    """What Kafka 4.0 wrote in place of `metadata_hash`; removed from the log since (KIP-1101)."""

    topics: list[TopicMetadata] = array(TopicMetadata)


class ConsumerGroupMemberMetadataKey(Message, versions="0"):
    group_id: str = string()
    member_id: str = string()


class ClassicProtocol(Message):
    name: str = string()
    metadata: bytes = data()


class ClassicMemberMetadata(Message):
    session_timeout_ms: int = int32()
    supported_protocols: list[ClassicProtocol] = array(ClassicProtocol)


class ConsumerGroupMemberMetadataValue(Message, versions="0", flexible="0+"):
    """A `subscribed_topic_regex` of None or "" is none.

    classic_member_metadata  None unless the member speaks the classic protocol inside a consumer group; where the
                             wire has none, it is one without protocols, as in Kafka
    """

    instance_id: str | None = nullable_string()
    rack_id: str | None = nullable_string()
    client_id: str = string()
    client_host: str = string()
    subscribed_topic_names: list[str] = array(string)
    subscribed_topic_regex: str | None = nullable_string()
    rebalance_timeout_ms: int = int32(default=-1)
    server_assignor: str | None = nullable_string()
    classic_member_metadata: ClassicMemberMetadata | None = struct(ClassicMemberMetadata, nullable="0+", tag=0)


class ConsumerGroupTargetAssignmentMetadataKey(Message, versions="0"):
    group_id: str = string()


class ConsumerGroupTargetAssignmentMetadataValue(Message, versions="0", flexible="0+"):
    """`assignment_timestamp`: when the assignor had finished (KIP-1263)."""

    assignment_epoch: int = int32()
    assignment_timestamp: int = int64(tag=0, default=0, ignorable=True)


class ConsumerGroupTargetAssignmentMemberKey(Message, versions="0"):
    group_id: str = string()
    member_id: str = string()


class TargetPartitions(Message):
    topic_id: bytes = uuid()
    partitions: list[int] = array(int32)


class ConsumerGroupTargetAssignmentMemberValue(Message, versions="0", flexible="0+"):
    topic_partitions: list[TargetPartitions] = array(TargetPartitions)


class ConsumerGroupCurrentMemberAssignmentKey(Message, versions="0"):
    group_id: str = string()
    member_id: str = string()


class CurrentPartitions(Message):
    """`assignment_epochs`: the member epoch at which each of `partitions` was given, to fence older commits.

    None is not known; where the wire has none, it is empty.
    """

    topic_id: bytes = uuid()
    partitions: list[int] = array(int32)
    assignment_epochs: list[int] | None = array(int32, nullable="0+", tag=0)


class ConsumerGroupCurrentMemberAssignmentValue(Message, versions="0", flexible="0+"):
    """`state`: 0 stable, 1 has partitions to give up, 2 waits for partitions that others have yet to give up."""

    member_epoch: int = int32()
    previous_member_epoch: int = int32()
    state: int = int8()
    assigned_partitions: list[CurrentPartitions] = array(CurrentPartitions)
    partitions_pending_revocation: list[CurrentPartitions] = array(CurrentPartitions)


class ConsumerGroupRegularExpressionKey(Message, versions="0"):
    group_id: str = string()
    regular_expression: str = string()


class ConsumerGroupRegularExpressionValue(Message, versions="0", flexible="0+"):
    """The topics that match, as of version `version` of the cluster's metadata."""

    topics: list[str] = array(string)
    version: int = int64()
    timestamp: int = int64()
