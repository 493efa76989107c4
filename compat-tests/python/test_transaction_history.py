"""The judge of transactions and commits passes a good history and names each thing that can go wrong."""

import math

import pytest
from history import Partition, Seen
from transaction_history import (
    Look,
    Source,
    Transaction,
    check_commits,
    check_outputs,
    check_transactions,
)

P: Partition = ("t", 0)
Q: Partition = ("t", 1)
COMMITTED = Transaction("a", 0, [P, Q, P], asked_at=1.0, committed=True)
ABORTED = Transaction("a", 1, [P, Q], asked_at=2.0, aborted=True)
LEFT_OPEN = Transaction("b", 0, [P])
NOT_TOLD_WRITTEN = Transaction("b", 1, [Q, P], asked_at=3.0)
NOT_TOLD_ABSENT = Transaction("a", 2, [P, Q], asked_at=4.0)
ALL = [COMMITTED, ABORTED, LEFT_OPEN, NOT_TOLD_WRITTEN, NOT_TOLD_ABSENT]
GOOD = {P: [Seen(0, "a/0", 0), Seen(1, "a/0", 2), Seen(7, "b/1", 1)], Q: [Seen(0, "a/0", 1), Seen(5, "b/1", 0)]}


def names(
    visible: dict[Partition, list[Seen]] = GOOD,
    polls: dict[Partition, list[Seen]] | None = None,
    polled_at: dict[str, float] | None = None,
) -> list[str]:
    return [anomaly.name for anomaly in check_transactions(ALL, visible, polls, polled_at)]


def with_p(*held: Seen) -> dict[Partition, list[Seen]]:
    return {P: list(held), Q: GOOD[Q]}


def test_a_good_history_has_no_anomaly() -> None:
    assert names(polls=GOOD, polled_at={"a/0": 1.0, "b/1": 3.5}) == []
    assert names(polls={P: GOOD[P][1:]}) == []


def test_what_was_never_asked_to_commit_and_what_was_aborted_must_be_absent() -> None:
    assert [each.must_be_absent for each in ALL] == [False, True, True, False, False]
    assert Transaction("a", 0).asked_at == math.inf


def test_a_committed_record_that_is_not_there_is_lost() -> None:
    assert names(with_p(GOOD[P][0], GOOD[P][2])) == ["lost write"]
    assert names({}) == ["lost write"] * 3


@pytest.mark.parametrize("seen", [Seen(8, "a/1", 0), Seen(8, "b/0", 0)])
def test_a_record_of_an_aborted_or_open_transaction_is_an_aborted_read(seen: Seen) -> None:
    assert "aborted read" in names(with_p(*GOOD[P], seen))
    assert "aborted read" in names(polls={P: [seen]})


def test_a_part_of_a_transaction_is_torn() -> None:
    assert names(with_p(*GOOD[P][:2])) == ["torn transaction"]
    assert names(with_p(*GOOD[P], Seen(8, "a/2", 0))) == ["torn transaction"]


def test_a_record_twice_elsewhere_or_out_of_order_is_noticed() -> None:
    assert names(with_p(*GOOD[P], Seen(8, "b/1", 1))) == ["duplicate"]
    assert names({P: GOOD[P][:2], Q: [*GOOD[Q], Seen(6, "b/1", 1)]}) == ["misplaced"]
    assert names(with_p(Seen(0, "a/0", 2), Seen(1, "a/0", 0), GOOD[P][2])) == ["reordered"]


def test_records_nobody_sent_are_phantoms() -> None:
    assert names(with_p(*GOOD[P], Seen(8, "c/0", 0))) == ["phantom"]
    assert names(with_p(*GOOD[P], Seen(8, "b/1", 2))) == ["phantom"]


def test_the_consumer_that_read_along_is_judged_too() -> None:
    assert names(polled_at={"a/0": 0.9}) == ["precommitted read"]
    assert names(polls={P: [GOOD[P][0], GOOD[P][2]]}) == ["skipped poll"]
    assert names(polls={P: [GOOD[P][1], GOOD[P][0]]}) == ["nonmonotonic poll"]
    assert names(polls={P: [Seen(6, "b/1", 1)]}) == ["vanished read"]


INPUTS = {P: [Seen(0, "a/0", 0), Seen(2, "a/1", 0), Seen(3, "a/1", 1)]}


def outputs(*offsets: int, committed: int) -> list[str]:
    return [anomaly.name for anomaly in check_outputs(INPUTS, [Source(P, each) for each in offsets], {P: committed})]


def test_outputs_are_those_of_the_inputs_before_the_committed_offset() -> None:
    assert outputs(committed=0) == []
    assert outputs(0, committed=1) == outputs(0, 2, committed=3) == outputs(0, 2, 3, committed=4) == []


def test_lost_doubled_early_and_invented_outputs_are_noticed() -> None:
    assert outputs(0, committed=4) == ["lost output"] * 2
    assert outputs(0, 0, committed=1) == ["doubled output"]
    assert outputs(0, 2, committed=1) == ["early output"]
    assert outputs(0, 1, committed=2) == ["phantom"]


def commits(*looks: tuple[int, int], asked: tuple[int, ...] = (5, 9)) -> list[str]:
    """looks: (at least, found)"""
    return [each.name for each in check_commits({("g", P): set(asked)}, [Look("g", P, *look) for look in looks])]


def test_committed_offsets_that_go_forward_are_fine_acknowledged_or_not() -> None:
    assert commits((0, 0), (0, 5), (5, 5), (5, 9)) == []


def test_a_committed_offset_that_is_behind_or_that_nobody_committed_is_noticed() -> None:
    assert commits((5, 0)) == ["lost commit"]
    assert commits((0, 9), (5, 5)) == ["lost commit"]  # not acknowledged, but shown
    assert commits((0, 7)) == ["phantom commit"]
