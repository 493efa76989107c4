"""DescribeClientQuotas: nobody has any; a filter that can not be is refused as by Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_client_quotas import (
    ANY,
    DEFAULT,
    EXACT,
    ComponentData,
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
)

from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

USER, CLIENT_ID, IP = "user", "client-id", "ip"


async def handle(request: DescribeClientQuotasRequest, call: Call, broker: Broker) -> Answer:
    del call, broker
    try:
        _check_filter(request.components)
    except Refusal as refusal:
        return _refused(refusal.code, refusal.message)
    return DescribeClientQuotasResponse(error_code=ErrorCode.NONE, error_message="", entries=[])


def _check_filter(components: Sequence[ComponentData]) -> None:
    """Raises Refusal."""
    seen: set[str] = set()
    for component in components:
        kind = component.entity_type
        if not kind:
            raise Refusal(ErrorCode.INVALID_REQUEST, "Invalid empty entity type.")
        if kind in seen:
            why = f"Entity type {kind} cannot appear more than once in the filter."
            raise Refusal(ErrorCode.INVALID_REQUEST, why)
        if kind not in (USER, CLIENT_ID, IP):
            raise Refusal(ErrorCode.UNSUPPORTED_VERSION, f"Unsupported entity type {kind}")
        _check_match(component)
        seen.add(kind)
    if IP in seen and len(seen) > 1:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            "Invalid entity filter component combination. IP filter component should not be used with user or clientId "
            "filter component.",
        )


def _check_match(component: ComponentData) -> None:
    match component.match_type:
        case n if n == EXACT:
            wrong, why = component.match is None, "MATCH_TYPE_EXACT, but set match string to null."
        case n if n == DEFAULT:
            wrong, why = component.match is not None, "MATCH_TYPE_DEFAULT, but also specified a match string."
        case n if n == ANY:
            wrong, why = component.match is not None, "MATCH_TYPE_SPECIFIED, but also specified a match string."
        case n:
            raise Refusal(ErrorCode.INVALID_REQUEST, f"Unknown match type {n}")
    if wrong:
        raise Refusal(ErrorCode.INVALID_REQUEST, f"Request specified {why}")


def _refused(code: ErrorCode, message: str | None) -> DescribeClientQuotasResponse:
    return DescribeClientQuotasResponse(error_code=code, error_message=message, entries=None)


def refuse(request: DescribeClientQuotasRequest, code: ErrorCode) -> DescribeClientQuotasResponse:
    del request
    return _refused(code, code.message)
