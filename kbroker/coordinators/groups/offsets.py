"""The offsets that the groups of one partition of `__consumer_offsets` have committed, and how they are forgotten.

A commit is a record; the state is the newest record of each (group, topic, partition). What a transaction commits is
pending, beside the rest, until its marker comes. Requests are in `offsets_commit`, `offsets_fetch`, `offsets_delete`.

Topics are told by name, or by id from OffsetCommit 10 on; a record has both. What is committed belongs to the topic of
that id: when it is deleted, it is forgotten, and the next topic of that name inherits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from kbroker_wire.messages.group_records import OffsetCommitKey, OffsetCommitValue
from kbroker_wire.schema import ZERO_UUID

from ...config import BrokerConfig
from ..machine import Now, Record
from .context import Context
from .group import Group

OFFSETS = "offsets"  # the timer that says when to look for what has expired

Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class OffsetSettings:
    """max_metadata: UTF-16 units, as Java counts characters. Times in ms."""

    max_metadata: int = 4096
    kept_ms: int = 7 * 24 * 3_600_000
    check_interval_ms: int = 600_000

    @classmethod
    def from_config(cls, config: BrokerConfig) -> Self:
        return cls(
            config.int("offset.metadata.max.bytes"),
            config.int("offsets.retention.minutes") * 60_000,
            config.int("offsets.retention.check.interval.ms"),
        )


class Committed(NamedTuple):
    """order: which of two records came later. expire_at_ms: -1 for the broker's own retention."""

    order: int
    offset: int
    leader_epoch: int
    metadata: str
    committed_at_ms: int
    expire_at_ms: int
    topic_id: bytes


class Offsets:
    """The state, which changes by `apply` and `end_transaction` alone, whether live or replayed.

    Methods that return records have applied them.
    """

    __slots__ = ("_groups", "_new_group", "_open", "_order", "_pending", "context", "settings")

    def __init__(self, context: Context, settings: OffsetSettings, new_group: Callable[[str], Group]) -> None:
        """`new_group` makes the group that somebody commits for without being a member; it is to be in the context."""
        self.context, self.settings, self._new_group = context, settings, new_group
        self._groups: dict[str, dict[Place, Committed]] = {}
        self._pending: dict[int, dict[str, dict[Place, Committed]]] = {}  # by producer id
        self._open: dict[str, set[int]] = {}  # producers with pending offsets of the group
        self._order = 0

    # -- what there is ---------------------------------------------------------------------------------------------

    def of(self, group_id: str) -> Mapping[Place, Committed]:
        """What the group has committed."""
        return self._groups.get(group_id, {})

    def is_pending(self, group_id: str, place: Place) -> bool:
        """Whether an open transaction is about to commit there."""
        return any(place in self._pending[producer][group_id] for producer in self._open.get(group_id, ()))

    # -- how it changes --------------------------------------------------------------------------------------------

    def apply(self, key: OffsetCommitKey, value: OffsetCommitValue | None, producer_id: int = -1) -> None:
        """Take in a record, of the transaction of `producer_id` if that is not -1."""
        group_id, place = key.group, (key.topic, key.partition)
        if value is None:
            self._remove(group_id, place)
            return
        if group_id not in self.context.groups:
            self._new_group(group_id)
        self._order += 1
        committed = Committed(
            self._order,
            value.offset,
            value.leader_epoch,
            value.metadata,
            value.commit_timestamp,
            value.expire_timestamp,
            value.topic_id,
        )
        if producer_id < 0:
            self._groups.setdefault(group_id, {})[place] = committed
        else:
            self._pending.setdefault(producer_id, {}).setdefault(group_id, {})[place] = committed
            self._open.setdefault(group_id, set()).add(producer_id)

    def apply_all(self, records: Iterable[Record], producer_id: int = -1) -> None:
        for key, value in records:
            assert isinstance(key, OffsetCommitKey)
            assert value is None or isinstance(value, OffsetCommitValue)
            self.apply(key, value, producer_id)

    def _remove(self, group_id: str, place: Place) -> None:
        """From what is committed, and from what any transaction is about to commit."""
        committed = self._groups.get(group_id)
        if committed is not None and committed.pop(place, None) is not None and not committed:
            del self._groups[group_id]
        for producer_id in list(self._open.get(group_id, ())):
            pending = self._pending[producer_id]
            if pending[group_id].pop(place, None) is not None and not pending[group_id]:
                self._close(group_id, producer_id)
                del pending[group_id]
                if not pending:
                    del self._pending[producer_id]

    def _close(self, group_id: str, producer_id: int) -> None:
        producers = self._open[group_id]
        producers.remove(producer_id)
        if not producers:
            del self._open[group_id]

    def end_transaction(self, producer_id: int, *, commit: bool) -> None:
        """The marker came: pending offsets are committed, unless somebody committed later on, or forgotten.

        Which commit came later is asked so that it does not depend on what compaction has left of the log.
        """
        for group_id, places in self._pending.pop(producer_id, {}).items():
            self._close(group_id, producer_id)
            if not commit:
                continue
            committed = self._groups.setdefault(group_id, {})
            for place, pending in places.items():
                present = committed.get(place)
                if present is None or present.order < pending.order:
                    committed[place] = pending

    # -- forgetting ------------------------------------------------------------------------------------------------

    def forget(self, group_id: str, places: Iterable[Place]) -> list[Record]:
        """Tombstones for those of `places` where something is committed or pending."""
        committed = self._groups.get(group_id, {})
        records = []
        for place in dict.fromkeys(places):
            if place in committed or self.is_pending(group_id, place):
                key = OffsetCommitKey(group=group_id, topic=place[0], partition=place[1])
                self.apply(key, None)
                records.append(Record(key, None))
        return records

    def forget_group(self, group_id: str) -> list[Record]:
        """Tombstones for all that the group has committed, or is about to."""
        return self.forget(group_id, [place for place, _ in self._all(group_id)])

    def forget_topics(self, names: Iterable[str]) -> list[Record]:
        """Topics were deleted: tombstones for what any group has committed in them, or is about to."""
        gone = frozenset(names)
        return self._forget_where(lambda place, _: place[0] in gone)

    def forget_strangers(self) -> list[Record]:
        """Tombstones for what belongs to no topic of the present image; for when the state was loaded.

        A topic may have been deleted before the tombstones for it were written. What is committed for a topic that is
        new cannot be meant: whoever leads this partition has seen the metadata up to then. A commit without an id
        is taken to be of the topic that has the name now.
        """
        ids = self.context.image.topic_ids

        def is_strange(place: Place, committed: Committed) -> bool:
            topic_id = ids.get(place[0])
            return topic_id is None or committed.topic_id not in (topic_id, ZERO_UUID)

        return self._forget_where(is_strange)

    def _forget_where(self, is_meant: Callable[[Place, Committed], bool]) -> list[Record]:
        records: list[Record] = []
        for group_id in [*self._groups, *(self._open.keys() - self._groups.keys())]:
            places = [place for place, committed in self._all(group_id) if is_meant(place, committed)]
            if places:
                records += self.forget(group_id, places)
        return records

    def _all(self, group_id: str) -> Iterator[tuple[Place, Committed]]:
        yield from self._groups.get(group_id, {}).items()
        for producer_id in self._open.get(group_id, ()):
            yield from self._pending[producer_id][group_id].items()

    # -- expiry ----------------------------------------------------------------------------------------------------

    def start_expiry(self, now: Now) -> None:
        self.context.timers.set((OFFSETS, "", ""), now.s + self.settings.check_interval_ms / 1000)

    def expire(self, now: Now) -> list[Record]:
        """Forget what is past its retention, and empty groups that have nothing left (KIP-211)."""
        self.start_expiry(now)
        records: list[Record] = []
        for group_id, group in list(self.context.groups.items()):
            committed = self._groups.get(group_id)
            if committed is not None:
                over = [place for place, each in committed.items() if self._is_over(group, place, each, now.ms)]
                records += self.forget(group_id, over)
            if group_id not in self._groups and group_id not in self._open and group.is_empty:
                records += group.tombstones()
                del self.context.groups[group_id]
        return records

    def _is_over(self, group: Group, place: Place, committed: Committed, now_ms: int) -> bool:
        since_ms = group.offsets_expire_from(place[0], committed.committed_at_ms)
        if since_ms is None:
            return False
        end_ms = since_ms + self.settings.kept_ms if committed.expire_at_ms == -1 else committed.expire_at_ms
        return now_ms >= end_ms and not group.is_subscribed_to(place[0]) and not self.is_pending(group.id, place)
