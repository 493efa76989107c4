"""Transactional ids as DescribeTransactions and ListTransactions show them (KIP-664, KIP-994, KIP-1152)."""

from __future__ import annotations

from collections.abc import Callable

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_transactions import TopicData
from kbroker_wire.messages.describe_transactions import TransactionState as DescribedTransaction
from kbroker_wire.messages.list_transactions import ListTransactionsRequest
from kbroker_wire.messages.list_transactions import TransactionState as ListedTransaction

from ...errors import Refusal
from .transaction import STATES, Transaction


def describe(transaction: Transaction) -> DescribedTransaction:
    """Of a transaction that ends only the partitions that lack their marker are told."""
    return DescribedTransaction(
        error_code=ErrorCode.NONE,
        transactional_id=transaction.id,
        transaction_state=transaction.state.title,
        transaction_timeout_ms=transaction.timeout_ms,
        transaction_start_time_ms=transaction.started_ms,
        producer_id=transaction.producer_id,
        producer_epoch=transaction.producer_epoch,
        topics=[
            TopicData(topic=topic, partitions=sorted(indexes)) for topic, indexes in transaction.partitions.items()
        ],
    )


def not_described(transactional_id: str, code: ErrorCode) -> DescribedTransaction:
    return DescribedTransaction(
        error_code=code,
        transactional_id=transactional_id,
        transaction_state="",
        transaction_timeout_ms=0,
        transaction_start_time_ms=0,
        producer_id=0,
        producer_epoch=0,
        topics=[],
    )


def list_one(transaction: Transaction) -> ListedTransaction:
    return ListedTransaction(
        transactional_id=transaction.id,
        producer_id=transaction.producer_id,
        transaction_state=transaction.state.title,
    )


class Filter:
    """What ListTransactions asks for; an id has to pass all of it.

    unknown   names of states that there are not; together with known ones they change nothing, alone nothing passes
    """

    def __init__(self, request: ListTransactionsRequest) -> None:
        """Raises Refusal (INVALID_REGULAR_EXPRESSION)."""
        self.unknown = [name for name in request.state_filters if name not in STATES]
        self._by_state = bool(request.state_filters)
        self._states = {STATES[name] for name in request.state_filters if name in STATES}
        self._producer_ids = frozenset(request.producer_id_filters)
        self._duration_ms = request.duration_filter
        pattern = request.transactional_id_pattern
        self._matches = _matcher(pattern) if pattern else None

    def passes(self, transaction: Transaction, now_ms: int) -> bool:
        """A duration counts from the start of the last transaction, and is endless where there was none."""
        if self._by_state and transaction.state not in self._states:
            return False
        if self._producer_ids and transaction.producer_id not in self._producer_ids:
            return False
        if self._duration_ms >= 0 and now_ms - transaction.started_ms <= self._duration_ms:
            return False
        return self._matches is None or bool(self._matches(transaction.id))


def _matcher(pattern: str) -> Callable[[str], object]:
    """What is truthy for ids that match as a whole, in linear time whatever the pattern."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415  # most brokers never need it

    options = re2.Options()
    options.log_errors = False  # it would write to standard error what clients get wrong
    try:
        fullmatch: Callable[[str], object] = re2.compile(pattern, options).fullmatch
    except re2.error:
        raise Refusal(ErrorCode.INVALID_REGULAR_EXPRESSION) from None
    return fullmatch
