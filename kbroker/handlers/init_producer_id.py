"""InitProducerId: an id of its own for an idempotent producer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

from ..errors import Refusal, code_of

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

NONE = -1


async def handle(request: InitProducerIdRequest, call: Call, broker: Broker) -> Answer:
    del call
    try:
        _check(request, broker.config.int("transaction.max.timeout.ms"))
        producer_id = await broker.producer_ids.next()
    except Refusal as refusal:
        return refuse(request, code_of(refusal))
    return InitProducerIdResponse(error_code=ErrorCode.NONE, producer_id=producer_id, producer_epoch=0)


def _check(request: InitProducerIdRequest, max_timeout_ms: int) -> None:
    """Raises Refusal. An idempotent producer that presents an id gets a new one all the same, as from Kafka."""
    if (request.producer_id == NONE) != (request.producer_epoch == NONE):
        raise Refusal(ErrorCode.INVALID_REQUEST)
    if request.transactional_id is None:
        return
    if not request.transactional_id:
        raise Refusal(ErrorCode.INVALID_REQUEST)
    if not 0 < request.transaction_timeout_ms <= max_timeout_ms:
        raise Refusal(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    raise Refusal(ErrorCode.UNSUPPORTED_VERSION)  # no transactions yet: an error that no client retries


def refuse(request: InitProducerIdRequest, code: ErrorCode) -> InitProducerIdResponse:
    del request
    return InitProducerIdResponse(error_code=code, producer_id=NONE, producer_epoch=NONE)
