"""A member of a classic group."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from kbroker_wire.messages.group_records import MemberMetadata
from kbroker_wire.messages.join_group import JoinGroupRequestProtocol

from ..machine import Client

Protocols = dict[
    str, bytes
]  # a member's metadata by the protocol's name, in the order in which the member prefers them


def protocols_of(offered: Iterable[JoinGroupRequestProtocol]) -> Protocols:
    """A name that is offered twice counts as the first."""
    protocols: Protocols = {}
    for each in offered:
        protocols.setdefault(each.name, each.metadata)
    return protocols


@dataclass(slots=True, eq=False)
class ClassicMember:
    """One member; `instance_id` is given by a static one (KIP-345).

    client         as it was at its first join
    assignment     the client's own bytes; what SyncGroup answers
    join_ticket    a JoinGroup that waits for the others; None: none does. Set by the group, which counts them
    join_version   of that request: decides how its answer may look
    sync_ticket    a SyncGroup that waits for the leader's
    is_new         its first join has not been answered: it can not know its id, so nobody expects heartbeats
    """

    id: str
    instance_id: str | None
    client: Client
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    join_ticket: object | None = None
    join_version: int = 0
    sync_ticket: object | None = None
    is_new: bool = False

    @property
    def is_excused(self) -> bool:
        """It waits for us, so its silence means nothing."""
        return not self.is_new and (self.join_ticket is not None or self.sync_ticket is not None)

    def matches(self, protocols: Protocols) -> bool:
        """Whether these are its protocols: names, metadata and order."""
        return self.protocols == protocols and list(self.protocols) == list(protocols)

    def vote(self, candidates: Collection[str]) -> str:
        """The candidate that it likes best. There must be one that it supports."""
        return next(name for name in self.protocols if name in candidates)

    def record(self, protocol_name: str) -> MemberMetadata:
        return MemberMetadata(
            member_id=self.id,
            group_instance_id=self.instance_id,
            client_id=self.client.id,
            client_host=self.client.host,
            rebalance_timeout=self.rebalance_timeout_ms,
            session_timeout=self.session_timeout_ms,
            subscription=self.protocols[protocol_name],
            assignment=self.assignment,
        )

    @classmethod
    def from_record(cls, row: MemberMetadata, protocol_name: str) -> ClassicMember:
        """Only the protocol that was chosen is on record, so the member's next join looks like a change of mind."""
        return cls(
            row.member_id,
            row.group_instance_id,
            Client(row.client_id, row.client_host),
            row.session_timeout,
            row.session_timeout if row.rebalance_timeout == -1 else row.rebalance_timeout,
            {protocol_name: row.subscription},
            row.assignment,
        )
