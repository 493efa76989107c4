"""Any history of a classic group: one answer for everybody, no partition with two owners, nothing that a restart loses.

Members come, go, change their minds, fall silent, come back under the names of others, and the broker restarts.
"""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from classic_story import Story
from kbroker.coordinators.groups.classic import ClassicGroup, State
from kbroker.coordinators.groups.context import JOIN, SYNC
from kbroker_wire import ErrorCode
from kbroker_wire.messages.join_group import JoinGroupResponse
from kbroker_wire.messages.sync_group import SyncGroupResponse

INSTANCES = {"s": "i", "t": "j", "u": "i"}  # u is another process with the name of s
NAMES = st.sampled_from("abcstu")
PARTITIONS = ("p0", "p1", "p2")
OWNERS = st.tuples(*[st.integers(0, 5)] * len(PARTITIONS))
LONGEST_S = 700.0  # longer than any timeout: those of sessions, rebalances, and of a new member's join


class ClassicGroupHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.generation = -1
        self.told: dict[tuple[int, str], str] = {}  # (generation, partition) -> who owns it
        self.seen = 0

    @initialize(names=st.lists(NAMES, unique=True, max_size=4), owners=OWNERS, delay=st.sampled_from([0, 0, 2]))
    def begin(self, names: list[str], owners: tuple[int, ...], delay: int) -> None:
        """A stable group of these."""
        self.story(f"0 settings group.initial.rebalance.delay.ms={delay * 1000} group.max.size=5")
        for name in names:
            self.join(name, 3 if name in "abc" else 5, "x", "range", anew=False)
        self.pass_time(2.0 * delay)
        self.all_join(None)
        for name in self.members():
            self.sync(name, owners)

    def do(self, command: str) -> None:
        self.story(f"{self.story.now_s} {command}")

    @property
    def group(self) -> ClassicGroup | None:
        group = self.story.shard.context.groups.get("g")
        assert group is None or isinstance(group, ClassicGroup)
        return group

    # -- what happens

    @rule(
        name=NAMES,
        version=st.sampled_from([3, 5, 9]),
        meta=st.sampled_from("xxxy"),
        protocols=st.sampled_from(["range", "range", "range,sticky", "sticky,range"]),
        anew=st.sampled_from([False, False, False, True]),
    )
    def join(self, name: str, version: int, meta: str, protocols: str, anew: bool) -> None:
        instance = f" instance={INSTANCES[name]}" if name in INSTANCES else ""
        options = f"v={version} meta={meta} protocols={protocols} rebalance=20{instance}{' as=' if anew else ''}"
        self.do(f"join {name} {options}")

    @rule(name=NAMES, owners=OWNERS)
    def sync(self, name: str, owners: tuple[int, ...]) -> None:
        """Each partition to one member that the leader was told of."""
        members = sorted(self.group.members) if self.group is not None else []
        assigned: dict[str, list[str]] = {}
        for partition, owner in zip(PARTITIONS, owners, strict=True):
            if members:
                assigned.setdefault(members[owner % len(members)], []).append(partition)
        self.do(f"sync {name} " + " ".join(f"{member}:{','.join(owned)}" for member, owned in assigned.items()))

    def members(self) -> list[str]:
        """The names of those clients that are in the group and know it."""
        group = self.group
        return [name for name, each in self.story.members.items() if group is not None and each.id in group.members]

    def waits(self, name: str) -> bool:
        return any(ticket.name == name for ticket in self.story.open)

    @rule(but=st.none() | NAMES)
    def all_join(self, but: str | None) -> None:
        for name in self.members():
            if name != but and not self.waits(name):
                self.do(f"join {name} rebalance=20")

    @rule(owners=OWNERS, order=st.randoms(use_true_random=False), but=st.none() | NAMES)
    def all_sync(self, owners: tuple[int, ...], order: random.Random, but: str | None) -> None:
        names = self.members()
        order.shuffle(names)
        for name in names:
            if name != but and not self.waits(name):
                self.sync(name, owners)

    @rule(names=st.sets(NAMES))
    def heartbeat(self, names: set[str]) -> None:
        for name in sorted(names):
            self.do(f"heartbeat {name}")

    @rule(name=NAMES)
    def leave(self, name: str) -> None:
        self.do(f"leave {name}")

    @rule(instance=st.sampled_from("ij"))
    def remove(self, instance: str) -> None:
        self.do(f"leave instance={instance}")

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 4.0, 9.0, 21.0]))
    def pass_time(self, seconds: float) -> None:
        self.story(f"{self.story.now_s + seconds} wait")

    @precondition(lambda self: self.group is not None)
    @rule()
    def restart(self) -> None:
        self.do("restart")
        if self.group is not None:
            self.generation = self.group.generation
            for key in [key for key in self.told if key[0] > self.generation]:
                del self.told[key]  # that generation never was: nobody was assigned anything in it
        self.seen = len(self.story.answers)

    @precondition(lambda self: self.group is not None and self.group.is_empty)
    @rule()
    def delete(self) -> None:
        self.do("delete")
        self.generation, self.told = -1, {}

    # -- what must hold

    @invariant()
    def generations_only_grow(self) -> None:
        if self.group is not None:
            assert self.group.generation >= self.generation
            self.generation = self.group.generation

    @invariant()
    def no_partition_has_two_owners(self) -> None:
        for name, response in self.story.answers[self.seen :]:
            if isinstance(response, SyncGroupResponse) and response.error_code == ErrorCode.NONE:
                generation = self.story.members[name].generation
                for partition in filter(None, response.assignment.decode().split(",")):
                    owner = INSTANCES.get(name, self.story.members[name].id)
                    assert self.told.setdefault((generation, partition), owner) == owner
            if isinstance(response, JoinGroupResponse) and response.error_code == ErrorCode.NONE:
                assert self.group is None or response.generation_id <= self.group.generation
        self.seen = len(self.story.answers)

    @invariant()
    def the_group_is_consistent(self) -> None:
        group = self.group
        if group is None:
            return
        members = group.members.values()
        timers = self.story.shard.context.timers
        assert (group.leader in group.members) if members else group.leader is None
        assert group.static_ids == {each.instance_id: each.id for each in members if each.instance_id is not None}
        assert group.joining == sum(each.join_ticket is not None for each in members)
        assert not group.pending & group.members.keys()
        assert group.to_sync <= group.members.keys()
        assert group.joining <= 5  # who has not joined yet may turn out to be one too many
        for member in members:
            assert member.is_excused or timers.at(group.session_of(member.id)) is not None
        for member_id in group.pending:
            assert timers.at(group.session_of(member_id)) is not None
        assert (timers.at((JOIN, "g", "")) is not None) == (group.state is State.PREPARING_REBALANCE)
        assert (timers.at((SYNC, "g", "")) is not None) == bool(group.to_sync)
        assert group.to_sync or group.state is not State.COMPLETING_REBALANCE
        assert bool(members) or group.state in (State.EMPTY, State.PREPARING_REBALANCE)

    @invariant()
    def who_waits_waits_for_something(self) -> None:
        group = self.group
        waiting = {
            ticket
            for member in (group.members.values() if group is not None else ())
            for ticket in (member.join_ticket, member.sync_ticket)
            if ticket is not None
        }
        assert waiting == self.story.open

    def teardown(self) -> None:
        """When every time has run out, nobody waits and nobody is left."""
        self.story(f"{self.story.now_s + LONGEST_S} wait")
        assert not self.story.open
        assert self.group is None or self.group.is_empty


ClassicGroupHistory.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestClassicGroupHistory = ClassicGroupHistory.TestCase
