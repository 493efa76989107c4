"""DeleteAcls: there is no authorizer that could have any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_acls import DeleteAclsFilterResult, DeleteAclsRequest, DeleteAclsResponse

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: DeleteAclsRequest, call: Call, broker: Broker) -> Answer:
    del call, broker
    return _refused(request, ErrorCode.SECURITY_DISABLED, "No Authorizer is configured.")


def _refused(request: DeleteAclsRequest, code: ErrorCode, message: str) -> DeleteAclsResponse:
    return DeleteAclsResponse(
        filter_results=[
            DeleteAclsFilterResult(error_code=code, error_message=message, matching_acls=[]) for _ in request.filters
        ]
    )


def refuse(request: DeleteAclsRequest, code: ErrorCode) -> DeleteAclsResponse:
    return _refused(request, code, code.message)
