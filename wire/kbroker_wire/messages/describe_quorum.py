"""DescribeQuorum (key 55): who keeps the metadata log, and how far each has come (KIP-595).

v1  when each replica last fetched, and last had caught up (KIP-836)
v2  folders and addresses of the voters, and error messages (KIP-853)
"""

from ..schema import ZERO_UUID, Message, array, int16, int32, int64, nullable_string, string, uint16, uuid


class PartitionRequest(Message):
    partition_index: int = int32()


class TopicRequest(Message):
    topic_name: str = string()
    partitions: list[PartitionRequest] = array(PartitionRequest)


class DescribeQuorumRequest(Message, key=55, versions="0-2", flexible="0+"):
    topics: list[TopicRequest] = array(TopicRequest)


class ReplicaState(Message):
    """Timestamps in ms since 1970, -1 if unknown."""

    replica_id: int = int32()
    replica_directory_id: bytes = uuid("2+", default=ZERO_UUID)
    log_end_offset: int = int64()
    last_fetch_timestamp: int = int64("1+", default=-1, ignorable=True)
    last_caught_up_timestamp: int = int64("1+", default=-1, ignorable=True)


class PartitionData(Message):
    partition_index: int = int32()
    error_code: int = int16()
    error_message: str | None = nullable_string("2+", nullable="2+", default="", ignorable=True)
    leader_id: int = int32(default=0)
    leader_epoch: int = int32(default=0)
    high_watermark: int = int64(default=0)
    current_voters: list[ReplicaState] = array(ReplicaState, default=())
    observers: list[ReplicaState] = array(ReplicaState, default=())


class TopicData(Message):
    topic_name: str = string()
    partitions: list[PartitionData] = array(PartitionData)


class Listener(Message):
    name: str = string("2+")
    host: str = string("2+")
    port: int = uint16("2+")


class Node(Message):
    node_id: int = int32("2+")
    listeners: list[Listener] = array(Listener, "2+")


class DescribeQuorumResponse(Message, key=55, versions="0-2", flexible="0+"):
    error_code: int = int16()
    error_message: str | None = nullable_string("2+", nullable="2+", default="", ignorable=True)
    topics: list[TopicData] = array(TopicData)
    nodes: list[Node] = array(Node, "2+", default=())
