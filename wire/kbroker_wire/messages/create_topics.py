"""CreateTopics (key 19).

v2  the oldest that Kafka 4 reads
v4  the broker's defaults for partitions and replicas, asked for by -1 (KIP-464)
v5  flexible; the response shows the new topic's size and configuration (KIP-525)
v6  may be refused by a quota, THROTTLING_QUOTA_EXCEEDED (KIP-599)
v7  the response has the topic id (KIP-516)
"""

from ..schema import ZERO_UUID, Message, array, boolean, int8, int16, int32, nullable_string, string, uuid


class CreatableReplicaAssignment(Message):
    partition_index: int = int32()
    broker_ids: list[int] = array(int32)


class CreatableTopicConfig(Message):
    name: str = string()
    value: str | None = nullable_string()


class CreatableTopic(Message):
    """`num_partitions` and `replication_factor` are -1 for the broker's default, or where `assignments` is given."""

    name: str = string()
    num_partitions: int = int32()
    replication_factor: int = int16()
    assignments: list[CreatableReplicaAssignment] = array(CreatableReplicaAssignment)
    configs: list[CreatableTopicConfig] = array(CreatableTopicConfig)


class CreateTopicsRequest(Message, key=19, versions="2-7", flexible="5+"):
    topics: list[CreatableTopic] = array(CreatableTopic)
    timeout_ms: int = int32(default=60_000)
    validate_only: bool = boolean("1+", default=False)


class CreatableTopicConfigs(Message):
    name: str = string("5+")
    value: str | None = nullable_string("5+")
    read_only: bool = boolean("5+")
    config_source: int = int8("5+", default=-1, ignorable=True)
    is_sensitive: bool = boolean("5+")


class CreatableTopicResult(Message):
    """`topic_config_error_code` says why `configs` is missing for somebody who may create but not describe."""

    name: str = string()
    topic_id: bytes = uuid("7+", default=ZERO_UUID, ignorable=True)
    error_code: int = int16()
    error_message: str | None = nullable_string("1+", nullable="0+", default="", ignorable=True)
    topic_config_error_code: int = int16("5+", tag=0, default=0, ignorable=True)
    num_partitions: int = int32("5+", default=-1, ignorable=True)
    replication_factor: int = int16("5+", default=-1, ignorable=True)
    configs: list[CreatableTopicConfigs] | None = array(
        CreatableTopicConfigs, "5+", nullable="5+", default=(), ignorable=True
    )


class CreateTopicsResponse(Message, key=19, versions="2-7", flexible="5+"):
    throttle_time_ms: int = int32("2+", default=0, ignorable=True)
    topics: list[CreatableTopicResult] = array(CreatableTopicResult)
