"""DescribeTransactions (key 65): transactional ids as their coordinator knows them (KIP-664)."""

from ..schema import Message, array, int16, int32, int64, string


class DescribeTransactionsRequest(Message, key=65, versions="0", flexible="0+"):
    transactional_ids: list[str] = array(string)


class TopicData(Message):
    topic: str = string()
    partitions: list[int] = array(int32)


class TransactionState(Message):
    """`topics`: of a transaction that ends, only those still without a marker.

    transaction_start_time_ms  since 1970, -1 while there is no transaction
    """

    error_code: int = int16()
    transactional_id: str = string()
    transaction_state: str = string()
    transaction_timeout_ms: int = int32()
    transaction_start_time_ms: int = int64()
    producer_id: int = int64()
    producer_epoch: int = int16()
    topics: list[TopicData] = array(TopicData)


class DescribeTransactionsResponse(Message, key=65, versions="0", flexible="0+"):
    throttle_time_ms: int = int32(default=0)
    transaction_states: list[TransactionState] = array(TransactionState)
