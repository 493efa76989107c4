"""Records of `__transaction_state`: each transactional id's producer and transaction (KIP-98).

The number of the key's type and the version of the value stand before the bodies (`coordinator_records`).
"""

from ..schema import Message, array, int8, int16, int32, int64, string


class TransactionLogKey(Message, versions="0"):
    transactional_id: str = string()


class TransactionPartitions(Message):
    topic: str = string()
    partition_ids: list[int] = array(int32)


class TransactionLogValue(Message, versions="0-1", flexible="1+"):
    """Times are ms since 1970, -1 for none. The tagged fields came with KIP-890, which raises the epoch at each end.

    transaction_status          0 Empty, 1 Ongoing, 2 PrepareCommit, 3 PrepareAbort, 4 CompleteCommit, 5 CompleteAbort,
                                6 Dead, 7 PrepareEpochFence
    transaction_partitions      None while there is no transaction
    previous_producer_id        the id before the last change of ids, so that a repeated EndTxn is known as such
    next_producer_id            the id that a prepared transaction changes to when it is complete
    client_transaction_version  the level of `transaction.version` that the client ended or began its transaction with
    """

    producer_id: int = int64()
    previous_producer_id: int = int64("1+", tag=0, default=-1)
    next_producer_id: int = int64("1+", tag=1, default=-1)
    producer_epoch: int = int16()
    next_producer_epoch: int = int16("1+", tag=3, default=-1)
    transaction_timeout_ms: int = int32()
    transaction_status: int = int8()
    transaction_partitions: list[TransactionPartitions] | None = array(TransactionPartitions, nullable="0+")
    transaction_last_update_timestamp_ms: int = int64()
    transaction_start_timestamp_ms: int = int64()
    client_transaction_version: int = int16("1+", tag=2, default=0)
