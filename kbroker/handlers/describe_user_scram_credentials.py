"""DescribeUserScramCredentials: no user has any."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_user_scram_credentials import (
    DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
)

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: DescribeUserScramCredentialsRequest, call: Call, broker: Broker) -> Answer:
    del call, broker
    asked = Counter(user.name for user in request.users or [])
    return DescribeUserScramCredentialsResponse(
        error_code=ErrorCode.NONE, error_message="", results=[_row(name, times) for name, times in asked.items()]
    )


def _row(name: str, times: int) -> DescribeUserScramCredentialsResult:
    code, why = ErrorCode.RESOURCE_NOT_FOUND, "Attempt to describe a user credential that does not exist"
    if times > 1:
        code, why = (
            ErrorCode.DUPLICATE_RESOURCE,
            "Cannot describe SCRAM credentials for the same user twice in a single request",
        )
    return DescribeUserScramCredentialsResult(
        user=name, error_code=code, error_message=f"{why}: {name}", credential_infos=[]
    )


def refuse(request: DescribeUserScramCredentialsRequest, code: ErrorCode) -> DescribeUserScramCredentialsResponse:
    del request
    return DescribeUserScramCredentialsResponse(error_code=code, error_message=code.message, results=[])
