"""What is there in the end, and whether that and everything on the way was as promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio
from history import Partition, Seen, check
from transaction_history import Source, check_commits, check_outputs, check_transactions

from kbroker_wire import ErrorCode

from .client import Actor, Lost, name_of
from .consumers import committed_offsets
from .ledger import source_of
from .records import COMMITTED, UNCOMMITTED, fetch, seen_in
from .transactional import TIMEOUT_MS

LAST_STABLE_S = 30.0  # so long after the last crash every last stable offset must have reached its log's end


class Judge(Actor):
    """Reads everything when the load is over."""

    async def wait_until_stable(self, partitions: Sequence[Partition]) -> None:
        """Until no transaction is open any more."""
        deadline = trio.current_time() + LAST_STABLE_S + TIMEOUT_MS / 1000
        waiting = set(partitions)
        while waiting:
            if trio.current_time() > deadline:
                self.world.anomaly(f"last stable offsets are stuck: {sorted(waiting)}")
                return
            try:
                parts = await fetch(self, dict.fromkeys(sorted(waiting), 0), COMMITTED, wait_ms=0, max_bytes=1)
            except Lost:
                continue
            for partition, part in parts.items():
                if part.error == ErrorCode.NONE and part.last_stable_offset == part.high_watermark:
                    waiting.discard(partition)
            await self.pause(0.2)

    async def read(self, partitions: Sequence[Partition], isolation: int) -> dict[Partition, list[tuple[int, bytes]]]:
        """All that there is, from first record to last."""
        found: dict[Partition, list[tuple[int, bytes]]] = {}
        for partition in partitions:
            held = found[partition] = []
            position = 0
            while True:
                try:
                    part = (await fetch(self, {partition: position}, isolation, max_bytes=1 << 20, wait_ms=0))[
                        partition
                    ]
                except Lost:
                    continue
                if part.error != ErrorCode.NONE:
                    self.world.anomaly(f"{partition} can not be read: {name_of(part.error)}")
                    break
                held += part.records
                if part.next_offset in {position, part.high_watermark}:  # the last offsets may be a hole
                    break
                position = part.next_offset
        return found

    async def committed(self, group: str, partitions: Sequence[Partition]) -> dict[Partition, int]:
        while True:
            try:
                offsets = await committed_offsets(self, group, list(partitions))
            except Lost:
                offsets = None
            if offsets is not None:
                return {partition: max(0, at) for partition, at in offsets.items()}
            await self.pause()

    async def judge_records(self, partitions: Sequence[Partition]) -> None:
        """Of idempotent producers."""
        held = _seen(await self.read(partitions, UNCOMMITTED))
        names = frozenset(write.producer for write in self.ledger.writes)
        self._accuse(check(self.ledger.writes, held, self._polls(partitions), names))

    async def judge_transactions(self, partitions: Sequence[Partition]) -> dict[Partition, list[tuple[int, bytes]]]:
        """Of the transactions of all producers, over all partitions that they write to; what is visible."""
        visible = await self.read(partitions, COMMITTED)
        self._accuse(
            check_transactions(self.ledger.transactions, _seen(visible), self._polls(partitions), self.ledger.polled_at)
        )
        return visible

    async def judge_outputs(
        self, group: str, visible: Mapping[Partition, list[tuple[int, bytes]]], topic: str, output: str
    ) -> None:
        inputs = {partition: held for partition, held in visible.items() if partition[0] == topic}
        outputs: list[Source] = [
            source_of(value) for partition, held in visible.items() if partition[0] == output for _, value in held
        ]
        self._accuse(check_outputs(_seen(inputs), outputs, await self.committed(group, sorted(inputs))))

    async def judge_groups(self, groups: Mapping[str, Sequence[Partition]]) -> None:
        for group, partitions in groups.items():
            await self.committed(group, partitions)  # one more look
        for look in self.ledger.looks:  # one by one: members ask at the same time, answers cross each other
            self._accuse(check_commits(self.ledger.asked, [look]))
        for (group, generation, partition), members in self.ledger.owners.items():
            if len(members) > 1:
                self.world.anomaly(
                    f"two owners of {partition} in generation {generation} of {group}: {sorted(members)}"
                )

    def _polls(self, partitions: Sequence[Partition]) -> dict[Partition, list[Seen]]:
        polls = {partition: list(held) for by in self.ledger.polls.values() for partition, held in by.items()}
        return {partition: polls[partition] for partition in partitions if partition in polls}

    def _accuse(self, anomalies: Sequence[object]) -> None:
        for anomaly in anomalies:
            self.world.anomaly(str(anomaly))


def _seen(held: Mapping[Partition, list[tuple[int, bytes]]]) -> dict[Partition, list[Seen]]:
    return {partition: [seen_in(*record) for record in records] for partition, records in held.items()}
