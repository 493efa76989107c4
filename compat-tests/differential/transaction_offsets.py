"""Stories of offsets that are committed in transactions: who may, who sees them when, and what members have to say."""

from collections.abc import Iterator

from .cases import STRANGER
from .consumer_groups import beat, enter
from .group_requests import commit, heartbeat, join, joined, leave, offsets, rebalancing, send_join, sync
from .story import Story, Teller
from .transaction_requests import Producer, producers

STABLE_FROM = 7


def look(teller: Teller, group: str, name: str, title: str) -> None:
    """What versions of OffsetFetch tell of a group, stable offsets and pending ones."""
    for version in (1, 5, 7, 8, 9):
        offsets(teller, version, group, {name: [0, 1]}, title)
        if version >= STABLE_FROM:
            offsets(teller, version, group, {name: [0, 1]}, f"{title}, stable", stable=True)
            offsets(teller, version, group, None, f"all, {title}, stable", stable=True)
    offsets(teller, 9, group, None, f"all, {title}")


def committed_and_aborted(teller: Teller) -> None:
    """All versions: until 4 a producer adds the group first, from 5 on the commit does it."""
    topic = teller.topic("txn-offsets", 2)
    ids = {topic.name: topic.id, STRANGER.name: STRANGER.id}
    for version in range(7):
        group = f"txn-offsets-{version}"
        producer = Producer(teller, group)
        rows = {topic.name: [(0, 5)]}
        producer.commit_offsets(version, group, rows, "without adding the group", ids=ids)
        if version < 5:
            producer.add_offsets(version, group, "adds the group")
            producer.add_offsets(version, group, "adds the group again")
            producer.settled("with the group")
            producer.commit_offsets(version, group, rows, "first", ids=ids)
        look(teller, group, topic.name, "pending")
        producer.commit_offsets(version, group, {topic.name: [(0, 6), (1, 7)]}, "second", ids=ids)
        producer.commit_offsets(version, group, {STRANGER.name: [(0, 6)]}, "unknown topic", ids=ids)
        producer.commit_offsets(version, group, {topic.name: [(9, 6)]}, "unknown partition", ids=ids)
        producer.commit_offsets(version, group, {topic.name: [(0, -7)]}, "negative offset", ids=ids)
        producer.commit_offsets(version, group, rows, "4097 bytes", ids=ids, metadata="x" * 4097)
        producer.commit_offsets(version, group, rows, "null metadata", ids=ids, metadata=None)
        producer.commit_offsets(version, group, {}, "nothing", ids=ids)
        producer.commit_offsets(version, f"other-{group}", rows, "another group", ids=ids)
        producer.commit_offsets(version, "", rows, "no group", ids=ids)
        before = producer.id, producer.epoch
        stranger = (producer.id + 9999, 0)
        producer.commit_offsets(version, group, rows, "higher epoch", ids=ids, producer=(before[0], before[1] + 1))
        producer.commit_offsets(version, group, rows, "lower epoch", ids=ids, producer=(before[0], before[1] - 1))
        producer.commit_offsets(version, group, rows, "stranger", ids=ids, producer=stranger)
        commit(teller, 9, group, [(topic.name, [(1, 3, "plain")])], title="a plain commit beside it")
        look(teller, group, topic.name, "pending and plain")
        teller.ask("OffsetDelete", 0, "pending", group_id=group,
                   topics=[{"name": topic.name, "partitions": [{"partition_index": 0}]}])  # fmt: skip
        end = 5 if version >= 5 else 4
        producer.commit_offsets(version, group, {topic.name: [(0, 8)]}, "last", ids=ids)
        producer.end(end, commit=version % 2 == 0, title="ends")
        look(teller, group, topic.name, "ended")
        producer.commit_offsets(version, group, rows, "with the epoch before", ids=ids, producer=before)
        if version < 5:
            producer.add_offsets(version, group)
        producer.commit_offsets(version, group, {topic.name: [(0, 50)]}, "the next", ids=ids)
        producer.end(end, commit=version % 2 == 1, title="ends the next")
        look(teller, group, topic.name, "ended twice")
    teller.ask("DescribeGroups", 6, "groups of transactions", groups=["txn-offsets-4", "txn-offsets-5"])
    teller.ask("DeleteGroups", 2, "groups of transactions", groups_names=["txn-offsets-4", "txn-offsets-5"])


def by_members(teller: Teller) -> None:
    """KIP-447: the commit says which generation of the group it belongs to."""
    topic = teller.topic("txn-members")
    ids, rows = {topic.name: topic.id}, {topic.name: [(0, 5)]}
    group = "txn-members"
    member = joined(teller, 9, group, on="a")
    producer = Producer(teller, group)

    def every(title: str, member_id: str, generation: int, instance: str | None = None) -> None:
        for version in range(3, 7):
            if version < 5:
                producer.add_offsets(4, group)
            who = {"member_id": member_id, "generation_id_or_member_epoch": generation, "group_instance_id": instance}
            producer.commit_offsets(version, group, rows, title, ids=ids, **who)  # type: ignore[arg-type]

    every("before the first sync", member, 1)
    sync(teller, 5, group, member, 1, {member: b"all"}, on="a")
    every("its member", member, 1)
    every("generation after", member, 2)
    every("generation before", member, 0)
    every("unknown member", "stranger", 1)
    every("a generation without a member", "", 1)
    every("a member without a generation", member, -1)
    every("as nobody", "", -1)
    every("unknown instance", member, 1, "i")
    for version in range(3):
        producer.add_offsets(4, group)
        producer.commit_offsets(version, group, rows, "of a version without members", ids=ids)
    second = join(teller, 9, group, on="b").member_id
    send_join(teller, 9, group, second, on="b")
    heartbeat(teller, 4, group, member, 1, on="a", until=rebalancing)
    every("while a rebalance is prepared", member, 1)
    join(teller, 9, group, member, on="a")
    teller.answer("b")
    every("while the leader assigns", member, 2)
    leave(teller, 5, group, member, second)
    every("after leaving", member, 2)
    every("as nobody, in a group that was left", "", -1)
    every("generation alone, in a group that was left", "", 3)
    producer.end(5, commit=False)


def by_new_members(teller: Teller) -> None:
    topic = teller.topic("txn-new")
    ids, rows = {topic.name: topic.id}, {topic.name: [(0, 5)]}
    group = "txn-new"
    epoch = enter(teller, group, "m", [topic.name]).member_epoch
    producer = Producer(teller, group)
    for version in range(3, 7):
        for title, member_id, at in (
            ("its member", "m", epoch),
            ("greater epoch", "m", epoch + 1),
            ("smaller epoch", "m", epoch - 1),
            ("unknown member", "x", epoch),
            ("as nobody", "", -1),
            ("an epoch without a member", "", epoch),
        ):
            if version < 5:
                producer.add_offsets(4, group)
            who = {"member_id": member_id, "generation_id_or_member_epoch": at}
            producer.commit_offsets(version, group, rows, title, ids=ids, **who)  # type: ignore[arg-type]
    for name, at in (("m", epoch), ("m", epoch + 1)):
        offsets(teller, 9, group, {topic.name: [0]}, f"stable, at {at - epoch}", stable=True, member=name, epoch=at)
    producer.end(5, commit=True)
    offsets(teller, 9, group, None, "committed")
    beat(teller, group, "m", -1)


def with_records(teller: Teller) -> None:
    """Consume-transform-produce: records and offsets end together."""
    topic, target = teller.topic("ctp-source"), teller.topic("ctp-target")
    for name, commits in (("ctp-yes", True), ("ctp-no", False)):
        producer = Producer(teller, name)
        producer.write(12, target, b"x")
        producer.commit_offsets(5, name, {topic.name: [(0, 1)]})
        producer.settled("records and offsets")
        producers(teller, target, title="while open")
        producer.end(5, commit=commits)
        offsets(teller, 9, name, {topic.name: [0]}, "in the end", stable=True)
        older = Producer(teller, name)
        older.add(3, {target.name: [0]})
        older.add_offsets(3, name)
        older.write(9, target, b"y")
        older.commit_offsets(3, name, {topic.name: [(0, 2)]})
        older.settled("records and offsets of an older one")
        Producer(teller, name)
        offsets(teller, 9, name, {topic.name: [0]}, "aborted by the next producer", stable=True)


def deleted_topics(teller: Teller) -> None:
    """A topic goes while a transaction has offsets on it, and records in it."""
    topic, kept = teller.topic("txn-deleted"), teller.topic("txn-kept")
    producer = Producer(teller, "txn-deleted")
    producer.write(12, topic, b"x")
    producer.write(12, kept, b"y")
    producer.commit_offsets(5, "txn-deleted", {topic.name: [(0, 5)], kept.name: [(0, 6)]})
    teller.ask("DeleteTopics", 5, topic_names=[topic.name], timeout_ms=30_000)
    offsets(teller, 9, "txn-deleted", {kept.name: [0]}, "of the one that stays", stable=True)
    producer.end(5, commit=True, title="still ends")
    offsets(teller, 9, "txn-deleted", {kept.name: [0]}, "committed", stable=True)


def stories() -> Iterator[Story]:
    yield from (committed_and_aborted, by_members, by_new_members, with_records, deleted_topics)
