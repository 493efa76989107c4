"""Questions about a log's end wait for what was appended before them, and is not on disk yet.

With acks=1 a Produce is answered before its records are synced, and until then nobody sees them. Kafka's single broker
shows them at once: who writes like that and asks for the end, or deletes up to it, expects its own records to count.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from kbroker_storage import StorageError

from .partition import Partition

WAITS_S = 1.0  # for a disk that is slower than that the end is what consumers see


class _Awaited:
    """Stands at each partition until all are on disk up to where their logs ended."""

    __slots__ = ("_ends", "done")

    def __init__(self, ends: dict[Partition, int]) -> None:
        self._ends = ends
        self.done = trio.Event()
        for partition in ends:
            partition.waiters[self] = None

    def progressed(self, partition: Partition) -> None:
        if partition.high_watermark < self._ends[partition] and _may_progress(partition):
            return
        del self._ends[partition]
        partition.waiters.pop(self, None)
        if not self._ends:
            self.done.set()

    def leave(self) -> None:
        for partition in self._ends:
            partition.waiters.pop(self, None)


def _may_progress(partition: Partition) -> bool:
    return partition.is_leader and not partition.deleted and partition.failure is None


def _unsynced(partition: Partition) -> bool:
    """Whether a sync round is due for it. A log that can not be opened waits for nothing: reading it will tell why."""
    if not (partition.waits_for_disk and _may_progress(partition)):
        return False
    try:
        return partition.log.durable_end < partition.log.end
    except (StorageError, OSError):
        return False


async def all_visible(partitions: Iterable[Partition]) -> None:
    """Wait until consumers see what these logs hold now, WAITS_S at the most; no checkpoint if they do."""
    ends = {partition: partition.log.end for partition in partitions if _unsynced(partition)}
    if not ends:
        return
    awaited = _Awaited(ends)
    try:
        with trio.move_on_after(WAITS_S):
            await awaited.done.wait()
    finally:
        awaited.leave()
