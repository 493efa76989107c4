"""DescribeTopicPartitions (key 75): topics and partitions page by page, with eligible leader replicas (KIP-966)."""

from ..schema import Message, array, boolean, int16, int32, nullable_string, string, struct, uuid

NO_AUTHORIZED_OPERATIONS = -(1 << 31)  # the bit field if no operations were asked for


class TopicRequest(Message):
    name: str = string()


class Cursor(Message):
    """The first topic and partition of the next page."""

    topic_name: str = string()
    partition_index: int = int32()


class DescribeTopicPartitionsRequest(Message, key=75, versions="0", flexible="0+"):
    """An empty list of topics asks for all of them."""

    topics: list[TopicRequest] = array(TopicRequest)
    response_partition_limit: int = int32(default=2000)
    cursor: Cursor | None = struct(Cursor, nullable="0+", default=None)


class DescribeTopicPartitionsPartition(Message):
    error_code: int = int16()
    partition_index: int = int32()
    leader_id: int = int32()
    leader_epoch: int = int32(default=-1, ignorable=True)
    replica_nodes: list[int] = array(int32)
    isr_nodes: list[int] = array(int32)
    eligible_leader_replicas: list[int] | None = array(int32, nullable="0+", default=None)
    last_known_elr: list[int] | None = array(int32, nullable="0+", default=None)
    offline_replicas: list[int] = array(int32, ignorable=True)


class DescribeTopicPartitionsTopic(Message):
    error_code: int = int16()
    name: str | None = nullable_string()
    topic_id: bytes = uuid(ignorable=True)
    is_internal: bool = boolean(default=False, ignorable=True)
    partitions: list[DescribeTopicPartitionsPartition] = array(DescribeTopicPartitionsPartition)
    topic_authorized_operations: int = int32(default=NO_AUTHORIZED_OPERATIONS)


class DescribeTopicPartitionsResponse(Message, key=75, versions="0", flexible="0+"):
    throttle_time_ms: int = int32(default=0, ignorable=True)
    topics: list[DescribeTopicPartitionsTopic] = array(DescribeTopicPartitionsTopic)
    next_cursor: Cursor | None = struct(Cursor, nullable="0+", default=None)
