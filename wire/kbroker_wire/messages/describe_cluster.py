"""DescribeCluster (key 60): the cluster's id, controller and nodes (KIP-700).

v1  the nodes may be controllers instead of brokers (KIP-919)
v2  fenced brokers on request (KIP-1073)
"""

from ..schema import Message, array, boolean, int8, int16, int32, nullable_string, string

BROKERS, CONTROLLERS = 1, 2  # endpoint types
NO_AUTHORIZED_OPERATIONS = -(1 << 31)  # the bit field if no operations were asked for


class DescribeClusterRequest(Message, key=60, versions="0-2", flexible="0+"):
    include_cluster_authorized_operations: bool = boolean()
    endpoint_type: int = int8("1+", default=BROKERS)
    include_fenced_brokers: bool = boolean("2+", default=False)


class DescribeClusterBroker(Message):
    broker_id: int = int32()
    host: str = string()
    port: int = int32()
    rack: str | None = nullable_string(default=None)
    is_fenced: bool = boolean("2+", default=False)


class DescribeClusterResponse(Message, key=60, versions="0-2", flexible="0+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
    error_message: str | None = nullable_string(default=None)
    endpoint_type: int = int8("1+", default=BROKERS)
    cluster_id: str = string()
    controller_id: int = int32(default=-1)
    brokers: list[DescribeClusterBroker] = array(DescribeClusterBroker)
    cluster_authorized_operations: int = int32(default=NO_AUTHORIZED_OPERATIONS)
