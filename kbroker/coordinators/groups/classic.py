"""A classic consumer group: its members, its state, what of it is kept in the log.

Members join, one of them (the leader) assigns partitions for all, and each asks for its own part. Whenever somebody
comes, goes or changes its mind, all of them join anew: a rebalance, which makes a new generation. How it runs is in
`classic_rebalance`, which requests there are in `classic_requests`; here is what they change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from typing import NoReturn

from kbroker_wire import ErrorCode, ProtocolError
from kbroker_wire.messages.consumer_protocol import ConsumerProtocolSubscription
from kbroker_wire.messages.group_records import GroupMetadataKey, GroupMetadataValue

from ...errors import Refusal
from ..machine import Record
from ..timers import Timers
from .classic_member import ClassicMember, Protocols
from .context import SESSION, TimerKey
from .group import GroupType

CONSUMER = "consumer"  # the protocol type of groups of consumers


class State(Enum):
    """As Kafka names them. Dead is told of groups that are not there."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class ClassicGroup:
    """One group. `state`, `generation` and the members change by its methods only.

    generation        one more at each rebalance, 0 before the first
    members           by id, in the order in which they came
    static_ids        member id of each instance id (KIP-345)
    pending           ids that were given out and have not come back with a join (KIP-394)
    to_sync           members of the new generation that have not asked for their assignment
    leader            id of a member; None while there is no member
    protocol_name     what the generation uses; None without members
    state_since_ms    wall clock; None if an old record did not tell
    was_empty         the rebalance that runs began without members: it waits for more of them (KIP-134)
    grew              a member joined since that wait was last extended
    wait_ms, rest_ms  of that wait: this turn, and how much more there may be
    """

    __slots__ = (
        "_joining",
        "_support",
        "_timers",
        "_topics",
        "_type",
        "generation",
        "grew",
        "id",
        "leader",
        "members",
        "pending",
        "protocol_name",
        "rest_ms",
        "state",
        "state_since_ms",
        "static_ids",
        "to_sync",
        "wait_ms",
        "was_empty",
    )

    def __init__(self, group_id: str, timers: Timers[TimerKey], state_since_ms: int | None) -> None:
        self.id = group_id
        self._timers = timers
        self.state = State.EMPTY
        self.state_since_ms = state_since_ms
        self.generation = 0
        self._type: str | None = None
        self.protocol_name: str | None = None
        self.leader: str | None = None
        self.members: dict[str, ClassicMember] = {}
        self.static_ids: dict[str, str] = {}
        self.pending: set[str] = set()
        self.to_sync: set[str] = set()
        self.was_empty = self.grew = False
        self.wait_ms = self.rest_ms = 0
        self._joining = 0  # members whose join waits
        self._support: Counter[str] = Counter()  # members that support each protocol
        self._topics: frozenset[str] | None = None  # what this generation subscribes to; None: not known

    @classmethod
    def from_record(cls, key: GroupMetadataKey, value: GroupMetadataValue, timers: Timers[TimerKey]) -> ClassicGroup:
        """Stable, or empty: the log knows only rebalances that ended. Raises ProtocolError for an impossible group."""
        since_ms = value.current_state_timestamp
        group = cls(key.group, timers, None if since_ms == -1 else since_ms)
        group.generation = value.generation
        group._type = value.protocol_type or None
        group.protocol_name, group.leader = value.protocol, value.leader
        for row in value.members:
            if row.member_id in group.members or row.group_instance_id in group.static_ids:
                raise ProtocolError(f"group {group.id} has member {row.member_id} or its instance twice")
            group.add(ClassicMember.from_record(row, value.protocol or ""), value.protocol_type)
        if group.members:
            group.state = State.STABLE
        if group.leader not in group.members:
            group.leader = next(iter(group.members), None)
        group._topics = group._subscribed_topics()
        return group

    # -- as others see it ------------------------------------------------------------------------------------------

    @property
    def type(self) -> GroupType:
        return GroupType.CLASSIC

    @property
    def state_name(self) -> str:
        return self.state.value

    @property
    def protocol_type(self) -> str:
        return self._type or ""

    @property
    def is_empty(self) -> bool:
        return self.state is State.EMPTY

    def check_commit(
        self, member_id: str, instance_id: str | None, epoch: int, *, transactional: bool, version: int
    ) -> None:
        del version
        if epoch < 0 and self.state is State.EMPTY:
            return  # by an admin client, or by a consumer that manages its partitions itself
        if epoch >= 0 or member_id or instance_id is not None:
            self.check_member(member_id, instance_id)
            if epoch != self.generation:
                raise Refusal(ErrorCode.ILLEGAL_GENERATION)
        elif not transactional:  # a transaction's commit had no member id before TxnOffsetCommit 3
            raise Refusal(ErrorCode.UNKNOWN_MEMBER_ID)
        if self.state is State.COMPLETING_REBALANCE and not transactional:
            raise Refusal(ErrorCode.REBALANCE_IN_PROGRESS)

    def committed(self, member_id: str, now_s: float) -> None:
        if self.state is State.STABLE or self.state is State.PREPARING_REBALANCE:
            member = self.members.get(member_id)
            if member is not None:
                self.heard_of(member, now_s)

    def check_fetch(self, member_id: str | None, member_epoch: int) -> None:
        """Anybody may."""

    def is_subscribed_to(self, topic: str) -> bool:
        """A group of consumers whose subscriptions can not be read is taken to want every topic."""
        return self._type == CONSUMER if self._topics is None else topic in self._topics

    def check_delete(self) -> None:
        if self.state is not State.EMPTY:
            raise Refusal(ErrorCode.NON_EMPTY_GROUP)

    def offsets_expire_from(self, topic: str, committed_at_ms: int) -> int | None:
        if self._type is None:
            return committed_at_ms
        if self.state is State.EMPTY:
            return committed_at_ms if self.state_since_ms is None else self.state_since_ms
        if self.state is State.STABLE and self._topics is not None and topic not in self._topics:
            return committed_at_ms
        return None

    def tombstones(self) -> Iterator[Record]:
        yield Record(GroupMetadataKey(group=self.id), None)

    def record(self) -> Record:
        """The group as it is kept: write one whenever it becomes stable or empty, or changes while it is."""
        protocol = self.protocol_name
        return Record(
            GroupMetadataKey(group=self.id),
            GroupMetadataValue(
                protocol_type=self._type or "",
                generation=self.generation,
                protocol=protocol,
                leader=self.leader,
                current_state_timestamp=-1 if self.state_since_ms is None else self.state_since_ms,
                members=[member.record(protocol or "") for member in self.members.values()],
            ),
        )

    @property
    def size_bytes(self) -> int:
        """About what the record would take; the group must have a protocol."""
        protocol = self.protocol_name
        assert protocol is not None
        return sum(len(member.protocols[protocol]) + len(member.assignment) for member in self.members.values())

    # -- its members -----------------------------------------------------------------------------------------------

    def check_member(self, member_id: str, instance_id: str | None) -> None:
        """Raises Refusal: UNKNOWN_MEMBER_ID, or FENCED_INSTANCE_ID if another has taken the instance's place."""
        if instance_id is not None:
            known = self.static_ids.get(instance_id)
            if known is None:
                _unknown_member()
            if known != member_id:
                raise Refusal(ErrorCode.FENCED_INSTANCE_ID)
        if member_id not in self.members:
            _unknown_member()

    def supports(self, protocol_type: str, names: Collection[str]) -> bool:
        """Whether a member with these protocols may be here: one of them must be supported by all."""
        if self.state is State.EMPTY:
            return bool(protocol_type and names)
        size = len(self.members)
        return protocol_type == self._type and any(self._support[name] == size for name in names)

    def add(self, member: ClassicMember, protocol_type: str) -> None:
        assert member.id not in self.members
        assert not self.members or protocol_type == self._type
        self._type = protocol_type
        self.pending.discard(member.id)
        self.members[member.id] = member
        self._support.update(member.protocols.keys())
        if member.instance_id is not None:
            assert member.instance_id not in self.static_ids
            self.static_ids[member.instance_id] = member.id
        if self.leader is None:
            self.leader = member.id

    def remove(self, member: ClassicMember) -> None:
        """Nobody may wait for it any more. Its session ends; if it led, the eldest of the others does."""
        assert member.join_ticket is None
        assert member.sync_ticket is None
        del self.members[member.id]
        self._forget_support(member.protocols)
        if member.instance_id is not None:
            del self.static_ids[member.instance_id]
        if self.leader == member.id:
            self.leader = next(iter(self.members), None)
        self.to_sync.discard(member.id)
        self._timers.cancel(self.session_of(member.id))

    def remove_pending(self, member_id: str) -> None:
        self.pending.discard(member_id)
        self._timers.cancel(self.session_of(member_id))

    def replace(self, old: ClassicMember, new_id: str) -> ClassicMember:
        """A static member came back without its id: it gets another, and is what it was otherwise (KIP-345).

        Nobody may wait for the old one any more; its session ends.
        """
        assert old.join_ticket is None
        assert old.sync_ticket is None
        assert old.instance_id is not None
        new = ClassicMember(
            new_id,
            old.instance_id,
            old.client,
            old.session_timeout_ms,
            old.rebalance_timeout_ms,
            old.protocols,
            old.assignment,
        )
        del self.members[old.id]
        self.members[new_id] = new
        self.static_ids[old.instance_id] = new_id
        if self.leader == old.id:
            self.leader = new_id
        if old.id in self.to_sync:
            self.to_sync.remove(old.id)
            self.to_sync.add(new_id)
        self._timers.cancel(self.session_of(old.id))
        return new

    def update(self, member: ClassicMember, protocols: Protocols, session_ms: int, rebalance_ms: int) -> None:
        """What a member says of itself when it joins again."""
        self._forget_support(member.protocols)
        member.protocols = protocols
        self._support.update(protocols.keys())
        member.session_timeout_ms, member.rebalance_timeout_ms = session_ms, rebalance_ms

    def _forget_support(self, protocols: Iterable[str]) -> None:
        for name in protocols:
            self._support[name] -= 1
            if not self._support[name]:
                del self._support[name]

    # -- who waits -------------------------------------------------------------------------------------------------

    @property
    def all_joined(self) -> bool:
        """Every member waits for the end of the join, and nobody who was given an id is still to come."""
        return self._joining == len(self.members) and not self.pending

    @property
    def joining(self) -> int:
        """Members whose join waits."""
        return self._joining

    def wait_for_join(self, member: ClassicMember, ticket: object, version: int) -> None:
        assert member.join_ticket is None
        member.join_ticket, member.join_version = ticket, version
        self._joining += 1

    def end_join(self, member: ClassicMember) -> object | None:
        """The ticket of its join if one waits: it does not any more."""
        ticket, member.join_ticket = member.join_ticket, None
        if ticket is not None:
            self._joining -= 1
        return ticket

    def session_of(self, member_id: str) -> TimerKey:
        return SESSION, self.id, member_id

    def heard_of(self, member: ClassicMember, now_s: float) -> None:
        """Its session begins anew."""
        self._timers.set((SESSION, self.id, member.id), now_s + member.session_timeout_ms / 1000)

    # -- generations -----------------------------------------------------------------------------------------------

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest of its members', as they may need that long to come."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def enter(self, state: State, now_ms: int) -> None:
        if state is not State.PREPARING_REBALANCE and self.state is not State.COMPLETING_REBALANCE:
            self._topics = self._subscribed_topics()  # the generation is another one
        self.state = state
        self.state_since_ms = now_ms

    def elect(self) -> bool:
        """See that the leader is one who joined. False if nobody did."""
        leader = None if self.leader is None else self.members[self.leader]
        if leader is None or leader.join_ticket is None:
            leader = next((member for member in self.members.values() if member.join_ticket is not None), None)
            if leader is None:
                return False
            self.leader = leader.id
        return True

    def chosen_protocol(self) -> str:
        """Of those that all members support the one that most like best. There must be a member."""
        size = len(self.members)
        candidates = {name for name, members in self._support.items() if members == size}
        votes = Counter(member.vote(candidates) for member in self.members.values())
        return max(votes, key=votes.__getitem__)

    def next_generation(self, now_ms: int) -> None:
        self.generation += 1
        if self.members:
            self.protocol_name = self.chosen_protocol()
            self.enter(State.COMPLETING_REBALANCE, now_ms)
        else:
            self.protocol_name = None
            self.enter(State.EMPTY, now_ms)
        self.to_sync = set(self.members)

    def _subscribed_topics(self) -> frozenset[str] | None:
        """What its consumers subscribe to; None if it is no group of consumers, or the bytes can not be read.

        Subscriptions are read as version 0, which all later ones begin with.
        """
        if self._type != CONSUMER:
            return None
        if not self.members:
            return frozenset()
        if self.protocol_name is None:
            return None
        topics: set[str] = set()
        try:
            for member in self.members.values():
                topics.update(ConsumerProtocolSubscription.decode(member.protocols[self.protocol_name], 0, 2).topics)
        except ProtocolError:
            return None
        return frozenset(topics)


def _unknown_member() -> NoReturn:
    raise Refusal(ErrorCode.UNKNOWN_MEMBER_ID)
