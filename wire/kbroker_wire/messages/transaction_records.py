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
    """The tagged fields came with KIP-890, by which an end raises the epoch and, when epochs run out, changes the id.

    transaction_status          0 Empty, 1 Ongoing, 2 PrepareCommit, 3 PrepareAbort, 4 CompleteCommit, 5 CompleteAbort,
                                6 Dead, 7 PrepareEpochFence
    transaction_partitions      None when it is Empty, an empty list once it is complete
    previous_producer_id        the id of the transaction before, the same unless it changed: by it a repeated EndTxn is
                                known. -1 from a writer without KIP-890
    next_producer_id            what a prepared end will change the id to, -1 for unchanged; the epoch likewise
    client_transaction_version  the level of `transaction.version` that the client used: 0, 1, or 2 for EndTxn v5
    transaction_..._timestamp_ms  since 1970; the start's is -1 before the first transaction, and stays when it is over
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
