"""Members of groups, of the classic protocol and of KIP-848, as far as they join, stay alive, own and leave."""

from __future__ import annotations

import uuid
from abc import abstractmethod

import trio
from history import Partition

from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from kbroker_wire.messages.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from kbroker_wire.messages.find_coordinator import GROUP, FindCoordinatorRequest
from kbroker_wire.messages.heartbeat import HeartbeatRequest
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from kbroker_wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kbroker_wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from kbroker_wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse

from .client import PASSING, Actor, code_in, name_of
from .world import SESSION_MS

HEARTBEAT_S = 0.15
REBALANCE_MS = 2000


class Expelled(Exception):
    """The member owns nothing any more, and has to join again."""


class Membership:
    """What both protocols have in common, as far as whoever owns partitions is concerned.

    owned        the partitions that the member was last told to own
    generation   the group's generation, or the member's epoch
    """

    def __init__(self, actor: Actor, group: str, topics: list[str]) -> None:
        self.actor, self.group, self.topics = actor, group, topics
        self.member_id = ""
        self.generation = -1
        self.owned: frozenset[Partition] = frozenset()
        self._beat_at = 0.0

    @abstractmethod
    async def join(self) -> None:
        """Until the member owns what it is to own. Raises Lost."""

    @abstractmethod
    async def beat(self) -> None:
        """Say that the member is alive; `owned` may change. Raises Lost, Expelled."""

    @abstractmethod
    async def leave(self) -> None:
        """Raises Lost."""

    async def beat_if_due(self) -> None:
        """Raises Lost, Expelled."""
        if trio.current_time() >= self._beat_at:
            await self.beat()
            self._beat_at = trio.current_time() + HEARTBEAT_S

    async def find_coordinator(self) -> None:
        await self.actor.ask(FindCoordinatorRequest(coordinator_keys=[self.group], key_type=GROUP), 4)

    def _told(self, partitions: frozenset[Partition]) -> None:
        if partitions != self.owned:
            self.actor.ledger.progress[f"assignments in {self.group}"] += 1
        self.owned = partitions
        self.actor.ledger.owns(self.group, self.generation, self.member_id, sorted(partitions))
        self.actor.world.note(self.actor.name, f"generation {self.generation} owns {sorted(partitions)}")


async def partitions_of(actor: Actor, topics: list[str]) -> dict[str, tuple[bytes, int]]:
    """Id and number of partitions of each topic that there is. Raises Lost."""
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name=name) for name in topics], allow_auto_topic_creation=False
    )
    answer = await actor.ask(request, 12)
    assert isinstance(answer, MetadataResponse)
    return {
        topic.name: (topic.topic_id, len(topic.partitions))
        for topic in answer.topics
        if topic.error_code == ErrorCode.NONE and topic.name is not None
    }


class ClassicMembership(Membership):
    """The leader gives each partition to one member, in turns."""

    async def join(self) -> None:
        self.owned = frozenset()
        await self.find_coordinator()
        while True:
            joined = await self._enter()
            if joined is not None and await self._sync(joined):
                self._beat_at = trio.current_time() + HEARTBEAT_S
                return
            await self.actor.pause()

    async def _enter(self) -> JoinGroupResponse | None:
        """One JoinGroup; None if it has to be asked again."""
        metadata = encode_subscription(ConsumerProtocolSubscription(topics=self.topics))
        answer = await self.actor.ask(
            JoinGroupRequest(
                group_id=self.group,
                session_timeout_ms=SESSION_MS,
                rebalance_timeout_ms=REBALANCE_MS,
                member_id=self.member_id,
                protocol_type="consumer",
                protocols=[JoinGroupRequestProtocol(name="turns", metadata=metadata)],
            ),
            9,
        )
        assert isinstance(answer, JoinGroupResponse)
        match answer.error_code:
            case ErrorCode.NONE:
                self.member_id, self.generation = answer.member_id, answer.generation_id
                return answer
            case ErrorCode.MEMBER_ID_REQUIRED:
                self.member_id = answer.member_id
            case ErrorCode.UNKNOWN_MEMBER_ID | ErrorCode.ILLEGAL_GENERATION:
                self.member_id = ""
            case code if code not in PASSING and code != ErrorCode.REBALANCE_IN_PROGRESS:
                self.actor.world.anomaly(f"{self.actor.name}: JoinGroup is refused with {name_of(code)}")
        return None

    async def _sync(self, joined: JoinGroupResponse) -> bool:
        """Whether the member has its assignment."""
        assignments = []
        if joined.leader == joined.member_id:
            assignments = await self._assign(joined)
        answer = await self.actor.ask(
            SyncGroupRequest(
                group_id=self.group,
                generation_id=self.generation,
                member_id=self.member_id,
                protocol_type="consumer",
                protocol_name="turns",
                assignments=assignments,
            ),
            5,
        )
        assert isinstance(answer, SyncGroupResponse)
        if answer.error_code != ErrorCode.NONE:
            if answer.error_code == ErrorCode.UNKNOWN_MEMBER_ID:
                self.member_id = ""
            return False
        assigned = decode_assignment(answer.assignment).assigned_partitions if answer.assignment else []
        self._told(frozenset((topic.topic, each) for topic in assigned for each in topic.partitions))
        return True

    async def _assign(self, joined: JoinGroupResponse) -> list[SyncGroupRequestAssignment]:
        members = sorted(joined.members, key=lambda each: each.member_id)
        assert all(decode_subscription(each.metadata).topics == self.topics for each in members)
        known = await partitions_of(self.actor, self.topics)
        all_partitions = [(name, each) for name, (_, count) in sorted(known.items()) for each in range(count)]
        return [
            SyncGroupRequestAssignment(
                member_id=member.member_id,
                assignment=encode_assignment(
                    ConsumerProtocolAssignment(
                        assigned_partitions=[
                            TopicPartition(topic=topic, partitions=[each])
                            for topic, each in all_partitions[place :: len(members)]
                        ]
                    )
                ),
            )
            for place, member in enumerate(members)
        ]

    async def beat(self) -> None:
        answer = await self.actor.ask(
            HeartbeatRequest(group_id=self.group, generation_id=self.generation, member_id=self.member_id), 4
        )
        match code_in(answer):
            case ErrorCode.UNKNOWN_MEMBER_ID | ErrorCode.ILLEGAL_GENERATION | ErrorCode.REBALANCE_IN_PROGRESS as code:
                if code == ErrorCode.UNKNOWN_MEMBER_ID:
                    self.member_id = ""
                raise Expelled
            case code if code != ErrorCode.NONE and code not in PASSING:
                self.actor.world.anomaly(f"{self.actor.name}: Heartbeat is refused with {name_of(code)}")

    async def leave(self) -> None:
        self.owned = frozenset()
        member = MemberIdentity(member_id=self.member_id, group_instance_id=None)
        await self.actor.ask(LeaveGroupRequest(group_id=self.group, members=[member]), 5)
        self.member_id = ""


class ConsumerMembership(Membership):
    """KIP-848: heartbeats only; what is to be given up is given up in the heartbeat after the one that says so."""

    def __init__(self, actor: Actor, group: str, topics: list[str]) -> None:
        super().__init__(actor, group, topics)
        self._names: dict[bytes, str] = {}

    async def join(self) -> None:
        await self.find_coordinator()
        self._names = {id_: name for name, (id_, _) in (await partitions_of(self.actor, self.topics)).items()}
        self.member_id = str(uuid.UUID(int=self.actor.draw.getrandbits(128), version=4))
        self.owned, self.generation = frozenset(), 0
        while self.generation <= 0:
            try:
                await self.beat()
            except Expelled:
                await self.actor.pause()
        self._beat_at = trio.current_time() + HEARTBEAT_S

    async def beat(self) -> None:
        answer = await self.actor.ask(self._request(), 1)
        assert isinstance(answer, ConsumerGroupHeartbeatResponse)
        match answer.error_code:
            case ErrorCode.NONE:
                self.generation = answer.member_epoch
                if answer.assignment is not None:
                    self._told(
                        frozenset(
                            (self._names[topic.topic_id], each)
                            for topic in answer.assignment.topic_partitions
                            for each in topic.partitions
                        )
                    )
                else:
                    self._told(self.owned)
            case ErrorCode.UNKNOWN_MEMBER_ID | ErrorCode.FENCED_MEMBER_EPOCH | ErrorCode.GROUP_ID_NOT_FOUND:
                self.owned, self.generation = frozenset(), 0
                raise Expelled
            case code if code not in PASSING:
                self.actor.world.anomaly(f"{self.actor.name}: ConsumerGroupHeartbeat is refused with {name_of(code)}")

    def _request(self) -> ConsumerGroupHeartbeatRequest:
        ids = {name: id_ for id_, name in self._names.items()}
        by_topic: dict[str, list[int]] = {}
        for name, each in sorted(self.owned):
            by_topic.setdefault(name, []).append(each)
        return ConsumerGroupHeartbeatRequest(
            group_id=self.group,
            member_id=self.member_id,
            member_epoch=self.generation,
            rebalance_timeout_ms=REBALANCE_MS,
            subscribed_topic_names=self.topics,
            topic_partitions=[TopicPartitions(topic_id=ids[name], partitions=own) for name, own in by_topic.items()],
        )

    async def leave(self) -> None:
        request = self._request()
        request.member_epoch = -1
        self.owned = frozenset()
        await self.actor.ask(request, 1)
