"""The judge of histories passes a good one and names each thing that can go wrong."""

import pytest
from history import Anomaly, Partition, Seen, Write, check

P: Partition = ("t", 0)
IDEMPOTENT = frozenset({"a"})
GOOD_WRITES = [
    Write(P, "a", 0, True, 0),
    Write(P, "b", 0, True, 1),
    Write(P, "a", 1, True, None),  # a duplicate, acknowledged without its offset
    Write(P, "b", 1, False, None),  # never answered, but written
    Write(P, "b", 2, True, 4),
    Write(P, "a", 2, False, None),  # never answered, and not written
]
GOOD_LOG = [Seen(0, "a", 0), Seen(1, "b", 0), Seen(2, "a", 1), Seen(3, "b", 1), Seen(4, "b", 2)]


def names(writes: list[Write] = GOOD_WRITES, log: list[Seen] = GOOD_LOG, polls: list[Seen] | None = None) -> list[str]:
    return [anomaly.name for anomaly in check(writes, {P: log}, {P: polls or []}, IDEMPOTENT)]


def test_a_good_history_has_no_anomaly() -> None:
    assert names(polls=GOOD_LOG[1:4]) == []


def test_a_producer_that_is_not_idempotent_may_write_a_record_twice() -> None:
    log = [*GOOD_LOG[:4], Seen(4, "b", 2), Seen(5, "b", 1), Seen(6, "b", 2)]
    assert names(log=log) == []


def test_an_acknowledged_record_that_is_not_there_is_lost() -> None:
    assert names(log=GOOD_LOG[:4]) == ["lost write"]
    assert names(log=[]) == ["lost write"] * 4


def test_a_partition_that_was_never_read_has_lost_everything() -> None:
    lost = check([Write(("other", 3), "a", 0, True, 0)], {})
    assert [str(anomaly) for anomaly in lost] == ["lost write in other-3: 0 of a, acknowledged at 0"]


def test_a_record_somewhere_else_than_acknowledged_is_an_inconsistent_offset() -> None:
    assert names(writes=[*GOOD_WRITES[:4], Write(P, "b", 2, True, 2)]) == ["inconsistent offset"]


def test_two_records_acknowledged_at_one_offset_are_an_inconsistent_offset() -> None:
    assert names(writes=[*GOOD_WRITES, Write(P, "b", 2, True, 4)]) == ["inconsistent offset"]


def test_a_second_copy_of_an_idempotent_producers_record_is_a_duplicate() -> None:
    assert names(log=[*GOOD_LOG, Seen(5, "a", 1)]) == ["duplicate"]


def test_a_later_record_before_an_earlier_one_is_reordered() -> None:
    swapped = [Seen(0, "a", 0), Seen(1, "b", 0), Seen(2, "a", 1), Seen(3, "b", 2), Seen(4, "b", 1)]
    writes = [*GOOD_WRITES[:4], Write(P, "b", 2, True, 3)]
    assert names(writes=writes, log=swapped) == ["reordered"]


@pytest.mark.parametrize("offset", [6, 4, 3])
def test_offsets_that_do_not_follow_each_other_are_a_gap(offset: int) -> None:
    assert "gap" in names(log=[*GOOD_LOG, Seen(offset, "b", 1)])


def test_a_record_nobody_sent_is_a_phantom() -> None:
    assert names(log=[*GOOD_LOG, Seen(5, "c", 0)]) == ["phantom"]
    assert names(polls=[Seen(0, "c", 0)]) == ["phantom", "vanished read"]


def test_a_record_that_was_read_and_is_gone_is_a_vanished_read() -> None:
    assert names(polls=[*GOOD_LOG, Seen(5, "a", 2)]) == ["vanished read"]


def test_a_consumer_that_goes_back_or_jumps_is_noticed() -> None:
    assert names(polls=[GOOD_LOG[0], GOOD_LOG[1], GOOD_LOG[1]]) == ["nonmonotonic poll"]
    assert names(polls=[GOOD_LOG[0], GOOD_LOG[3]]) == ["skipped poll"]


def test_an_anomaly_says_where_and_what() -> None:
    assert str(Anomaly("gap", ("orders", 7), "offset 3 follows 1")) == "gap in orders-7: offset 3 follows 1"
