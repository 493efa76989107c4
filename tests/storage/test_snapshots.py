"""Kafka's producer snapshots, byte for byte."""

import struct

import pytest
from crc32c import crc32c

from kbroker_storage import Corrupt
from kbroker_storage.entry import MAX_SEQUENCE
from kbroker_storage.flush import Unsynced
from kbroker_storage.producers import Batch, Producer
from kbroker_storage.snapshots import Snapshots, decode, encode


def producer(producer_id, epoch=3, *batches, **fields):
    made = Producer(producer_id, epoch)
    made.batches.extend(batches)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_the_bytes_are_kafkas():
    data = encode(
        [producer(9, 2, Batch(0, 4, 95, 99, 7), Batch(5, 9, 100, 104, 77), timestamp=77, txn_first_offset=100)]
    )
    body = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 9, 2, 9, 104, 4, 77, -1, 100)
    assert data == struct.pack(">hI", 1, crc32c(body)) + body


def test_the_last_batch_comes_back_and_the_rest_is_known_to_be_missing():
    (back,) = decode(encode([producer(9, 2, Batch(0, 4, 95, 99, 7), Batch(5, 9, 100, 104, 77), timestamp=77)]))
    assert list(back.batches) == [Batch(5, 9, 100, 104, 77)]
    assert (back.producer_id, back.epoch, back.timestamp, back.txn_first_offset, back.partial) == (9, 2, 77, -1, True)


def test_a_batch_over_the_wrap_comes_back():
    batch = Batch(MAX_SEQUENCE, 1, 10, 12, -1)
    assert list(decode(encode([producer(1, 0, batch)]))[0].batches) == [batch]


def test_a_producer_without_batches_comes_back():
    (back,) = decode(encode([producer(1, 4, coordinator_epoch=6)]))
    assert (list(back.batches), back.epoch, back.coordinator_epoch, back.partial) == ([], 4, 6, False)


def test_no_producers_are_a_snapshot_too():
    assert decode(encode([])) == []


@pytest.mark.parametrize("change", range(6))
def test_what_is_not_whole_is_corrupt(change):
    data = bytearray(encode([producer(1, 4, Batch(0, 0, 0, 0, 0))]))
    wrong = [
        data[:-1],
        data[:8],
        b"\0\2" + data[2:],
        data[:20] + bytes([data[20] ^ 1]) + data[21:],
        b"",
        data[:2] + crc32c(b"\0\0\0\2").to_bytes(4, "big") + b"\0\0\0\2",
    ][change]
    with pytest.raises(Corrupt):
        decode(bytes(wrong))


@pytest.fixture
def snapshots(ground, files):
    return Snapshots(files, ground.directory, Unsynced(files), set())


def test_the_newest_whole_snapshot_counts_and_broken_ones_go(ground, files, snapshots):
    for offset in (10, 20, 30, 40):
        snapshots.write(offset, [producer(offset)], keep=(10, 20, 30))
    files.replace(snapshots.path(40), b"broken", sync=False)
    files.remove(snapshots.path(30))
    newest = [(offset, [each.producer_id for each in found]) for offset, found in snapshots.newest(upto=40)]
    assert newest == [(20, [20])]
    assert snapshots.offsets == {10, 20}
    assert sorted(files.entries(ground.directory)) == ["00000000000000000010.snapshot", "00000000000000000020.snapshot"]


def test_a_new_snapshot_replaces_those_that_no_segment_needs(ground, files, snapshots):
    for offset in (10, 20, 30):
        snapshots.write(offset, [], keep=(10,))
    assert snapshots.offsets == {10, 30}
    snapshots.remove_above(10)
    assert sorted(files.entries(ground.directory)) == ["00000000000000000010.snapshot"]
    snapshots.remove(10)
    snapshots.remove(10)
    assert list(snapshots.newest(upto=40)) == []


def test_a_snapshot_behind_what_may_be_believed_is_left_alone(ground, files, snapshots):
    for offset in (10, 20):
        snapshots.write(offset, [producer(offset)], keep=(10,))
    assert [offset for offset, _ in snapshots.newest(upto=19)] == [10]
    assert snapshots.offsets == {10, 20}
