"""InitProducerId (key 22): a producer id and epoch for an idempotent or transactional producer (KIP-98).

v2  flexible
v3  a producer may present the id and epoch it has, and keep the id with a higher epoch (KIP-360)
v4  a new error, PRODUCER_FENCED (KIP-588)
v5  a new error, TRANSACTION_ABORTABLE (KIP-890)

v6 (two-phase commit, KIP-939) is not stable in Kafka 4.4 and not here.
"""

from ..schema import Message, int16, int32, int64, nullable_string


class InitProducerIdRequest(Message, key=22, versions="0-5", flexible="2+"):
    """`transactional_id` is None for a producer that is idempotent only."""

    transactional_id: str | None = nullable_string()
    transaction_timeout_ms: int = int32()
    producer_id: int = int64("3+", default=-1)
    producer_epoch: int = int16("3+", default=-1)


class InitProducerIdResponse(Message, key=22, versions="0-5", flexible="2+"):
    throttle_time_ms: int = int32(default=0, ignorable=True)
    error_code: int = int16()
    producer_id: int = int64(default=-1)
    producer_epoch: int = int16()
