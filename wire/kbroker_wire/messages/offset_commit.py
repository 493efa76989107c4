"""OffsetCommit (key 8): how far a group has read.

v2   the oldest that Kafka 4 reads
v3   throttle time
v5   no retention of the request's own any more: `offsets.retention.minutes` alone (KIP-211)
v6   leader epochs (KIP-320)
v7   static members, told by their instance id (KIP-345)
v8   flexible
v9   the oldest for groups of the consumer protocol; new errors, STALE_MEMBER_EPOCH and GROUP_ID_NOT_FOUND (KIP-848)
v10  topic ids instead of names
"""

from ..schema import ZERO_UUID, Message, array, int16, int32, int64, nullable_string, string, uuid


class OffsetCommitRequestPartition(Message):
    partition_index: int = int32()
    committed_offset: int = int64()
    committed_leader_epoch: int = int32("6+", default=-1, ignorable=True)
    committed_metadata: str | None = nullable_string()


class OffsetCommitRequestTopic(Message):
    name: str = string("0-9", default="", ignorable=True)
    topic_id: bytes = uuid("10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetCommitRequestPartition] = array(OffsetCommitRequestPartition)


class OffsetCommitRequest(Message, key=8, versions="2-10", flexible="8+"):
    """A commit from outside of the group's membership has an empty `member_id` and a negative generation.

    generation_id_or_member_epoch  of a classic group its generation, of the consumer protocol the member's epoch
    retention_time_ms              -1 for the broker's own
    """

    group_id: str = string()
    generation_id_or_member_epoch: int = int32("1+", default=-1, ignorable=True)
    member_id: str = string("1+", default="", ignorable=True)
    group_instance_id: str | None = nullable_string("7+", default=None)
    retention_time_ms: int = int64("2-4", default=-1, ignorable=True)
    topics: list[OffsetCommitRequestTopic] = array(OffsetCommitRequestTopic)


class OffsetCommitResponsePartition(Message):
    partition_index: int = int32()
    error_code: int = int16()


class OffsetCommitResponseTopic(Message):
    name: str = string("0-9", default="", ignorable=True)
    topic_id: bytes = uuid("10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetCommitResponsePartition] = array(OffsetCommitResponsePartition)


class OffsetCommitResponse(Message, key=8, versions="2-10", flexible="8+"):
    throttle_time_ms: int = int32("3+", default=0, ignorable=True)
    topics: list[OffsetCommitResponseTopic] = array(OffsetCommitResponseTopic)
