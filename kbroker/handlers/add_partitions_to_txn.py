"""AddPartitionsToTxn: what a producer is about to write to in its transaction; between brokers for many at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTransaction,
)
from kbroker_wire.schema import Message

from ..coordinators.transactions.partitions import result
from ..coordinators.transactions.transaction import TransactionStep
from ..errors import Refusal
from ..metadata.image import Image

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.machine import Now
    from ..coordinators.transactions.shard import TransactionShard

FENCED = 2  # the version from which PRODUCER_FENCED is known
BATCHED = 4  # the version from which brokers ask, on behalf of clients of version 2 of transactions


def answer(request: AddPartitionsToTxnRequest, call: Call, broker: Broker) -> Answer:
    version = call.api_version
    return broker.transactions.perform_each(
        [
            (each.transactional_id, _operation(each, version, broker.image), partial(_refused, each, version))
            for each in _transactions(request, version)
        ],
        partial(_answer, version),
    )


async def handle(request: AddPartitionsToTxnRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _transactions(request: AddPartitionsToTxnRequest, version: int) -> list[AddPartitionsToTxnTransaction]:
    if version >= BATCHED:
        return request.transactions
    return [
        AddPartitionsToTxnTransaction(
            transactional_id=request.v3_and_below_transactional_id,
            producer_id=request.v3_and_below_producer_id,
            producer_epoch=request.v3_and_below_producer_epoch,
            topics=request.v3_and_below_topics,
        )
    ]


def _operation(
    asked: AddPartitionsToTxnTransaction, version: int, image: Image
) -> Callable[[TransactionShard, object, Now], TransactionStep]:
    """Adds all partitions or none: one that there is not keeps the others out too."""

    def code(topic: str, index: int) -> ErrorCode:
        known = _exists(image, topic, index)
        return ErrorCode.OPERATION_NOT_ATTEMPTED if known else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def add(shard: TransactionShard, ticket: object, now: Now) -> TransactionStep:
        if not all(_exists(image, topic.name, index) for topic in asked.topics for index in topic.partitions):
            return TransactionStep(result(asked, code))
        if not asked.transactional_id:
            raise Refusal(ErrorCode.INVALID_REQUEST)
        client_version = 2 if version >= BATCHED else 0
        return shard.add_partitions(asked, client_version, ticket, partial(_refused, asked, version), now)

    return add


def _exists(image: Image, topic: str, index: int) -> bool:
    known = image.topic(topic)
    return known is not None and 0 <= index < len(known.partitions)


def _refused(
    asked: AddPartitionsToTxnTransaction, version: int, code: ErrorCode, message: str | None
) -> AddPartitionsToTxnResult:
    del message
    if code is ErrorCode.PRODUCER_FENCED and version < FENCED:
        code = ErrorCode.INVALID_PRODUCER_EPOCH
    return result(asked, code)


def _answer(version: int, results: list[Message]) -> AddPartitionsToTxnResponse:
    each = cast("list[AddPartitionsToTxnResult]", results)
    if version >= BATCHED:
        return AddPartitionsToTxnResponse(results_by_transaction=each)
    return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=each[0].topic_results)


def refuse(request: AddPartitionsToTxnRequest, code: ErrorCode) -> AddPartitionsToTxnResponse:
    if request.transactions:
        return AddPartitionsToTxnResponse(
            error_code=code, results_by_transaction=[result(each, code) for each in request.transactions]
        )
    (asked,) = _transactions(request, BATCHED - 1)
    return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=result(asked, code).topic_results)
