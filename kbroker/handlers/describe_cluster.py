"""DescribeCluster: cluster id, controller and brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_cluster import (
    BROKERS,
    CONTROLLERS,
    NO_AUTHORIZED_OPERATIONS,
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)

from ..cluster import ALL_CLUSTER_OPERATIONS, nodes

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: DescribeClusterRequest, call: Call, broker: Broker) -> Answer:
    if request.endpoint_type == CONTROLLERS:
        return _failed(
            ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
        )
    if request.endpoint_type != BROKERS:
        return _failed(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"Unsupported endpoint type {request.endpoint_type}")
    return DescribeClusterResponse(
        error_code=ErrorCode.NONE,
        cluster_id=broker.cluster_id,
        controller_id=broker.controller_id,
        brokers=[
            DescribeClusterBroker(
                broker_id=node.id, host=node.host, port=node.port, rack=node.rack, is_fenced=node.fenced
            )
            for node in nodes(broker, call, fenced=request.include_fenced_brokers)
        ],
        cluster_authorized_operations=(
            ALL_CLUSTER_OPERATIONS if request.include_cluster_authorized_operations else NO_AUTHORIZED_OPERATIONS
        ),
    )


def _failed(code: ErrorCode, message: str) -> DescribeClusterResponse:
    return DescribeClusterResponse(error_code=code, error_message=message, cluster_id="", brokers=[])


def refuse(request: DescribeClusterRequest, code: ErrorCode) -> DescribeClusterResponse:
    del request
    return _failed(code, code.message)
