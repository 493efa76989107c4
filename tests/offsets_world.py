"""One partition of `__consumer_offsets` with topics around it, and what clients of its groups' offsets ask, in short.

    world = World()
    world.create("t", partitions=2)
    world.commit("g", {("t", 0): 5})     -> {("t", 0): "NONE"}
    world.fetch("g")                     -> {("t", 0): 5}

Everything that is written is kept as bytes; `reload` makes another shard of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kbroker.config import BrokerConfig
from kbroker.coordinators.groups.classic import ClassicGroup
from kbroker.coordinators.groups.offsets_commit import commit, commit_in_transaction
from kbroker.coordinators.groups.offsets_delete import delete
from kbroker.coordinators.groups.offsets_fetch import fetch
from kbroker.coordinators.groups.shard import GroupShard
from kbroker.coordinators.machine import Client, Now, Step
from kbroker.errors import Refusal
from kbroker.metadata.image import Delta, Image
from kbroker_storage import VerificationToken
from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_protocol import ConsumerProtocolSubscription, encode_subscription
from kbroker_wire.messages.coordinator_records import encode_record
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kbroker_wire.messages.leave_group import LeaveGroupRequest
from kbroker_wire.messages.metadata_records import PartitionRecord, RemoveTopicRecord, TopicRecord
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
from kbroker_wire.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
)
from kbroker_wire.messages.sync_group import SyncGroupRequest
from kbroker_wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from kbroker_wire.schema import Message, uuid_to_text

WALL_MS = 1_700_000_000_000  # what the wall clock shows at second 0
HOUR_S = 3600.0

Place = tuple[str, int]
Answered = OffsetCommitResponse | TxnOffsetCommitResponse | OffsetDeleteResponse


def name_of(code: int) -> str:
    return ErrorCode(code).name  # type: ignore[call-arg]  # by its number


def outcome(response: Answered) -> dict[Place, str]:
    """The code of each partition, in the order of the answer."""
    return {
        (topic.name, row.partition_index): name_of(row.error_code)
        for topic in response.topics
        for row in topic.partitions
    }


def by_topic(places: Iterable[Place]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for topic, partition in places:
        topics.setdefault(topic, []).append(partition)
    return topics


class World:
    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.config = BrokerConfig.parse(dict(settings or {}))
        self.now_s = 0.0
        self.image = Image()
        self.log: list[tuple[bytes, bytes | None, int] | tuple[int, bool]] = []
        self._ids = 0
        self.shard = self._new_shard()
        self.took(self.shard.loaded(self.now))

    def _new_shard(self) -> GroupShard:
        return GroupShard(self.config, lambda: uuid_to_text(self._new_uuid()), self.image)

    def _new_uuid(self) -> bytes:
        self._ids += 1
        return self._ids.to_bytes(16, "big")

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + int(self.now_s * 1000))

    def took(self, step: Step) -> Message | None:
        """What the shell does with a step whose append succeeds."""
        producer = -1 if step.producer is None else step.producer[0]
        self.log += [(*encode_record(key, value), producer) for key, value in step.records]
        if step.written is not None:
            step.written()
        return step.response

    def reload(self) -> GroupShard:
        """Another shard of what was written; not yet told that it is loaded."""
        shard = self._new_shard()
        for entry in self.log:
            if len(entry) == 2:
                shard.replay_end(entry[0], commit=entry[1])
            else:
                shard.replay(*entry)
        return shard

    def restart(self) -> None:
        self.shard = self.reload()
        self.took(self.shard.loaded(self.now))

    # -- topics ------------------------------------------------------------------------------------------------------

    def create(self, name: str, partitions: int = 1, *, told: bool = True) -> bytes:
        topic_id = self._new_uuid()
        rows = [
            PartitionRecord(
                partition_id=index,
                topic_id=topic_id,
                replicas=[1],
                isr=[1],
                leader=1,
                leader_epoch=0,
                partition_epoch=0,
            )
            for index in range(partitions)
        ]
        self._replay(TopicRecord(name=name, topic_id=topic_id), *rows, told=told)
        return topic_id

    def remove(self, name: str, *, told: bool = True) -> None:
        """`told`: the shard hears of it, else the broker dies before."""
        self._replay(RemoveTopicRecord(topic_id=self.image.topic_ids[name]), told=told)

    def _replay(self, *records: Message, told: bool = True) -> None:
        self.image, delta = self.image.replay(records, self.image.offset + 1)
        if told:
            self.news(delta)

    def news(self, delta: Delta) -> None:
        self.took(self.shard.image_changed(self.image, delta, self.now))

    # -- members -----------------------------------------------------------------------------------------------------

    def member(self, group: str, *topics: str, protocol_type: str = "consumer", instance: str | None = None) -> str:
        """A first member, of a group in generation 1 that still waits for its assignment; its id."""
        subscription = encode_subscription(ConsumerProtocolSubscription(topics=list(topics)))
        request = JoinGroupRequest(
            group_id=group,
            session_timeout_ms=1_800_000,
            rebalance_timeout_ms=1_800_000,
            member_id="",
            group_instance_id=instance,
            protocol_type=protocol_type,
            protocols=[JoinGroupRequestProtocol(name="p", metadata=subscription)],
        )
        self.took(self.shard.join(request, Client("c", "/127.0.0.1"), 3, self, self.now))
        self.pass_time(0.01)  # the initial delay
        found = self.shard.context.groups[group]
        assert isinstance(found, ClassicGroup)
        [member_id] = found.members
        return member_id

    def assign(self, group: str, member_id: str) -> None:
        """Make the group stable."""
        request = SyncGroupRequest(group_id=group, generation_id=1, member_id=member_id, assignments=[])
        self.took(self.shard.sync(request, self, self.now))

    def leave(self, group: str, member_id: str) -> None:
        self.took(self.shard.leave(LeaveGroupRequest(group_id=group, member_id=member_id), 2, self.now))

    # -- requests ----------------------------------------------------------------------------------------------------

    def commit(
        self, group: str, offsets: Mapping[Place, int], version: int = 9, metadata: str | None = None, **more: object
    ) -> dict[Place, str]:
        """`more` are fields of the request. A refusal is of all places; then nothing was written."""
        topics = [
            OffsetCommitRequestTopic(
                name=name,
                partitions=[
                    OffsetCommitRequestPartition(
                        partition_index=index, committed_offset=offsets[name, index], committed_metadata=metadata
                    )
                    for index in indexes
                ],
            )
            for name, indexes in by_topic(offsets).items()
        ]
        request = OffsetCommitRequest(group_id=group, topics=topics, **more)  # type: ignore[arg-type]
        try:
            response = self.took(commit(self.shard.offsets, request, version, self.now))
        except Refusal as refusal:
            return dict.fromkeys(offsets, refusal.code.name)
        assert isinstance(response, OffsetCommitResponse)
        return outcome(response)

    def txn_commit(
        self,
        group: str,
        offsets: Mapping[Place, int],
        producer: int = 1,
        version: int = 5,
        verified: VerificationToken | None = None,
        *,
        appended: bool = True,
        **more: object,
    ) -> dict[Place, str]:
        """`appended`: the partition takes the records, else it refuses the producer."""
        topics = [
            TxnOffsetCommitRequestTopic(
                name=name,
                partitions=[
                    TxnOffsetCommitRequestPartition(
                        partition_index=index, committed_offset=offsets[name, index], committed_metadata=None
                    )
                    for index in indexes
                ],
            )
            for name, indexes in by_topic(offsets).items()
        ]
        request = TxnOffsetCommitRequest(
            transactional_id="x",
            group_id=group,
            producer_id=producer,
            producer_epoch=0,
            topics=topics,
            **more,  # type: ignore[arg-type]
        )
        try:
            step = commit_in_transaction(self.shard.offsets, request, version, self.now, verified)
        except Refusal as refusal:
            return dict.fromkeys(offsets, refusal.code.name)
        assert not step.records or (step.producer, step.verified) == ((producer, 0), verified)
        response = self.took(step) if appended else step.response
        assert isinstance(response, TxnOffsetCommitResponse)
        return outcome(response)

    def end(self, producer: int = 1, *, commit: bool) -> None:
        self.log.append((producer, commit))
        self.took(self.shard.end_transaction(producer, commit=commit))

    def fetch(
        self, group: str, places: Iterable[Place] | None = None, *, stable: bool = False
    ) -> dict[Place, int | str]:
        """Offsets, or the names of errors; all that the group has, if no places are named."""
        topics = None
        if places is not None:
            topics = [
                OffsetFetchRequestTopics(name=name, partition_indexes=indexes)
                for name, indexes in by_topic(places).items()
            ]
        request = OffsetFetchRequestGroup(group_id=group, topics=topics)
        response = fetch(self.shard.offsets, request, 8, require_stable=stable).response
        assert isinstance(response, OffsetFetchResponseGroup)
        return {
            (topic.name, row.partition_index): name_of(row.error_code) if row.error_code else row.committed_offset
            for topic in response.topics
            for row in topic.partitions
        }

    def delete(self, group: str, places: Iterable[Place]) -> dict[Place, str]:
        topics = [
            OffsetDeleteRequestTopic(
                name=name, partitions=[OffsetDeleteRequestPartition(partition_index=index) for index in indexes]
            )
            for name, indexes in by_topic(places).items()
        ]
        response = self.took(delete(self.shard.offsets, OffsetDeleteRequest(group_id=group, topics=topics)))
        assert isinstance(response, OffsetDeleteResponse)
        return outcome(response)

    def pass_time(self, hours: float) -> None:
        """With everything that falls due meanwhile."""
        until = self.now_s + hours * HOUR_S
        while (deadline := self.shard.deadline) is not None and deadline <= until:
            self.now_s = max(self.now_s, deadline)
            self.took(self.shard.tick(self.now))
        self.now_s = until
