"""DescribeTransactions: transactional ids in detail, for tools."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
)
from kbroker_wire.schema import Message

from ..coordinators.transactions.listing import not_described
from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.machine import Now, Step
    from ..coordinators.transactions.shard import TransactionShard


def answer(request: DescribeTransactionsRequest, call: Call, broker: Broker) -> Answer:
    """In the order of the request; an id that is named twice is described twice."""
    del call
    return broker.transactions.perform_each(
        [(each, partial(_describe, each), partial(_refused, each)) for each in request.transactional_ids], _answer
    )


async def handle(request: DescribeTransactionsRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _describe(transactional_id: str, shard: TransactionShard, ticket: object, now: Now) -> Step:
    del ticket, now
    if not transactional_id:
        raise Refusal(ErrorCode.INVALID_REQUEST)
    return shard.describe(transactional_id)


def _refused(transactional_id: str, code: ErrorCode, message: str | None) -> TransactionState:
    del message
    return not_described(transactional_id, code)


def _answer(states: list[Message]) -> DescribeTransactionsResponse:
    return DescribeTransactionsResponse(transaction_states=cast("list[TransactionState]", states))


def refuse(request: DescribeTransactionsRequest, code: ErrorCode) -> DescribeTransactionsResponse:
    return _answer([not_described(each, code) for each in request.transactional_ids])
