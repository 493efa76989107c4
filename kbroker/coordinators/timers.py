"""Deadlines of many things at once, for machines that are told the time.

A heap whose entries may be out of date. Most deadlines are moved far more often than they pass: each heartbeat puts
off a member's end. So moving one to later touches no heap: the entry stays where it is, and is put right when it comes
to the top. Only an earlier deadline needs an entry of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

OUT_OF_DATE = 64  # entries that may be dead before the heap is made anew; below, that costs more than it saves


class Timers(Generic[Key]):
    """One deadline a key, in seconds of the owner's clock. Equal deadlines fall due in the order they were set in."""

    __slots__ = ("_deadlines", "_heap", "_queued", "_sequence")

    def __init__(self) -> None:
        self._deadlines: dict[Key, tuple[float, int]] = {}
        self._queued: dict[Key, tuple[float, int]] = {}  # the entry that stands for a key; its others are dead
        self._heap: list[tuple[float, int, Key]] = []
        self._sequence = 0  # also keeps the heap from comparing keys

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: object) -> bool:
        return key in self._deadlines

    def set(self, key: Key, deadline: float) -> None:
        """The key falls due at `deadline`, and no more at the one it had before."""
        self._sequence += 1
        due = (deadline, self._sequence)
        self._deadlines[key] = due
        queued = self._queued.get(key)
        if queued is None or due < queued:
            self._push(key, due)

    def cancel(self, key: Key) -> None:
        """The key does not fall due; nothing happens if it would not have anyway."""
        self._deadlines.pop(key, None)

    def at(self, key: Key) -> float | None:
        """The key's deadline; None if it has none."""
        due = self._deadlines.get(key)
        return None if due is None else due[0]

    @property
    def deadline(self) -> float | None:
        """The earliest of all, None if there is none."""
        while self._heap:
            deadline, sequence, key = self._heap[0]
            entry = (deadline, sequence)
            due = self._deadlines.get(key)
            if due == entry:
                return deadline
            heappop(self._heap)
            if self._queued.get(key) == entry:
                del self._queued[key]
                if due is not None:
                    self._push(key, due)
        return None

    def due(self, now: float) -> Iterator[Key]:
        """The keys whose deadline is `now` or earlier, the earliest first; each loses its deadline as it comes.

        Keys may be set and cancelled between two of them: what was cancelled does not come, and what was set for `now`
        or earlier does.
        """
        while (deadline := self.deadline) is not None and deadline <= now:
            _, _, key = heappop(self._heap)
            del self._deadlines[key], self._queued[key]
            yield key

    def _push(self, key: Key, due: tuple[float, int]) -> None:
        if len(self._heap) > 2 * len(self._deadlines) + OUT_OF_DATE:
            self._queued = dict(self._deadlines)
            self._heap = [(deadline, sequence, each) for each, (deadline, sequence) in self._deadlines.items()]
            heapify(self._heap)
        else:
            self._queued[key] = due
            heappush(self._heap, (*due, key))
