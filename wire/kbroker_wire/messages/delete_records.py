"""DeleteRecords (key 21): move the start of partitions up, so that older records are gone (KIP-107).

v1  answers are sent before a quota mutes the connection
v2  flexible
"""

from ..schema import Message, array, int16, int32, int64, string

HIGH_WATERMARK = -1  # as the offset: all that consumers can see


class DeleteRecordsPartition(Message):
    """`offset` will be the oldest that can be read."""

    partition_index: int = int32()
    offset: int = int64()


class DeleteRecordsTopic(Message):
    name: str = string()
    partitions: list[DeleteRecordsPartition] = array(DeleteRecordsPartition)


class DeleteRecordsRequest(Message, key=21, versions="0-2", flexible="2+"):
    topics: list[DeleteRecordsTopic] = array(DeleteRecordsTopic)
    timeout_ms: int = int32()


class DeleteRecordsPartitionResult(Message):
    """`low_watermark` is the smallest log start over all replicas that are alive, -1 beside an error."""

    partition_index: int = int32()
    low_watermark: int = int64()
    error_code: int = int16()


class DeleteRecordsTopicResult(Message):
    name: str = string()
    partitions: list[DeleteRecordsPartitionResult] = array(DeleteRecordsPartitionResult)


class DeleteRecordsResponse(Message, key=21, versions="0-2", flexible="2+"):
    throttle_time_ms: int = int32(default=0)
    topics: list[DeleteRecordsTopicResult] = array(DeleteRecordsTopicResult)
