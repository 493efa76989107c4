"""Produce (key 0): append record batches to partitions.

v3   the oldest that Kafka 4 reads; record batches of magic 2, transactional id. Brokers advertise 0 all the same,
     because librdkafka needs to see it (KAFKA-18659)
v5   the response tells the log start offset, so that an idempotent producer knows what a lost sequence means
v7   zstd batches (KIP-110)
v8   the response names the records that made a batch fail (KIP-467)
v9   flexible
v10  the response names the current leader and its address when the broker is not the leader (KIP-951)
v12  inside a transaction, producing also adds the partition to it (KIP-890)
v13  topic ids instead of names (KIP-516)
"""

from ..schema import (
    DEFAULTS,
    ZERO_UUID,
    Message,
    array,
    int16,
    int32,
    int64,
    nullable_string,
    records,
    string,
    struct,
    uuid,
)


class ProducePartition(Message):
    index: int = int32()
    records: bytes | memoryview | None = records(nullable="0+")


class ProduceTopic(Message):
    name: str = string("0-12", default="", ignorable=True)
    topic_id: bytes = uuid("13+", default=ZERO_UUID, ignorable=True)
    partition_data: list[ProducePartition] = array(ProducePartition)


class ProduceRequest(Message, key=0, versions="3-13", flexible="9+"):
    """`acks`: 0 no response at all, 1 when the leader has appended, -1 when all in-sync replicas have."""

    transactional_id: str | None = nullable_string("3+", default=None)
    acks: int = int16()
    timeout_ms: int = int32()
    topic_data: list[ProduceTopic] = array(ProduceTopic)


class BatchIndexAndErrorMessage(Message):
    batch_index: int = int32("8+")
    batch_index_error_message: str | None = nullable_string("8+", default=None)


class LeaderIdAndEpoch(Message):
    leader_id: int = int32("10+", default=-1)
    leader_epoch: int = int32("10+", default=-1)


class PartitionProduceResponse(Message):
    """`log_append_time_ms` is -1 unless the topic stamps records with the time of their arrival."""

    index: int = int32()
    error_code: int = int16()
    base_offset: int = int64()
    log_append_time_ms: int = int64("2+", default=-1, ignorable=True)
    log_start_offset: int = int64("5+", default=-1, ignorable=True)
    record_errors: list[BatchIndexAndErrorMessage] = array(BatchIndexAndErrorMessage, "8+", default=(), ignorable=True)
    error_message: str | None = nullable_string("8+", default=None, ignorable=True)
    current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, "10+", tag=0, default=DEFAULTS)


class TopicProduceResponse(Message):
    name: str = string("0-12", default="", ignorable=True)
    topic_id: bytes = uuid("13+", default=ZERO_UUID, ignorable=True)
    partition_responses: list[PartitionProduceResponse] = array(PartitionProduceResponse)


class NodeEndpoint(Message):
    node_id: int = int32("10+")
    host: str = string("10+")
    port: int = int32("10+")
    rack: str | None = nullable_string("10+", default=None)


class ProduceResponse(Message, key=0, versions="3-13", flexible="9+"):
    responses: list[TopicProduceResponse] = array(TopicProduceResponse)
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "10+", tag=0, default=())
