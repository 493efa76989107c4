"""ListTransactions: the transactional ids that this broker coordinates, for tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse

from ..coordinators.transactions.listing import Filter
from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: ListTransactionsRequest, call: Call, broker: Broker) -> Answer:
    del call
    try:
        wanted = Filter(request)
        shards = await broker.transactions.machines()
    except Refusal as refusal:
        return refuse(request, refusal.code)
    now_ms = broker.env.now_ms()
    listed = [each for shard in shards for each in shard.listed(wanted, now_ms)]
    return ListTransactionsResponse(
        error_code=ErrorCode.NONE, unknown_state_filters=wanted.unknown, transaction_states=listed
    )


def refuse(request: ListTransactionsRequest, code: ErrorCode) -> ListTransactionsResponse:
    del request
    return ListTransactionsResponse(error_code=code, unknown_state_filters=[], transaction_states=[])
