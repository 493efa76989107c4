"""ListOffsets (key 2): the first offset at or after a timestamp; negative timestamps ask for special offsets.

v1   one offset for each partition, with its timestamp
v2   isolation level; throttle time
v4   leader epochs (KIP-320)
v5   a new error, OFFSET_NOT_AVAILABLE, while a new leader does not know the high watermark (KIP-207)
v6   flexible
v7   the offset of the largest timestamp (KIP-734)
v8   the first offset that is still on local disk (KIP-405)
v9   the last offset in tiered storage (KIP-1005)
v10  the client's time limit, for answers that must ask tiered storage (KIP-1075)
v11  the first offset not yet in tiered storage (KIP-1023)
"""

from ..schema import Message, array, int8, int16, int32, int64, string

LATEST_TIMESTAMP = -1  # the high watermark, or for read_committed the last stable offset
EARLIEST_TIMESTAMP = -2
MAX_TIMESTAMP = -3
EARLIEST_LOCAL_TIMESTAMP = -4
LATEST_TIERED_TIMESTAMP = -5
EARLIEST_PENDING_UPLOAD_TIMESTAMP = -6


class ListOffsetsPartition(Message):
    partition_index: int = int32()
    current_leader_epoch: int = int32("4+", default=-1, ignorable=True)
    timestamp: int = int64()


class ListOffsetsTopic(Message):
    name: str = string()
    partitions: list[ListOffsetsPartition] = array(ListOffsetsPartition)


class ListOffsetsRequest(Message, key=2, versions="1-11", flexible="6+"):
    """`replica_id` is -1 for consumers."""

    replica_id: int = int32()
    isolation_level: int = int8("2+", default=0)
    topics: list[ListOffsetsTopic] = array(ListOffsetsTopic)
    timeout_ms: int = int32("10+", default=0, ignorable=True)


class ListOffsetsPartitionResponse(Message):
    partition_index: int = int32()
    error_code: int = int16()
    timestamp: int = int64("1+", default=-1)
    offset: int = int64("1+", default=-1)
    leader_epoch: int = int32("4+", default=-1)


class ListOffsetsTopicResponse(Message):
    name: str = string()
    partitions: list[ListOffsetsPartitionResponse] = array(ListOffsetsPartitionResponse)


class ListOffsetsResponse(Message, key=2, versions="1-11", flexible="6+"):
    throttle_time_ms: int = int32("2+", default=0, ignorable=True)
    topics: list[ListOffsetsTopicResponse] = array(ListOffsetsTopicResponse)
