"""The metadata log: decisions in Kafka's records, one request one batch, read back as they were written."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from broker_in_memory import NOW_MS, batch
from kbroker.batches import KAFKA_BATCHES
from kbroker.config import StartError
from kbroker.env import Env
from kbroker.metadata import log as metadata_log
from kbroker.metadata.log import MetadataLog
from kbroker_wire.messages.metadata_records import (
    ConfigRecord,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RemoveTopicRecord,
    TopicRecord,
)
from kbroker_wire.records import batches

ID = bytes(range(16))
DECISIONS = [
    [FeatureLevelRecord(name="metadata.version", feature_level=7)],
    [
        TopicRecord(name="topic", topic_id=ID),
        ConfigRecord(resource_type=2, resource_name="topic", name="retention.ms", value="5"),
        PartitionRecord(
            partition_id=0,
            topic_id=ID,
            replicas=[1],
            isr=[1],
            removing_replicas=[],
            adding_replicas=[],
            leader=1,
            leader_epoch=0,
            partition_epoch=0,
            directories=[ID],
        ),
    ],
    [ProducerIdsRecord(broker_id=1, broker_epoch=0, next_producer_id=1000)],
    [RemoveTopicRecord(topic_id=ID)],
]


@pytest.fixture
def env():
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    env.files.make_directory("/data")
    return env


def opened(env):
    return MetadataLog(env, "/data", clean=False, recovery_point=0)


def test_decisions_come_back_in_the_batches_they_were_made_in(env):
    log = opened(env)
    assert [log.append(records) for records in DECISIONS] == [0, 1, 4, 5]
    log.log.flush()
    log.log.close(clean=True)
    assert list(opened(env).replay()) == [(0, DECISIONS[0]), (1, DECISIONS[1]), (4, DECISIONS[2]), (5, DECISIONS[3])]


def test_a_log_larger_than_one_read_is_replayed_whole(env, monkeypatch):
    monkeypatch.setattr(metadata_log, "READ_BYTES", 100)
    log = opened(env)
    for _ in range(20):
        for records in DECISIONS:
            log.append(records)
    assert [records for _, records in log.replay()] == DECISIONS * 20


def test_what_was_written_is_a_batch_of_kafka(env):
    log = opened(env)
    log.append(DECISIONS[1])
    data = log.log.read(0, 1 << 20, log.log.end).read()
    [written] = batches(memoryview(data))
    KAFKA_BATCHES.verify(memoryview(data))
    entry = KAFKA_BATCHES.scan(data)
    assert (entry.epoch, entry.last_offset, entry.max_timestamp) == (1, 2, NOW_MS)
    assert [record.value[:3] for record in written.records()] == [b"\x01\x02\x00", b"\x01\x04\x00", b"\x01\x03\x01"]


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01\xff\x01\x00", b"\x07\x02\x00", b"\x01\x02\x00\xff"])
def test_a_record_that_can_not_be_read_is_a_clear_error_that_says_where(env, value):
    log = opened(env)
    log.append(DECISIONS[0])
    frame = memoryview(bytearray(batch(value)))
    log.log.append_leader([(KAFKA_BATCHES.scan(frame), frame)], 1, NOW_MS)
    with pytest.raises(StartError, match="offset 1"):
        list(log.replay())


@pytest.mark.parametrize("position", [0, 1, 8, 11, 16, 17, 30, 61, 80, -1])
def test_a_byte_that_changed_under_a_clean_stop_is_a_clear_error(env, position):
    """Also where the batch still parses: what was decided must not be read as something else."""
    log = opened(env)
    for records in DECISIONS:
        log.append(records)
    log.log.flush()
    log.log.close(clean=True)
    path = f"/data/__cluster_metadata-0/{0:020}.log"
    data = bytearray(env.files.read(path))
    first = batches(memoryview(data)).__next__().size_bytes  # the second batch is damaged
    second = first + struct.unpack_from(">i", data, first + 8)[0] + 12
    at = first + position if position >= 0 else second + position
    data[at] ^= 0x40
    env.files.replace(path, bytes(data), sync=True)
    log = MetadataLog(env, "/data", clean=True, recovery_point=6)
    with pytest.raises(StartError, match="the metadata log /data/__cluster_metadata-0 is damaged"):
        list(log.replay())


def test_decisions_that_were_set_aside_as_damaged_are_missed(env, caplog):
    log = opened(env)
    for records in DECISIONS:
        log.append(records)
    log.log.flush()
    path = f"/data/__cluster_metadata-0/{0:020}.log"
    data = bytearray(env.files.read(path))
    data[80] ^= 0x40
    env.files.replace(path, bytes(data), sync=True)
    log = opened(env)
    assert "aside" in caplog.text
    with pytest.raises(StartError, match="offsets 0 to 0 are missing"):
        list(log.replay())
