"""Requests about offsets of many partitions: which of them are there, and one row in the answer for each.

A partition that is not there fails alone and before the group is asked; if none is left, the group is not asked at all.
Kafka answers for such partitions first, each topic once, and then for the others; only if there are none of them is the
answer as the request, topic by topic. A topic without partitions is left out, unless it is not there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from kbroker_wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from kbroker_wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from kbroker_wire.schema import ZERO_UUID

from ...metadata.image import Image, TopicImage

TOPIC_IDS = 10  # the first OffsetCommit and OffsetFetch that name topics by id
TXN_TOPIC_IDS = 6  # the first such TxnOffsetCommit


class Partition(Protocol):
    partition_index: int


P = TypeVar("P", bound=Partition)


class Rows(NamedTuple):
    """What becomes of one topic's partitions: (index, code) of each. The topic is told as the request does."""

    name: str
    topic_id: bytes
    rows: list[tuple[int, ErrorCode]]


class Found(NamedTuple, Generic[P]):
    """Partitions of one topic that are there. `name` and `topic_id` as the request tells them, `topic` as it is."""

    name: str
    topic_id: bytes
    topic: TopicImage
    partitions: list[P]


class Sorted(NamedTuple, Generic[P]):
    """A request's partitions: those that are there, and the answer for those that are not."""

    found: list[Found[P]]
    unknown: list[Rows]

    def answered(self, rows: list[Rows]) -> list[Rows]:
        """All rows of the answer, `rows` being those of what was found."""
        if not self.unknown:
            return rows
        merged: dict[tuple[str, bytes], Rows] = {}
        for name, topic_id, some in (*self.unknown, *rows):
            merged.setdefault((name, topic_id), Rows(name, topic_id, [])).rows.extend(some)
        return list(merged.values())

    def refused(self, code: ErrorCode) -> list[Rows]:
        """All rows of the answer, if what was found fails as a whole."""
        rows = [
            Rows(each.name, each.topic_id, [(row.partition_index, code) for row in each.partitions])
            for each in self.found
        ]
        return self.answered(rows)


def sort_commit(request: OffsetCommitRequest, version: int, image: Image) -> Sorted[OffsetCommitRequestPartition]:
    topics = [(topic.name, topic.topic_id, topic.partitions) for topic in request.topics]
    return _sort(topics, image, by_id=version >= TOPIC_IDS)


def sort_txn_commit(
    request: TxnOffsetCommitRequest, version: int, image: Image
) -> Sorted[TxnOffsetCommitRequestPartition]:
    topics = [(topic.name, topic.topic_id, topic.partitions) for topic in request.topics]
    return _sort(topics, image, by_id=version >= TXN_TOPIC_IDS)


def sort_delete(request: OffsetDeleteRequest, image: Image) -> Sorted[OffsetDeleteRequestPartition]:
    return _sort([(topic.name, ZERO_UUID, topic.partitions) for topic in request.topics], image, by_id=False)


def _sort(topics: Iterable[tuple[str, bytes, list[P]]], image: Image, *, by_id: bool) -> Sorted[P]:
    found: list[Found[P]] = []
    unknown: list[Rows] = []
    for name, topic_id, partitions in topics:
        topic = image.topics.get(topic_id) if by_id else image.topic(name)
        if topic is None:
            code = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            unknown.append(Rows(name, topic_id, [(each.partition_index, code) for each in partitions]))
            continue
        count = len(topic.partitions)
        there = [each for each in partitions if 0 <= each.partition_index < count]
        if there:
            found.append(Found(name, topic_id, topic, there))
        if len(there) < len(partitions):
            code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            indexes = [each.partition_index for each in partitions if not 0 <= each.partition_index < count]
            unknown.append(Rows(name, topic_id, [(index, code) for index in indexes]))
    return Sorted(found, unknown)


def commit_response(topics: Iterable[Rows]) -> OffsetCommitResponse:
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=name,
                topic_id=topic_id,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=index, error_code=code) for index, code in rows
                ],
            )
            for name, topic_id, rows in topics
        ]
    )


def txn_commit_response(topics: Iterable[Rows]) -> TxnOffsetCommitResponse:
    return TxnOffsetCommitResponse(
        topics=[
            TxnOffsetCommitResponseTopic(
                name=name,
                topic_id=topic_id,
                partitions=[
                    TxnOffsetCommitResponsePartition(partition_index=index, error_code=code) for index, code in rows
                ],
            )
            for name, topic_id, rows in topics
        ]
    )


def delete_response(topics: Iterable[Rows]) -> OffsetDeleteResponse:
    return OffsetDeleteResponse(
        error_code=ErrorCode.NONE,
        topics=[
            OffsetDeleteResponseTopic(
                name=name,
                partitions=[
                    OffsetDeleteResponsePartition(partition_index=index, error_code=code) for index, code in rows
                ],
            )
            for name, _, rows in topics
        ],
    )
