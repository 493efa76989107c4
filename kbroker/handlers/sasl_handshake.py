"""SaslHandshake: no listener authenticates yet, so it is always the wrong moment; the connection stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: SaslHandshakeRequest, call: Call, broker: Broker) -> Answer:
    del call, broker
    return refuse(request, ErrorCode.ILLEGAL_SASL_STATE)


def refuse(request: SaslHandshakeRequest, code: ErrorCode) -> SaslHandshakeResponse:
    del request
    return SaslHandshakeResponse(error_code=code, mechanisms=[])
