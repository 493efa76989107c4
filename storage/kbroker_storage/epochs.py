"""Which leader epoch wrote from which offset on: Kafka's leader epoch history, and its file.

Ascending in both. A follower asks with it where its own log stops being the leader's (KIP-101, KIP-279).
"""

from bisect import bisect_left, bisect_right

from .checkpoints import parse_numbers, render_numbers

FILE_NAME = "leader-epoch-checkpoint"
NO_EPOCH = -1
UNDEFINED = (NO_EPOCH, -1)


class Epochs:
    """Leader epochs with the offset of the first frame each wrote."""

    __slots__ = ("_epochs", "_starts", "latest")

    def __init__(self, entries: list[tuple[int, int]] | None = None) -> None:
        """`entries`: (epoch, first offset), ascending."""
        self._epochs = [epoch for epoch, _ in entries or ()]
        self._starts = [start for _, start in entries or ()]
        self.latest = self._epochs[-1] if self._epochs else NO_EPOCH

    @classmethod
    def parse(cls, data: bytes) -> "Epochs":
        """Raises Corrupt unless it is a checkpoint with ascending entries."""
        return cls([(epoch, start) for epoch, start in parse_numbers(data, FILE_NAME, ascending=True)])

    def render(self) -> bytes:
        return render_numbers(self.entries)

    @property
    def entries(self) -> list[tuple[int, int]]:
        return list(zip(self._epochs, self._starts, strict=True))

    def assign(self, epoch: int, offset: int) -> bool:
        """Frames of `epoch` begin at `offset`; whether that was news. Entries not before it are dropped."""
        if epoch == self.latest or epoch < 0:
            return False
        while self._epochs and (self._epochs[-1] >= epoch or self._starts[-1] >= offset):
            self._epochs.pop()
            self._starts.pop()
        self._epochs.append(epoch)
        self._starts.append(offset)
        self.latest = epoch
        return True

    def at(self, offset: int) -> int:
        """The epoch that wrote `offset`; -1 before the first known."""
        index = bisect_right(self._starts, offset)
        return self._epochs[index - 1] if index else NO_EPOCH

    def end_of(self, epoch: int, log_end: int) -> tuple[int, int]:
        """The largest known epoch not above `epoch`, and where the one after it begins (Kafka's OffsetForLeaderEpoch).

        (-1, -1) for an epoch newer than the newest; for one older than the oldest known, itself and where that begins.
        """
        if epoch == NO_EPOCH or not self._epochs or epoch > self.latest:
            return UNDEFINED
        if epoch == self.latest:
            return epoch, log_end
        index = bisect_right(self._epochs, epoch)
        return (self._epochs[index - 1] if index else epoch), self._starts[index]

    def truncate(self, end: int) -> bool:
        """The log ends at `end` now; whether entries were dropped."""
        keep = bisect_left(self._starts, end)
        if keep == len(self._starts):
            return False
        del self._epochs[keep:]
        del self._starts[keep:]
        self.latest = self._epochs[-1] if self._epochs else NO_EPOCH
        return True

    def delete_before(self, start: int) -> bool:
        """The log begins at `start` now; whether anything changed. The epoch that wrote there begins there."""
        index = bisect_right(self._starts, start)
        if not index or (index == 1 and self._starts[0] == start):
            return False
        del self._epochs[: index - 1]
        del self._starts[: index - 1]
        self._starts[0] = start
        return True
