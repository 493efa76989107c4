"""Consumers: members of groups that read and commit, and readers that follow partitions from their first record on."""

from __future__ import annotations

import trio
from history import Partition

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from kbroker_wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)

from .client import PASSING, Actor, Lost, name_of
from .ledger import Ledger
from .members import ConsumerMembership, Expelled, Membership
from .records import COMMITTED, FETCH_VERSION, fetch, seen_in
from .world import SESSION_MS, World

FREEZES = 0.02  # chance, at each turn, that a member does nothing for longer than its session
LEAVES = 0.03
COMMITS = 0.4
WAIT_MS = 50


def by_topic(partitions: list[Partition]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for topic, index in sorted(partitions):
        found.setdefault(topic, []).append(index)
    return found


async def committed_offsets(
    actor: Actor, group: str, partitions: list[Partition], membership: Membership | None = None
) -> dict[Partition, int] | None:
    """-1 where none is committed; None if it has to be asked again. Raises Lost, Expelled."""
    ledger = actor.ledger
    at_least = {partition: ledger.at_least(group, partition) for partition in partitions}
    topics = [
        OffsetFetchRequestTopics(name=name, partition_indexes=indexes) for name, indexes in by_topic(partitions).items()
    ]
    asked = OffsetFetchRequestGroup(group_id=group, topics=topics)
    if isinstance(membership, ConsumerMembership):
        asked.member_id, asked.member_epoch = membership.member_id, membership.generation
    answer = await actor.ask(OffsetFetchRequest(groups=[asked], require_stable=True), 9)
    assert isinstance(answer, OffsetFetchResponse)
    [found] = answer.groups
    if found.error_code in {ErrorCode.STALE_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID}:
        raise Expelled
    rows = [(topic.name, row) for topic in found.topics for row in topic.partitions]
    if found.error_code in PASSING or any(row.error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT for _, row in rows):
        return None
    if found.error_code or any(row.error_code for _, row in rows):
        actor.world.anomaly(f"{actor.name}: OffsetFetch is refused: {answer}")
        return None
    offsets = {(name, row.partition_index): row.committed_offset for name, row in rows}
    for partition, offset in offsets.items():
        ledger.looked(group, partition, at_least[partition], offset)
    actor.world.note(actor.name, f"committed {offsets}")
    return offsets


class GroupConsumer(Actor):
    """Reads what its group gives it with read_committed, and commits how far it came."""

    def __init__(
        self, world: World, ledger: Ledger, name: str, group: str, topics: list[str], protocol: type[Membership]
    ) -> None:
        super().__init__(world, ledger, name)
        self._membership = protocol(self, group, topics)
        self._positions: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}

    async def run(self) -> None:
        joined = False
        while not self.world.over:
            try:
                if not joined:
                    await self._membership.join()
                    joined = True
                joined = await self._turn()
            except Lost:
                await self.pause()
            except Expelled:
                joined = False
                self._positions.clear()

    async def _turn(self) -> bool:
        """Whether the member is still one. Raises Lost, Expelled."""
        await self._membership.beat_if_due()
        await self._take_up()
        if self._positions:
            await self._poll()
        else:
            await trio.sleep(WAIT_MS / 1000)
        way = self.draw.random()
        if way < FREEZES:
            await trio.sleep(self.draw.uniform(0.5, 2.0) * SESSION_MS / 1000)
        elif way < FREEZES + LEAVES:
            if self.draw.random() < 0.5:
                await self._commit()
            await self._membership.leave()
            self._positions.clear()
            await trio.sleep(self.draw.uniform(0, 1.0))
            return False
        elif way < FREEZES + LEAVES + COMMITS:
            await self._commit()
        return True

    async def _take_up(self) -> None:
        """Begin where the group is in partitions that are new, forget those that are gone."""
        owned = self._membership.owned
        self._positions = {partition: at for partition, at in self._positions.items() if partition in owned}
        new = sorted(owned - self._positions.keys())
        if new:
            offsets = await committed_offsets(self, self._membership.group, new, self._membership)
            if offsets is not None:
                self._committed |= offsets
                self._positions |= {partition: max(0, at) for partition, at in offsets.items()}

    async def _poll(self) -> None:
        parts = await fetch(self, self._positions, COMMITTED, wait_ms=WAIT_MS)
        for partition, part in parts.items():
            if part.error == ErrorCode.OFFSET_OUT_OF_RANGE:
                at = self._positions[partition]
                self.world.anomaly(f"{self.name}: what was committed, {at} of {partition}, is beyond the log")
            self._positions[partition] = part.next_offset
            self.ledger.progress[f"records read in {self._membership.group}"] += len(part.records)

    async def _commit(self) -> None:
        offsets = {
            partition: at for partition, at in self._positions.items() if at > self._committed.get(partition, -1) and at
        }
        if not offsets:
            return
        group = self._membership.group
        self.ledger.asks(group, offsets)
        request = OffsetCommitRequest(
            group_id=group,
            generation_id_or_member_epoch=self._membership.generation,
            member_id=self._membership.member_id,
            topics=[
                OffsetCommitRequestTopic(
                    name=name,
                    partitions=[
                        OffsetCommitRequestPartition(
                            partition_index=each, committed_offset=offsets[name, each], committed_metadata=None
                        )
                        for each in indexes
                    ],
                )
                for name, indexes in by_topic(list(offsets)).items()
            ],
        )
        answer = await self.ask(request, 9)
        assert isinstance(answer, OffsetCommitResponse)
        for topic in answer.topics:
            for row in topic.partitions:
                self._committed_one((topic.name, row.partition_index), row.error_code, offsets)

    def _committed_one(self, partition: Partition, code: int, offsets: dict[Partition, int]) -> None:
        self.world.note(self.name, f"commit {partition} {offsets[partition]}: {code}")
        if code == ErrorCode.NONE:
            self._committed[partition] = offsets[partition]
            self.ledger.acknowledged(self._membership.group, partition, offsets[partition])
        elif code in {ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION, ErrorCode.FENCED_MEMBER_EPOCH}:
            self.ledger.progress["commits of expelled members refused"] += 1
        elif code not in PASSING and code not in {ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.STALE_MEMBER_EPOCH}:
            self.world.anomaly(f"{self.name}: OffsetCommit is refused with {name_of(code)}")


class Reader(Actor):
    """Follows partitions from their first record on, without a group, and notes all that it is given."""

    def __init__(self, world: World, ledger: Ledger, name: str, partitions: list[Partition], isolation: int) -> None:
        super().__init__(world, ledger, name)
        self.positions = dict.fromkeys(partitions, 0)
        self._isolation = isolation

    async def run(self) -> None:
        while not self.world.over:
            await self.step()
            await self.pause()

    async def step(self, wait_ms: int = WAIT_MS) -> None:
        try:
            parts = await fetch(self, self.positions, self._isolation, wait_ms=wait_ms, version=FETCH_VERSION)
        except Lost:
            return
        for partition, part in parts.items():
            if part.error == ErrorCode.OFFSET_OUT_OF_RANGE:
                self.world.anomaly(f"{self.name}: read up to {self.positions[partition]} of {partition}, and lost that")
            for offset, value in part.records:
                self.ledger.saw(self.name, partition, seen_in(offset, value))
            self.positions[partition] = part.next_offset
