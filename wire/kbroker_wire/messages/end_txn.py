"""EndTxn (key 26): commit a transaction, or abort it (KIP-98).

v2  a new error, PRODUCER_FENCED (KIP-588)
v3  flexible
v4  a new error, TRANSACTION_ABORTABLE (KIP-890)
v5  the producer's epoch rises with each end, so the response gives id and epoch for the next transaction; a client that
    sends it uses `transaction.version` 2 (KIP-890)
"""

from ..schema import Message, boolean, int16, int32, int64, string


class EndTxnRequest(Message, key=26, versions="0-5", flexible="3+"):
    """`committed` is False to abort."""

    transactional_id: str = string()
    producer_id: int = int64()
    producer_epoch: int = int16()
    committed: bool = boolean()


class EndTxnResponse(Message, key=26, versions="0-5", flexible="3+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
    producer_id: int = int64("5+", default=-1, ignorable=True)
    producer_epoch: int = int16("5+", default=-1, ignorable=True)
