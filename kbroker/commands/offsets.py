"""Positions in logs, and those that groups committed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from kbroker_wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)
from kbroker_wire.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse

from .cluster import TopicPartition
from .failures import lasting, refuse, verdict
from .groups import advice, by_coordinator

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from .cluster import Cluster
    from .connection import Connection
    from .failures import Failure

NO_OFFSET = -1  # nothing committed; no record as late as the timestamp asked for
NOBODY = -1  # generation of a commit from outside of the group, and the node id of a leader that is not there
REMOTE_LOOKUP_MS = 10_000  # how long a broker may look for a timestamp in tiered storage
NAMED_BY_NAME = 9  # the newest version of OffsetCommit and OffsetFetch that names topics by name
SEVERAL_GROUPS = 8  # the version of OffsetFetch that takes several groups at once (KIP-709)


@dataclass(frozen=True, slots=True)
class Committed:
    offset: int
    leader_epoch: int
    metadata: str


def positions(cluster: Cluster, partitions: Collection[TopicPartition], timestamp: int) -> dict[TopicPartition, int]:
    """The offset at a timestamp (ms since 1970), or one of those that ListOffsets names by negative timestamps.

    -1 where no record is as late. Partitions that do not exist, or have no leader now, are left out. Raises Failure.
    """
    wanted = set(partitions)

    def attempt() -> dict[TopicPartition, int]:
        led: dict[int, list[TopicPartition]] = defaultdict(list)
        for rows in cluster.known_leaders(sorted({each.topic for each in wanted})).values():
            for partition, node_id in (rows or {}).items():
                if partition in wanted and node_id != NOBODY:
                    led[node_id].append(partition)
        found: dict[TopicPartition, int] = {}
        for node_id, theirs in led.items():
            found |= _positions_of(cluster.connection(node_id), theirs, timestamp)
        return found

    return cluster.patiently(attempt)


def committed_offsets(cluster: Cluster, group_ids: Collection[str]) -> dict[str, dict[TopicPartition, Committed]]:
    """What each group committed; nothing for a group that does not exist. Raises Failure."""

    def attempt() -> dict[str, dict[TopicPartition, Committed]]:
        found: dict[str, dict[TopicPartition, Committed]] = {}
        for node_id, ids in by_coordinator(cluster, group_ids).items():
            connection = cluster.connection(node_id)
            if connection.version(OffsetFetchRequest, NAMED_BY_NAME) >= SEVERAL_GROUPS:
                found |= _committed_by_many(connection, ids)
            else:
                found |= {group_id: _committed_by_one(connection, group_id) for group_id in ids}
        return found

    return cluster.patiently(attempt)


def commit_offsets(cluster: Cluster, group_id: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit for a group without members, which is made if it is not there.

    Raises Failure; those of the partitions that were not refused are committed then.
    """
    topics = [
        OffsetCommitRequestTopic(
            name=topic,
            partitions=[
                OffsetCommitRequestPartition(
                    partition_index=index, committed_offset=offsets[TopicPartition(topic, index)], committed_metadata=""
                )
                for index in indexes
            ],
        )
        for topic, indexes in by_topic(offsets).items()
    ]
    request = OffsetCommitRequest(group_id=group_id, topics=topics)

    def attempt() -> None:
        [node_id] = by_coordinator(cluster, [group_id])
        answer = cluster.connection(node_id).ask(request, OffsetCommitResponse, NAMED_BY_NAME)
        for topic in answer.topics:
            for row in topic.partitions:
                what = f"the commit of {topic.name}:{row.partition_index}"
                refuse(row.error_code, what, None, advice(group_id))

    cluster.patiently(attempt)


def delete_offsets(
    cluster: Cluster, group_id: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Failure | None]:
    """None for each partition whose committed offset is forgotten. Raises Failure if that is true of none."""
    topics = [
        OffsetDeleteRequestTopic(
            name=topic, partitions=[OffsetDeleteRequestPartition(partition_index=index) for index in indexes]
        )
        for topic, indexes in by_topic(partitions).items()
    ]
    request = OffsetDeleteRequest(group_id=group_id, topics=topics)

    def attempt() -> dict[TopicPartition, Failure | None]:
        [node_id] = by_coordinator(cluster, [group_id])
        answer = cluster.connection(node_id).ask(request, OffsetDeleteResponse)
        refuse(answer.error_code, f"group {group_id}", None, advice(group_id))
        return {
            TopicPartition(topic.name, row.partition_index): _not_deleted(group_id, topic.name, row.error_code)
            for topic in answer.topics
            for row in topic.partitions
        }

    return cluster.patiently(attempt)


def by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        topics.setdefault(topic, []).append(partition)
    return topics


def _positions_of(
    connection: Connection, partitions: Collection[TopicPartition], timestamp: int
) -> dict[TopicPartition, int]:
    topics = [
        ListOffsetsTopic(
            name=topic,
            partitions=[ListOffsetsPartition(partition_index=index, timestamp=timestamp) for index in indexes],
        )
        for topic, indexes in by_topic(partitions).items()
    ]
    request = ListOffsetsRequest(replica_id=NOBODY, topics=topics, timeout_ms=REMOTE_LOOKUP_MS)
    found = {}
    for topic in connection.ask(request, ListOffsetsResponse).topics:
        for row in topic.partitions:
            if row.error_code != ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                refuse(row.error_code, f"offsets of {topic.name}:{row.partition_index}")
                found[TopicPartition(topic.name, row.partition_index)] = row.offset
    return found


def _committed_by_many(connection: Connection, ids: list[str]) -> dict[str, dict[TopicPartition, Committed]]:
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=each, topics=None) for each in ids])
    found: dict[str, dict[TopicPartition, Committed]] = {}
    for group in connection.ask(request, OffsetFetchResponse, NAMED_BY_NAME).groups:
        refuse(group.error_code, f"the offsets of group {group.group_id}", None, advice(group.group_id))
        found[group.group_id] = {}
        for topic in group.topics:
            for row in topic.partitions:
                refuse(row.error_code, f"group {group.group_id}, {topic.name}:{row.partition_index}")
                if row.committed_offset != NO_OFFSET:
                    found[group.group_id][TopicPartition(topic.name, row.partition_index)] = Committed(
                        row.committed_offset, row.committed_leader_epoch, row.metadata or ""
                    )
    return found


def _committed_by_one(connection: Connection, group_id: str) -> dict[TopicPartition, Committed]:
    """As a broker older than Kafka 3.0 answers."""
    answer = connection.ask(OffsetFetchRequest(group_id=group_id, topics=None), OffsetFetchResponse, SEVERAL_GROUPS - 1)
    refuse(answer.error_code, f"the offsets of group {group_id}")
    found = {}
    for topic in answer.topics:
        for row in topic.partitions:
            refuse(row.error_code, f"group {group_id}, {topic.name}:{row.partition_index}")
            if row.committed_offset != NO_OFFSET:
                found[TopicPartition(topic.name, row.partition_index)] = Committed(
                    row.committed_offset, row.committed_leader_epoch, row.metadata or ""
                )
    return found


def _not_deleted(group_id: str, topic: str, code: int) -> Failure | None:
    """Raises Refused if it is to be tried again."""
    words = {
        ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC: f"group {group_id} is subscribed to {topic}: stop its members first",
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "there is no such partition",
    }
    return lasting(verdict(code, f"group {group_id}", None, words))
