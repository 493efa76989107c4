"""Stories of groups that change their protocol: classic members and members of the new one in the same group."""

import struct
from collections.abc import Iterable, Iterator

from raw_kafka.codec import Struct

from .consumer_groups import beat, describe, enter, owned
from .group_requests import commit, heartbeat, join, joined, leave, offsets, protocols, rebalancing, sync
from .story import Story, Teller

RANGE = ("range",)


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def subscription(*topics: str, version: int = 1, held: Iterable[tuple[str, list[int]]] = ()) -> bytes:
    """What consumers of the classic protocol put into their join: topics, no user data, what they hold (version 1)."""
    out = struct.pack(">hi", version, len(topics)) + b"".join(map(_text, topics)) + struct.pack(">i", -1)
    if version >= 1:
        out += _partitions(held)
    if version >= 2:
        out += struct.pack(">i", -1)
    return out + (struct.pack(">h", -1) if version >= 3 else b"")


def _partitions(rows: Iterable[tuple[str, list[int]]]) -> bytes:
    listed = list(rows)
    body = (_text(name) + struct.pack(f">i{len(each)}i", len(each), *each) for name, each in listed)
    return struct.pack(">i", len(listed)) + b"".join(body)


def share(*rows: tuple[str, list[int]]) -> bytes:
    """An assignment as the leader of a classic group makes it."""
    return struct.pack(">h", 0) + _partitions(rows) + struct.pack(">i", -1)


def wants(*topics: str, names: Iterable[str] = RANGE, **more: object) -> list[dict[str, object]]:
    return protocols(*((name, subscription(*topics, **more)) for name in names))  # type: ignore[arg-type]


def both_describe(teller: Teller, group: str, title: str) -> None:
    describe(teller, group, title)
    teller.ask("DescribeGroups", 6, title, groups=[group])
    teller.ask("DescribeGroups", 5, title, groups=[group])


def upgrade(teller: Teller) -> None:
    """A classic group with one member, to which one of the new protocol comes; the classic one goes in the end."""
    topic = teller.topic("upgrade", 6)
    group = "upgrade"
    old = joined(teller, 9, group, protocols=wants(topic.name))
    sync(teller, 5, group, old, 1, {old: share((topic.name, [*range(6)]))})
    commit(teller, 9, group, [(topic.name, [(0, 5, "")])], old, 1)
    new = enter(teller, group, "new", [topic.name])
    both_describe(teller, group, "one of each")
    teller.ask("ListGroups", 5, "both", states_filter=["Reconciling", "Assigning", "Stable"])
    for version in range(5):
        heartbeat(teller, version, group, old, 1, "of the classic member")
        heartbeat(teller, version, group, old, 2, "of the classic member, generation after")
        heartbeat(teller, version, group, "stranger", 1, "of a stranger")
    for version in range(6):
        sync(teller, version, group, old, 1, title="without joining again")
        sync(teller, version, group, old, 2, title="generation after")
        sync(teller, version, group, "stranger", 1, title="of a stranger")
    again = join(teller, 9, group, old, "the classic member, holding all",
                 protocols=wants(topic.name, held=[(topic.name, [*range(6)])]))  # fmt: skip
    sync(teller, 5, group, old, again.generation_id)
    again = join(teller, 9, group, old, "the classic member, having given up some",
                 protocols=wants(topic.name, held=[(topic.name, [0, 1, 2])]))  # fmt: skip
    sync(teller, 5, group, old, again.generation_id)
    sync(teller, 5, group, old, again.generation_id, title="other protocol", protocol_name="sticky")
    sync(teller, 5, group, old, again.generation_id, title="other type", protocol_type="connect")
    heartbeat(teller, 4, group, old, again.generation_id, "in the generation")
    beat(teller, group, "new", new.member_epoch, "gets the rest")
    both_describe(teller, group, "after the change")
    for version in range(2, 11):
        commit_in_both(teller, version, group, topic.name, old, again.generation_id, {topic.name: topic.id})
    join(teller, 9, group, "stranger", "a stranger", protocols=wants(topic.name))
    join(teller, 9, group, old, "nonsense", protocols=protocols(("range", b"\0\1")))
    join(teller, 9, group, title="other type", protocol_type="connect")
    join(teller, 9, group, title="no common protocol", protocols=wants(topic.name, names=["x"]))
    leave(teller, 5, group, old, title="the classic member leaves")
    both_describe(teller, group, "only the new one")
    beat(teller, group, "new", again.generation_id, "goes on")


def commit_in_both(
    teller: Teller, version: int, group: str, name: str, member: str, epoch: int, ids: dict[str, object]
) -> None:
    rows = [(name, [(0, 7, "")])]
    commit(teller, version, group, rows, member, epoch, "a classic member", ids=ids)  # type: ignore[arg-type]
    commit(teller, version, group, rows, member, epoch + 1, "a classic member, generation after", ids=ids)  # type: ignore[arg-type]
    commit(teller, version, group, rows, member, epoch - 1, "a classic member, generation before", ids=ids)  # type: ignore[arg-type]
    if version >= 9:
        offsets(teller, version, group, {name: [0]}, "a classic member", ids=ids, member=member, epoch=epoch)  # type: ignore[arg-type]
        offsets(teller, version, group, {name: [0]}, "generation before", ids=ids, member=member, epoch=epoch - 1)  # type: ignore[arg-type]


def downgrade(teller: Teller) -> None:
    """The last member of the new protocol leaves: the group is classic, and rebalances."""
    topic = teller.topic("downgrade", 2)
    group = "downgrade"
    enter(teller, group, "new", [topic.name])
    for version in range(10):
        join(teller, version, group, "stranger", "a stranger", protocols=wants(topic.name))
        join(teller, version, group, title="other type", protocols=wants(topic.name), protocol_type="connect")
        join(teller, version, group, title="nonsense", protocols=protocols(("range", b"")))
        join(teller, version, group, title="no protocols", protocols=[])
    leave(teller, 5, group, "stranger", title="who was let in by old versions")
    old = joined(teller, 9, group, protocols=wants(topic.name, names=["range", "sticky"]))
    both_describe(teller, group, "one of each")
    answer = join(teller, 9, group, old, "again", protocols=wants(topic.name, names=["range", "sticky"]))
    sync(teller, 5, group, old, answer.generation_id)
    beat(teller, group, "new", -1, "leaves")
    both_describe(teller, group, "classic")
    teller.ask("ListGroups", 5, "classic", states_filter=["PreparingRebalance"])
    heartbeat(teller, 4, group, old, answer.generation_id, "while a rebalance is prepared", until=rebalancing)
    again = join(teller, 9, group, old, "in the classic group", protocols=wants(topic.name))
    sync(teller, 5, group, old, again.generation_id, {old: share((topic.name, [0, 1]))})
    both_describe(teller, group, "classic and stable")
    leave(teller, 5, group, old)


def emptied(teller: Teller) -> None:
    """An empty group becomes one of the other protocol at once."""
    topic = teller.topic("emptied")
    group = "emptied"
    enter(teller, group, "new", [topic.name])
    commit(teller, 9, group, [(topic.name, [(0, 3, "")])], "new", 2)
    beat(teller, group, "new", -1, "leaves")
    both_describe(teller, group, "empty")
    old = joined(teller, 9, group, protocols=wants(topic.name))
    sync(teller, 5, group, old, 1, {old: share((topic.name, [0]))})
    both_describe(teller, group, "classic")
    offsets(teller, 9, group, None, "the offsets stay")
    leave(teller, 5, group, old)
    enter(teller, group, "new", [topic.name], "joins the empty classic group")
    both_describe(teller, group, "of the new protocol again")
    offsets(teller, 9, group, None, "the offsets stay again")


def not_upgraded(teller: Teller) -> None:
    """Classic groups that no member of the new protocol can join."""
    topic, other = teller.topic("not-upgraded"), teller.topic("not-upgraded-other")  # nothing to share by chance

    def classic(group: str, title: str, metadata: bytes, given: bytes, kind: str = "consumer") -> Struct:
        member = joined(teller, 9, group, protocols=protocols(("range", metadata)), protocol_type=kind)
        sync(teller, 5, group, member, 1, {member: given}, protocol_type=kind)
        return enter(teller, group, "new", [other.name], title)

    good, given = subscription(topic.name), share((topic.name, [0]))
    classic("not-a", "into a group of connectors", good, given, "connect")
    classic("not-b", "into one with metadata that can not be read", b"\0\1", given)
    classic("not-c", "into one with an assignment that can not be read", good, b"\0\0\0")
    classic("not-d", "into one without an assignment", good, b"")
    user_data = struct.pack(">h", 0) + b"\0\0\0\0" + struct.pack(">i", 3) + b"abc"
    classic("not-e", "into one whose assignment has user data", good, user_data)
    classic("not-f", "into one with subscriptions of version 9", subscription(topic.name, version=9), given)
    classic("not-g", "into one that was given an unknown topic", good, share(("no-such-topic", [0])))
    for version in range(4):
        classic(f"yes-{version}", f"subscription {version}", subscription(topic.name, version=version), given)
    joined(teller, 9, "not-h", protocols=wants(topic.name))
    enter(teller, "not-h", "new", [other.name], "while the leader assigns")
    for name in "abcdefgh":
        both_describe(teller, f"not-{name}", "after that")


def static_and_classic(teller: Teller) -> None:
    """Static members of the classic protocol in a group of the new one."""
    topic = teller.topic("static-classic", 2)
    group = "static-classic"
    enter(teller, group, "new", [topic.name], instance_id="i0")
    old = join(teller, 9, group, title="static", group_instance_id="i1", protocols=wants(topic.name))
    sync(teller, 5, group, old.member_id, old.generation_id, group_instance_id="i1")
    back = join(teller, 9, group, title="comes back", group_instance_id="i1", protocols=wants(topic.name))
    sync(teller, 5, group, back.member_id, back.generation_id, group_instance_id="i1")
    heartbeat(teller, 4, group, old.member_id, back.generation_id, "the id before", instance="i1")
    heartbeat(teller, 4, group, back.member_id, back.generation_id, "the id now", instance="i1")
    heartbeat(teller, 4, group, back.member_id, back.generation_id, "another instance", instance="i7")
    join(teller, 9, group, old.member_id, "with the id before", group_instance_id="i1", protocols=wants(topic.name))
    join(teller, 9, group, title="the instance of the new one", group_instance_id="i0", protocols=wants(topic.name))
    both_describe(teller, group, "static ones")
    leave(teller, 5, group, (old.member_id, "i1"), title="with the id before")
    leave(teller, 5, group, ("", "i1"), title="by the instance alone")
    leave(teller, 5, group, ("", "i1"), title="by the instance, twice")
    beat(teller, group, "new", -2, "leaves for a while", instance_id="i0")
    both_describe(teller, group, "nobody but who is away")
    taken = join(teller, 9, group, title="takes the place", group_instance_id="i0", protocols=wants(topic.name))
    both_describe(teller, group, "a classic one in its place")
    sync(teller, 5, group, taken.member_id, taken.generation_id, group_instance_id="i0")
    beat(teller, group, "x", 0, "and back", instance_id="i0", topic_partitions=owned(), rebalance_timeout_ms=1000,
         subscribed_topic_names=[topic.name])  # fmt: skip
    both_describe(teller, group, "in the end")


def stories() -> Iterator[Story]:
    yield from (upgrade, downgrade, emptied, not_upgraded, static_and_classic)
