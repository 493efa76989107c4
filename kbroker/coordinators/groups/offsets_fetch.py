"""OffsetFetch: what one group has committed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)

from ..machine import Step
from .offsets import Offsets, Place
from .offsets_rows import TOPIC_IDS

Read = Callable[[Place], OffsetFetchResponsePartitions]


def fetch(offsets: Offsets, request: OffsetFetchRequestGroup, version: int, *, require_stable: bool) -> Step:
    """The response is an OffsetFetchResponseGroup. Of what was never committed it says -1, not an error.

    require_stable   what an open transaction is about to commit is UNSTABLE_OFFSET_COMMIT (KIP-447)

    Raises Refusal for a member whose epoch is not the group's.
    """
    group = offsets.context.groups.get(request.group_id)
    if group is not None:
        group.check_fetch(request.member_id, request.member_epoch)
    read = partial(_read, offsets, request.group_id, require_stable)
    if request.topics is None:
        topics = _everything(offsets, request.group_id, read)
    elif version < TOPIC_IDS:
        topics = [_topic(asked, asked.name, read) for asked in request.topics]
    else:
        topics = _by_id(offsets, request.topics, read)
    return Step(OffsetFetchResponseGroup(group_id=request.group_id, topics=topics))


def _everything(offsets: Offsets, group_id: str, read: Read) -> list[OffsetFetchResponseTopics]:
    by_topic: dict[str, list[int]] = {}
    for name, index in offsets.of(group_id):
        by_topic.setdefault(name, []).append(index)
    topic_ids = offsets.context.image.topic_ids
    return [
        OffsetFetchResponseTopics(
            name=name, topic_id=topic_ids[name], partitions=[read((name, index)) for index in sorted(indexes)]
        )
        for name, indexes in by_topic.items()
        if name in topic_ids
    ]


def _by_id(offsets: Offsets, asked: list[OffsetFetchRequestTopics], read: Read) -> list[OffsetFetchResponseTopics]:
    """Topics that are there come first, as in Kafka."""
    known, unknown = [], []
    for each in asked:
        topic = offsets.context.image.topics.get(each.topic_id)
        if topic is not None:
            known.append(_topic(each, topic.name, read))
        else:
            rows = [_nothing(index, ErrorCode.UNKNOWN_TOPIC_ID) for index in each.partition_indexes]
            unknown.append(OffsetFetchResponseTopics(topic_id=each.topic_id, partitions=rows))
    return known + unknown


def _topic(asked: OffsetFetchRequestTopics, name: str, read: Read) -> OffsetFetchResponseTopics:
    """The answer for a topic, told as in the request; `name` is its own."""
    return OffsetFetchResponseTopics(
        name=asked.name,
        topic_id=asked.topic_id,
        partitions=[read((name, index)) for index in asked.partition_indexes],
    )


def _read(offsets: Offsets, group_id: str, require_stable: bool, place: Place) -> OffsetFetchResponsePartitions:
    if require_stable and offsets.is_pending(group_id, place):
        return _nothing(place[1], ErrorCode.UNSTABLE_OFFSET_COMMIT)
    committed = offsets.of(group_id).get(place)
    if committed is None:
        return _nothing(place[1], ErrorCode.NONE)
    return OffsetFetchResponsePartitions(
        partition_index=place[1],
        committed_offset=committed.offset,
        committed_leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        error_code=ErrorCode.NONE,
    )


def _nothing(index: int, code: ErrorCode) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(partition_index=index, committed_offset=-1, metadata="", error_code=code)
