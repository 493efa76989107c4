"""Consumer groups under everything that clients may do, in any order and with any delay.

The story itself checks after each step that no partition is with two members, and that the log gives the same groups.
"""

from __future__ import annotations

from copy import deepcopy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from consumer_story import Story
from kbroker.coordinators.groups.consumer_group import ConsumerGroup

CONSUMERS, CLASSIC = [f"m{number}" for number in range(5)], ["c0", "c1"]
consumers, classic = st.sampled_from(CONSUMERS), st.sampled_from(CLASSIC)
subscriptions = st.sampled_from(
    ["topics=t", "topics=t,u", "topics=u,later", "topics=", "regex=[tl].*", "topics=u regex=t"]
)
SESSION_S = 45


class ConsumerHistory(RuleBasedStateMachine):
    """Clients m0 to m4 speak the consumer protocol, m0 and m1 as static members; c0 and c1 the classic one."""

    @initialize(interval=st.sampled_from(["0", "1000"]), size=st.sampled_from(["3", "100"]))
    def begin(self, interval: str, size: str) -> None:
        self.story = Story("t:4 u:3", group_consumer_assignment_interval_ms=interval, group_consumer_max_size=size)
        self.alive: dict[str, str] = {}  # what each live client last subscribed to
        self.unsure: set[str] = set()  # clients that missed an answer: they say all again
        self.epochs: tuple[ConsumerGroup, int, int] | None = None
        self.number = 0

    def tell(self, command: str) -> str:
        """The client's own line of what comes of it."""
        story, name = self.story, command.split()[1] if " " in command else ""
        lines = story(f"{story.now_s:.3f} {command}")
        return next((line for line in lines if line.startswith(f"{name}:")), "")

    # -- clients of the consumer protocol

    @rule(name=consumers, wants=subscriptions, assignor=st.sampled_from(["", " assignor=range"]))
    def join(self, name: str, wants: str, assignor: str) -> None:
        self.enter(name, wants + assignor)

    def enter(self, name: str, wants: str) -> None:
        """A process starts: one that ran under this name before is gone."""
        self.number += 1
        self.unsure.discard(name)
        static = f" instance={name}" if name in CONSUMERS[:2] else ""
        said = self.tell(f"join {name} as={name}-{self.number} {wants}{static}")
        if ": epoch" in said:
            self.alive[name] = wants

    @rule(name=consumers)
    def beat(self, name: str) -> None:
        if name in self.alive:
            verb = "full" if name in self.unsure else "beat"
            self.unsure.discard(name)
            self.follow(name, self.tell(f"{verb} {name}"))

    def follow(self, name: str, said: str) -> None:
        """A client that is told that it is no member, or not at this epoch, begins anew, without any partitions."""
        if ": epoch" not in said:
            member = self.story.members[name]
            member.owned, member.said = {}, None
            if ": epoch" not in self.tell(f"join {name} as={member.id} {self.alive[name]} {self.instance(name)}"):
                del self.alive[name]

    def instance(self, name: str) -> str:
        instance = self.story.members[name].instance
        return f"instance={instance}" if instance else ""

    @rule(name=consumers)
    def answer_is_lost(self, name: str) -> None:
        if name in self.alive:
            before = deepcopy(self.story.members[name])
            self.beat(name)
            if name in self.alive:
                self.story.members[name] = before
                self.unsure.add(name)

    @rule(name=consumers)
    def keeps_what_it_has(self, name: str) -> None:
        """It does not say yet what it gave up."""
        if name in self.alive and name not in self.unsure:
            said = self.story.members[name].said
            self.follow(name, self.tell(f"beat {name} owns=?"))
            self.story.members[name].said = said

    @rule(name=consumers, wants=subscriptions)
    def subscribe(self, name: str, wants: str) -> None:
        if name in self.alive and name not in self.unsure:
            both = f"topics= regex= {wants}"
            options = dict(word.split("=") for word in both.split())
            words = " ".join(f"{key}={value}" for key, value in options.items())
            self.alive[name] = words
            self.follow(name, self.tell(f"beat {name} {words}"))

    @rule(name=consumers)
    def leave(self, name: str) -> None:
        if self.alive.pop(name, None) is not None:
            self.tell(f"leave {name}")

    @rule(name=st.sampled_from(CONSUMERS[:2]))
    def away(self, name: str) -> None:
        if self.alive.pop(name, None) is not None:
            self.tell(f"away {name}")

    @rule(name=consumers)
    def die(self, name: str) -> None:
        self.alive.pop(name, None)

    # -- clients of the classic protocol

    @rule(name=classic)
    def classic_client(self, name: str) -> None:
        """One turn of its loop: a heartbeat, and joining until that has worked."""
        self.alive[name] = ""
        said = self.tell(f"heartbeat {name}") if name in self.story.members else ""
        if said == f"{name}: ok":
            return
        if "UNKNOWN_MEMBER_ID" in said:
            del self.story.members[name]
        elif "ILLEGAL_GENERATION" in said:
            self.story.members[name].owned = {}
        for _ in range(4):
            said = self.tell(f"classic-join {name} rebalance=5")
            if "generation" in said:
                given = "own:t:0-1" if "leads" in said else ""
                said = self.tell(f"sync {name} {given}")
                if "assigned" in said:
                    return
            if "UNKNOWN_MEMBER_ID" in said:
                del self.story.members[name]

    @rule(name=classic)
    def classic_leave(self, name: str) -> None:
        if name in self.alive:
            self.tell(f"classic-leave {name}")
            del self.alive[name], self.story.members[name]

    # -- the world

    @rule(topic=st.sampled_from(["t:5", "u:4", "later:2", "tail:1"]))
    def topic_grows(self, topic: str) -> None:
        name, _, partitions = topic.partition(":")
        image = self.story.image
        if name not in image.topic_ids or len(image.topics[image.topic_ids[name]].partitions) < int(partitions):
            self.tell(f"topic {topic}")

    @rule(name=st.sampled_from(["u", "later"]))
    def topic_goes(self, name: str) -> None:
        if name in self.story.image.topic_ids:
            self.tell(f"drop {name}")

    @rule(seconds=st.sampled_from([0.2, 1, 4, 20]))
    def time_passes(self, seconds: float) -> None:
        self.story(f"{self.story.now_s + seconds:.3f} wait")

    @rule()
    def restart(self) -> None:
        self.tell("restart")
        self.epochs = None

    # -- laws

    @invariant()
    def epochs_only_grow(self) -> None:
        group = self.story.shard.context.groups.get("g") if hasattr(self, "story") else None
        if not isinstance(group, ConsumerGroup):
            self.epochs = None
            return
        if self.epochs is not None and self.epochs[0] is group:
            assert self.epochs[1] <= group.epoch
            assert self.epochs[2] <= group.target_epoch
        assert group.target_epoch <= group.epoch
        assert all(member.current.epoch <= group.target_epoch for member in group.members.values())
        self.epochs = group, group.epoch, group.target_epoch

    @invariant()
    def what_clients_own_the_group_knows(self) -> None:
        """So that nobody else is given it: the story has checked that no two members have the same.

        Not of a classic client that has yet to hear that its generation is over: as in Apache Kafka, a group that was
        a classic one for a moment takes what such a member was about to get for what it has.
        """
        group = self.story.shard.context.groups.get("g") if hasattr(self, "story") else None
        if not isinstance(group, ConsumerGroup):
            return
        for name in self.alive:
            client = self.story.members[name]
            member = group.members.get(client.id)
            if name in CLASSIC and member is not None and member.current.epoch != client.epoch:
                continue
            for topic, partitions in client.owned.items() if member is not None else ():
                topic_id = f"{topic:_>16}".encode()
                assert all(group.owner(topic_id, partition) == client.id for partition in partitions)

    def teardown(self) -> None:
        """When clients do nothing but their loop, and the dead are forgotten, everybody has what it shall have."""
        if not hasattr(self, "story"):
            return
        for _ in range(2 * SESSION_S // 4):
            self.time_passes(4)
            for name in [*self.alive]:
                self.beat(name) if name in CONSUMERS else self.classic_client(name)
        group = self.story.shard.context.groups.get("g")
        if not isinstance(group, ConsumerGroup):
            return
        assert group.state_name in ("Stable", "Empty")
        owned: set[tuple[str, int]] = set()
        for name in self.alive:
            for topic, partitions in self.story.members[name].owned.items():
                assert not owned & {(topic, partition) for partition in partitions}
                owned |= {(topic, partition) for partition in partitions}
        image = self.story.image
        wanted = [topic for topic in group.subscribed_topics() if topic in image.topic_ids]
        sizes = {topic: len(image.topics[image.topic_ids[topic]].partitions) for topic in wanted}
        assert owned == {(topic, partition) for topic, size in sizes.items() for partition in range(size)}


TestConsumerHistory = ConsumerHistory.TestCase
TestConsumerHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
