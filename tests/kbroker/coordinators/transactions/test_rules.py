"""What each request comes to in each state, as a live Apache Kafka 4.4 answered it.

Where Kafka says CONCURRENT_TRANSACTIONS the answer here is what it says to a client that asks again until it says
something else. Two differences are on purpose, and have a test each.
"""

from __future__ import annotations

import pytest

from kbroker.coordinators.transactions.transaction import LAST_EPOCH
from kbroker_wire import ErrorCode
from transaction_stories import TV1, TV2, Outcome, Producer, Story, Waits

FENCED, MAPPING = ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_ID_MAPPING
STATE, ABORTABLE = ErrorCode.INVALID_TXN_STATE, ErrorCode.TRANSACTION_ABORTABLE
ME = Producer(1000, 5)  # in every state below
X = {"x": [0]}


def empty(story: Story) -> None:
    """The producer was given epoch 5 after 4."""
    assert story.init("t", ME.at(4)) == ME


def ongoing(story: Story) -> None:
    empty(story)
    story.add("t", ME, X)


def ended(story: Story, *, commit: bool, version: int) -> None:
    """So that the epoch is 5 now; with version 2 of transactions the transaction had epoch 4."""
    producer = ME
    if version == TV2:
        producer = ME.at(4)
    else:
        empty(story)
    story.add("t", producer, X, version)
    story.end("t", producer, version, commit=commit)
    story.write_markers()


STATES = {
    "empty": empty,
    "ongoing": ongoing,
    "committed": lambda story: ended(story, commit=True, version=TV2),
    "aborted": lambda story: ended(story, commit=False, version=TV2),
    "committed by an old client": lambda story: ended(story, commit=True, version=TV1),
    "aborted by an old client": lambda story: ended(story, commit=False, version=TV1),
}


def made(state: str) -> Story:
    story = Story()
    for _ in range(5):
        story.init("t")
    STATES[state](story)
    assert (story["t"].producer_id, story["t"].producer_epoch) == ME
    return story


def come_to(story: Story, answer: Outcome | Waits) -> Outcome:
    if isinstance(answer, Waits):
        story.write_markers()
        assert answer.answer is not None
        return answer.answer
    return answer


# state, version of the client -> what a commit and an abort come to, each with an epoch one lower, the same, one higher
ENDS = {
    ("empty", TV1): ([FENCED, STATE, FENCED], [FENCED, STATE, FENCED]),
    ("empty", TV2): ([FENCED, STATE, FENCED], [FENCED, ME.at(6), FENCED]),
    ("ongoing", TV1): ([FENCED, ME, FENCED], [FENCED, ME, FENCED]),
    ("ongoing", TV2): ([FENCED, ME.at(6), FENCED], [FENCED, ME.at(6), FENCED]),
    ("committed", TV1): ([FENCED, ME, FENCED], [FENCED, STATE, FENCED]),
    ("committed", TV2): ([ME, STATE, FENCED], [STATE, ME.at(6), FENCED]),
    ("aborted", TV1): ([FENCED, STATE, FENCED], [FENCED, ME, FENCED]),
    ("aborted", TV2): ([STATE, STATE, FENCED], [ME, ME.at(6), FENCED]),
    ("committed by an old client", TV1): ([FENCED, ME, FENCED], [FENCED, STATE, FENCED]),
    ("aborted by an old client", TV1): ([FENCED, STATE, FENCED], [FENCED, ME, FENCED]),
}


@pytest.mark.parametrize(("state", "version"), ENDS)
@pytest.mark.parametrize("commit", [True, False])
def test_an_end_depends_on_state_and_epoch(state, version, commit):
    for epoch, expected in zip([4, 5, 6], ENDS[state, version][not commit], strict=True):
        story = made(state)
        assert come_to(story, story.end("t", ME.at(epoch), version, commit=commit)) == expected
        assert story.end("t", Producer(999, epoch), version, commit=commit) is MAPPING


@pytest.mark.parametrize("commit", [True, False])
def test_an_end_with_the_epoch_before_is_no_repetition_if_no_end_has_raised_it(commit):
    """Apache Kafka answers as if it were: NONE or INVALID_TXN_STATE, to a producer that was followed by another."""
    for state in ("committed by an old client", "aborted by an old client"):
        assert made(state).end("t", ME.at(4), TV2, commit=commit) is FENCED


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("version", [TV1, TV2])
def test_partitions_are_added_by_the_present_epoch_in_every_state(state, version):
    for epoch, expected in [(4, FENCED), (5, {("y", 2): ErrorCode.NONE}), (6, FENCED)]:
        assert made(state).add("t", ME.at(epoch), {"y": [2]}, version) == expected
    assert made(state).add("t", Producer(999, 5), X, version) is MAPPING


@pytest.mark.parametrize("state", STATES)
def test_verifying_tells_each_partition_and_changes_nothing(state):
    story = made(state)
    known = ErrorCode.NONE if state == "ongoing" else ABORTABLE
    before = list(story.log)
    assert story.add("t", ME, {"x": [0, 1]}, verify_only=True) == {("x", 0): known, ("x", 1): ABORTABLE}
    assert story.add("t", ME.at(4), X, verify_only=True) is FENCED
    assert story.add("t", Producer(999, 5), X, verify_only=True) is MAPPING
    assert story.log == before


# state -> what InitProducerId comes to for who presents nothing, and epochs one lower, the present one, one higher
INITS = {
    "empty": [ME.at(6), ME, ME.at(6), FENCED],
    "ongoing": [ME.at(7), FENCED, ME.at(6), FENCED],
    "committed": [ME.at(6), ME, ME.at(6), FENCED],
    "aborted": [ME.at(6), ME, ME.at(6), FENCED],
    "committed by an old client": [ME.at(6), ME, ME.at(6), FENCED],
    "aborted by an old client": [ME.at(6), ME, ME.at(6), FENCED],
}


@pytest.mark.parametrize("state", STATES)
def test_who_presents_what_it_has_goes_on_and_who_presents_something_older_is_shut_out(state):
    for epoch, expected in zip([None, 4, 5, 6], INITS[state], strict=True):
        story = made(state)
        answer = story.init("t", None if epoch is None else ME.at(epoch))
        assert come_to(story, answer) == expected
        assert made(state).init("t", Producer(999, 5)) is FENCED


def test_who_is_shut_out_leaves_the_open_transaction_alone():
    """Apache Kafka aborts it, and refuses the producer afterwards."""
    story = made("ongoing")
    assert story.init("t", ME.at(4)) is FENCED
    assert story.markers == []
    assert story.add("t", ME, X, verify_only=True) == {("x", 0): ErrorCode.NONE}


def test_an_id_that_is_not_known_is_nobodys():
    story, nobody = Story(), Producer(1000, 0)
    assert story.add("t", nobody, X) is MAPPING
    assert story.add("t", nobody, X, verify_only=True) is MAPPING
    assert [story.end("t", nobody, version, commit=True) for version in (TV1, TV2)] == [MAPPING, MAPPING]
    assert story.log == []
    assert story.init("t", Producer(77, LAST_EPOCH)) == nobody, "what it had is forgotten: it begins anew"


@pytest.mark.parametrize("commit", [True, False])
def test_a_repeated_end_of_the_last_epoch_is_told_the_next_id(commit):
    story, producer = Story(), Producer(1000, LAST_EPOCH)
    story.init("t")
    story["t"].producer_epoch = LAST_EPOCH
    story.add("t", producer, X)
    first = story.end("t", producer, commit=commit)
    again = story.end("t", producer, commit=commit)
    assert story.end("t", producer, commit=not commit) is STATE
    (order,) = story.write_markers()
    assert (order.producer_id, order.producer_epoch) == (1000, LAST_EPOCH + 1)
    assert isinstance(first, Waits)
    assert isinstance(again, Waits)
    assert first.answer == again.answer == Producer(1001, 0)
    assert story.end("t", producer, commit=commit) == Producer(1001, 0)
    assert story.init("t", producer) == Producer(1001, 0)
    assert story.init("t", Producer(1001, 0)) == Producer(1001, 1)
    assert story.init("t", producer) is FENCED
    assert story.init("t", Producer(1000, 0)) is FENCED


@pytest.mark.parametrize("own", [True, False])
def test_a_producer_id_without_epochs_is_changed(own):
    story = Story()
    story.init("t")
    story["t"].producer_epoch = LAST_EPOCH
    assert story.init("t", Producer(1000, LAST_EPOCH - 1)) is FENCED
    assert story.init("t", Producer(1000, LAST_EPOCH) if own else None) == Producer(1001, 0)
    assert story.init("t", Producer(1000, LAST_EPOCH)) == (Producer(1001, 0) if own else FENCED)


def test_an_aborted_producer_of_the_last_epoch_gets_another_id():
    story, producer = Story(), Producer(1000, LAST_EPOCH)
    story.init("t", timeout_ms=1000)
    story["t"].producer_epoch = LAST_EPOCH
    story.add("t", producer, X)
    story.pass_s(1)
    (order,) = story.write_markers()
    assert order.producer_epoch == LAST_EPOCH + 1
    nobody = producer.at(LAST_EPOCH + 1)
    for version in (TV1, TV2):
        assert [story.end("t", each, version, commit=False) for each in (producer, nobody)] == [FENCED, FENCED]
    assert [story.add("t", each, X) for each in (producer, nobody)] == [FENCED, FENCED]
    assert story.init("t", nobody.at(3)) is FENCED
    assert story.init("t", producer) == Producer(1001, 0)
