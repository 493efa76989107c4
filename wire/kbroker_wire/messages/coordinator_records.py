"""What stands in `__consumer_offsets` and `__transaction_state`: records whose key and value are messages.

A key is the number of its type as int16 and its body, in version 0 always; a value is its version as int16 and its
body. A record without a value removes what its key names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import ProtocolError
from . import group_records as group
from . import transaction_records as transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..primitives import Buffer
    from ..schema import Message

KEY_VERSION = 0


class RecordType(NamedTuple):
    """A pair of tables; `written` is the version in which Apache Kafka 4.4 writes such a value."""

    key: type[Message]
    value: type[Message]
    written: int


# Of `__consumer_offsets`. 0 is the older type of a commit's key, no longer written; the bodies are the same.
GROUP_RECORDS: Mapping[int, RecordType] = {
    0: RecordType(group.OffsetCommitKey, group.OffsetCommitValue, 4),
    1: RecordType(group.OffsetCommitKey, group.OffsetCommitValue, 4),
    2: RecordType(group.GroupMetadataKey, group.GroupMetadataValue, 3),
    3: RecordType(group.ConsumerGroupMetadataKey, group.ConsumerGroupMetadataValue, 0),
    4: RecordType(group.ConsumerGroupPartitionMetadataKey, group.ConsumerGroupPartitionMetadataValue, 0),
    5: RecordType(group.ConsumerGroupMemberMetadataKey, group.ConsumerGroupMemberMetadataValue, 0),
    6: RecordType(group.ConsumerGroupTargetAssignmentMetadataKey, group.ConsumerGroupTargetAssignmentMetadataValue, 0),
    7: RecordType(group.ConsumerGroupTargetAssignmentMemberKey, group.ConsumerGroupTargetAssignmentMemberValue, 0),
    8: RecordType(group.ConsumerGroupCurrentMemberAssignmentKey, group.ConsumerGroupCurrentMemberAssignmentValue, 0),
    16: RecordType(group.ConsumerGroupRegularExpressionKey, group.ConsumerGroupRegularExpressionValue, 0),
}
# Of `__transaction_state`. Version 1 goes with level 1 of the feature `transaction.version`; level 0 writes version 0.
TRANSACTION_RECORDS: Mapping[int, RecordType] = {
    0: RecordType(transaction.TransactionLogKey, transaction.TransactionLogValue, 1),
}

# Key table -> (the type's number as bytes, what belongs to it). The highest number is the one that is written.
_BY_KEY = {
    record_type.key: (number.to_bytes(2), record_type)
    for records in (GROUP_RECORDS, TRANSACTION_RECORDS)
    for number, record_type in sorted(records.items())
}
_WITH_EXPIRY = 1  # the only version of OffsetCommitValue with room for an expiry


class UnknownCoordinatorRecord(ProtocolError):
    """A key of a type without tables here: a newer broker wrote it, or one that serves more kinds of groups.

    Whoever loads a log skips it, as Kafka does.
    """

    def __init__(self, record_type: int) -> None:
        super().__init__(f"coordinator record type {record_type} is not known")
        self.record_type = record_type


def encode_record(key: Message, value: Message | None, version: int | None = None) -> tuple[bytes, bytes | None]:
    """Key and value of a record in a coordinator's log; the value is None in a record that removes.

    version   of the value; None is the one that Kafka writes: of a commit with an expiry 1, else the type's `written`

    Raises EncodeError; ValueError if `key` is no record's key, or `value` not what belongs to it.
    """
    known = _BY_KEY.get(type(key))
    if known is None:
        raise ValueError(f"{type(key).__name__} is no key of a coordinator record")
    number, record_type = known
    encoded_key = number + key.encode(KEY_VERSION)
    if value is None:
        return encoded_key, None
    if type(value) is not record_type.value:
        raise ValueError(f"{type(key).__name__} has no value of {type(value).__name__}")
    if version is None:
        version = record_type.written
        if isinstance(value, group.OffsetCommitValue) and value.expire_timestamp != -1:
            version = _WITH_EXPIRY
    return encoded_key, version.to_bytes(2) + value.encode(version)


def decode_record(
    records: Mapping[int, RecordType], key: Buffer | None, value: Buffer | None
) -> tuple[Message, Message | None]:
    """The key and value of a record in a coordinator's log; `isinstance` or `match` tells which.

    records   GROUP_RECORDS or TRANSACTION_RECORDS: the numbers of types mean something else in each log

    Raises ProtocolError, among them UnknownCoordinatorRecord, and UnsupportedVersion for a value of a newer version.
    """
    if key is None or len(key) < 2:
        raise ProtocolError("a coordinator record's key is too short to tell its type")
    record_type = records.get(key[0] << 8 | key[1])
    if record_type is None:
        raise UnknownCoordinatorRecord(int.from_bytes(key[:2], signed=True))
    decoded_key = record_type.key.decode_from(key, KEY_VERSION, 2)[0]
    if value is None:
        return decoded_key, None
    if len(value) < 2:
        raise ProtocolError(f"the value of a {record_type.key.__name__} is too short to tell its version")
    return decoded_key, record_type.value.decode_from(value, value[0] << 8 | value[1], 2)[0]
