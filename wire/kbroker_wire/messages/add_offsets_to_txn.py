"""AddOffsetsToTxn (key 25): which group a transaction is about to commit offsets of (KIP-98).

v2  a new error, PRODUCER_FENCED (KIP-588)
v3  flexible
v4  a new error, TRANSACTION_ABORTABLE (KIP-890)

With `transaction.version` 2 clients leave it out, as TxnOffsetCommit adds the group (v5).
"""

from ..schema import Message, int16, int32, int64, string


class AddOffsetsToTxnRequest(Message, key=25, versions="0-4", flexible="3+"):
    transactional_id: str = string()
    producer_id: int = int64()
    producer_epoch: int = int16()
    group_id: str = string()


class AddOffsetsToTxnResponse(Message, key=25, versions="0-4", flexible="3+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
