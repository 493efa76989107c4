"""Where `reset-offsets` moves a group to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from kbroker_wire.messages.list_offsets import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP

from .failures import Failure
from .offsets import NO_OFFSET, positions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .cluster import Cluster, TopicPartition
    from .offsets import Committed

_EPOCH = datetime.fromtimestamp(0, UTC)


class Kind(Enum):
    EARLIEST = "to-earliest"
    LATEST = "to-latest"
    OFFSET = "to-offset"
    SHIFT = "shift-by"
    DATETIME = "to-datetime"


@dataclass(frozen=True, slots=True)
class Target:
    """`value`: the offset, by how many records to shift (negative: back), or ms since 1970."""

    kind: Kind
    value: int = 0


class Log(NamedTuple):
    """What a partition holds: `end` is exclusive, `found` the first offset as late as the time asked for, or -1."""

    start: int
    end: int
    found: int = NO_OFFSET


@dataclass(frozen=True, slots=True)
class Change:
    """`current` is None where nothing is committed; `note` says why `new` is not what was asked for, "" if it is."""

    partition: TopicPartition
    current: int | None
    new: int
    note: str = ""


def timestamp_ms(text: str) -> int:
    """ISO 8601 as ms since 1970; UTC unless it names an offset. Raises ValueError, also for a time before 1970."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = (moment - _EPOCH) // timedelta(milliseconds=1)
    if since < 0:
        raise ValueError("before 1970")
    return since


def plan(
    cluster: Cluster,
    partitions: Collection[TopicPartition],
    target: Target,
    committed: Mapping[TopicPartition, Committed],
) -> list[Change]:
    """A change for each partition, inside of what its log holds now. Raises Failure."""
    starts = positions(cluster, partitions, EARLIEST_TIMESTAMP)
    ends = positions(cluster, partitions, LATEST_TIMESTAMP)
    found = positions(cluster, partitions, target.value) if target.kind is Kind.DATETIME else {}
    changes = []
    for partition in sorted(partitions):
        if partition not in starts or partition not in ends:
            raise Failure(f"{partition} has no leader now: its log can not be looked at")
        current = committed[partition].offset if partition in committed else None
        if current is None and target.kind is Kind.SHIFT:
            raise Failure(f"{partition} has no committed offset to shift: name another position")
        log = Log(starts[partition], ends[partition], found.get(partition, NO_OFFSET))
        changes.append(Change(partition, current, *new_offset(target, current, log)))
    return changes


def new_offset(target: Target, current: int | None, log: Log) -> tuple[int, str]:
    """Where the group goes, and why that is not what was asked for, "" if it is; always within the log."""
    wanted = _wanted(target, current or 0, log)
    if wanted is None:
        return log.end, "no record is as late: the end"
    if wanted > log.end:
        return log.end, f"{wanted} is behind the end"
    if wanted < log.start:
        return log.start, f"{wanted} is before the start"
    return wanted, ""


def _wanted(target: Target, current: int, log: Log) -> int | None:
    match target.kind:
        case Kind.EARLIEST:
            return log.start
        case Kind.LATEST:
            return log.end
        case Kind.OFFSET:
            return target.value
        case Kind.SHIFT:
            return current + target.value
        case Kind.DATETIME:
            return None if log.found == NO_OFFSET else log.found
