"""InitProducerId: an id of its own for an idempotent producer; for a transactional one the id that goes with its
transactional id, in an epoch that shuts out who had it before."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.machine import Now
    from ..coordinators.transactions.shard import TransactionShard
    from ..coordinators.transactions.transaction import TransactionStep

NONE = -1
FENCED = 4  # the version from which PRODUCER_FENCED is known


async def handle(request: InitProducerIdRequest, call: Call, broker: Broker) -> Answer:
    try:
        _check(request, broker.config.int("transaction.max.timeout.ms"))
        if request.transactional_id is None:
            producer_id = await broker.producer_ids.next()
            return InitProducerIdResponse(error_code=ErrorCode.NONE, producer_id=producer_id, producer_epoch=0)
        await broker.transactions.ensure_topic()
        await broker.producer_ids.ready()
    except Refusal as refusal:
        return refuse(request, refusal.code)
    refused = partial(_refused, call.api_version)

    def init(shard: TransactionShard, ticket: object, now: Now) -> TransactionStep:
        return shard.init_producer_id(request, ticket, refused, now)

    return broker.transactions.perform(request.transactional_id, init, refused)


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


def _refused(version: int, code: ErrorCode, message: str | None) -> InitProducerIdResponse:
    del message
    if code is ErrorCode.PRODUCER_FENCED and version < FENCED:
        code = ErrorCode.INVALID_PRODUCER_EPOCH
    return InitProducerIdResponse(error_code=code, producer_id=NONE, producer_epoch=NONE)


def refuse(request: InitProducerIdRequest, code: ErrorCode) -> InitProducerIdResponse:
    del request
    return InitProducerIdResponse(error_code=code, producer_id=NONE, producer_epoch=NONE)
