"""The rows of answers about offsets, in Apache Kafka's order."""

from __future__ import annotations

import pytest

from kbroker.coordinators.groups.offsets_rows import (
    Rows,
    commit_response,
    delete_response,
    sort_commit,
    sort_delete,
    sort_txn_commit,
    txn_commit_response,
)
from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kbroker_wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from kbroker_wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from kbroker_wire.schema import ZERO_UUID
from offsets_world import World

Asked = list[tuple[str | bytes, list[int]]]
T, U, STRANGER = (number.to_bytes(16, "big") for number in (1, 2, 99))


@pytest.fixture
def world() -> World:
    world = World()
    assert world.create("t", 2) == T
    assert world.create("u", 3) == U
    return world


def request(asked: Asked) -> OffsetCommitRequest:
    topics = [
        OffsetCommitRequestTopic(
            name=topic if isinstance(topic, str) else "",
            topic_id=topic if isinstance(topic, bytes) else ZERO_UUID,
            partitions=[
                OffsetCommitRequestPartition(partition_index=index, committed_offset=0, committed_metadata=None)
                for index in indexes
            ],
        )
        for topic, indexes in asked
    ]
    return OffsetCommitRequest(group_id="g", topics=topics)


def shown(rows: list[Rows]) -> list[tuple[str | bytes, list[int]]]:
    """Topics and partitions, those that are not there with a minus (and 0 as -10)."""
    missing = {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID}
    return [
        (name or topic_id, [(-index or -10) if code in missing else index for index, code in some])
        for name, topic_id, some in rows
    ]


BY_NAME: list[tuple[Asked, Asked]] = [  # what Apache Kafka 4.4 answered
    ([("t", [0]), ("t", [1, 1])], [("t", [0]), ("t", [1, 1])]),
    ([("t", [9]), ("t", [0]), ("u", [1, 7]), ("t", [1]), ("u", [2])], [("t", [-9, 0, 1]), ("u", [-7, 1, 2])]),
    ([("t", []), ("u", [0]), ("nope", [])], [("nope", []), ("u", [0])]),
    ([("t", [0, 9, 1]), ("nope", [1]), ("u", [0])], [("t", [-9, 0, 1]), ("nope", [-1]), ("u", [0])]),
    ([("t", [])], []),
    ([], []),
]
BY_ID: list[tuple[Asked, Asked]] = [
    ([(T, [0]), (T, [0, 1])], [(T, [0]), (T, [0, 1])]),
    (
        [(T, [9]), (T, [0]), (U, [1, 7]), (STRANGER, [1]), (U, [2]), (STRANGER, [2]), (ZERO_UUID, [])],
        [(T, [-9, 0]), (U, [-7, 1, 2]), (STRANGER, [-1, -2]), (ZERO_UUID, [])],
    ),
    ([(T, [0, 5]), (STRANGER, [0]), (U, [2])], [(T, [-5, 0]), (STRANGER, [-10]), (U, [2])]),
]


@pytest.mark.parametrize(
    ("asked", "answered", "version"), [(*each, 9) for each in BY_NAME] + [(*each, 10) for each in BY_ID]
)
def test_what_is_not_there_comes_first_and_each_topic_once(
    world: World, asked: Asked, answered: Asked, version: int
) -> None:
    found = sort_commit(request(asked), version, world.image)
    assert shown(found.refused(ErrorCode.NOT_COORDINATOR)) == answered


def test_a_refusal_is_of_what_is_there(world: World) -> None:
    found = sort_commit(request([("t", [0, 9]), ("nope", [0])]), 9, world.image)
    assert found.refused(ErrorCode.NOT_COORDINATOR) == [
        Rows("t", ZERO_UUID, [(9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), (0, ErrorCode.NOT_COORDINATOR)]),
        Rows("nope", ZERO_UUID, [(0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)]),
    ]


def test_transactions_and_deletes_are_sorted_alike(world: World) -> None:
    def part(index: int) -> TxnOffsetCommitRequestPartition:
        return TxnOffsetCommitRequestPartition(partition_index=index, committed_offset=0, committed_metadata=None)

    named = [TxnOffsetCommitRequestTopic(name="t", partitions=[part(0), part(9)])]
    in_transaction = TxnOffsetCommitRequest(
        transactional_id="x", group_id="g", producer_id=1, producer_epoch=0, topics=named
    )
    assert shown(sort_txn_commit(in_transaction, 5, world.image).refused(ErrorCode.NONE)) == [("t", [-9, 0])]
    in_transaction.topics = [TxnOffsetCommitRequestTopic(topic_id=STRANGER, partitions=[part(3)])]
    assert shown(sort_txn_commit(in_transaction, 6, world.image).refused(ErrorCode.NONE)) == [(STRANGER, [-3])]

    rows = [OffsetDeleteRequestPartition(partition_index=index) for index in (0, 9)]
    deletion = OffsetDeleteRequest(group_id="g", topics=[OffsetDeleteRequestTopic(name="t", partitions=rows)])
    assert shown(sort_delete(deletion, world.image).refused(ErrorCode.NONE)) == [("t", [-9, 0])]


def test_rows_become_answers() -> None:
    rows = [Rows("t", T, [(1, ErrorCode.NONE), (2, ErrorCode.UNKNOWN_TOPIC_ID)])]
    for response in (commit_response(rows), txn_commit_response(rows)):
        [topic] = response.topics
        assert (topic.name, topic.topic_id) == ("t", T)
        assert [(row.partition_index, row.error_code) for row in topic.partitions] == [(1, 0), (2, 100)]
    [deleted] = delete_response(rows).topics
    assert (deleted.name, [(row.partition_index, row.error_code) for row in deleted.partitions]) == (
        "t",
        [(1, 0), (2, 100)],
    )
