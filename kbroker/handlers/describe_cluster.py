"""DescribeCluster: cluster id, controller and brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)

from ..cluster import ALL_CLUSTER_OPERATIONS, nodes

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

BROKERS, CONTROLLERS = 1, 2  # endpoint types (KIP-919)
NOT_ASKED = -(1 << 31)


async def handle(request: DescribeClusterRequest, call: Call, broker: Broker) -> Answer:
    if request.endpoint_type == CONTROLLERS:
        return _failed(
            request,
            ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
        )
    if request.endpoint_type != BROKERS:
        return _failed(
            request, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"Unsupported endpoint type {request.endpoint_type}"
        )
    return DescribeClusterResponse(
        error_code=ErrorCode.NONE,
        endpoint_type=BROKERS,
        cluster_id=broker.cluster_id,
        controller_id=broker.controller_id,
        brokers=[
            DescribeClusterBroker(
                broker_id=node.id, host=node.host, port=node.port, rack=node.rack, is_fenced=node.fenced
            )
            for node in nodes(broker, call, fenced=request.include_fenced_brokers)
        ],
        cluster_authorized_operations=(
            ALL_CLUSTER_OPERATIONS if request.include_cluster_authorized_operations else NOT_ASKED
        ),
    )


def _failed(request: DescribeClusterRequest, code: ErrorCode, message: str) -> DescribeClusterResponse:
    return DescribeClusterResponse(
        error_code=code, error_message=message, endpoint_type=request.endpoint_type, cluster_id="", brokers=[]
    )


def refuse(request: DescribeClusterRequest, code: ErrorCode) -> DescribeClusterResponse:
    return _failed(request, code, code.message)
