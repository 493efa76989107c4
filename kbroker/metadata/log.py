"""The metadata log: `__cluster_metadata-0`, Kafka's record format in Kafka's batches, one admin request one batch.

Apache's `kafka-dump-log --cluster-metadata-decoder` reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from kbroker_storage import Log, LogConfig, Origin, StorageError
from kbroker_wire import ProtocolError
from kbroker_wire.messages.metadata_records import (
    ConfigRecord,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
    decode_metadata_record,
    encode_metadata_record,
)
from kbroker_wire.record_building import build_batch
from kbroker_wire.records import Record, RecordBatch, batches
from kbroker_wire.schema import Message

from ..batches import KAFKA_BATCHES
from ..config import StartError
from ..env import Env

log = logging.getLogger(__name__)

DIRECTORY = "__cluster_metadata-0"
LEADER_EPOCH = 1  # this controller is the only one there ever was
# The versions that Kafka writes at the metadata.version this broker has
VERSIONS: dict[type[Message], int] = {
    RegisterBrokerRecord: 3,
    TopicRecord: 0,
    PartitionRecord: 1,
    ConfigRecord: 0,
    RemoveTopicRecord: 0,
    FeatureLevelRecord: 0,
    ProducerIdsRecord: 0,
}
READ_BYTES = 1024 * 1024  # at a time, when the log is replayed
# Kafka's metadata.log.segment.bytes; the log is small, and it is never compacted away here
SEGMENTS = LogConfig(segment_bytes=1024 * 1024 * 1024, segment_ms=7 * 24 * 3600 * 1000)


class MetadataLog:
    """Appends decisions and reads them back. A `Syncable`: `synced` tells its owner that the durable end has moved."""

    def __init__(self, env: Env, folder: str, clean: bool, recovery_point: int) -> None:
        self._env, self._directory = env, f"{folder}/{DIRECTORY}"
        self.log = Log.open(
            env.files,
            self._directory,
            KAFKA_BATCHES,
            SEGMENTS,
            recovery_point=recovery_point,
            log_start=0,
            clean=clean,
            now_ms=env.now_ms(),
        )
        for sentence in self.log.repaired:
            log.warning("%s", sentence)

    def append(self, records: Sequence[Message]) -> int:
        """One batch; the offset of its first record. Raises StorageError or OSError, and then nothing was added."""
        now_ms = self._env.now_ms()
        batch = bytearray(
            build_batch(
                [
                    Record(
                        offset=i, timestamp=now_ms, key=None, value=encode_metadata_record(each, VERSIONS[type(each)])
                    )
                    for i, each in enumerate(records)
                ]
            )
        )
        frame = memoryview(batch)
        appended = self.log.append_leader(
            [(KAFKA_BATCHES.scan(frame), frame)], LEADER_EPOCH, now_ms, Origin.COORDINATOR
        )
        return appended.base_offset

    def replay(self) -> Iterator[tuple[int, list[Message]]]:
        """(offset of the first record, records) of every batch.

        Raises StartError for a log that is damaged: a decision that is missing, or is not what was decided, would show
        in everything after it.
        """
        offset = 0
        try:
            for batch in self._batches():
                if batch.base_offset != offset:
                    raise self._damaged(f"offsets {offset} to {batch.base_offset - 1} are missing")
                if not batch.crc_ok():
                    raise self._damaged(f"the CRC of the batch at offset {offset} does not match its bytes")
                offset = batch.next_offset
                if not batch.header.is_control:
                    yield batch.base_offset, [self._decode(record) for record in batch.records()]
        except (StorageError, ProtocolError, OSError) as error:
            raise self._damaged(str(error)) from None

    def _batches(self) -> Iterator[RecordBatch]:
        offset, end = self.log.start, self.log.end
        while offset < end:
            leased = self.log.read(offset, READ_BYTES, end)
            try:
                data = leased.read()
            finally:
                leased.close()
            if not data:
                raise self._damaged(f"offsets {offset} to {end - 1} are missing")
            for batch in batches(memoryview(data)):
                offset = batch.next_offset
                yield batch

    def _damaged(self, how: str) -> StartError:
        return StartError(
            f"the metadata log {self._directory} is damaged ({how}): "
            "put a copy of the data folder in its place, or use another one"
        )

    def _decode(self, record: Record) -> Message:
        if record.value is None:
            raise StartError(
                f"the metadata log has an empty record at offset {record.offset}: the data folder is damaged"
            )
        try:
            return decode_metadata_record(record.value)
        except (ProtocolError, ValueError) as error:
            raise StartError(
                f"the metadata log has a record at offset {record.offset} that this kbroker can not read ({error}): "
                "use the kbroker that wrote it"
            ) from None
