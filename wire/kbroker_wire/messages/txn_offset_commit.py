"""TxnOffsetCommit (key 28): offsets of a group that count once the transaction commits (KIP-98).

v2  leader epochs (KIP-320)
v3  flexible; the member who commits is told and checked (KIP-447)
v4  a new error, TRANSACTION_ABORTABLE (KIP-890)
v5  also adds the group to the transaction, in place of AddOffsetsToTxn (KIP-890)
v6  topic ids instead of names; new errors, GROUP_ID_NOT_FOUND, STALE_MEMBER_EPOCH, UNKNOWN_TOPIC_ID (KIP-1319)
"""

from ..schema import ZERO_UUID, Message, array, int16, int32, int64, nullable_string, string, uuid


class TxnOffsetCommitRequestPartition(Message):
    partition_index: int = int32()
    committed_offset: int = int64()
    committed_leader_epoch: int = int32("2+", default=-1, ignorable=True)
    committed_metadata: str | None = nullable_string()


class TxnOffsetCommitRequestTopic(Message):
    name: str = string("0-5", default="", ignorable=True)
    topic_id: bytes = uuid("6+", default=ZERO_UUID, ignorable=True)
    partitions: list[TxnOffsetCommitRequestPartition] = array(TxnOffsetCommitRequestPartition)


class TxnOffsetCommitRequest(Message, key=28, versions="0-6", flexible="3+"):
    """`member_id`, `group_instance_id` and generation are left at their defaults by who is no member."""

    transactional_id: str = string()
    group_id: str = string()
    producer_id: int = int64()
    producer_epoch: int = int16()
    generation_id_or_member_epoch: int = int32("3+", default=-1)
    member_id: str = string("3+", default="")
    group_instance_id: str | None = nullable_string("3+", default=None)
    topics: list[TxnOffsetCommitRequestTopic] = array(TxnOffsetCommitRequestTopic)


class TxnOffsetCommitResponsePartition(Message):
    partition_index: int = int32()
    error_code: int = int16()


class TxnOffsetCommitResponseTopic(Message):
    name: str = string("0-5", default="", ignorable=True)
    topic_id: bytes = uuid("6+", default=ZERO_UUID, ignorable=True)
    partitions: list[TxnOffsetCommitResponsePartition] = array(TxnOffsetCommitResponsePartition)


class TxnOffsetCommitResponse(Message, key=28, versions="0-6", flexible="3+"):
    throttle_time_ms: int = int32(default=0)
    topics: list[TxnOffsetCommitResponseTopic] = array(TxnOffsetCommitResponseTopic)
