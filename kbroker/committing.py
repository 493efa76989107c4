"""Requests that have appended and wait until that is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import trio

from kbroker_wire import ErrorCode
from kbroker_wire.schema import Message

from .call import Parked

if TYPE_CHECKING:
    from .partition import Partition


class Row(Protocol):
    """What answers for one partition."""

    error_code: int


R = TypeVar("R", bound=Row)


class Committing(Parked, Generic[R]):
    """Its records are appended, and not yet as safe as acks=all asks."""

    __slots__ = ("_response", "_unsafe")

    def __init__(
        self, response: Message, unsafe: dict[Partition, list[tuple[R, int]]], timeout_s: float = float("inf")
    ) -> None:
        """`unsafe`: the rows of `response` that wait, and up to which offset their partition must be committed."""
        super().__init__(trio.current_time() + timeout_s)
        self._response, self._unsafe = response, unsafe
        for partition in unsafe:
            partition.waiters[self] = None

    def lost(self, row: R, code: ErrorCode) -> None:
        """It will never be known to be committed."""
        row.error_code = code

    def progressed(self, partition: Partition) -> None:
        rows = self._unsafe[partition]
        if partition.deleted or partition.failure is not None or not partition.is_leader:
            code = _reason(partition)
            for row, _ in rows:
                self.lost(row, code)
        elif any(partition.high_watermark < needed for _, needed in rows):
            return
        del self._unsafe[partition]
        partition.waiters.pop(self, None)
        if not self._unsafe:
            self.resolve()

    def answer(self) -> Message:
        for rows in self._unsafe.values():
            for row, _ in rows:
                row.error_code = ErrorCode.REQUEST_TIMED_OUT  # the records stay in the log
        return self._response

    def drop(self) -> None:
        for partition in self._unsafe:
            partition.waiters.pop(self, None)


def _reason(partition: Partition) -> ErrorCode:
    if partition.deleted:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return ErrorCode.KAFKA_STORAGE_ERROR if partition.failure is not None else ErrorCode.NOT_LEADER_OR_FOLLOWER
