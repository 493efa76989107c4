"""DescribeAcls: nothing is forbidden to anybody, and there is no authorizer to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_acls import DescribeAclsRequest, DescribeAclsResponse

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: DescribeAclsRequest, call: Call, broker: Broker) -> Answer:
    del request, call, broker
    return DescribeAclsResponse(
        error_code=ErrorCode.SECURITY_DISABLED,
        error_message="No Authorizer is configured on the broker",
        resources=[],
    )


def refuse(request: DescribeAclsRequest, code: ErrorCode) -> DescribeAclsResponse:
    del request
    return DescribeAclsResponse(error_code=code, error_message=code.message, resources=[])
