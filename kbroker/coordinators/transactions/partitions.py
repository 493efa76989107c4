"""Partitions of a transaction, as AddPartitionsToTxn names them and is answered."""

from __future__ import annotations

from collections.abc import Callable

from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)

from .transaction import Transaction


def asked_partitions(asked: AddPartitionsToTxnTransaction) -> dict[str, set[int]]:
    """By topic; a topic without partitions is none."""
    partitions: dict[str, set[int]] = {}
    for topic in asked.topics:
        if topic.partitions:
            partitions.setdefault(topic.name, set()).update(topic.partitions)
    return partitions


def result(
    asked: AddPartitionsToTxnTransaction, code: ErrorCode | Callable[[str, int], ErrorCode]
) -> AddPartitionsToTxnResult:
    """The answer for one transaction: the same code for all partitions, or what `code` says of each."""
    return AddPartitionsToTxnResult(
        transactional_id=asked.transactional_id,
        topic_results=[
            AddPartitionsToTxnTopicResult(
                name=topic.name,
                results_by_partition=[
                    AddPartitionsToTxnPartitionResult(
                        partition_index=index,
                        partition_error_code=code if isinstance(code, ErrorCode) else code(topic.name, index),
                    )
                    for index in topic.partitions
                ],
            )
            for topic in asked.topics
        ],
    )


def verified(asked: AddPartitionsToTxnTransaction, transaction: Transaction) -> AddPartitionsToTxnResult:
    """Which partitions are part of the transaction; TRANSACTION_ABORTABLE for the others (KIP-890)."""
    mine = transaction.partitions

    def code(topic: str, index: int) -> ErrorCode:
        return ErrorCode.NONE if index in mine.get(topic, ()) else ErrorCode.TRANSACTION_ABORTABLE

    return result(asked, code)
