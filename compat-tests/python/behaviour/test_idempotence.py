"""Idempotent producers: each partition remembers the last five batches of a producer id and epoch."""

import pytest
from raw_kafka.batches import Record, batch, read_batches
from raw_kafka.calls import NONE, create_topic, fetch, list_offset, produce

OUT_OF_ORDER, INVALID_PRODUCER_EPOCH, INVALID_RECORD = 45, 47, 87
STAMP = 1_700_000_000_000


@pytest.fixture
def producer_id(connection):
    """A fresh producer id. Apache Kafka may say COORDINATOR_LOAD_IN_PROGRESS (14) for a moment after its start."""
    while (answer := connection.call("InitProducerId", 4, transactional_id=None)).error_code == 14:
        pass
    assert (answer.error_code, answer.producer_epoch) == (NONE, 0)
    return answer.producer_id


@pytest.fixture
def send(connection, topic, producer_id):
    """send(sequence) writes one batch as this producer; `count` records, `epoch`, `stamp` on demand."""

    def send_one(sequence, *, count=1, epoch=0, stamp=STAMP, version=9, pid=None):
        records = batch(
            [b"%d" % (sequence + place) for place in range(count)],
            producer_id=producer_id if pid is None else pid,
            producer_epoch=epoch,
            base_sequence=sequence,
            base_timestamp=stamp,
        )
        answer = produce(connection, topic, records, version=version)
        return answer.error_code, answer.base_offset

    return send_one


def test_sequences_that_follow_each_other_are_stored(send):
    assert [send(0, count=3), send(3), send(4, count=2)] == [(NONE, 0), (NONE, 3), (NONE, 4)]


def test_sequence_and_producer_are_stored_with_the_batch(send, connection, topic, producer_id):
    send(0, count=2)
    send(2)
    batches, _ = read_batches(fetch(connection, topic, 0).records)
    assert [(b.producer_id, b.producer_epoch, b.base_sequence) for b in batches] == [
        (producer_id, 0, 0),
        (producer_id, 0, 2),
    ]


@pytest.mark.parametrize("version", [3, 7, 9, 11])
def test_a_batch_sent_again_is_answered_with_its_first_offset(version, send, connection, topic):
    send(0)
    assert send(1, version=version) == (NONE, 1)
    assert send(1, version=version) == (NONE, 1)
    assert list_offset(connection, topic, -1).offset == 2, "stored once"


def test_a_duplicates_answer_carries_the_batchs_timestamp(connection, topic, producer_id):
    records = batch([b"x", Record(b"y", timestamp_delta=5)], producer_id=producer_id, producer_epoch=0, base_sequence=0)
    assert produce(connection, topic, records).log_append_time_ms == -1
    again = produce(connection, topic, records)
    assert (again.error_code, again.base_offset) == (NONE, 0)
    assert (again.log_append_time_ms, again.log_start_offset) == (STAMP + 5, 0)


def test_each_of_the_last_five_batches_is_recognised(send):
    for sequence in range(7):
        assert send(sequence) == (NONE, sequence)
    assert [send(sequence) for sequence in (2, 3, 4, 5, 6)] == [(NONE, offset) for offset in (2, 3, 4, 5, 6)]


def test_an_older_one_is_out_of_order(send):
    for sequence in range(7):
        send(sequence)
    assert send(1) == (OUT_OF_ORDER, -1)
    assert send(7) == (NONE, 7), "and harms nothing"


def test_a_gap_is_out_of_order_and_stores_nothing(send, connection, topic):
    send(0)
    assert send(5) == (OUT_OF_ORDER, -1)
    assert list_offset(connection, topic, -1).offset == 1
    assert send(1) == (NONE, 1)


def test_half_a_duplicate_is_out_of_order(send):
    send(0, count=3)
    assert send(0, count=2) == (OUT_OF_ORDER, -1)
    assert send(1, count=2) == (OUT_OF_ORDER, -1)


def test_an_unknown_producer_may_begin_with_any_sequence(send, producer_id):
    assert send(9, pid=producer_id + 1_000_000) == (NONE, 0)
    assert send(10, pid=producer_id + 1_000_000) == (NONE, 1)


def test_a_higher_epoch_begins_at_sequence_zero(send):
    send(0)
    assert send(7, epoch=1) == (OUT_OF_ORDER, -1)
    assert send(1, epoch=1) == (OUT_OF_ORDER, -1)
    assert send(0, epoch=1) == (NONE, 1)
    assert send(1, epoch=1) == (NONE, 2)


def test_a_lower_epoch_is_fenced(send):
    send(0, epoch=3)
    assert send(1, epoch=2) == (INVALID_PRODUCER_EPOCH, -1)
    assert send(0, epoch=0) == (INVALID_PRODUCER_EPOCH, -1)
    assert send(1, epoch=3) == (NONE, 1)


def test_sequences_wrap_at_their_largest(send):
    last = 2**31 - 1
    assert send(last - 1, count=2) == (NONE, 0)
    assert send(0) == (NONE, 2)
    assert send(1) == (NONE, 3)


def test_a_batch_may_wrap_inside(send):
    assert send(2**31 - 2, count=4) == (NONE, 0)
    assert send(2) == (NONE, 4)


def test_partitions_and_producers_are_counted_apart(connection, producer_id):
    topic = create_topic(connection, partitions=2)
    for partition in (0, 1):
        for pid in (producer_id, producer_id + 2_000_000):
            records = batch(producer_id=pid, producer_epoch=0, base_sequence=0)
            assert produce(connection, topic, records, partition=partition).error_code == NONE
    assert [list_offset(connection, topic, -1, partition=p).offset for p in (0, 1)] == [2, 2]


def test_a_refused_batch_does_not_move_the_sequence(send, connection, topic, producer_id):
    send(0)
    broken = batch(producer_id=producer_id, producer_epoch=0, base_sequence=1, crc=1)
    assert produce(connection, topic, broken).error_code == 2
    assert send(1) == (NONE, 1)


def test_pipelined_batches_of_one_producer_keep_their_order(connection, topic, producer_id):
    for sequence in range(5):
        records = batch([b"x"], producer_id=producer_id, producer_epoch=0, base_sequence=sequence)
        data = [{"name": topic.name, "partition_data": [{"index": 0, "records": records}]}]
        connection.send("Produce", 9, acks=-1, timeout_ms=10_000, topic_data=data)
    answers = [connection.answer().responses[0].partition_responses[0] for _ in range(5)]
    assert [(each.error_code, each.base_offset) for each in answers] == [(NONE, offset) for offset in range(5)]


@pytest.mark.parametrize(
    ("epoch", "sequence", "code"),
    [(0, -1, INVALID_RECORD), (-1, -1, INVALID_RECORD), (-5, 0, INVALID_PRODUCER_EPOCH)],
    ids=["no sequence", "neither epoch nor sequence", "a negative epoch"],
)
def test_a_producer_id_needs_an_epoch_and_a_sequence(epoch, sequence, code, send, connection, topic):
    assert send(sequence, epoch=epoch) == (code, -1)
    assert list_offset(connection, topic, -1).offset == 0
