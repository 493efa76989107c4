"""How far a group is behind, partition by partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .cluster import TopicPartition
    from .groups import Group
    from .offsets import Committed


@dataclass(frozen=True, slots=True)
class Row:
    """A partition that somebody owns, or for which something is committed.

    current_offset  None where nothing is committed
    log_end_offset  the high watermark; None for a partition that does not exist, or has no leader now
    lag             of the two; negative if the log was cut behind what was committed
    member_id, client_id, host  of the owner, None if there is none
    """

    topic: str
    partition: int
    current_offset: int | None
    log_end_offset: int | None
    lag: int | None
    member_id: str | None
    client_id: str | None
    host: str | None


def partitions_of(group: Group, committed: Iterable[TopicPartition]) -> set[TopicPartition]:
    return {each for member in group.members for each in member.assignment}.union(committed)


def rows(group: Group, committed: Mapping[TopicPartition, Committed], ends: Mapping[TopicPartition, int]) -> list[Row]:
    """By topic and partition. One that two members have, while the group changes, comes twice."""
    owners = [(each, member) for member in group.members for each in member.assignment]
    owned = {each for each, _ in owners}
    found = []
    for each, member in [*owners, *((each, None) for each in committed if each not in owned)]:
        current = committed[each].offset if each in committed else None
        end = ends.get(each)
        lag = None if current is None or end is None else end - current
        who = (None, None, None) if member is None else (member.member_id, member.client_id, member.host)
        found.append(Row(each.topic, each.partition, current, end, lag, *who))
    return sorted(found, key=lambda row: (row.topic, row.partition, row.member_id or ""))


def total(found: Iterable[Row]) -> int:
    """The sum of what is known; a partition counts once, and one that was cut makes up for no other."""
    return sum({(row.topic, row.partition): max(row.lag, 0) for row in found if row.lag is not None}.values())
