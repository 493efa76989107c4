"""What a group is to the rest of the coordinator, whichever protocol its members speak."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

from ..machine import Record


class GroupType(Enum):
    """As ListGroups names them (KIP-848)."""

    CLASSIC = "classic"
    CONSUMER = "consumer"


# (topic's name, its id, partition): raises Refusal if the member may not commit for this partition.
PartitionCheck = Callable[[str, bytes, int], None]


class Group(Protocol):
    """One group of a partition of `__consumer_offsets`."""

    @property
    def id(self) -> str: ...

    @property
    def type(self) -> GroupType: ...

    @property
    def state_name(self) -> str:
        """As ListGroups and DescribeGroups name it: "Empty", "Stable", ..."""

    @property
    def protocol_type(self) -> str:
        """ "consumer" for a group of consumers, "" for one that has only committed offsets."""

    @property
    def is_empty(self) -> bool:
        """It has no members."""

    def check_commit(
        self, member_id: str, instance_id: str | None, epoch: int, *, transactional: bool, version: int
    ) -> PartitionCheck | None:
        """May this member commit offsets? `epoch` is its generation, or its member epoch (KIP-848).

        version   of OffsetCommit; it does not matter in a transaction

        None: for any partition. Else each one is to be asked for: a member whose epoch is behind may still commit for
        what it had at that epoch. If it may not for one of them, Kafka refuses the request as a whole.

        Raises Refusal with the code that Kafka gives in this state (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION,
        STALE_MEMBER_EPOCH, FENCED_INSTANCE_ID, REBALANCE_IN_PROGRESS ...).
        """

    def committed(self, member_id: str, now_s: float) -> None:
        """An offset commit of this member was accepted: for a classic member it counts as a heartbeat."""

    def check_fetch(self, member_id: str | None, member_epoch: int) -> None:
        """May committed offsets be read like this? Without member id and epoch anybody may. Raises Refusal."""

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether a member wants this topic; then its committed offsets neither expire nor are they deleted."""

    def check_delete(self) -> None:
        """May the group be deleted? Raises Refusal (NON_EMPTY_GROUP)."""

    def offsets_expire_from(self, topic: str, committed_at_ms: int) -> int | None:
        """Wall-clock ms from which offsets.retention.minutes counts for a committed offset of this topic.

        None: it does not expire now. For a group that ran the consumer protocol and is empty since then, the moment it
        became empty; for one that is used without members, the commit itself (KIP-211).
        """

    def tombstones(self) -> Iterable[Record]:
        """Records that delete the group itself; its offsets are not among them."""
