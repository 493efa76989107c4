"""Fetch (key 1): read record batches from partitions, as a consumer or as a follower.

v4   the oldest that Kafka 4 reads: isolation level, last stable offset and aborted transactions (KIP-98)
v5   log start offsets
v7   fetch sessions: a request names only what changed since the last one (KIP-227)
v9   the client's leader epoch, to fence stale leaders and clients (KIP-320)
v10  zstd batches may come back (KIP-110)
v11  the client's rack; the leader may name a closer replica (KIP-392)
v12  flexible; epoch of the last fetched record, diverging epochs and current leader in the response (KIP-595)
v13  topic ids instead of names (KIP-516)
v14  a new error for offsets that moved to tiered storage (KIP-405)
v15  a follower's id and epoch move into a tagged struct (KIP-903)
v16  addresses of the current leaders (KIP-951)
v17  the follower's log directory (KIP-853)
v18  the high watermark that a follower has seen (KIP-1166)
"""

from ..primitives import Records
from ..schema import (
    DEFAULTS,
    ZERO_UUID,
    Message,
    array,
    int8,
    int16,
    int32,
    int64,
    nullable_string,
    records,
    string,
    struct,
    uuid,
)


class ReplicaState(Message):
    replica_id: int = int32("15+", default=-1)
    replica_epoch: int = int64("15+", default=-1)


class FetchPartition(Message):
    partition: int = int32()
    current_leader_epoch: int = int32("9+", default=-1, ignorable=True)
    fetch_offset: int = int64()
    last_fetched_epoch: int = int32("12+", default=-1)
    log_start_offset: int = int64("5+", default=-1, ignorable=True)
    partition_max_bytes: int = int32()
    replica_directory_id: bytes = uuid("17+", tag=0, default=ZERO_UUID, ignorable=True)
    high_watermark: int = int64("18+", tag=1, default=(1 << 63) - 1, ignorable=True)


class FetchTopic(Message):
    topic: str = string("0-12", default="", ignorable=True)
    topic_id: bytes = uuid("13+", default=ZERO_UUID, ignorable=True)
    partitions: list[FetchPartition] = array(FetchPartition)


class ForgottenTopic(Message):
    topic: str = string("7-12", default="", ignorable=True)
    topic_id: bytes = uuid("13+", default=ZERO_UUID, ignorable=True)
    partitions: list[int] = array(int32, "7+")


class FetchRequest(Message, key=1, versions="4-18", flexible="12+"):
    """`isolation_level`: 0 read up to the high watermark, 1 up to the last stable offset.

    `session_id` 0 with `session_epoch` 0 asks for a new session, epoch -1 for a fetch without one.
    """

    cluster_id: str | None = nullable_string("12+", tag=0, default=None, ignorable=True)
    replica_id: int = int32("0-14", default=-1)
    replica_state: ReplicaState = struct(ReplicaState, "15+", tag=1, default=DEFAULTS)
    max_wait_ms: int = int32()
    min_bytes: int = int32()
    max_bytes: int = int32("3+", default=0x7FFFFFFF, ignorable=True)
    isolation_level: int = int8("4+", default=0, ignorable=True)
    session_id: int = int32("7+", default=0, ignorable=True)
    session_epoch: int = int32("7+", default=-1, ignorable=True)
    topics: list[FetchTopic] = array(FetchTopic)
    forgotten_topics_data: list[ForgottenTopic] = array(ForgottenTopic, "7+", default=())
    rack_id: str = string("11+", default="", ignorable=True)


class EpochEndOffset(Message):
    epoch: int = int32("12+", default=-1)
    end_offset: int = int64("12+", default=-1)


class LeaderIdAndEpoch(Message):
    leader_id: int = int32("12+", default=-1)
    leader_epoch: int = int32("12+", default=-1)


class SnapshotId(Message):
    end_offset: int = int64(default=-1)
    epoch: int = int32(default=-1)


class AbortedTransaction(Message):
    producer_id: int = int64("4+")
    first_offset: int = int64("4+")


class PartitionData(Message):
    """`aborted_transactions` is None for read_uncommitted."""

    partition_index: int = int32()
    error_code: int = int16()
    high_watermark: int = int64()
    last_stable_offset: int = int64("4+", default=-1, ignorable=True)
    log_start_offset: int = int64("5+", default=-1, ignorable=True)
    diverging_epoch: EpochEndOffset = struct(EpochEndOffset, "12+", tag=0, default=DEFAULTS)
    current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, "12+", tag=1, default=DEFAULTS)
    snapshot_id: SnapshotId = struct(SnapshotId, "12+", tag=2, default=DEFAULTS)
    aborted_transactions: list[AbortedTransaction] | None = array(
        AbortedTransaction, "4+", nullable="4+", default=(), ignorable=True
    )
    preferred_read_replica: int = int32("11+", default=-1)
    records: Records | None = records(nullable="0+")


class FetchableTopicResponse(Message):
    topic: str = string("0-12", default="", ignorable=True)
    topic_id: bytes = uuid("13+", default=ZERO_UUID, ignorable=True)
    partitions: list[PartitionData] = array(PartitionData)


class NodeEndpoint(Message):
    node_id: int = int32("16+")
    host: str = string("16+")
    port: int = int32("16+")
    rack: str | None = nullable_string("16+", default=None)


class FetchResponse(Message, key=1, versions="4-18", flexible="12+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    error_code: int = int16("7+", default=0, ignorable=True)
    session_id: int = int32("7+", default=0)
    responses: list[FetchableTopicResponse] = array(FetchableTopicResponse)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "16+", tag=0, default=())
