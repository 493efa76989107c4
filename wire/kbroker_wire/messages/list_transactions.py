"""ListTransactions (key 66): the transactional ids that this broker coordinates (KIP-664).

v1  only those that have run for some time (KIP-994)
v2  only those whose id matches a regular expression (KIP-1152)
"""

from ..schema import Message, array, int16, int32, int64, nullable_string, string


class ListTransactionsRequest(Message, key=66, versions="0-2", flexible="0+"):
    """An empty filter lets all pass, so does a negative `duration_filter` (ms), and None or "" as the pattern."""

    state_filters: list[str] = array(string)
    producer_id_filters: list[int] = array(int64)
    duration_filter: int = int64("1+", default=-1)
    transactional_id_pattern: str | None = nullable_string("2+", default=None)


class TransactionState(Message):
    transactional_id: str = string()
    producer_id: int = int64()
    transaction_state: str = string()


class ListTransactionsResponse(Message, key=66, versions="0-2", flexible="0+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
    unknown_state_filters: list[str] = array(string)
    transaction_states: list[TransactionState] = array(TransactionState)
