"""Leader epoch history: Kafka's answers to OffsetForLeaderEpoch."""

import pytest

from kbroker_storage import Corrupt
from kbroker_storage.epochs import Epochs


def test_an_epoch_is_known_from_its_first_offset():
    epochs = Epochs()
    assert epochs.assign(2, 0)
    assert not epochs.assign(2, 5)
    assert epochs.assign(5, 10)
    assert epochs.entries == [(2, 0), (5, 10)]
    assert epochs.latest == 5
    assert [epochs.at(offset) for offset in (0, 9, 10, 100)] == [2, 2, 5, 5]


def test_nothing_is_known_of_what_has_no_epoch():
    epochs = Epochs()
    assert not epochs.assign(-1, 0)
    assert (epochs.latest, epochs.at(0), epochs.end_of(0, 10), epochs.end_of(-1, 10)) == (-1, -1, (-1, -1), (-1, -1))


def test_the_end_of_an_epoch():
    epochs = Epochs([(2, 0), (5, 10), (7, 20)])
    assert epochs.end_of(7, 33) == (7, 33), "the newest ends with the log"
    assert epochs.end_of(5, 33) == (5, 20)
    assert epochs.end_of(6, 33) == (5, 20), "the largest that is not above"
    assert epochs.end_of(3, 33) == (2, 10)
    assert epochs.end_of(1, 33) == (1, 0), "older than all: itself, and where the oldest known begins"
    assert epochs.end_of(8, 33) == (-1, -1), "never seen"
    assert epochs.end_of(-1, 33) == (-1, -1)


def test_an_epoch_that_wrote_nothing_gives_way_to_the_next():
    epochs = Epochs([(2, 0), (5, 10)])
    assert epochs.assign(6, 10)
    assert epochs.entries == [(2, 0), (6, 10)]


def test_truncate_drops_what_began_at_the_end_or_later():
    epochs = Epochs([(2, 0), (5, 10), (7, 20)])
    assert not epochs.truncate(21)
    assert epochs.truncate(20)
    assert epochs.entries == [(2, 0), (5, 10)]
    assert epochs.latest == 5
    assert epochs.truncate(0)
    assert (epochs.entries, epochs.latest) == ([], -1)


def test_delete_before_moves_the_epoch_that_wrote_the_start():
    epochs = Epochs([(2, 0), (5, 10), (7, 20)])
    assert epochs.delete_before(15)
    assert epochs.entries == [(5, 15), (7, 20)]
    assert not epochs.delete_before(15)
    assert not epochs.delete_before(3)
    assert epochs.delete_before(20)
    assert epochs.entries == [(7, 20)]


def test_the_file_is_kafkas():
    epochs = Epochs([(2, 0), (5, 10)])
    assert epochs.render() == b"0\n2\n2 0\n5 10\n"
    assert Epochs.parse(epochs.render()).entries == epochs.entries
    assert Epochs.parse(b"0\n0\n").entries == []


@pytest.mark.parametrize(
    "data", [b"", b"0\n1\n2 0\n2 1\n", b"0\n2\n5 10\n2 20\n", b"0\n2\n2 10\n5 10\n", b"0\n1\nx 0\n"]
)
def test_a_file_that_can_not_be_is_corrupt(data):
    with pytest.raises(Corrupt):
        Epochs.parse(data)
