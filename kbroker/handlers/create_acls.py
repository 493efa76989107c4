"""CreateAcls: there is no authorizer that could heed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.create_acls import AclCreationResult, CreateAclsRequest, CreateAclsResponse

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: CreateAclsRequest, call: Call, broker: Broker) -> Answer:
    del call, broker
    return _refused(request, ErrorCode.SECURITY_DISABLED, "No Authorizer is configured.")


def _refused(request: CreateAclsRequest, code: ErrorCode, message: str) -> CreateAclsResponse:
    return CreateAclsResponse(
        results=[AclCreationResult(error_code=code, error_message=message) for _ in request.creations]
    )


def refuse(request: CreateAclsRequest, code: ErrorCode) -> CreateAclsResponse:
    return _refused(request, code, code.message)
