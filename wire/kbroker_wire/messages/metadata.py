"""Metadata (key 3): the brokers, and for the topics asked for their partitions, leaders and replicas.

v0   an empty list of topics asks for all of them
v1   None asks for all, an empty list for none; racks, controller id, internal topics
v2   cluster id
v3   throttle time
v4   the client says whether a topic may be created by asking for it
v5   offline replicas
v7   leader epochs (KIP-320)
v8   authorized operations on request (KIP-430)
v9   flexible
v10  topic ids in responses (KIP-516); requests may not use them yet
v11  no more authorized operations of the cluster: they moved to DescribeCluster (KIP-700)
v12  topics may be asked for by id; a topic whose id is unknown comes back without a name
v13  top-level error code (KIP-1102)
"""

from ..schema import ZERO_UUID, Message, array, boolean, int16, int32, nullable_string, string, uuid

NO_AUTHORIZED_OPERATIONS = -(1 << 31)  # the bit field of a resource for which no operations were asked


class MetadataRequestTopic(Message):
    topic_id: bytes = uuid("10+", default=ZERO_UUID, ignorable=True)
    name: str | None = nullable_string(nullable="10+")


class MetadataRequest(Message, key=3, versions="0-13", flexible="9+"):
    topics: list[MetadataRequestTopic] | None = array(MetadataRequestTopic, nullable="1+")
    allow_auto_topic_creation: bool = boolean("4+", default=True)
    include_cluster_authorized_operations: bool = boolean("8-10", default=False)
    include_topic_authorized_operations: bool = boolean("8+", default=False)


class MetadataBroker(Message):
    node_id: int = int32()
    host: str = string()
    port: int = int32()
    rack: str | None = nullable_string("1+", default=None, ignorable=True)


class MetadataPartition(Message):
    error_code: int = int16()
    partition_index: int = int32()
    leader_id: int = int32()
    leader_epoch: int = int32("7+", default=-1, ignorable=True)
    replica_nodes: list[int] = array(int32)
    isr_nodes: list[int] = array(int32)
    offline_replicas: list[int] = array(int32, "5+", default=(), ignorable=True)


class MetadataTopic(Message):
    error_code: int = int16()
    name: str | None = nullable_string(nullable="12+")
    topic_id: bytes = uuid("10+", default=ZERO_UUID, ignorable=True)
    is_internal: bool = boolean("1+", default=False, ignorable=True)
    partitions: list[MetadataPartition] = array(MetadataPartition)
    topic_authorized_operations: int = int32("8+", default=NO_AUTHORIZED_OPERATIONS)


class MetadataResponse(Message, key=3, versions="0-13", flexible="9+"):
    throttle_time_ms: int = int32("3+", default=0, ignorable=True)
    brokers: list[MetadataBroker] = array(MetadataBroker)
    cluster_id: str | None = nullable_string("2+", default=None, ignorable=True)
    controller_id: int = int32("1+", default=-1, ignorable=True)
    topics: list[MetadataTopic] = array(MetadataTopic)
    cluster_authorized_operations: int = int32("8-10", default=NO_AUTHORIZED_OPERATIONS)
    error_code: int = int16("13+", default=0, ignorable=True)
