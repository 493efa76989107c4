"""The transaction coordinator's machine as stories: who may go on, who is shut out, and when answers come."""

from __future__ import annotations

import pytest

from kbroker.coordinators.transactions.transaction import TransactionState
from kbroker_wire import ErrorCode
from transaction_stories import FIRST_ID, TV1, TV2, Producer, Story, Waits

P = {"t": [0, 1], "u": [3]}
ADDED = {("t", 0): ErrorCode.NONE, ("t", 1): ErrorCode.NONE, ("u", 3): ErrorCode.NONE}


@pytest.mark.parametrize(("version", "next_epoch"), [(TV1, 0), (TV2, 1)])
@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_ends_when_all_its_partitions_have_their_marker(version, next_epoch, commit):
    story = Story()
    producer = story.init("a")
    assert producer == Producer(FIRST_ID, 0)
    assert story.add("a", producer, P, version) == ADDED
    ended = story.end("a", producer, version, commit=commit)
    assert isinstance(ended, Waits)
    (order,) = story.markers
    assert (order.producer_id, order.producer_epoch, order.commit) == (FIRST_ID, next_epoch, commit)
    assert (order.coordinator_epoch, order.transaction_version) == (1, version)
    assert sorted(order.partitions) == [("t", 0), ("t", 1), ("u", 3)]
    story.wrote(order, [("t", 0), ("u", 3)])
    assert ended.answer is None
    assert story["a"].partitions == {"t": {1}}
    story.wrote(order, [("t", 1)])
    assert ended.answer == Producer(FIRST_ID, next_epoch)
    assert story["a"].state is (TransactionState.COMPLETE_COMMIT if commit else TransactionState.COMPLETE_ABORT)
    assert story.open == {}
