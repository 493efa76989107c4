"""The transaction coordinator's machine as stories: when answers come, what is written, and what a reload finds."""

from __future__ import annotations

import pytest

from kbroker.coordinators.transactions.settings import TransactionSettings
from kbroker.coordinators.transactions.shard import DUE_AT_ONCE, WAITS_S
from kbroker.coordinators.transactions.transaction import Transaction, TransactionState
from kbroker_wire import ErrorCode, ProtocolError
from kbroker_wire.messages.coordinator_records import TRANSACTION_RECORDS, decode_record, encode_record
from kbroker_wire.messages.transaction_records import TransactionLogKey, TransactionLogValue, TransactionPartitions
from transaction_stories import FIRST_ID, START_MS, TV1, TV2, Producer, Story, Waits

ME = Producer(FIRST_ID, 0)
X = {"x": [0]}
P = {"t": [0, 1], "u": [3]}
ADDED = {("t", 0): ErrorCode.NONE, ("t", 1): ErrorCode.NONE, ("u", 3): ErrorCode.NONE}


def opened(version: int = TV2, **settings: int) -> Story:
    """A story whose producer has written."""
    story = Story(TransactionSettings(**settings))
    assert story.init("a") == ME
    story.add("a", ME, X, version)
    return story


def waiting(answer: object) -> Waits:
    assert isinstance(answer, Waits), answer
    assert answer.answer is None
    return answer


def written(story: Story) -> list[TransactionLogValue]:
    values = [decode_record(TRANSACTION_RECORDS, key, value)[1] for key, value in story.log]
    assert all(isinstance(value, TransactionLogValue) for value in values)
    return values  # type: ignore[return-value]


# -- the end


@pytest.mark.parametrize(("version", "next_epoch"), [(TV1, 0), (TV2, 1)])
@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_ends_when_all_its_partitions_have_their_marker(version, next_epoch, commit):
    story = Story()
    story.init("a")
    assert story.add("a", ME, P, version) == ADDED
    ended = waiting(story.end("a", ME, version, commit=commit))
    (order,) = story.markers
    assert (order.producer_id, order.producer_epoch, order.commit) == (FIRST_ID, next_epoch, commit)
    assert (order.coordinator_epoch, order.transaction_version) == (1, version)
    assert sorted(order.partitions) == [("t", 0), ("t", 1), ("u", 3)]
    story.wrote(order, [("t", 0), ("u", 3)])
    story.wrote(order, [("t", 0), ("nobody asked", 7)])
    assert ended.answer is None
    assert story["a"].partitions == {"t": {1}}
    story.wrote(order, [("t", 1)])
    assert ended.answer == ME.at(next_epoch)
    assert story["a"].state is (TransactionState.COMPLETE_COMMIT if commit else TransactionState.COMPLETE_ABORT)
    assert story.open == {}


def test_a_transaction_without_partitions_ends_at_once():
    story = Story()
    story.init("a")
    assert story.add("a", ME, {}) == {}
    assert story["a"].state is TransactionState.ONGOING
    assert story.add("a", ME, {"x": []}) == {}
    assert story.commit("a", ME) == ME.at(1)
    assert [value.transaction_status for value in written(story)][-2:] == [2, 4]
    assert story.markers == []


@pytest.mark.parametrize("version", [TV1, TV2])
def test_what_is_said_of_markers_of_another_end_is_no_news(version):
    story = opened(version)
    story.commit("a", ME, version)
    (old,) = story.write_markers()
    story.wrote(old, old.partitions)
    now = Producer(FIRST_ID, story["a"].producer_epoch)
    story.add("a", now, X, version)
    story.commit("a", now, version)
    records = len(story.log)
    story.wrote(old, old.partitions)
    assert story["a"].state is TransactionState.PREPARE_COMMIT
    (order,) = story.markers
    story.restart()
    story.wrote(order, order.partitions)
    assert story["a"].is_ending
    assert len(story.log) == records
    story.write_markers()
    assert story["a"].state is TransactionState.COMPLETE_COMMIT


# -- waiting


def test_every_request_waits_while_the_transaction_ends_and_is_decided_then():
    story = opened()
    first = waiting(story.commit("a", ME))
    again = waiting(story.commit("a", ME))
    late = waiting(story.commit("a", ME.at(3)))
    verify = waiting(story.add("a", ME.at(1), X, verify_only=True))
    added = waiting(story.add("a", ME.at(1), {"y": [1]}))
    next_end = waiting(story.commit("a", ME.at(1)))
    other = waiting(story.init("a"))
    assert story.commit("a", ME, TV1) is ErrorCode.PRODUCER_FENCED
    assert story.abort("a", ME) is ErrorCode.INVALID_TXN_STATE
    assert story.add("a", ME, X, verify_only=True) is ErrorCode.PRODUCER_FENCED
    story.write_markers()
    assert (first.answer, again.answer) == (ME.at(1), ME.at(1))
    assert late.answer is ErrorCode.PRODUCER_FENCED
    assert verify.answer == {("x", 0): ErrorCode.TRANSACTION_ABORTABLE}
    assert added.answer == {("y", 1): ErrorCode.NONE}
    assert (next_end.answer, other.answer) == (None, None), "the next transaction is ending"
    story.write_markers()
    assert (next_end.answer, other.answer) == (ME.at(2), ME.at(3))
    assert story.open == {}


def test_an_end_is_answered_after_a_while_and_others_are_told_to_come_again():
    story = opened()
    ended = waiting(story.commit("a", ME))
    story.pass_s(WAITS_S / 2)
    others = [waiting(story.init("a")), waiting(story.add("a", ME.at(1), X))]
    story.pass_s(WAITS_S / 2)
    assert ended.answer == ME.at(1)
    assert [each.answer for each in others] == [None, None]
    story.pass_s(WAITS_S / 2)
    assert [each.answer for each in others] == [
        ErrorCode.CONCURRENT_TRANSACTIONS,
        {("x", 0): ErrorCode.CONCURRENT_TRANSACTIONS},
    ]
    assert story.machine.deadline is None, "nothing but markers can happen"
    assert waiting(story.commit("a", ME)), "and whoever comes then may wait again"
    story.write_markers()
    assert story.open == {}


def test_who_has_ended_the_next_transaction_keeps_its_answer_when_that_takes_long():
    story = opened()
    story.commit("a", ME)
    story.add("a", ME.at(1), X)
    story.pass_s(WAITS_S / 2)
    ended = waiting(story.commit("a", ME.at(1)))
    story.pass_s(WAITS_S / 4)
    behind = waiting(story.init("a"))
    story.write_markers()
    assert len(story.markers) == 1
    story.pass_s(WAITS_S * 3 / 4)
    assert (ended.answer, behind.answer) == (ME.at(2), None)
    story.pass_s(WAITS_S / 4)
    assert behind.answer is ErrorCode.CONCURRENT_TRANSACTIONS


def test_two_who_shut_each_other_out_are_served_in_their_order():
    story = opened()
    first, second = waiting(story.init("a")), waiting(story.init("a"))
    (order,) = story.write_markers()
    assert (order.commit, order.producer_epoch, order.transaction_version) == (False, 1, TV2)
    assert (first.answer, second.answer) == (ME.at(2), ME.at(3))
    assert story.add("a", ME.at(2), X) is ErrorCode.PRODUCER_FENCED
    assert story.add("a", ME.at(3), X) == {("x", 0): ErrorCode.NONE}


def test_an_open_transaction_without_partitions_is_aborted_on_the_spot():
    story = Story()
    story.init("a")
    story.add("a", ME, {})
    assert story.init("a") == ME.at(2)
    assert [value.transaction_status for value in written(story)] == [0, 1, 3, 5, 0]


def test_a_request_that_fails_half_way_keeps_what_it_has_done():
    """The transaction is aborted; there is just no id for the next producer."""
    story = opened()
    story.commit("a", ME)
    story.write_markers()
    story["a"].producer_epoch = (1 << 15) - 2
    story.add("a", Producer(FIRST_ID, (1 << 15) - 2), {})
    story.ids_at_hand = False
    assert story.init("a") is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert [value.transaction_status for value in written(story)][-2:] == [3, 5]
    assert story["a"].state is TransactionState.COMPLETE_ABORT
    story.ids_at_hand = True
    assert story.init("a") == Producer(FIRST_ID + 1, 0)


def test_without_an_id_at_hand_a_new_name_leaves_nothing_behind():
    story = Story()
    story.ids_at_hand = False
    assert story.init("a") is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert story.machine.transactions == {}
    assert story.log == []


# -- time


def test_a_transaction_is_aborted_at_its_timeout_and_its_producer_is_shut_out():
    story = Story()
    story.init("a", timeout_ms=5000)
    story.pass_s(100)
    story.add("a", ME, X)
    story.pass_s(4)
    story.add("a", ME, {"y": [1]})
    story.pass_s(0.999)
    assert story["a"].state is TransactionState.ONGOING
    story.pass_s(0.001)
    (order,) = story.write_markers()
    assert (order.commit, order.producer_epoch, order.transaction_version) == (False, 1, TV2)
    assert story["a"].state is TransactionState.COMPLETE_ABORT
    assert story.commit("a", ME, TV1) is ErrorCode.PRODUCER_FENCED
    assert story.commit("a", ME, TV2) is ErrorCode.INVALID_TXN_STATE
    assert story.abort("a", ME, TV2) == ME.at(1)


def test_a_timeout_that_passes_while_the_transaction_ends_changes_nothing():
    story = Story()
    story.init("a", timeout_ms=500)
    story.add("a", ME, X)
    ended = waiting(story.commit("a", ME))
    story.pass_s(600)
    assert story["a"].state is TransactionState.PREPARE_COMMIT
    assert ended.answer == ME.at(1)


@pytest.mark.parametrize(
    ("clock_ms", "left_s"),
    [(0, 60.0), (30_000, 30.0), (59_999, 0.001), (60_000, 0.0), (10**12, 0.0), (-(10**12), 60.0)],
)
def test_after_a_restart_the_timeout_counts_from_the_start_that_is_written(clock_ms, left_s):
    """A clock that was set back keeps no transaction open for longer than its timeout."""
    story = opened()
    story.ms += clock_ms
    story.restart()
    assert story.machine.deadline == pytest.approx(story.s + left_s)
    story.pass_s(left_s)
    assert [order.commit for order in story.write_markers()] == [False]


def test_an_id_is_forgotten_when_nobody_has_used_it_for_long():
    story = opened(expiration_ms=10_000)
    story.pass_s(50)
    story.commit("a", ME)
    story.pass_s(50)
    assert story["a"].is_ending, "markers are waited for, however long"
    story.write_markers()
    story.pass_s(6)
    story.restart()
    story.pass_s(3.9)
    assert "a" in story.machine.transactions
    story.pass_s(0.1)
    assert story.machine.transactions == {}
    assert decode_record(TRANSACTION_RECORDS, *story.log[-1]) == (TransactionLogKey(transactional_id="a"), None)
    story.restart()
    assert story.machine.transactions == {}
    assert story.machine.deadline is None


def test_many_ids_are_forgotten_in_batches_of_a_bounded_size():
    story = Story(TransactionSettings(expiration_ms=10_000))
    for number in range(2 * DUE_AT_ONCE + 1):
        story.init(f"id-{number}")
    story.s += 10
    sizes = []
    while story.machine.transactions:
        assert story.machine.deadline is not None
        assert story.machine.deadline <= story.s
        sizes.append(len(story.machine.tick(story.now).records))
    assert sizes == [DUE_AT_ONCE, DUE_AT_ONCE, 1]


# -- what is written


def test_the_records_are_those_of_apache_kafka():
    """As dumped from its log, with version 2 of transactions: the previous id is the same until the id changes."""
    story = opened()
    story.commit("a", ME)
    story.write_markers()
    story.init("a", ME.at(1))
    common = {"producer_id": FIRST_ID, "previous_producer_id": FIRST_ID, "transaction_timeout_ms": 60_000}
    partitions = [TransactionPartitions(topic="x", partition_ids=[0])]

    def value(epoch: int, status: int, **more: object) -> TransactionLogValue:
        return TransactionLogValue(
            producer_epoch=epoch,
            transaction_status=status,
            transaction_last_update_timestamp_ms=START_MS,
            **common,  # type: ignore[arg-type]
            **more,  # type: ignore[arg-type]
        )

    started = {"transaction_start_timestamp_ms": START_MS, "client_transaction_version": 2}
    assert written(story) == [
        value(0, 0, transaction_partitions=None, transaction_start_timestamp_ms=-1),
        value(0, 1, transaction_partitions=partitions, **started),
        value(1, 2, transaction_partitions=partitions, **started),
        value(1, 4, transaction_partitions=[], **started),
        value(2, 0, transaction_partitions=None, transaction_start_timestamp_ms=-1, client_transaction_version=2),
    ]


def test_partitions_that_are_part_of_the_transaction_need_no_record():
    story = Story()
    story.init("a")
    story.add("a", ME, P)
    records = len(story.log)
    assert story.add("a", ME, {"t": [1], "u": [3]}) == {("t", 1): ErrorCode.NONE, ("u", 3): ErrorCode.NONE}
    assert len(story.log) == records
    story.add("a", ME, {"t": [1, 2]})
    assert len(story.log) == records + 1
    assert story["a"].partitions == {"t": {0, 1, 2}, "u": {3}}


# -- loading


def test_an_end_that_was_prepared_is_carried_out_after_a_crash():
    story = Story()
    story.init("a")
    story.add("a", ME, P)
    story.commit("a", ME)
    story.wrote(story.markers[0], [("t", 0)])
    story.restart()
    (order,) = story.markers
    assert (order.commit, order.producer_epoch, order.coordinator_epoch) == (True, 1, 2)
    assert sorted(order.partitions) == [("t", 0), ("t", 1), ("u", 3)]
    again = waiting(story.commit("a", ME))
    story.write_markers()
    assert again.answer == ME.at(1)
    assert story.init("a", ME) == ME.at(1), "an answer that was lost, and asked for anew"


def test_an_end_without_partitions_that_was_cut_short_is_completed_when_loaded():
    story = Story()
    story.init("a")
    story.abort("a", ME)
    del story.log[-1]
    story.restart()
    assert story["a"].state is TransactionState.COMPLETE_ABORT
    assert written(story)[-1].transaction_status == 5


def test_a_log_of_states_that_should_not_be_there_can_be_read():
    """Dead and PrepareEpochFence are never written: the one is no id any more, the other an open transaction."""
    story = opened()
    story.init("b")
    value = written(story)[1]
    for name, status in (("a", 7), ("b", 6)):
        value.transaction_status = status
        story.log.append(encode_record(TransactionLogKey(transactional_id=name), value))  # type: ignore[arg-type]
    story.log.append((b"\x00\x63of a newer broker", b"\x00\x00"))
    story.restart()
    assert list(story.machine.transactions) == ["a"]
    assert story["a"].state is TransactionState.ONGOING
    value.transaction_status = 8
    with pytest.raises(ProtocolError):
        Transaction("a", 1).apply(value)


def test_many_ids_are_loaded_with_one_timer_each():
    story = Story()
    for number in range(100):
        story.init(f"id-{number}")
    story.add("id-7", Producer(FIRST_ID + 7, 0), X)
    story.restart()
    assert story.machine.deadline == story.s + 60
    assert len(story.machine.transactions) == 100
