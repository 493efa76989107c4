"""DescribeLogDirs (key 35): the folders of a broker, and how large each partition in them is (KIP-113).

v1  the oldest that Kafka 4 reads
v2  flexible
v3  an error for the request as a whole
v4  size and free space of the disk that a folder is on (KIP-827)
v5  whether a folder takes no new partitions (KIP-1066)
"""

from ..schema import Message, array, boolean, int16, int32, int64, string

UNKNOWN_VOLUME_BYTES = -1


class DescribableLogDirTopic(Message):
    topic: str = string()
    partitions: list[int] = array(int32)


class DescribeLogDirsRequest(Message, key=35, versions="1-5", flexible="2+"):
    """`topics` is None to ask for all of them."""

    topics: list[DescribableLogDirTopic] | None = array(DescribableLogDirTopic, nullable="0+")


class DescribeLogDirsPartition(Message):
    """`partition_size` in bytes, of all its segments.

    `offset_lag`: records that a replica being moved here (`is_future_key`) has yet to copy, or between the log's end
    and its high watermark.
    """

    partition_index: int = int32()
    partition_size: int = int64()
    offset_lag: int = int64()
    is_future_key: bool = boolean()


class DescribeLogDirsTopic(Message):
    name: str = string()
    partitions: list[DescribeLogDirsPartition] = array(DescribeLogDirsPartition)


class DescribeLogDirsResult(Message):
    error_code: int = int16()
    log_dir: str = string()
    topics: list[DescribeLogDirsTopic] = array(DescribeLogDirsTopic)
    total_bytes: int = int64("4+", default=UNKNOWN_VOLUME_BYTES, ignorable=True)
    usable_bytes: int = int64("4+", default=UNKNOWN_VOLUME_BYTES, ignorable=True)
    is_cordoned: bool = boolean("5+", default=False, ignorable=True)


class DescribeLogDirsResponse(Message, key=35, versions="1-5", flexible="2+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16("3+", default=0, ignorable=True)
    results: list[DescribeLogDirsResult] = array(DescribeLogDirsResult)
