"""Stories of classic groups: joins in one step and in two, synchronising, heartbeats in every state, leaving."""

from collections.abc import Iterator

from .group_requests import (
    COOPERATIVE,
    LONG,
    heartbeat,
    join,
    join_fields,
    joined,
    leave,
    protocols,
    rebalancing,
    send_join,
    sync,
    sync_fields,
)
from .story import Story, Teller

NEWEST = 9


def lone_members(teller: Teller) -> None:
    """A member from its first join to its leave, in each version of each request."""
    for version in range(NEWEST + 1):
        group = f"lone-{version}"
        member = joined(teller, version, group)
        heartbeat(teller, min(version, 4), group, member, 1, "before the sync")
        sync(teller, min(version, 5), group, member, 1, {member: b"share"})
        sync(teller, min(version, 5), group, member, 1, title="again, without assignments")
        heartbeat(teller, min(version, 4), group, member, 1, "in a stable group")
        teller.ask("DescribeGroups", min(version, 6), "stable", groups=[group])
        join(teller, version, group, member, "the leader joins again")
        heartbeat(teller, min(version, 4), group, member, 1, "of the generation before")
        sync(teller, min(version, 5), group, member, 2, {member: b"share 2"})
        leave(teller, min(version, 5), group, member)
        leave(teller, min(version, 5), group, member, title="twice")
        teller.ask("DescribeGroups", min(version, 6), "empty", groups=[group])


def refused_joins(teller: Teller) -> None:
    """Apache Kafka remembers the group of some joins that it refuses, so each question is about a group of its own."""
    for version in range(NEWEST + 1):
        join(teller, version, "refused", "no-such-member", "unknown member, new group")
        for timeout in (5_999, 1_800_001, 0, -1):
            join(teller, version, "refused", title=f"session timeout {timeout}", session_timeout_ms=timeout)
        join(teller, version, "", title="no group")
        join(teller, version, "", title="no group, and a bad timeout", session_timeout_ms=1)
        join(teller, version, "refused", title="bad timeout, no protocols", session_timeout_ms=1, protocols=[])
        join(teller, version, "refused", "stranger", "unknown and no protocols", protocols=[])
        teller.ask("DescribeGroups", min(version, 6), "nothing came of it", groups=["refused"])
        join(teller, version, f"refused-a{version}", title="no protocols", protocols=[])
        join(teller, version, f"refused-b{version}", title="no protocol type", protocol_type="")
        join(teller, version, f"refused-c{version}", title="neither", protocol_type="", protocols=[])


def odd_joins(teller: Teller) -> None:
    """Joins at the limits. A protocol that is named twice is left out: Apache Kafka never answers such a member."""
    for timeout in (6_000, 1_800_000):
        joined(teller, 9, f"allowed-{timeout}", session_timeout_ms=timeout)
    join(teller, 9, "rebalance-timeout-0", title="rebalance timeout 0", rebalance_timeout_ms=0)
    join(teller, 9, "rebalance-timeout-1", title="rebalance timeout -1", rebalance_timeout_ms=-1)
    nameless = protocols(("", b""))
    member = join(teller, 9, "nameless", protocols=nameless).member_id
    join(teller, 9, "nameless", member, "second step, a protocol without a name", protocols=nameless)
    joined(teller, 9, "other-type", protocol_type="connect", protocols=protocols(("default", b"\0")))
    joined(teller, 9, " spaces and ümlauts ")
    joined(teller, 9, "long-reason", reason="r" * 300)
    joined(teller, 0, "rebalance-timeout-none")


def long_names(teller: Teller) -> None:
    """A group id of 40,000 characters fits into compact strings, but not into the key of a record."""
    teller.closes("JoinGroup", 9, **join_fields(LONG, ""))  # type: ignore[arg-type]
    teller.closes("Heartbeat", 4, group_id=LONG, generation_id=1, member_id="m")
    teller.closes("SyncGroup", 5, **sync_fields(LONG, "m", 1))  # type: ignore[arg-type]
    teller.closes("LeaveGroup", 5, group_id=LONG, members=[{"member_id": "m"}])
    teller.closes("DescribeGroups", 6, groups=[LONG])
    teller.closes("DeleteGroups", 2, groups_names=[LONG])
    teller.closes("FindCoordinator", 6, key_type=0, coordinator_keys=[LONG])
    teller.closes("OffsetFetch", 9, groups=[{"group_id": LONG, "topics": None}])
    rows = [{"name": "diff-read", "partitions": [{"partition_index": 0, "committed_offset": 0}]}]
    teller.closes("OffsetCommit", 9, group_id=LONG, member_id="", topics=rows)
    teller.closes("ConsumerGroupHeartbeat", 1, group_id=LONG, member_id="m", member_epoch=0)
    teller.closes("ConsumerGroupDescribe", 1, group_ids=[LONG])
    teller.closes("TxnOffsetCommit", 5, transactional_id="t", group_id=LONG, producer_id=1, topics=rows)
    teller.closes("AddOffsetsToTxn", 4, transactional_id="t", group_id=LONG, producer_id=1, producer_epoch=0)
    teller.closes("InitProducerId", 5, transactional_id=LONG, transaction_timeout_ms=1000)
    teller.closes("DescribeTransactions", 0, transactional_ids=[LONG])
    teller.closes("EndTxn", 5, transactional_id=LONG, producer_id=1, producer_epoch=0)
    almost = "g" * 32_000
    member = joined(teller, 9, almost)
    sync(teller, 5, almost, member, 1, {member: b"s"}, "of 32,000")
    leave(teller, 5, almost, member, title="of 32,000")


def two_steps(teller: Teller) -> None:
    """What a member that was given an id, but has not joined with it, may do."""
    first = join(teller, 9, "steps").member_id
    join(teller, 9, "steps", title="another one")
    teller.ask("DescribeGroups", 6, "with two that were given ids", groups=["steps"])
    teller.ask("ListGroups", 5, "that are dead", states_filter=["Dead"])
    heartbeat(teller, 4, "steps", first, 0, "not joined")
    heartbeat(teller, 4, "steps", first, -1, "not joined, no generation")
    sync(teller, 5, "steps", first, 0, title="not joined")
    leave(teller, 5, "steps", first, title="not joined")
    join(teller, 9, "steps", first, "left before it joined")
    second = join(teller, 9, "steps", title="once more").member_id
    join(teller, 9, "steps", second, "second step with other protocols", protocols=protocols(COOPERATIVE))
    join(teller, 3, "steps-3", second, "with the id of another group")


def generations(teller: Teller) -> None:
    """Requests that name a wrong member, generation, protocol or type, in a stable group."""
    group = "generations"
    member = joined(teller, 9, group)
    sync(teller, 5, group, member, 1, {member: b"a"})
    for version in range(6):
        sync(teller, version, group, member, 2, title="generation after")
        sync(teller, version, group, member, 0, title="generation before")
        sync(teller, version, group, member, -1, title="no generation")
        sync(teller, version, group, "stranger", 1, title="unknown member")
        sync(teller, version, group, "", 1, title="no member")
        sync(teller, version, "no-such-group", member, 1, title="unknown group")
        sync(teller, version, "", member, 1, title="no group")
        sync(teller, version, group, member, 1, title="other protocol", protocol_name="roundrobin")
        sync(teller, version, group, member, 1, title="other type", protocol_type="connect")
        sync(teller, version, group, member, 1, title="null protocol", protocol_name=None)
        sync(teller, version, group, member, 1, title="null both", protocol_name=None, protocol_type=None)
        sync(teller, version, group, member, 7, title="wrong in all", protocol_name="x")
    for version in range(5):
        heartbeat(teller, version, group, member, 2, "generation after")
        heartbeat(teller, version, group, member, 0, "generation before")
        heartbeat(teller, version, group, member, -1, "no generation")
        heartbeat(teller, version, group, "stranger", 1, "unknown member")
        heartbeat(teller, version, group, "", 1, "no member")
        heartbeat(teller, version, "no-such-group", member, 1, "unknown group")
        heartbeat(teller, version, "", member, 1, "no group")
    for version in range(10):
        join(teller, version, group, title="other protocols", protocols=protocols(COOPERATIVE))
        join(teller, version, group, title="other type", protocol_type="connect")
        join(teller, version, group, "stranger", "unknown member, stable group")
        join(teller, version, group, member, "member with other protocols", protocols=protocols(COOPERATIVE))
    heartbeat(teller, 4, group, member, 1, "still there")


def two_members(teller: Teller) -> None:
    """A rebalance as both members see it: 27 until they join again, the leader assigns, the follower gets its share."""
    group = "two"
    leader = joined(teller, 9, group, on="a")
    heartbeat(teller, 4, group, leader, 1, "before the first sync", on="a")
    sync(teller, 5, group, leader, 1, {leader: b"all"}, on="a")
    newcomer = join(teller, 9, group, on="b").member_id
    heartbeat(teller, 4, group, leader, 1, "with somebody between the steps", on="a")
    send_join(teller, 9, group, newcomer, "waits for the leader", on="b")
    heartbeat(teller, 4, group, leader, 1, "while a rebalance is prepared", on="a", until=rebalancing)
    for version in range(5):
        heartbeat(teller, version, group, leader, 1, "while a rebalance is prepared")
        heartbeat(teller, version, group, leader, 2, "of a generation to come")
    for version in range(6):
        sync(teller, version, group, leader, 1, title="while a rebalance is prepared")
    teller.ask("DescribeGroups", 6, "preparing", groups=[group])
    teller.ask("ListGroups", 5, "preparing", states_filter=["PreparingRebalance"])
    join(teller, 9, group, leader, "joins again", on="a")
    teller.answer("b")
    heartbeat(teller, 4, group, newcomer, 2, "while the leader assigns", on="b")
    heartbeat(teller, 4, group, leader, 1, "of the generation before", on="a")
    teller.ask("DescribeGroups", 6, "completing", groups=[group])
    teller.ask("ListGroups", 5, "completing", states_filter=["CompletingRebalance"])
    teller.send("SyncGroup", 5, "waits for the leader's", on="b", **sync_fields(group, newcomer, 2))
    sync(teller, 5, group, leader, 2, {leader: b"half", newcomer: b"other half", "ghost": b"nothing"}, on="a")
    teller.answer("b")
    teller.ask("DescribeGroups", 6, "stable", groups=[group])
    join(teller, 9, group, newcomer, "the follower joins again with the same", on="b")
    sync(teller, 5, group, newcomer, 2, title="the follower's share again", on="b")
    leave(teller, 5, group, newcomer, on="b")
    heartbeat(teller, 4, group, leader, 2, "after the other left", on="a", until=rebalancing)
    join(teller, 9, group, leader, "alone again", on="a")
    sync(teller, 5, group, leader, 3, {}, "an empty assignment", on="a")
    leave(teller, 5, group, leader, on="a")
    heartbeat(teller, 4, group, leader, 3, "after leaving", on="a")


def interrupted(teller: Teller) -> None:
    """A follower waits for its share when another joins, or the leader leaves."""
    group = "interrupted"
    leader = joined(teller, 9, group, on="a")
    sync(teller, 5, group, leader, 1, {leader: b"all"}, on="a")
    follower = join(teller, 9, group, on="b").member_id
    send_join(teller, 9, group, follower, on="b")
    heartbeat(teller, 4, group, leader, 1, on="a", until=rebalancing)
    join(teller, 9, group, leader, on="a")
    teller.answer("b")
    teller.send("SyncGroup", 5, "waits", on="b", **sync_fields(group, follower, 2))
    leave(teller, 5, group, leader, title="the leader leaves instead of assigning", on="a")
    teller.answer("b")
    join(teller, 9, group, follower, "now leads", on="b")
    sync(teller, 5, group, follower, 3, {follower: b"all"}, on="b")


def protocol_choice(teller: Teller) -> None:
    """The protocol that all members have, and that most of them like best."""
    group = "choice"
    first = joined(teller, 9, group, on="a", protocols=protocols(("range", b"r1"), ("sticky", b"s1")))
    sync(teller, 5, group, first, 1, {first: b"all"}, on="a")
    second = join(teller, 9, group, on="b", protocols=protocols(("sticky", b"s2"), ("range", b"r2"))).member_id
    likes = {"protocols": protocols(("sticky", b"s2"), ("range", b"r2"))}
    send_join(teller, 9, group, second, on="b", **likes)  # type: ignore[arg-type]
    heartbeat(teller, 4, group, first, 1, on="a", until=rebalancing)
    join(teller, 9, group, first, on="a", protocols=protocols(("sticky", b"s1")))
    teller.answer("b")
    sync(teller, 5, group, first, 2, {first: b"x", second: b"y"}, on="a", protocol_name="sticky")
    teller.ask("DescribeGroups", 6, "with the protocol's metadata", groups=[group])
    join(teller, 9, group, title="one who has only range", protocols=protocols(("range", b"r3")))


def leaving(teller: Teller) -> None:
    for version in range(6):
        leave(teller, version, "no-such-group", "m", title="unknown group")
        leave(teller, version, "", "m", title="no group")
        group = f"leaving-{version}"
        member = joined(teller, 9, group)
        leave(teller, version, group, "stranger", title="unknown member")
        leave(teller, version, group, "", title="no member")
        leave(teller, version, group, title="nobody")
        leave(teller, version, group, member, "stranger", member, title="several")
        leave(teller, version, group, ("", "no-such-instance"), title="unknown instance")


def static_members(teller: Teller) -> None:
    """KIP-345: a member with an instance id comes back as itself."""
    for version in range(5, NEWEST + 1):
        group = f"static-{version}"
        first = join(teller, version, group, title="at once", group_instance_id="i1").member_id
        sync(teller, 5, group, first, 1, {first: b"all"}, group_instance_id="i1")
        second = join(teller, version, group, title="comes back", group_instance_id="i1").member_id
        sync(teller, 5, group, second, 1, title="comes back", group_instance_id="i1")
        for older in range(3, 5):
            heartbeat(teller, older, group, first, 1, "the id before", instance="i1")
            heartbeat(teller, older, group, first, 1, "the id before, without the instance")
            heartbeat(teller, older, group, second, 1, "the id now", instance="i1")
            heartbeat(teller, older, group, second, 1, "another instance", instance="i2")
            heartbeat(teller, older, group, second, 1, "the id now, without the instance")
        sync(teller, 5, group, first, 1, title="the id before", group_instance_id="i1")
        sync(teller, 5, group, second, 1, title="unknown instance", group_instance_id="i9")
        join(teller, version, group, first, "with the id before", group_instance_id="i1")
        join(teller, version, group, "stranger", "a stranger's id", group_instance_id="i1")
        join(teller, version, group, second, "unknown instance", group_instance_id="i9")
        teller.ask("DescribeGroups", 6, "static", groups=[group])
        leave(teller, 5, group, (first, "i1"), title="with the id before")
        leave(teller, 5, group, ("", "i1"), title="by the instance alone")
        leave(teller, 5, group, ("", "i1"), title="by the instance, twice")


def static_changes(teller: Teller) -> None:
    """A static member that comes back with other protocols starts a rebalance."""
    group = "static-changes"
    first = join(teller, 9, group, group_instance_id="i1").member_id
    sync(teller, 5, group, first, 1, {first: b"all"}, group_instance_id="i1")
    changed = protocols(("range", b"other"))
    second = join(teller, 9, group, title="other metadata", group_instance_id="i1", protocols=changed).member_id
    sync(teller, 5, group, second, 2, {second: b"more"}, group_instance_id="i1")
    third = join(teller, 9, group, second, "a known id", group_instance_id="i1", protocols=changed).member_id
    sync(teller, 5, group, third, 3, {third: b"more"}, group_instance_id="i1")
    join(teller, 9, group, title="no common protocol", group_instance_id="i1", protocols=protocols(("x", b"")))
    join(teller, 9, group, title="other type", group_instance_id="i1", protocol_type="connect")
    heartbeat(teller, 4, group, third, 3, "is still it", instance="i1")


def crowded(teller: Teller) -> None:
    """Both brokers let five members into a group; while they join, those count who did."""

    def come(group: str, others: int) -> str:
        leader = joined(teller, 9, group)
        sync(teller, 5, group, leader, 1, {leader: b"all"})
        for number in range(others):
            send_join(teller, 9, group, "", on=f"{group}-{number}", group_instance_id=f"i{number}")
            _members(teller, group, number + 2)
        return leader

    leader = come("crowded", 4)
    join(teller, 9, "crowded", leader)
    for number in range(4):
        teller.answer(f"crowded-{number}")
    teller.ask("DescribeGroups", 6, "full", groups=["crowded"])
    for version in range(10):
        join(teller, version, "crowded", title="one too many, while the leader assigns")
    sync(teller, 5, "crowded", leader, 2, {leader: b"all"})
    for version in range(10):
        join(teller, version, "crowded", title="one too many, in a stable group")
    join(teller, 9, "crowded", title="one static member too many", group_instance_id="i9")
    join(teller, 9, "crowded", title="comes back", group_instance_id="i0")
    come("crowding", 5)  # the last of whom may not come again: nobody waits for their answers, or asks who leads then
    for version in range(10):
        join(teller, version, "crowding", title="one too many, while others join")


def _members(teller: Teller, group: str, count: int) -> None:
    teller.ask("DescribeGroups", 6, until=lambda answer: len(answer.groups[0].members) == count, groups=[group])


def left_behind(teller: Teller) -> None:
    """Members that do not join again in time, and a leader that does not assign, are out."""
    group, soon = "left-behind", {"rebalance_timeout_ms": 400}
    first = joined(teller, 9, group, on="a", **soon)
    sync(teller, 5, group, first, 1, {first: b"all"}, on="a")
    second = join(teller, 9, group, on="b", **soon).member_id  # type: ignore[arg-type]
    send_join(teller, 9, group, second, "waits for who does not come", on="b", **soon)
    teller.answer("b")
    heartbeat(teller, 4, group, first, 1, "who did not come")
    third = join(teller, 9, group, on="c", **soon).member_id  # type: ignore[arg-type]
    send_join(teller, 9, group, third, on="c", **soon)  # type: ignore[arg-type]
    heartbeat(teller, 4, group, second, 2, on="b", until=rebalancing)
    join(teller, 9, group, second, on="b", **soon)  # type: ignore[arg-type]
    teller.answer("c")
    teller.send("SyncGroup", 5, "waits for a leader that does not assign", on="c", **sync_fields(group, third, 3))
    teller.answer("c")
    teller.ask("DescribeGroups", 6, "when it was waited for", groups=[group])
    heartbeat(teller, 4, group, second, 3, "the leader that did not assign")
    leave(teller, 5, group, third, second)


def stories() -> Iterator[Story]:
    yield from (lone_members, refused_joins, odd_joins, long_names, two_steps, generations, two_members, interrupted)
    yield from (protocol_choice, leaving, static_members, static_changes, crowded, left_behind)
