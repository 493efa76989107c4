"""ConsumerGroupHeartbeat (key 68): join, stay in and leave a group whose partitions the broker assigns (KIP-848).

v1  subscription by a regular expression; members choose their own id (KIP-1082)
"""

from ..schema import Message, array, int16, int32, nullable_string, string, struct, uuid


class TopicPartitions(Message):
    topic_id: bytes = uuid()
    partitions: list[int] = array(int32)


class ConsumerGroupHeartbeatRequest(Message, key=68, versions="0-1", flexible="0+"):
    """None, and -1 for the timeout, mean unchanged since the last heartbeat; the first one must say all.

    member_epoch      0 to join, -1 to leave, -2 to leave as a static member who comes back
    topic_partitions  what the member owns now
    """

    group_id: str = string()
    member_id: str = string()
    member_epoch: int = int32()
    instance_id: str | None = nullable_string(default=None)
    rack_id: str | None = nullable_string(default=None)
    rebalance_timeout_ms: int = int32(default=-1)
    subscribed_topic_names: list[str] | None = array(string, nullable="0+", default=None)
    subscribed_topic_regex: str | None = nullable_string("1+", default=None)
    server_assignor: str | None = nullable_string(default=None)
    topic_partitions: list[TopicPartitions] | None = array(TopicPartitions, nullable="0+", default=None)


class Assignment(Message):
    topic_partitions: list[TopicPartitions] = array(TopicPartitions)


class ConsumerGroupHeartbeatResponse(Message, key=68, versions="0-1", flexible="0+"):
    """`assignment` is None while it does not change."""

    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
    error_message: str | None = nullable_string(default=None)
    member_id: str | None = nullable_string(default=None)
    member_epoch: int = int32(default=0)
    heartbeat_interval_ms: int = int32(default=0)
    assignment: Assignment | None = struct(Assignment, nullable="0+", default=None)
