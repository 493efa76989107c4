"""EndTxn: commit a transaction, or abort it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.end_txn import EndTxnRequest, EndTxnResponse

from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.machine import Now
    from ..coordinators.transactions.shard import TransactionShard
    from ..coordinators.transactions.transaction import TransactionStep

FENCED = 2  # the version from which PRODUCER_FENCED is known
EPOCH_RISES = 5  # the version that version 2 of transactions goes with


def answer(request: EndTxnRequest, call: Call, broker: Broker) -> Answer:
    refused = partial(_refused, call.api_version)
    client_version = 2 if call.api_version >= EPOCH_RISES else 0

    def end(shard: TransactionShard, ticket: object, now: Now) -> TransactionStep:
        if not request.transactional_id:
            raise Refusal(ErrorCode.INVALID_REQUEST)
        return shard.end(request, client_version, ticket, refused, now)

    return broker.transactions.perform(request.transactional_id, end, refused)


async def handle(request: EndTxnRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _refused(version: int, code: ErrorCode, message: str | None) -> EndTxnResponse:
    del message
    if code is ErrorCode.PRODUCER_FENCED and version < FENCED:
        code = ErrorCode.INVALID_PRODUCER_EPOCH
    return EndTxnResponse(error_code=code)


def refuse(request: EndTxnRequest, code: ErrorCode) -> EndTxnResponse:
    del request
    return EndTxnResponse(error_code=code)
