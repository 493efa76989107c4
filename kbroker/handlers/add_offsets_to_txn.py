"""AddOffsetsToTxn: a producer is about to commit a group's offsets in its transaction.

The group stands for the partition of `__consumer_offsets` that has it, which becomes part of the transaction.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from kbroker_wire.messages.add_partitions_to_txn import AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction
from kbroker_wire.schema import Message

from ..coordinators.topics import CONSUMER_OFFSETS
from ..coordinators.transactions.transaction import TransactionStep
from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..coordinators.machine import Now
    from ..coordinators.transactions.shard import TransactionShard

FENCED = 2  # the version from which PRODUCER_FENCED is known


async def handle(request: AddOffsetsToTxnRequest, call: Call, broker: Broker) -> Answer:
    try:
        if not request.transactional_id:
            raise Refusal(ErrorCode.INVALID_REQUEST)
        await broker.groups.ensure_topic()
    except Refusal as refusal:
        return refuse(request, refusal.code)
    index = broker.groups.partition_of(request.group_id)
    if index is None:
        return refuse(request, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    asked = AddPartitionsToTxnTransaction(
        transactional_id=request.transactional_id,
        producer_id=request.producer_id,
        producer_epoch=request.producer_epoch,
        topics=[AddPartitionsToTxnTopic(name=CONSUMER_OFFSETS, partitions=[index])],
    )
    refused = partial(_refused, request, call.api_version)

    def add(shard: TransactionShard, ticket: object, now: Now) -> TransactionStep:
        return shard.add_partitions(asked, 0, ticket, refused, now)

    return broker.transactions.perform(request.transactional_id, add, refused)


def _refused(request: AddOffsetsToTxnRequest, version: int, code: ErrorCode, message: str | None) -> Message:
    del message
    if code is ErrorCode.PRODUCER_FENCED and version < FENCED:
        code = ErrorCode.INVALID_PRODUCER_EPOCH
    return refuse(request, code)


def refuse(request: AddOffsetsToTxnRequest, code: ErrorCode) -> AddOffsetsToTxnResponse:
    del request
    return AddOffsetsToTxnResponse(error_code=code)
