"""Idempotence: what continues a sequence, what repeats it, what is refused."""

import pytest

from kbroker_storage import InvalidProducerEpoch, Marker, OutOfOrderSequence
from kbroker_storage.entry import MAX_SEQUENCE
from kbroker_storage.producers import Batch, Producer, Producers
from storage_frames import FORMAT, build


class Story:
    """Producers, and the offsets their batches get."""

    def __init__(self):
        self.producers = Producers(lambda producer: [])
        self.offset = 0

    def entry(self, sequence, count=1, *, producer=7, epoch=0, **kind):
        return FORMAT.scan(
            build([b""] * count, self.offset, producer=producer, producer_epoch=epoch, sequence=sequence, **kind)
        )

    def send(self, sequence, count=1, **options):
        entry = self.entry(sequence, count, **options)
        repeated = self.producers.check(entry)
        if repeated is None:
            self.producers.record(entry, self.offset, self.offset + count - 1)
            self.offset += count
        return repeated


@pytest.fixture
def story():
    return Story()


def test_a_sequence_is_continued(story):
    assert [story.send(sequence, 5) for sequence in (0, 5, 10)] == [None, None, None]


def test_an_unknown_producer_may_begin_anywhere(story):
    assert story.send(1234) is None


def test_each_of_the_last_five_batches_is_recognised(story):
    for sequence in range(0, 14, 2):
        story.send(sequence, 2)
    for sequence in (4, 6, 8, 10, 12):
        assert story.send(sequence, 2) == Batch(sequence, sequence + 1, sequence, sequence + 1, sequence)
    for sequence in (0, 2):
        with pytest.raises(OutOfOrderSequence, match=f"begins at sequence {sequence}, expected 14"):
            story.send(sequence, 2)


def test_a_batch_that_repeats_only_in_part_is_no_repetition(story):
    story.send(0, 4)
    for sequence, count in ((0, 3), (1, 3), (0, 5)):
        with pytest.raises(OutOfOrderSequence):
            story.send(sequence, count)


def test_a_gap_is_refused(story):
    story.send(0)
    with pytest.raises(OutOfOrderSequence, match="producer 7 epoch 0: batch begins at sequence 2, expected 1"):
        story.send(2)


def test_sequences_wrap_to_zero(story):
    story.send(MAX_SEQUENCE - 1, 2)
    assert story.send(0) is None
    assert story.send(MAX_SEQUENCE - 1, 2).base_offset == 0


def test_a_batch_may_straddle_the_wrap(story):
    story.send(MAX_SEQUENCE, 3)
    assert story.producers.get(7).last_sequence == 1
    assert story.send(2) is None
    assert story.send(MAX_SEQUENCE, 3).base_offset == 0


def test_a_newer_epoch_begins_at_zero_and_fences_the_older(story):
    story.send(0)
    with pytest.raises(OutOfOrderSequence, match="expected 0"):
        story.send(1, epoch=1)
    assert story.send(0, epoch=1) is None
    with pytest.raises(InvalidProducerEpoch, match="epoch 0 is fenced by epoch 1"):
        story.send(1, epoch=0)
    assert story.send(0, epoch=1).base_offset == 1


def test_producers_do_not_know_each_other(story):
    story.send(0)
    assert story.send(0, producer=8) is None
    assert story.send(0).base_offset == 0


def test_a_marker_raises_the_epoch_without_a_sequence(story):
    story.send(0, transactional=True)
    assert story.producers.get(7).txn_first_offset == 0
    story.producers.end(story.entry(-1, epoch=1, control=True), Marker(True, 0), 1)
    assert story.producers.get(7).txn_first_offset == -1
    with pytest.raises(InvalidProducerEpoch):
        story.send(1)
    with pytest.raises(OutOfOrderSequence):
        story.send(1, epoch=1)
    assert story.send(0, epoch=1) is None


def test_the_state_from_a_snapshot_is_completed_from_the_log_once_it_is_needed(story):
    asked = []
    batches = [Batch(number, number, number, number, 0) for number in range(3)]

    def history(producer):
        asked.append(producer.producer_id)
        return batches

    story.producers = Producers(history)
    producer = Producer(7, 0)
    producer.batches.append(batches[-1])
    producer.partial = True
    story.producers.load([producer])
    story.offset = 3
    assert story.send(2) == batches[2]
    assert story.send(3) is None
    assert asked == []
    producer.batches.pop()
    assert story.send(0) == batches[0]
    assert story.send(1) == batches[1]
    with pytest.raises(OutOfOrderSequence):
        story.send(8)
    assert asked == [7]


def test_batches_that_the_log_does_not_confirm_are_not_taken_from_it(story):
    story.producers = Producers(lambda producer: [Batch(8, 8, 8, 8, 0)])
    producer = Producer(7, 0)
    producer.batches.append(Batch(2, 2, 2, 2, 0))
    producer.partial = True
    story.producers.load([producer])
    with pytest.raises(OutOfOrderSequence):
        story.send(8)


def test_batches_of_one_append_may_continue_each_other(story):
    entries = [story.entry(0, 2), story.entry(2), story.entry(0, producer=8), story.entry(3)]
    assert story.producers.check_all(entries) == []
    with pytest.raises(OutOfOrderSequence, match="begins at sequence 3, expected 2"):
        story.producers.check_all([story.entry(0, 2), story.entry(3)])
    with pytest.raises(InvalidProducerEpoch):
        story.producers.check_all([story.entry(0, epoch=3), story.entry(1, epoch=2)])
    assert story.producers.check_all([story.entry(0, epoch=3), story.entry(0, epoch=4)]) == []


def test_an_append_is_repeated_as_a_whole_or_not_at_all(story):
    for sequence in range(3):
        story.send(sequence)
    assert [batch.base_offset for batch in story.producers.check_all([story.entry(1), story.entry(2)])] == [1, 2]
    for mixed in (
        [story.entry(2), story.entry(3)],
        [story.entry(3), story.entry(2)],
        [story.entry(2), story.entry(-1, producer=-1)],
    ):
        with pytest.raises(OutOfOrderSequence):
            story.producers.check_all(mixed)


def test_silent_producers_expire_unless_a_transaction_is_open(story):
    story.send(0, producer=1)
    story.send(0, producer=2, transactional=True)
    story.offset = 100
    story.send(0, producer=3)
    story.producers.expire(now_ms=110, after_ms=50)
    assert [producer.producer_id for producer in story.producers] == [2, 3]
    assert story.send(77, producer=1) is None
