"""OffsetForLeaderEpoch (key 23): where an epoch ends in the leader's log, and so where another log parts from it.

KIP-101 and KIP-279 say why a follower asks.

v2  the oldest that Kafka 4 reads: the client's leader epoch, to fence stale ones (KIP-320); throttle time
v3  the follower's id
v4  flexible
"""

from ..schema import Message, array, int16, int32, int64, string

DEBUGGING_CONSUMER = -2  # a replica id that may see offsets behind the high watermark


class OffsetForLeaderPartition(Message):
    partition: int = int32()
    current_leader_epoch: int = int32("2+", default=-1, ignorable=True)
    leader_epoch: int = int32()


class OffsetForLeaderTopic(Message):
    topic: str = string()
    partitions: list[OffsetForLeaderPartition] = array(OffsetForLeaderPartition)


class OffsetForLeaderEpochRequest(Message, key=23, versions="2-4", flexible="4+"):
    replica_id: int = int32("3+", default=DEBUGGING_CONSUMER, ignorable=True)
    topics: list[OffsetForLeaderTopic] = array(OffsetForLeaderTopic)


class EpochEndOffset(Message):
    """Both -1 if the leader has no such epoch and no older one."""

    error_code: int = int16()
    partition: int = int32()
    leader_epoch: int = int32("1+", default=-1, ignorable=True)
    end_offset: int = int64(default=-1)


class OffsetForLeaderTopicResult(Message):
    topic: str = string()
    partitions: list[EpochEndOffset] = array(EpochEndOffset)


class OffsetForLeaderEpochResponse(Message, key=23, versions="2-4", flexible="4+"):
    throttle_time_ms: int = int32("2+", default=0, ignorable=True)
    topics: list[OffsetForLeaderTopicResult] = array(OffsetForLeaderTopicResult)
