"""Stories of committed offsets: with and without a group, by name and by id, read one by one, all together, deleted."""

from collections.abc import Iterator

from .cases import STRANGER
from .group_requests import LONG, commit, heartbeat, join, joined, leave, offsets, rebalancing, send_join, sync
from .story import Story, Teller


def without_members(teller: Teller) -> None:
    """Offsets of a group that nobody is a member of (generation -1)."""
    topic = teller.topic("offsets", 3)
    ids = {topic.name: topic.id, STRANGER.name: STRANGER.id}
    for version in range(2, 11):
        group = f"simple-{version}"

        def put(title: str, *rows: tuple[int, int, str | None], to: str = group, on: str = topic.name, **more: object):  # type: ignore[no-untyped-def]
            return commit(teller, version, to, [(on, rows)], title=title, ids=ids, **more)  # type: ignore[arg-type]  # noqa: B023

        put("into a new group", (0, 5, "m"))
        put("once more", (0, 6, "m"), (1, 7, ""), (2, 8, None))
        put("without a group", (0, 9, ""), to="")
        put("4096 bytes of metadata", (0, 10, "x" * 4096))
        put("4097 bytes of metadata", (0, 11, "x" * 4097))
        put("4097 bytes of metadata, beside one that fits", (0, 11, "x" * 4097), (1, 12, "fits"))
        put("letters of two bytes", (0, 13, "ü" * 2049))
        put("unknown partition", (9, 1, ""), (1, 14, ""))
        put("negative partition", (-1, 1, ""))
        put("unknown topic", (0, 1, ""), on=STRANGER.name)
        put("negative offset", (0, -5, ""))
        put("offset -1", (1, -1, ""))
        put("a partition twice", (2, 20, "a"), (2, 21, "b"))
        put("no partitions")
        put("as an unknown member", (0, 1, ""), member="stranger", epoch=-1)
        put("with a generation", (0, 1, ""), epoch=3)
        put("with a generation, new group", (0, 1, ""), epoch=3, to=f"no-{group}")
        put("with a member, new group", (0, 1, ""), member="stranger", epoch=3, to=f"no-{group}")
        put("generation -2", (0, 1, ""), epoch=-2)
        put("unknown instance", (0, 1, ""), group_instance_id="i")
        put("unknown instance, with a generation", (0, 1, ""), group_instance_id="i", epoch=1)
        commit(teller, version, group, [], title="no topics")
        both = [(STRANGER.name, [(0, 1, "")]), (topic.name, [(2, 30, "")])]
        commit(teller, version, group, both, title="unknown topic beside a known one", ids=ids)
        twice = [(topic.name, [(0, 31, "")]), (topic.name, [(1, 32, "")])]
        commit(teller, version, group, twice, title="topic twice", ids=ids)
        commit(teller, version, group, [("", [(0, 1, "")])], title="no name, no id")
        offsets(teller, min(version, 9), group, None, "all")
        teller.ask("DescribeGroups", 6, "described", groups=[group])


def retention(teller: Teller) -> None:
    """What versions up to 4 say about how long an offset is to be kept."""
    topic = teller.topic("kept")
    for version in range(2, 5):
        for kept in (-1, 0, 1, 10**12):
            rows = [(topic.name, [(0, 5, "")])]
            group = f"kept-{version}-{kept}"
            commit(teller, version, group, rows, title=f"kept {kept} ms", retention_time_ms=kept)


def reading(teller: Teller) -> None:
    topic, other = teller.topic("reading", 3), teller.topic("other-reading")
    ids = {topic.name: topic.id, other.name: other.id, STRANGER.name: STRANGER.id}
    rows = [(topic.name, [(0, 5, "zero"), (2, 7, "")]), (other.name, [(0, 1, None)])]
    commit(teller, 9, "reading", rows)  # type: ignore[arg-type]
    for version in range(1, 11):
        for title, wanted in (
            ("some", {topic.name: [0, 1]}),
            ("both topics", {topic.name: [0, 2], other.name: [0]}),
            ("unknown partition", {topic.name: [9, -1]}),
            ("unknown topic", {STRANGER.name: [0], topic.name: [0]}),
            ("no partitions", {topic.name: []}),
            ("a partition twice", {topic.name: [0, 0]}),
            ("nothing", {}),
        ):
            offsets(teller, version, "reading", wanted, title, ids=ids)
            offsets(teller, version, "no-such-group", wanted, f"{title}, of an unknown group", ids=ids)
        offsets(teller, version, "", {topic.name: [0]}, "without a group", ids=ids)
        if version >= 2:
            offsets(teller, version, "reading", None, "all")
            offsets(teller, version, "no-such-group", None, "all of an unknown group")
        if version >= 7:
            offsets(teller, version, "reading", {topic.name: [0]}, "stable ones", ids=ids, stable=True)
            offsets(teller, version, "reading", None, "all stable ones", stable=True)
        if version >= 8:
            several_groups(teller, version, topic.name, topic.id)
        if version >= 9:
            for member, epoch in (("stranger", 1), ("stranger", -1), (None, 1), ("", 5), ("stranger", 0)):
                title = f"member {member!r}, epoch {epoch}"
                offsets(teller, version, "reading", {topic.name: [0]}, title, ids=ids, member=member, epoch=epoch)
                offsets(teller, version, "no-group", {topic.name: [0]}, f"{title}, unknown group", ids=ids,
                        member=member, epoch=epoch)  # fmt: skip


def several_groups(teller: Teller, version: int, name: str, topic_id: object) -> None:
    wanted = [{"name": name, "topic_id": topic_id, "partition_indexes": [0]}]
    groups = [{"group_id": group, "topics": wanted} for group in ("reading", "no-such-group", "")]
    teller.ask("OffsetFetch", version, "of several groups", groups=groups)
    teller.ask("OffsetFetch", version, "of no groups", groups=[])
    teller.ask("OffsetFetch", version, "of a group twice", groups=groups[:1] * 2)


def by_members(teller: Teller) -> None:
    """A classic group with members: its offsets are theirs to commit."""
    topic = teller.topic("members")
    ids = {topic.name: topic.id}
    rows = [(topic.name, [(0, 5, "")])]
    group = "committing"
    member = joined(teller, 9, group, on="a")
    for version in range(2, 11):
        commit(teller, version, group, rows, member, 1, "before the first sync", ids=ids)
    sync(teller, 5, group, member, 1, {member: b"all"})
    for version in range(2, 11):
        commit(teller, version, group, rows, member, 1, "in a stable group", ids=ids)
        commit(teller, version, group, rows, member, 2, "generation after", ids=ids)
        commit(teller, version, group, rows, member, 0, "generation before", ids=ids)
        commit(teller, version, group, rows, member, -1, "member without generation", ids=ids)
        commit(teller, version, group, rows, "stranger", 1, "unknown member", ids=ids)
        commit(teller, version, group, rows, "", 1, "generation without member", ids=ids)
        commit(teller, version, group, rows, "", -1, "as nobody", ids=ids)
        if version >= 7:
            commit(teller, version, group, rows, member, 1, "unknown instance", ids=ids, group_instance_id="i")
    for version in (9, 10):
        for name, epoch in ((member, 1), (member, 2), (member, 0), (member, -1), ("stranger", 1), ("", 1)):
            who = "its member" if name == member else repr(name)
            title = f"read by {who}, epoch {epoch}"
            offsets(teller, version, group, {topic.name: [0]}, title, ids=ids, member=name, epoch=epoch)
    second = join(teller, 9, group, on="b").member_id
    send_join(teller, 9, group, second, on="b")
    heartbeat(teller, 4, group, member, 1, on="a", until=rebalancing)
    for version in range(2, 11):
        commit(teller, version, group, rows, member, 1, "while a rebalance is prepared", ids=ids)
        commit(teller, version, group, rows, second, 1, "who has not joined yet", ids=ids)
    join(teller, 9, group, member, on="a")
    teller.answer("b")
    for version in range(2, 11):
        commit(teller, version, group, rows, member, 2, "while the leader assigns", ids=ids)
        commit(teller, version, group, rows, member, 1, "of the generation before", ids=ids)
        commit(teller, version, group, rows, second, 2, "a follower, while the leader assigns", ids=ids)
    leave(teller, 5, group, member, second)
    for version in range(2, 11):
        commit(teller, version, group, rows, member, 2, "after leaving", ids=ids)
        commit(teller, version, group, rows, "", -1, "as nobody, in a group that was left", ids=ids)
        commit(teller, version, group, rows, "", 2, "generation only, in a group that was left", ids=ids)
    offsets(teller, 9, group, None, "at the end")


def static_committers(teller: Teller) -> None:
    topic = teller.topic("static-offsets")
    rows = [(topic.name, [(0, 5, "")])]
    group = "static-committing"
    first = join(teller, 9, group, group_instance_id="i1").member_id
    sync(teller, 5, group, first, 1, {first: b"all"}, group_instance_id="i1")
    second = join(teller, 9, group, group_instance_id="i1").member_id
    for version in (7, 8, 9):
        commit(teller, version, group, rows, second, 1, "the instance now", group_instance_id="i1")
        commit(teller, version, group, rows, first, 1, "the instance before", group_instance_id="i1")
        commit(teller, version, group, rows, first, 1, "the id before")
        commit(teller, version, group, rows, second, 1, "another instance", group_instance_id="i2")


def deleting(teller: Teller) -> None:
    topic, other = teller.topic("deleting", 2), teller.topic("deleting-other")

    def delete(group: str, title: str, *wanted: tuple[str, list[int]]) -> None:
        topics = [
            {"name": name, "partitions": [{"partition_index": index} for index in indexes]} for name, indexes in wanted
        ]
        teller.ask("OffsetDelete", 0, title, group_id=group, topics=topics)

    delete("no-such-group", "unknown group", (topic.name, [0]))
    delete("", "no group", (topic.name, [0]))
    commit(teller, 9, "deleting", [(topic.name, [(0, 5, ""), (1, 6, "")]), (other.name, [(0, 7, "")])])
    delete("deleting", "nothing")
    delete("deleting", "no partitions", (topic.name, []))
    delete("deleting", "one", (topic.name, [0]))
    delete("deleting", "one that is gone", (topic.name, [0]))
    delete("deleting", "unknown partition and topic", (topic.name, [9, -1]), ("no-such-topic", [0]))
    delete("deleting", "a partition twice", (topic.name, [1, 1]))
    offsets(teller, 9, "deleting", None, "what is left")
    member = joined(teller, 9, "deleting-busy")
    delete("deleting-busy", "while it is joining", (topic.name, [0]))
    sync(teller, 5, "deleting-busy", member, 1, {member: b"no subscription in this"})
    commit(teller, 9, "deleting-busy", [(topic.name, [(0, 5, "")])], member, 1)
    delete("deleting-busy", "metadata that can not be read", (topic.name, [0]), (other.name, [0]))
    subscribed = b"\0\0" + b"\0\0\0\1" + len(topic.name).to_bytes(2, "big") + topic.name.encode() + b"\xff\xff\xff\xff"
    plan = [{"name": "range", "metadata": subscribed}]
    member = joined(teller, 9, "deleting-read", protocols=plan)
    sync(teller, 5, "deleting-read", member, 1, {member: b""})
    rows = [(topic.name, [(0, 5, "")]), (other.name, [(0, 6, "")])]
    commit(teller, 9, "deleting-read", rows, member, 1)
    delete("deleting-read", "one subscribed, one not", (topic.name, [0]), (other.name, [0]))
    offsets(teller, 9, "deleting-read", None, "what is left of it")
    member = joined(teller, 9, "deleting-connect", protocol_type="connect")
    sync(teller, 5, "deleting-connect", member, 1, {member: b""}, protocol_type="connect")
    delete("deleting-connect", "of no consumers", (topic.name, [0]))
    delete(LONG[:30_000], "of 30,000 characters", (topic.name, [0]))


def deleted_topics(teller: Teller) -> None:
    """Offsets of a topic that is deleted are gone; a topic of the same name inherits none."""
    topic = teller.topic("short-lived")
    commit(teller, 9, "bereaved", [(topic.name, [(0, 5, "")])])
    teller.ask("DeleteTopics", 5, topic_names=[topic.name], timeout_ms=30_000)
    offsets(teller, 9, "bereaved", None, "all", until=lambda answer: not answer.groups[0].topics)
    offsets(teller, 9, "bereaved", {topic.name: [0]}, "by name")
    offsets(teller, 10, "bereaved", {topic.name: [0]}, "by the id that was", ids={topic.name: topic.id})
    commit(teller, 10, "bereaved", [(topic.name, [(0, 5, "")])], title="by the id that was", ids={topic.name: topic.id})
    teller.ask("DescribeGroups", 6, "without offsets", groups=["bereaved"])


def stories() -> Iterator[Story]:
    yield from (without_members, retention, reading, by_members, static_committers, deleting, deleted_topics)
