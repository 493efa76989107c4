"""Transaction markers, byte for byte as Apache Kafka 4.4.0 writes them."""

import pytest

from kbroker.batches import KAFKA_BATCHES
from kbroker.markers import build_marker, read_marker
from kbroker_storage import Marker
from kbroker_wire import ProtocolError
from kbroker_wire.messages.end_txn_marker import decode_end_txn_marker, encode_end_txn_marker
from kbroker_wire.record_building import build_batch
from kbroker_wire.records import Record, RecordBatch


def test_a_marker_is_what_apache_kafka_writes():
    batch = build_marker(7, 1, commit=False, coordinator_epoch=0, now_ms=1000)
    assert batch[61:].hex() == "2000000008000000000c00000000000000"
    assert batch[21:23].hex() == "0030"
    entry = KAFKA_BATCHES.verify(memoryview(batch))
    assert (entry.producer_id, entry.producer_epoch, entry.base_sequence, entry.max_timestamp) == (7, 1, -1, 1000)
    assert entry.transactional
    assert entry.control


@pytest.mark.parametrize("commit", [True, False])
def test_a_marker_is_read_back(commit):
    batch = build_marker(7, 1, commit=commit, coordinator_epoch=12, now_ms=1000)
    assert KAFKA_BATCHES.marker(memoryview(batch)) == Marker(commit, 12)


@pytest.mark.parametrize("commit", [True, False])
def test_a_marker_that_is_encoded_otherwise_says_the_same(commit):
    key, value = encode_end_txn_marker(committed=commit, coordinator_epoch=12)
    for record in (Record(0, 0, key, value, [("a", b"header")]), Record(5, 0, key, value), Record(0, 0, key, value)):
        batch = build_batch([record], producer_id=1, producer_epoch=0, transactional=True, control=True)
        assert read_marker(memoryview(batch)) == Marker(commit, 12)


@pytest.mark.parametrize("at", range(61, 78))
def test_the_usual_form_is_read_as_any_other(at):
    """Whatever one byte of a marker becomes: read in short, it says what decoding it says."""
    for value in (0, 1, 2, 8, 12, 32, 127, 255):
        batch = build_marker(7, 1, commit=True, coordinator_epoch=12, now_ms=1000)
        batch[at] = value
        short = read_marker(memoryview(batch))
        try:
            [record] = RecordBatch(batch).records()
            committed, marker = decode_end_txn_marker(record.key, record.value)
            assert short == Marker(committed, marker.coordinator_epoch)
        except ProtocolError:
            assert short is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"\0\0\0\2", b"\0\0\0\0\0\1"),  # a leader change
        (b"\0\0\0\x63", b""),  # a type of the future
        (b"\0\0", b"\0\0\0\0\0\1"),
        (None, None),
        (b"\0\0\0\1", None),
        (b"\0\0\0\1", b"\0\0\0"),
        (b"\xff\xff\0\1", b"\0\0\0\0\0\1"),
    ],
)
def test_control_batches_of_other_kinds_end_nothing(key, value):
    batch = build_batch([Record(0, 0, key, value)], producer_id=1, producer_epoch=0, transactional=True, control=True)
    assert read_marker(memoryview(batch)) is None


def test_an_empty_control_batch_as_compaction_leaves_it_ends_nothing():
    batch = bytearray(build_marker(7, 1, commit=True, coordinator_epoch=0, now_ms=1000)[:61])
    batch[8:12] = (49).to_bytes(4, "big")
    batch[57:61] = bytes(4)
    assert read_marker(memoryview(batch)) is None


def test_a_marker_of_a_newer_version_is_read_as_far_as_it_is_known():
    key, value = encode_end_txn_marker(committed=True, coordinator_epoch=3)
    batch = build_batch([Record(0, 0, b"\0\1" + key[2:], b"\0\1" + value[2:] + b"more")], control=True)
    assert read_marker(memoryview(batch)) == Marker(True, 3)
