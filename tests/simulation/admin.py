"""An operator who creates a topic, uses it, lets it grow, deletes it, and creates another of the same name."""

from __future__ import annotations

import trio
from history import Partition

from kbroker_wire import ErrorCode
from kbroker_wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from kbroker_wire.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from kbroker_wire.messages.produce import ProduceResponse
from kbroker_wire.schema import Message

from .client import PASSING, Actor, Lost, name_of
from .consumers import committed_offsets
from .ledger import Ledger
from .members import partitions_of
from .records import UNCOMMITTED, ProducerState, batch_of, fetch, produce_request, produced
from .world import World

TOPIC, GROUP = "churned", "of-the-churned"
NOBODY = ProducerState(-1, -1)
STILL_WRITING = frozenset({ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.REQUEST_TIMED_OUT})


async def create(actor: Actor, name: str, partitions: int) -> None:
    """Until the topic is there."""
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, assignments=[], configs=[])
    await _administer(
        actor,
        CreateTopicsRequest(topics=[topic], timeout_ms=5000),
        7,
        {ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS},
    )


async def grow(actor: Actor, name: str, partitions: int) -> None:
    """Until the topic has so many partitions."""
    topic = CreatePartitionsTopic(name=name, count=partitions, assignments=None)
    await _administer(
        actor,
        CreatePartitionsRequest(topics=[topic], timeout_ms=5000, validate_only=False),
        3,
        {ErrorCode.NONE, ErrorCode.INVALID_PARTITIONS},  # it has them already
    )


async def delete(actor: Actor, name: str) -> None:
    """Until the topic is gone."""
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=5000)
    await _administer(actor, request, 6, {ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})


async def _administer(actor: Actor, request: Message, version: int, done: set[ErrorCode]) -> None:
    while True:
        try:
            answer = await actor.ask(request, version)
        except Lost:
            await actor.pause()
            continue
        if isinstance(answer, CreateTopicsResponse):
            code = answer.topics[0].error_code
        elif isinstance(answer, CreatePartitionsResponse):
            code = answer.results[0].error_code
        else:
            assert isinstance(answer, DeleteTopicsResponse)
            code = answer.responses[0].error_code
        actor.world.note(actor.name, f"{type(request).__name__}: {code}")
        if code in done:
            return
        if code not in PASSING:
            actor.world.anomaly(f"{actor.name}: {type(request).__name__} is refused with {name_of(code)}")
        await actor.pause()


class Operator(Actor):
    """`growing`: a topic of others that gets more partitions now and then, up to a number."""

    def __init__(self, world: World, ledger: Ledger, name: str, growing: tuple[str, int, int]) -> None:
        super().__init__(world, ledger, name)
        self._growing, self._size, self._most = growing

    async def run(self) -> None:
        number = 0
        while not self.world.over:
            await create(self, TOPIC, 1)
            await self._expect_empty()
            acknowledged = await self._write(number)
            await self._commit(len(acknowledged))
            await trio.sleep(self.draw.uniform(0, 1.5))
            await self._expect(acknowledged)
            if self.draw.random() < 0.5:
                await grow(self, TOPIC, 2)
            await delete(self, TOPIC)
            self.ledger.forget(GROUP, (TOPIC, 0))
            await trio.sleep(self.draw.uniform(0, 0.5))
            await self._expect_gone()
            number += 1
            self.ledger.progress["topics churned"] += 1
            if self._size < self._most and self.draw.random() < 0.5:
                self._size += 1
                await grow(self, self._growing, self._size)

    async def _expect_empty(self) -> None:
        partition: Partition = (TOPIC, 0)
        records = await self._read(partition)
        if records:
            self.world.anomaly(f"a new topic holds {records[:3]}")
        while True:
            try:
                offsets = await committed_offsets(self, GROUP, [partition])
            except Lost:
                offsets = None
            if offsets is not None:
                break
            await self.pause()
        if offsets[partition] != -1:
            self.world.anomaly(f"a new topic inherits the committed offset {offsets[partition]}")

    async def _read(self, partition: Partition) -> list[bytes]:
        """All that the partition shows."""
        found: list[bytes] = []
        position = 0
        while True:
            try:
                part = (await fetch(self, {partition: position}, UNCOMMITTED, wait_ms=0)).get(partition)
            except Lost:
                await self.pause()
                continue
            if part is not None and part.error == ErrorCode.NONE:
                found += [value for _, value in part.records]
                if part.next_offset in {position, part.high_watermark}:  # the last offsets may be a hole
                    return found
                position = part.next_offset
            else:
                await self.pause()

    async def _write(self, number: int) -> list[bytes]:
        """What was acknowledged."""
        acknowledged = []
        for each in range(self.draw.randint(0, 5)):
            value = b"%d %d" % (number, each)
            request = produce_request((TOPIC, 0), batch_of([value], self.world.now_ms(), NOBODY, -1))
            try:
                answer = await self.ask(request, 12)
            except Lost:
                continue
            assert isinstance(answer, ProduceResponse)
            code, _ = produced(answer)
            if code == ErrorCode.NONE:
                acknowledged.append(value)
            elif code not in PASSING and code not in STILL_WRITING:
                self.world.anomaly(f"{self.name}: Produce is refused with {name_of(code)}")
        return acknowledged

    async def _commit(self, offset: int) -> None:
        row = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_metadata=None)
        request = OffsetCommitRequest(group_id=GROUP, topics=[OffsetCommitRequestTopic(name=TOPIC, partitions=[row])])
        self.ledger.asks(GROUP, {(TOPIC, 0): offset})
        while True:
            try:
                answer = await self.ask(request, 9)
            except Lost:
                await self.pause()
                continue
            assert isinstance(answer, OffsetCommitResponse)
            code = answer.topics[0].partitions[0].error_code
            if code == ErrorCode.NONE:
                self.ledger.acknowledged(GROUP, (TOPIC, 0), offset)
                return
            if code not in PASSING:
                self.world.anomaly(f"{self.name}: OffsetCommit is refused with {name_of(code)}")
            await self.pause()

    async def _expect(self, acknowledged: list[bytes]) -> None:
        found = await self._read((TOPIC, 0))
        lost = [value for value in acknowledged if value not in found]
        if lost:
            self.world.anomaly(f"lost writes in a topic that is used for a while: {lost}")

    async def _expect_gone(self) -> None:
        while True:
            try:
                known = await partitions_of(self, [TOPIC])
                break
            except Lost:
                await self.pause()
        if known:
            self.world.anomaly("a deleted topic is there again")
