"""Any history of commits, transactions, deletions and restarts, against a dict: what was committed last is told.

After every step what was written gives the same state, also if it is read by another shard.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kbroker.errors import Refusal
from offsets_world import World

GROUPS, TOPICS, PRODUCERS = ("g", "h"), ("t", "u"), (1, 2)
PARTITIONS = 1
KEPT_HOURS = 2.0
CHECK_HOURS = 0.5

Key = tuple[str, str, int]  # group, topic, partition
PLACES = st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, PARTITIONS)), min_size=1, max_size=2, unique=True)
GROUP, PRODUCER = st.sampled_from("gggh"), st.sampled_from(PRODUCERS)


class OffsetHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            {
                "offsets.retention.minutes": str(int(KEPT_HOURS * 60)),
                "offsets.retention.check.interval.ms": str(int(CHECK_HOURS * 3_600_000)),
            }
        )
        self.committed: dict[Key, tuple[int, float]] = {}  # offset, hour from which it may be forgotten
        self.pending: dict[int, dict[Key, tuple[int, float]]] = {producer: {} for producer in PRODUCERS}
        self.offset = 0  # each commit has a higher one, so the offset says which of two is the later

    @initialize()
    def begin(self) -> None:
        for name in TOPICS:
            self.world.create(name, PARTITIONS)

    @property
    def hour(self) -> float:
        return self.world.now_s / 3600

    def keys(self, group: str, places: list[tuple[str, int]]) -> list[Key]:
        """Of what is there."""
        topics = self.world.image.topic_ids
        return [(group, topic, index) for topic, index in places if topic in topics and index < PARTITIONS]

    # -- what happens

    @rule(group=GROUP, places=PLACES, own_hours=st.sampled_from([None, None, 1.0]))
    def commit(self, group: str, places: list[tuple[str, int]], own_hours: float | None) -> None:
        self.offset += 1
        keys = self.keys(group, places)
        more = {} if own_hours is None else {"retention_time_ms": int(own_hours * 3_600_000)}
        rows = self.world.commit(group, dict.fromkeys(places, self.offset), 4, **more)
        assert {place for place, code in rows.items() if code == "NONE"} == {key[1:] for key in keys}
        self.committed |= dict.fromkeys(keys, (self.offset, self.hour + (own_hours or KEPT_HOURS)))

    @rule(group=GROUP, places=PLACES, producer=PRODUCER, appended=st.sampled_from([True, True, False]))
    def commit_in_transaction(
        self, group: str, places: list[tuple[str, int]], producer: int, *, appended: bool
    ) -> None:
        self.offset += 1
        self.world.txn_commit(group, dict.fromkeys(places, self.offset), producer, appended=appended)
        if appended:
            self.pending[producer] |= dict.fromkeys(self.keys(group, places), (self.offset, self.hour + KEPT_HOURS))

    @rule(producer=PRODUCER, commit=st.booleans())
    def end(self, producer: int, *, commit: bool) -> None:
        self.world.end(producer, commit=commit)
        if commit:
            for key, pending in self.pending[producer].items():
                self.committed[key] = max(self.committed.get(key, (0, 0.0)), pending)
        self.pending[producer] = {}

    def forget(self, keys: set[Key]) -> None:
        for offsets in (self.committed, *self.pending.values()):
            for key in keys & offsets.keys():
                del offsets[key]

    @property
    def everything(self) -> set[Key]:
        return set(self.committed).union(*self.pending.values())

    @rule(group=GROUP, places=PLACES)
    def delete_offsets(self, group: str, places: list[tuple[str, int]]) -> None:
        try:
            self.world.delete(group, places)
        except Refusal:
            assert group not in self.world.shard.context.groups
        self.forget(set(self.keys(group, places)))

    @rule(group=GROUP)
    def delete_group(self, group: str) -> None:
        if group in self.world.shard.context.groups:
            self.world.took(self.world.shard.delete(group))
        self.forget({key for key in self.everything if key[0] == group})

    @rule(topic=st.sampled_from(TOPICS), crash=st.booleans(), again=st.booleans())
    def create_or_delete_topic(self, topic: str, *, crash: bool, again: bool) -> None:
        """`crash`: the broker dies before it has written down that the topic's offsets are forgotten.

        A record with an expiry has no room for the topic's id: it is taken to be of the new topic of that name.
        """
        if topic not in self.world.image.topic_ids:
            self.world.create(topic, PARTITIONS)
            return
        again = again and not (crash and self.has_expiry(topic))
        self.world.remove(topic, told=not crash)
        self.forget({key for key in self.everything if key[1] == topic})
        if again:
            self.world.create(topic, PARTITIONS, told=not crash)
        if crash:
            self.world.restart()

    def has_expiry(self, topic: str) -> bool:
        offsets = self.world.shard.offsets
        committed = [each for group in GROUPS for each in offsets.of(group).items()]
        return any(place[0] == topic and each.expire_at_ms != -1 for place, each in committed)

    @precondition(lambda self: self.everything)
    @rule(hours=st.sampled_from([0.3, 0.6, 1.1, 2.6]))
    def pass_time(self, hours: float) -> None:
        end = self.world.now_s + hours * 3600
        while (deadline := self.world.shard.deadline) is not None and deadline <= end:
            self.world.pass_time((deadline - self.world.now_s) / 3600)
            pending = set().union(*self.pending.values())
            over = {key for key, (_, until) in self.committed.items() if until <= self.hour + 1e-9}
            self.forget(over - pending)
        self.world.pass_time((end - self.world.now_s) / 3600)

    @rule()
    def restart(self) -> None:
        before = len(self.world.log)
        self.world.restart()
        assert len(self.world.log) == before, "a load of what is right writes nothing"

    # -- what always holds

    @invariant()
    def everybody_is_told_what_was_committed_last(self) -> None:
        for group in GROUPS:
            expected = {key[1:]: offset for key, (offset, _) in self.committed.items() if key[0] == group}
            assert self.world.fetch(group) == expected

    @invariant()
    def what_is_pending_is_unstable(self) -> None:
        pending = set().union(*self.pending.values())
        places = [(topic, index) for topic in TOPICS for index in range(PARTITIONS)]
        for group in GROUPS:
            told = self.world.fetch(group, places, stable=True)
            unstable = {(group, *place) for place, offset in told.items() if offset == "UNSTABLE_OFFSET_COMMIT"}
            assert unstable == {key for key in pending if key[0] == group}

    @invariant()
    def what_was_written_gives_the_same_state(self) -> None:
        live, again = self.world.shard, self.world.reload()
        assert again.context.groups.keys() == live.context.groups.keys()
        for name in ("_groups", "_pending", "_open", "_order"):
            assert getattr(again.offsets, name) == getattr(live.offsets, name), name


TestOffsetHistory = OffsetHistory.TestCase
TestOffsetHistory.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
