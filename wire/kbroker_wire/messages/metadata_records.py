"""Records of the metadata log (`__cluster_metadata`): what a KRaft controller decides, one record for each change.

A record's value is the frame version (1), the record type and the version as unsigned varints, then the body. All are
flexible in every version. `record=` is the type's number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProtocolError, UnsupportedVersion
from ..schema import (
    Message,
    array,
    boolean,
    int8,
    int16,
    int32,
    int64,
    nullable_string,
    string,
    uint16,
    uuid,
)
from ..varints import read_unsigned_varint, write_unsigned_varint

if TYPE_CHECKING:
    from ..primitives import Buffer

FRAME_VERSION = 1
NO_LEADER = -1
NO_LEADER_CHANGE = -2


class BrokerEndpoint(Message):
    name: str = string()
    host: str = string()
    port: int = uint16()
    security_protocol: int = int16()


class BrokerFeature(Message):
    name: str = string()
    min_supported_version: int = int16()
    max_supported_version: int = int16()


class RegisterBrokerRecord(Message, record=0, versions="0-4", flexible="0+"):
    """A broker process joined; its epoch is the offset of this record, `incarnation_id` is new at each start."""

    broker_id: int = int32()
    is_migrating_zk_broker: bool = boolean("2+", default=False)
    incarnation_id: bytes = uuid()
    broker_epoch: int = int64()
    end_points: list[BrokerEndpoint] = array(BrokerEndpoint)
    features: list[BrokerFeature] = array(BrokerFeature)
    rack: str | None = nullable_string()
    fenced: bool = boolean(default=True)
    in_controlled_shutdown: bool = boolean("1+", default=False)
    log_dirs: list[bytes] = array(uuid, "3+", tag=0, default=())
    cordoned_log_dirs: list[bytes] | None = array(uuid, "4+", nullable="4+", tag=1, default=None)


class UnregisterBrokerRecord(Message, record=1, versions="0", flexible="0+"):
    broker_id: int = int32()
    broker_epoch: int = int64()


class TopicRecord(Message, record=2, versions="0", flexible="0+"):
    name: str = string()
    topic_id: bytes = uuid()


class PartitionRecord(Message, record=3, versions="0-2", flexible="0+"):
    """All of a partition. v1 adds the log directories of the replicas (KIP-858), v2 eligible leaders (KIP-966)."""

    partition_id: int = int32(default=-1)
    topic_id: bytes = uuid()
    replicas: list[int] = array(int32)
    isr: list[int] = array(int32)
    removing_replicas: list[int] = array(int32, default=())
    adding_replicas: list[int] = array(int32, default=())
    leader: int = int32(default=NO_LEADER)
    leader_recovery_state: int = int8(tag=0, default=0)
    leader_epoch: int = int32(default=-1)
    partition_epoch: int = int32(default=-1)
    directories: list[bytes] = array(uuid, "1+", default=())
    eligible_leader_replicas: list[int] | None = array(int32, "2+", nullable="2+", tag=1, default=None)
    last_known_elr: list[int] | None = array(int32, "2+", nullable="2+", tag=2, default=None)


class ConfigRecord(Message, record=4, versions="0", flexible="0+"):
    """One setting of a resource; a value of None removes it."""

    resource_type: int = int8()
    resource_name: str = string()
    name: str = string()
    value: str | None = nullable_string()


class PartitionChangeRecord(Message, record=5, versions="0-2", flexible="0+"):
    """What changed in a partition; None, -1 and NO_LEADER_CHANGE mean unchanged. Versions as of PartitionRecord."""

    partition_id: int = int32(default=-1)
    topic_id: bytes = uuid()
    isr: list[int] | None = array(int32, nullable="0+", tag=0, default=None)
    leader: int = int32(tag=1, default=NO_LEADER_CHANGE)
    replicas: list[int] | None = array(int32, nullable="0+", tag=2, default=None)
    removing_replicas: list[int] | None = array(int32, nullable="0+", tag=3, default=None)
    adding_replicas: list[int] | None = array(int32, nullable="0+", tag=4, default=None)
    leader_recovery_state: int = int8(tag=5, default=-1)
    directories: list[bytes] | None = array(uuid, "1+", nullable="1+", tag=8, default=None)
    eligible_leader_replicas: list[int] | None = array(int32, "2+", nullable="2+", tag=6, default=None)
    last_known_elr: list[int] | None = array(int32, "2+", nullable="2+", tag=7, default=None)


class FenceBrokerRecord(Message, record=7, versions="0", flexible="0+"):
    id: int = int32()
    epoch: int = int64()


class UnfenceBrokerRecord(Message, record=8, versions="0", flexible="0+"):
    id: int = int32()
    epoch: int = int64()


class RemoveTopicRecord(Message, record=9, versions="0", flexible="0+"):
    topic_id: bytes = uuid()


class FeatureLevelRecord(Message, record=12, versions="0", flexible="0+"):
    """A log begins with the level of `metadata.version`, so this record can never have another version (KIP-584)."""

    name: str = string()
    feature_level: int = int16()


class ProducerIdsRecord(Message, record=15, versions="0", flexible="0+"):
    """A broker was given the block of producer ids that ends before `next_producer_id`."""

    broker_id: int = int32()
    broker_epoch: int = int64(default=-1)
    next_producer_id: int = int64()


class BrokerRegistrationChangeRecord(Message, record=17, versions="0-3", flexible="0+"):
    """What changed in a registration. `fenced` is 1 for fenced, -1 for unfenced, 0 for unchanged; the next likewise."""

    broker_id: int = int32()
    broker_epoch: int = int64()
    fenced: int = int8(tag=0, default=0)
    in_controlled_shutdown: int = int8("1+", tag=1, default=0)
    log_dirs: list[bytes] = array(uuid, "2+", tag=2, default=())
    cordoned_log_dirs: list[bytes] | None = array(uuid, "3+", nullable="3+", tag=3, default=None)


class NoOpRecord(Message, record=20, versions="0", flexible="0+"):
    """Written when nothing else is, so that the log's end shows that the controller lives (KIP-835)."""


class BeginTransactionRecord(Message, record=23, versions="0", flexible="0+"):
    """The records up to EndTransactionRecord count together or not at all (KIP-868)."""

    name: str | None = nullable_string(tag=0, default=None)


class EndTransactionRecord(Message, record=24, versions="0", flexible="0+"):
    pass


class AbortTransactionRecord(Message, record=25, versions="0", flexible="0+"):
    reason: str | None = nullable_string(tag=0, default=None)


RECORDS_BY_TYPE: dict[int, type[Message]] = {
    table.record_type: table
    for table in (
        RegisterBrokerRecord,
        UnregisterBrokerRecord,
        TopicRecord,
        PartitionRecord,
        ConfigRecord,
        PartitionChangeRecord,
        FenceBrokerRecord,
        UnfenceBrokerRecord,
        RemoveTopicRecord,
        FeatureLevelRecord,
        ProducerIdsRecord,
        BrokerRegistrationChangeRecord,
        NoOpRecord,
        BeginTransactionRecord,
        EndTransactionRecord,
        AbortTransactionRecord,
    )
    if table.record_type is not None
}


class UnknownRecordType(ProtocolError):
    """A metadata record of a type without a table here: a newer Kafka wrote it, or it is one that a broker skips."""

    def __init__(self, record_type: int) -> None:
        super().__init__(f"metadata record type {record_type} is not known")
        self.record_type = record_type


def encode_metadata_record(record: Message, version: int) -> bytes:
    """The value of a record in the metadata log. Raises EncodeError; ValueError if `record` is no metadata record."""
    record_type = type(record).record_type
    if record_type is None:
        raise ValueError(f"{type(record).__name__} is no metadata record")
    head = bytearray((FRAME_VERSION,))
    write_unsigned_varint(head, record_type)
    write_unsigned_varint(head, version)
    return bytes(head) + record.encode(version)


def decode_metadata_record(value: Buffer) -> Message:
    """The record in the value of a metadata-log record; `isinstance` or `match` tells which.

    Raises ProtocolError, among them UnknownRecordType and UnsupportedVersion. Bytes behind the body are refused, as
    Kafka does.
    """
    frame_version, position = read_unsigned_varint(value, 0)
    if frame_version != FRAME_VERSION:
        raise UnsupportedVersion("metadata record frame", frame_version, range(FRAME_VERSION, FRAME_VERSION + 1))
    record_type, position = read_unsigned_varint(value, position)
    version, position = read_unsigned_varint(value, position)
    table = RECORDS_BY_TYPE.get(record_type)
    if table is None:
        raise UnknownRecordType(record_type)
    record, position = table.decode_from(value, version, position)
    if position != len(value):
        raise ProtocolError(f"{table.__name__} v{version}: {len(value) - position} bytes too many")
    return record
