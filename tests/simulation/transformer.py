"""Consume-transform-produce: one output of each input, and the offsets of the inputs in the same transaction."""

from __future__ import annotations

from history import Partition

from kbroker_wire import ErrorCode
from kbroker_wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)

from .client import PASSING, Lost
from .consumers import WAIT_MS, by_topic, committed_offsets
from .ledger import Ledger
from .members import Expelled, Membership
from .records import COMMITTED, fetch, value_of
from .transactional import Refused, TransactionalProducer
from .world import SESSION_MS, World

FREEZES = 0.05  # chance that it does nothing for longer than its session, in the middle of a transaction
ABORTED = 0.1


class Transformer(TransactionalProducer):
    """A member of `group` that reads `topics` and writes to `outputs`."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        name: str,
        tv: int,
        group: str,
        protocol: type[Membership],
        topics: list[str],
        outputs: list[Partition],
    ) -> None:
        super().__init__(world, ledger, name, tv)
        self._membership = protocol(self, group, topics)
        self._outputs = outputs
        self._positions: dict[Partition, int] = {}

    async def run(self) -> None:
        ready = joined = False
        while not self.world.over:
            try:
                if not ready:
                    await self.initialise()
                    ready = True
                if not joined:
                    self._positions.clear()
                    await self._membership.join()
                    joined = True
                await self._turn()
            except Expelled:
                joined = False
                await self.pause()
            except (Lost, Refused) as reason:  # what is committed decides where it goes on
                self.world.note(self.name, repr(reason))
                ready = False
                self._positions.clear()
                await self.pause()

    async def _turn(self) -> None:
        await self._membership.beat_if_due()
        if not await self._take_up():
            await self.pause()
            return
        parts = await fetch(self, self._positions, COMMITTED, wait_ms=WAIT_MS, max_bytes=500)
        inputs = [
            (partition, offset)
            for partition, part in parts.items()
            if part.error == ErrorCode.NONE
            for offset, _ in part.records
        ]
        ends = {
            partition: part.next_offset
            for partition, part in parts.items()
            if part.error == ErrorCode.NONE and part.next_offset > self._positions[partition]
        }
        if inputs:
            await self._transform(inputs, ends)
        self._positions |= ends

    async def _take_up(self) -> bool:
        owned = self._membership.owned
        self._positions = {partition: at for partition, at in self._positions.items() if partition in owned}
        new = sorted(owned - self._positions.keys())
        if new:
            offsets = await committed_offsets(self, self._membership.group, new, self._membership)
            if offsets is not None:
                self._positions |= {partition: max(0, at) for partition, at in offsets.items()}
        return bool(self._positions)

    async def _transform(self, inputs: list[tuple[Partition, int]], ends: dict[Partition, int]) -> None:
        """Raises Refused, Lost, Expelled."""
        transaction = self.begin()
        for (topic, index), offset in inputs:
            output = self.draw.choice(self._outputs)
            transaction.records.append(output)
            number = len(transaction.records) - 1
            await self.produce(output, [value_of(transaction.name, number, f"{topic} {index} {offset}")])
        if self.draw.random() < FREEZES:
            await self.pause(2 * SESSION_MS / 1000)
        await self.add_offsets(self._membership.group)
        await self._commit_offsets(ends)
        if self.draw.random() < ABORTED:
            await self.end(transaction, commit=False)
            raise Refused("aborted", ErrorCode.NONE)
        await self.end(transaction, commit=True)
        for partition, offset in ends.items():
            self.ledger.acknowledged(self._membership.group, partition, offset)

    async def _commit_offsets(self, offsets: dict[Partition, int]) -> None:
        membership = self._membership
        self.ledger.asks(membership.group, offsets)
        request = TxnOffsetCommitRequest(
            transactional_id=self.name,
            group_id=membership.group,
            producer_id=self.state.id,
            producer_epoch=self.state.epoch,
            generation_id_or_member_epoch=membership.generation,
            member_id=membership.member_id,
            topics=[
                TxnOffsetCommitRequestTopic(
                    name=name,
                    partitions=[
                        TxnOffsetCommitRequestPartition(
                            partition_index=each, committed_offset=offsets[name, each], committed_metadata=None
                        )
                        for each in indexes
                    ],
                )
                for name, indexes in by_topic(list(offsets)).items()
            ],
        )
        while True:
            answer = await self.persist(request, 5 if self.is_new else 4)
            assert isinstance(answer, TxnOffsetCommitResponse)
            codes = {row.error_code for topic in answer.topics for row in topic.partitions} - {ErrorCode.NONE}
            self.world.note(self.name, f"offsets {offsets}: {sorted(codes)}")
            if not codes:
                return
            if not codes <= PASSING:
                raise Refused("TxnOffsetCommit", max(codes))
            await self.pause()
