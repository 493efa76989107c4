"""Committed offsets of the groups of one partition of `__consumer_offsets`.

A commit is a record each; the state is the newest record of each (group, topic, partition). What a transaction commits
is pending, beside the rest, until its marker comes. Topics are told by name, or by id from OffsetCommit 10 on; ids are
kept in the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

from kbroker_storage import VerificationToken
from kbroker_wire import ErrorCode
from kbroker_wire.messages.group_records import OffsetCommitKey, OffsetCommitValue
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from kbroker_wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from kbroker_wire.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)
from kbroker_wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

from ...config import BrokerConfig
from ...errors import Refusal
from ..machine import Now, Record, Step
from .context import Context
from .group import Group, PartitionCheck

OFFSETS = "offsets"  # the timer that says when to look for what has expired
TOPIC_IDS = 10  # the first OffsetCommit and OffsetFetch that name topics by id
TXN_TOPIC_IDS = 6  # the first such TxnOffsetCommit, and the first whose clients know the errors of KIP-848
MEMBER_EPOCHS = 9  # the first OffsetCommit for groups of the consumer protocol

Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class OffsetSettings:
    """max_metadata: characters. Times in ms."""

    max_metadata: int = 4096
    kept_ms: int = 7 * 24 * 3_600_000
    check_interval_ms: int = 600_000

    @classmethod
    def from_config(cls, config: BrokerConfig) -> Self:
        return cls(
            config.int("offset.metadata.max.bytes"),
            config.int("offsets.retention.minutes") * 60_000,
            config.int("offsets.retention.check.interval.ms"),
        )


class Committed(NamedTuple):
    """order: which of two records came later. expire_at_ms: -1 for the broker's own retention."""

    order: int
    offset: int
    leader_epoch: int
    metadata: str
    committed_at_ms: int
    expire_at_ms: int
    topic_id: bytes


class Offsets:
    """State and requests; methods that take a request raise Refusal for what the whole of it may not do."""

    def __init__(self, context: Context, settings: OffsetSettings, new_group: Callable[[str], Group]) -> None:
        """`new_group` makes the group that somebody commits for without being a member; it is to be in the context."""
        self._context, self._settings, self._new_group = context, settings, new_group
        self._groups: dict[str, dict[Place, Committed]] = {}
        self._pending: dict[int, dict[str, dict[Place, Committed]]] = {}  # by producer id
        self._open: dict[str, set[int]] = {}  # producers with pending offsets of the group
        self._order = 0

    # -- state -----------------------------------------------------------------------------------------------------

    def apply(self, key: OffsetCommitKey, value: OffsetCommitValue | None, producer_id: int = -1) -> None:
        """Take in a record, of the transaction of `producer_id` if that is not -1."""
        group_id, place = key.group, (key.topic, key.partition)
        if value is None:
            self._remove(group_id, place)
            return
        if group_id not in self._context.groups:
            self._new_group(group_id)
        self._order += 1
        committed = Committed(
            self._order,
            value.offset,
            value.leader_epoch,
            value.metadata,
            value.commit_timestamp,
            value.expire_timestamp,
            value.topic_id,
        )
        if producer_id < 0:
            self._groups.setdefault(group_id, {})[place] = committed
        else:
            self._pending.setdefault(producer_id, {}).setdefault(group_id, {})[place] = committed
            self._open.setdefault(group_id, set()).add(producer_id)

    def _apply(self, records: list[Record], producer_id: int) -> None:
        for key, value in records:
            assert isinstance(key, OffsetCommitKey)
            assert value is None or isinstance(value, OffsetCommitValue)
            self.apply(key, value, producer_id)

    def _remove(self, group_id: str, place: Place) -> None:
        """From what is committed, and from what any transaction is about to commit."""
        committed = self._groups.get(group_id)
        if committed is not None:
            committed.pop(place, None)
            if not committed:
                del self._groups[group_id]
        for producer_id in self._open.get(group_id, ()):
            self._pending[producer_id][group_id].pop(place, None)

    def end_transaction(self, producer_id: int, *, commit: bool) -> None:
        """The marker came: pending offsets are committed, unless somebody committed later on, or forgotten."""
        for group_id, places in self._pending.pop(producer_id, {}).items():
            producers = self._open[group_id]
            producers.discard(producer_id)
            if not producers:
                del self._open[group_id]
            if not commit or not places:
                continue
            committed = self._groups.setdefault(group_id, {})
            for place, pending in places.items():
                present = committed.get(place)
                if present is None or present.order < pending.order:
                    committed[place] = pending

    def _is_pending(self, group_id: str, place: Place) -> bool:
        return any(place in self._pending[producer][group_id] for producer in self._open.get(group_id, ()))

    def of(self, group_id: str) -> Mapping[Place, Committed]:
        return self._groups.get(group_id, {})

    # -- committing ------------------------------------------------------------------------------------------------

    def commit(self, request: OffsetCommitRequest, version: int, now: Now) -> Step:
        rows, wanted = self._existing(request.topics, version >= TOPIC_IDS)
        if not wanted:
            return Step(response=_commit_response(request, rows))
        group, may = self._group_to_commit(request, version)
        expire_at_ms = -1 if request.retention_time_ms == -1 else now.ms + request.retention_time_ms
        records = self._records(request.group_id, wanted, rows, may, (now.ms, expire_at_ms))
        self._apply(records, -1)
        group.committed(request.member_id, now.s)
        return Step(response=_commit_response(request, rows), records=records)

    def commit_in_transaction(
        self, request: TxnOffsetCommitRequest, version: int, now: Now, verified: VerificationToken | None
    ) -> Step:
        """`verified` is what the partition gave for the producer; see Step."""
        rows, wanted = self._existing(request.topics, version >= TXN_TOPIC_IDS)
        if not wanted:
            return Step(response=_txn_response(request, rows))
        group, may = self._group_to_commit_in_transaction(request, version)
        records = self._records(request.group_id, wanted, rows, may, (now.ms, -1))

        def written() -> None:
            self._apply(records, request.producer_id)
            group.committed(request.member_id, now.s)

        return Step(
            response=_txn_response(request, rows),
            records=records,
            producer=(request.producer_id, request.producer_epoch),
            written=written,
            verified=verified,
        )

    def _existing(self, topics: Iterable[AnyTopic], by_id: bool) -> tuple[Rows, list[tuple[str, AnyTopic]]]:
        """Rows that fail because topic or partition is not there; the topics of which something is left, by name."""
        image = self._context.image
        rows: Rows = {}
        wanted: list[tuple[str, AnyTopic]] = []
        for topic in topics:
            found = image.topics.get(topic.topic_id) if by_id else image.topic(topic.name)
            code = ErrorCode.UNKNOWN_TOPIC_ID if by_id and found is None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            count = 0 if found is None else len(found.partitions)
            identity, known = _identity(topic), False
            for partition in topic.partitions:
                if 0 <= partition.partition_index < count:
                    known = True
                else:
                    rows[identity, partition.partition_index] = code
            if known and found is not None:
                wanted.append((found.name, topic))
        return rows, wanted

    def _group_to_commit(self, request: OffsetCommitRequest, version: int) -> tuple[Group, PartitionCheck | None]:
        group = self._context.groups.get(request.group_id)
        epoch = request.generation_id_or_member_epoch
        if group is None:
            if epoch >= 0:
                raise Refusal(
                    ErrorCode.GROUP_ID_NOT_FOUND if version >= MEMBER_EPOCHS else ErrorCode.ILLEGAL_GENERATION
                )
            return self._new_group(request.group_id), None
        may = group.check_commit(request.member_id, request.group_instance_id, epoch, transactional=False)
        return group, may

    def _group_to_commit_in_transaction(
        self, request: TxnOffsetCommitRequest, version: int
    ) -> tuple[Group, PartitionCheck | None]:
        group = self._context.groups.get(request.group_id)
        epoch = request.generation_id_or_member_epoch
        if group is None:
            if epoch >= 0:
                raise Refusal(
                    ErrorCode.GROUP_ID_NOT_FOUND if version >= TXN_TOPIC_IDS else ErrorCode.ILLEGAL_GENERATION
                )
            return self._new_group(request.group_id), None
        try:
            may = group.check_commit(request.member_id, request.group_instance_id, epoch, transactional=True)
        except Refusal as refusal:
            if refusal.code == ErrorCode.STALE_MEMBER_EPOCH and version < TXN_TOPIC_IDS:
                raise Refusal(ErrorCode.ILLEGAL_GENERATION) from None
            raise
        return group, may

    def _records(
        self,
        group_id: str,
        wanted: list[tuple[str, AnyTopic]],
        rows: Rows,
        may: PartitionCheck | None,
        times: tuple[int, int],
    ) -> list[Record]:
        """A record for each partition that may be committed; why not goes into `rows`.

        times   of the commit and of its expiry (-1: the broker's own), ms
        """
        records: list[Record] = []
        topic_ids = self._context.image.topic_ids
        for name, topic in wanted:
            topic_id = topic_ids[name]
            for partition in topic.partitions:
                index = partition.partition_index
                row = (_identity(topic), index)
                if row in rows:
                    continue
                metadata = partition.committed_metadata or ""
                try:
                    if len(metadata) > self._settings.max_metadata:
                        raise Refusal(ErrorCode.OFFSET_METADATA_TOO_LARGE)
                    if may is not None:
                        may(name, topic_id, index)
                except Refusal as refusal:
                    rows[row] = refusal.code
                    continue
                value = OffsetCommitValue(
                    offset=partition.committed_offset,
                    leader_epoch=partition.committed_leader_epoch,
                    metadata=metadata,
                    commit_timestamp=times[0],
                    expire_timestamp=times[1],
                    topic_id=topic_id,
                )
                records.append(Record(OffsetCommitKey(group=group_id, topic=name, partition=index), value))
        return records

    # -- forgetting ------------------------------------------------------------------------------------------------

    def delete(self, request: OffsetDeleteRequest) -> Step:
        group = self._context.groups.get(request.group_id)
        if group is None:
            raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND)
        records: list[Record] = []
        topics: list[OffsetDeleteResponseTopic] = []
        for topic in request.topics:
            image, subscribed = self._context.image.topic(topic.name), group.is_subscribed_to(topic.name)
            count = 0 if image is None else len(image.partitions)
            rows = []
            for partition in topic.partitions:
                index, code = partition.partition_index, ErrorCode.NONE
                if not 0 <= index < count:
                    code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                elif subscribed:
                    code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
                else:
                    records += self._forget(request.group_id, [(topic.name, index)])
                rows.append(OffsetDeleteResponsePartition(partition_index=index, error_code=code))
            topics.append(OffsetDeleteResponseTopic(name=topic.name, partitions=rows))
        return Step(response=OffsetDeleteResponse(error_code=ErrorCode.NONE, topics=topics), records=records)

    def forget_group(self, group_id: str) -> list[Record]:
        """Tombstones for all that the group has committed, or is about to."""
        return self._forget(group_id, list(self._places(group_id)))

    def forget_topics(self, names: Iterable[str]) -> list[Record]:
        """Topics were deleted: tombstones for what any group has committed in them, or is about to."""
        gone = frozenset(names)
        records: list[Record] = []
        for group_id in list(self._groups.keys() | self._open.keys()):
            records += self._forget(group_id, [place for place in self._places(group_id) if place[0] in gone])
        return records

    def _places(self, group_id: str) -> Iterator[Place]:
        yield from self._groups.get(group_id, ())
        for producer_id in self._open.get(group_id, ()):
            yield from self._pending[producer_id][group_id]

    def _forget(self, group_id: str, places: Iterable[Place]) -> list[Record]:
        committed = self._groups.get(group_id, {})
        records = []
        for place in dict.fromkeys(places):
            if place in committed or self._is_pending(group_id, place):
                key = OffsetCommitKey(group=group_id, topic=place[0], partition=place[1])
                self.apply(key, None)
                records.append(Record(key, None))
        return records

    def start_expiry(self, now: Now) -> None:
        self._context.timers.set((OFFSETS, "", ""), now.s + self._settings.check_interval_ms / 1000)

    def expire(self, now: Now) -> list[Record]:
        """Forget what is past its retention, and empty groups that have nothing left (KIP-211)."""
        self.start_expiry(now)
        records: list[Record] = []
        for group_id, group in list(self._context.groups.items()):
            committed = self._groups.get(group_id)
            if committed is not None:
                records += self._forget(group_id, [place for place in committed if self._is_over(group, place, now.ms)])
            if group_id not in self._groups and group_id not in self._open and group.is_empty:
                records += group.tombstones()
                del self._context.groups[group_id]
        return records

    def _is_over(self, group: Group, place: Place, now_ms: int) -> bool:
        topic = place[0]
        if group.is_subscribed_to(topic) or self._is_pending(group.id, place):
            return False
        committed = self._groups[group.id][place]
        since_ms = group.offsets_expire_from(topic, committed.committed_at_ms)
        if since_ms is None:
            return False
        end_ms = since_ms + self._settings.kept_ms if committed.expire_at_ms == -1 else committed.expire_at_ms
        return now_ms >= end_ms

    # -- reading ---------------------------------------------------------------------------------------------------

    def fetch(self, request: OffsetFetchRequestGroup, version: int, *, require_stable: bool) -> Step:
        """What one group has committed; the response is an OffsetFetchResponseGroup."""
        group = self._context.groups.get(request.group_id)
        if group is not None:
            group.check_fetch(request.member_id, request.member_epoch)
        read = partial(self._read, request.group_id, require_stable)
        if request.topics is None:
            topics = self._all(request.group_id, read)
        else:
            topics = [self._asked(topic, version >= TOPIC_IDS, read) for topic in request.topics]
        return Step(response=OffsetFetchResponseGroup(group_id=request.group_id, topics=topics))

    def _all(self, group_id: str, read: Read) -> list[OffsetFetchResponseTopics]:
        """Topics that are no more are left out: nobody could ask for their ids."""
        by_topic: dict[str, list[int]] = {}
        for name, partition in self._groups.get(group_id, ()):
            by_topic.setdefault(name, []).append(partition)
        topic_ids = self._context.image.topic_ids
        return [
            OffsetFetchResponseTopics(
                name=name, topic_id=topic_ids[name], partitions=[read((name, index)) for index in sorted(indexes)]
            )
            for name, indexes in by_topic.items()
            if name in topic_ids
        ]

    def _asked(self, topic: OffsetFetchRequestTopics, by_id: bool, read: Read) -> OffsetFetchResponseTopics:
        name: str | None = topic.name
        if by_id:
            found = self._context.image.topics.get(topic.topic_id)
            name = None if found is None else found.name
        rows = [
            _nothing(index, ErrorCode.UNKNOWN_TOPIC_ID) if name is None else read((name, index))
            for index in topic.partition_indexes
        ]
        return OffsetFetchResponseTopics(name=topic.name, topic_id=topic.topic_id, partitions=rows)

    def _read(self, group_id: str, require_stable: bool, place: Place) -> OffsetFetchResponsePartitions:
        if require_stable and self._is_pending(group_id, place):
            return _nothing(place[1], ErrorCode.UNSTABLE_OFFSET_COMMIT)
        committed = self._groups.get(group_id, {}).get(place)
        if committed is None:
            return _nothing(place[1], ErrorCode.NONE)
        return OffsetFetchResponsePartitions(
            partition_index=place[1],
            committed_offset=committed.offset,
            committed_leader_epoch=committed.leader_epoch,
            metadata=committed.metadata,
            error_code=ErrorCode.NONE,
        )


AnyTopic = OffsetCommitRequestTopic | TxnOffsetCommitRequestTopic
Read = Callable[[Place], OffsetFetchResponsePartitions]
Rows = dict[tuple[str | bytes, int], ErrorCode]  # (topic's name or id, partition) -> what is wrong


def _nothing(index: int, code: ErrorCode) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(partition_index=index, committed_offset=-1, metadata="", error_code=code)


def _identity(topic: AnyTopic) -> str | bytes:
    """How the request tells the topic: by name, or by id where it has no names."""
    return topic.name or topic.topic_id


def _commit_response(request: OffsetCommitRequest, errors: Rows) -> OffsetCommitResponse:
    topics = []
    for topic in request.topics:
        rows = [
            OffsetCommitResponsePartition(partition_index=index, error_code=code)
            for index, code in _codes(topic, errors)
        ]
        topics.append(OffsetCommitResponseTopic(name=topic.name, topic_id=topic.topic_id, partitions=rows))
    return OffsetCommitResponse(topics=topics)


def _txn_response(request: TxnOffsetCommitRequest, errors: Rows) -> TxnOffsetCommitResponse:
    topics = []
    for topic in request.topics:
        rows = [
            TxnOffsetCommitResponsePartition(partition_index=index, error_code=code)
            for index, code in _codes(topic, errors)
        ]
        topics.append(TxnOffsetCommitResponseTopic(name=topic.name, topic_id=topic.topic_id, partitions=rows))
    return TxnOffsetCommitResponse(topics=topics)


def _codes(topic: AnyTopic, errors: Rows) -> Iterator[tuple[int, ErrorCode]]:
    """(partition, what became of it) in the order of the request."""
    identity = _identity(topic)
    for partition in topic.partitions:
        yield partition.partition_index, errors.get((identity, partition.partition_index), ErrorCode.NONE)
