"""Stories of consumer groups (KIP-848): heartbeats of one to three members, what they own, and every refusal."""

from collections.abc import Iterable, Iterator, Mapping

from raw_kafka.calls import Topic
from raw_kafka.codec import Struct

from .cases import STRANGER
from .group_requests import commit, join_fields, offsets
from .story import Story, Teller, Until

NEWEST = 1


def owned(*parts: tuple[Topic, Iterable[int]]) -> list[dict[str, object]]:
    return [{"topic_id": topic.id, "partitions": list(indexes)} for topic, indexes in parts]


def beat(
    teller: Teller,
    group: str,
    member: str,
    epoch: int,
    title: str = "",
    version: int = NEWEST,
    *,
    until: Until | None = None,
    **more: object,
) -> Struct:
    fields: dict[str, object] = {"group_id": group, "member_id": member, "member_epoch": epoch, **more}
    return teller.ask("ConsumerGroupHeartbeat", version, title, until=until, **fields)  # type: ignore[arg-type]


def enter(
    teller: Teller, group: str, member: str, topics: Iterable[str] | None, title: str = "joins", **more: object
) -> Struct:
    fields: dict[str, object] = {"rebalance_timeout_ms": 60_000, "topic_partitions": [], **more}
    named = None if topics is None else list(topics)
    return beat(teller, group, member, 0, title, subscribed_topic_names=named, **fields)  # type: ignore[arg-type]


def describe(teller: Teller, group: str, title: str) -> None:
    teller.ask("ConsumerGroupDescribe", 1, title, group_ids=[group])


def alone(teller: Teller) -> None:
    topic, other = teller.topic("alone", 3), teller.topic("alone-other", 2)
    for version in (0, 1):
        group = f"alone-{version}"
        first = enter(teller, group, "a", [topic.name], version=version)
        epoch = first.member_epoch
        beat(teller, group, "a", epoch, "has nothing to say", version)
        beat(teller, group, "a", epoch, "owns what it was given", version, topic_partitions=owned((topic, [0, 1, 2])))
        full = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": [topic.name]}
        beat(teller, group, "a", epoch, "says all", version, **full, topic_partitions=owned((topic, [0, 1, 2])))  # type: ignore[arg-type]
        describe(teller, group, "stable")
        changed = beat(teller, group, "a", epoch, "wants more", version,
                       subscribed_topic_names=[topic.name, other.name])  # fmt: skip
        beat(teller, group, "a", epoch, "the epoch before, owning too little to have missed the answer", version)
        beat(teller, group, "a", epoch, "the epoch before, owning the old", version,
             topic_partitions=owned((topic, [0, 1, 2])))  # fmt: skip
        epoch = changed.member_epoch
        beat(teller, group, "a", epoch, "wants something else", version, subscribed_topic_names=[other.name])
        beat(teller, group, "a", epoch, "has given up nothing yet", version,
             topic_partitions=owned((topic, [0, 1, 2]), (other, [0, 1])))  # fmt: skip
        describe(teller, group, "while it gives up")
        moved = beat(teller, group, "a", epoch, "has given up the first", version,
                     topic_partitions=owned((other, [0, 1])))  # fmt: skip
        epoch = moved.member_epoch
        beat(teller, group, "a", epoch, "wants what does not exist", version,
             subscribed_topic_names=["no-such-topic", other.name, "a b"])  # fmt: skip
        epoch = beat(teller, group, "a", epoch, "wants nothing", version, subscribed_topic_names=[]).member_epoch
        gone = beat(teller, group, "a", epoch, "owns nothing any more", version, topic_partitions=[])
        epoch = gone.member_epoch
        epoch = beat(teller, group, "a", epoch, "by range", version, server_assignor="range",
                     subscribed_topic_names=[topic.name]).member_epoch  # fmt: skip
        beat(teller, group, "a", epoch, "a rack", version, rack_id="r1")
        describe(teller, group, "before it leaves")
        beat(teller, group, "a", -1, "leaves", version)
        beat(teller, group, "a", -1, "leaves again", version)
        beat(teller, group, "a", epoch, "after leaving", version)
        describe(teller, group, "empty")


def refused(teller: Teller) -> None:
    topic = teller.topic("refused", 2)
    named = [topic.name]
    group = "refusing"
    epoch = enter(teller, group, "a", named).member_epoch
    for version in (0, 1):
        for title, fields in {
            "no group": {"group_id": ""},
            "a blank group": {"group_id": "  "},
            "no member": {"member_id": ""},
            "a blank member": {"member_id": " "},
            "empty instance": {"instance_id": ""},
            "empty rack": {"rack_id": ""},
            "no rebalance timeout": {"rebalance_timeout_ms": -1},
            "rebalance timeout 0": {"rebalance_timeout_ms": 0, "group_id": "refused-0"},
            "rebalance timeout -2": {"rebalance_timeout_ms": -2, "group_id": "refused-2"},
            "null partitions": {"topic_partitions": None},
            "owns something already": {"topic_partitions": owned((topic, [0]))},
            "no subscription": {"subscribed_topic_names": None},
            "unknown assignor": {"server_assignor": "nope"},
            "empty assignor": {"server_assignor": ""},
            "epoch -3": {"member_epoch": -3},
            "leaves for a while without an instance": {"member_epoch": -2},
            "leaves a group that is not there": {"member_epoch": -1, "group_id": "no-such-group"},
            "heartbeat in a group that is not there": {"member_epoch": 1, "group_id": "no-such-group"},
            "unknown member": {"member_epoch": 1},
            "unknown member leaves": {"member_epoch": -1},
            "a static member that is not there leaves": {"member_epoch": -2, "instance_id": "i"},
            "unknown static member": {"member_epoch": 3, "instance_id": "i"},
            "greater epoch": {"member_epoch": epoch + 5, "member_id": "a"},
            "smaller epoch": {"member_epoch": epoch - 1, "member_id": "a"},
            "smaller epoch, owning": {
                "member_epoch": epoch - 1, "member_id": "a", "topic_partitions": owned((topic, [0, 1]))
            },
            "greater epoch and unknown assignor": {
                "member_epoch": epoch + 5, "member_id": "a", "server_assignor": "nope"
            },
            "many assignors": {"server_assignor": "uniform,range"},
        }.items():  # fmt: skip
            ordinary = {"group_id": group, "member_id": "stranger", "member_epoch": 0, "rebalance_timeout_ms": 60_000}
            ordinary |= {"topic_partitions": [], "subscribed_topic_names": named}
            teller.ask("ConsumerGroupHeartbeat", version, title, **{**ordinary, **fields})  # type: ignore[arg-type, dict-item]
    describe(teller, group, "as it was")
    beat(teller, group, "a", epoch, "owns what it was not given", topic_partitions=owned((topic, [0, 7])))
    beat(teller, group, "a", epoch, "owns what nobody knows", topic_partitions=owned((STRANGER, [0])))
    beat(teller, group, "a", epoch, "owns a partition twice", topic_partitions=owned((topic, [0, 0])))
    describe(teller, group, "in the end")


def rejoining(teller: Teller) -> None:
    """A member that joins again with epoch 0, as after an error."""
    topic = teller.topic("rejoining", 2)
    group = "rejoining"
    epoch = enter(teller, group, "a", [topic.name]).member_epoch
    again = enter(teller, group, "a", [topic.name], "joins again")
    beat(teller, group, "a", again.member_epoch, "goes on")
    enter(teller, group, "a", [topic.name], "joins again with another timeout", rebalance_timeout_ms=10_000)
    beat(teller, group, "a", epoch, "goes on once more", topic_partitions=owned((topic, [0, 1])))
    describe(teller, group, "after all")


def sharing(teller: Teller) -> None:
    """Partitions move from one member to two and three, and back, as they are given up."""
    for assignor in ("uniform", "range"):
        topic, other = teller.topic(f"sharing-{assignor}", 6), teller.topic(f"sharing-other-{assignor}", 3)
        # Apache Kafka's uniform assignor takes topics in the order of their ids' hashes: by chance
        group, names = f"sharing-{assignor}", [topic.name, other.name][: 1 if assignor == "uniform" else 2]
        held: dict[str, object] = {}
        epochs: dict[str, int] = {}

        def take(member: str, answer: Struct) -> None:
            epochs[member] = answer.member_epoch  # noqa: B023
            if answer.assignment is not None:
                parts = answer.assignment.topic_partitions
                held[member] = [{"topic_id": part.topic_id, "partitions": part.partitions} for part in parts]  # noqa: B023

        def round_of(title: str, *members: str) -> None:
            for member in members:
                answer = beat(
                    teller,
                    group,  # noqa: B023
                    member,
                    epochs[member],  # noqa: B023
                    f"{title}: {member}",
                    topic_partitions=held.get(member, []),  # noqa: B023
                )
                take(member, answer)

        take("a", enter(teller, group, "a", names, "a joins", server_assignor=assignor))
        take("b", enter(teller, group, "b", names, "b joins", server_assignor=assignor))
        describe(teller, group, "b waits")
        for turn in range(3):
            round_of(f"two, {turn}", "a", "b")
        describe(teller, group, "two")
        take("c", enter(teller, group, "c", names[-1:], "c joins", server_assignor=assignor))
        for turn in range(3):
            round_of(f"three, {turn}", "a", "b", "c")
        describe(teller, group, "three")
        beat(teller, group, "a", -1, "a leaves")
        for turn in range(3):
            round_of(f"without a, {turn}", "b", "c")
        describe(teller, group, "two again")
        teller.ask(
            "CreatePartitions", 3, topics=[{"name": names[-1], "count": 8, "assignments": None}], timeout_ms=30_000
        )
        known = epochs["b"]
        grown = beat(teller, group, "b", known, "the topic grew", until=lambda answer: answer.member_epoch > known)  # noqa: B023
        take("b", grown)
        for turn in range(3):
            round_of(f"grown, {turn}", "b", "c")
        describe(teller, group, "grown")
        for version in range(2, 11):
            told_to_commit(teller, version, group, topic, "b", epochs["b"])
        beat(teller, group, "b", -1, "b leaves")
        beat(teller, group, "c", -1, "c leaves")


def told_to_commit(teller: Teller, version: int, group: str, topic: Topic, member: str, epoch: int) -> None:
    """Offsets of a consumer group: members say their epoch."""
    ids, rows = {topic.name: topic.id}, [(topic.name, [(0, 5, "m")])]
    commit(teller, version, group, rows, member, epoch, "its member", ids=ids)
    commit(teller, version, group, rows, member, epoch + 1, "greater epoch", ids=ids)
    commit(teller, version, group, rows, member, epoch - 1, "smaller epoch", ids=ids)
    commit(teller, version, group, rows, member, -1, "member without epoch", ids=ids)
    commit(teller, version, group, rows, "stranger", epoch, "unknown member", ids=ids)
    commit(teller, version, group, rows, "", -1, "as nobody", ids=ids)
    if version >= 9:
        for name, at in ((member, epoch), (member, epoch + 1), (member, epoch - 1), (member, -1), ("x", 1), ("", -1)):
            title = f"read by {name!r} at {at - epoch}"
            offsets(teller, version, group, {topic.name: [0, 1]}, title, ids=ids, member=name, epoch=at)
            offsets(teller, version, group, None, f"all, {title}", ids=ids, member=name, epoch=at)


def with_regex(teller: Teller) -> None:
    topics = [teller.topic(f"regex-{letter}", 1) for letter in "ab"]
    group = "regex"
    for expression in (
        "[",
        "*",
        "(",
        "\\",
        "(?=a)",
        "a**",
        "(?<n>a)\\k<n>",
        "[[:nope:]]",
        "x{1001}",
        "(?P<n",
        "a{2,1}",
        "[z-a]",
        "x" * 5 + ")",
    ):
        fields = {"subscribed_topic_regex": expression}
        enter(teller, "regex-bad", "a", None, f"bad {expression!r}", **fields)
        enter(teller, "regex-bad", "a", [topics[0].name], f"bad {expression!r} beside a name", **fields)
    everything = {"subscribed_topic_regex": "diff-regex-.*", "rebalance_timeout_ms": 60_000, "topic_partitions": []}
    first = enter(teller, group, "a", None, "by expression", **everything)

    def has_both(answer: Struct) -> bool:
        return answer.assignment is not None and len(answer.assignment.topic_partitions) == 2

    epoch = first.member_epoch
    mine = beat(teller, group, "a", epoch, "when topics are found", until=has_both, **everything)  # type: ignore[arg-type]
    epoch = mine.member_epoch
    both = owned(*((topic, [0]) for topic in topics))
    beat(teller, group, "a", epoch, "owns both", topic_partitions=both)
    describe(teller, group, "by expression")
    beat(teller, group, "a", epoch, "another bad one", subscribed_topic_regex="[")
    beat(teller, group, "a", epoch, "none any more", subscribed_topic_regex="", topic_partitions=both)
    enter(teller, "regex-empty", "a", None, "an empty one", subscribed_topic_regex="")
    enter(teller, "regex-empty-2", "a", [], "an empty one and no names", subscribed_topic_regex="")
    enter(teller, "regex-none", "a", None, "nothing matches", subscribed_topic_regex="no-such-.*")
    enter(teller, "regex-both", "a", [topics[0].name], "name and expression", subscribed_topic_regex="no-such-.*")


def static_members(teller: Teller) -> None:
    topic = teller.topic("static-848", 4)
    group, names = "static-848", [topic.name]
    first = enter(teller, group, "a", names, "a static member", instance_id="i1")
    epoch = first.member_epoch
    enter(teller, group, "b", names, "the instance is taken", instance_id="i1")
    beat(teller, group, "a", epoch, "as itself", instance_id="i1")
    beat(teller, group, "a", epoch, "without its instance")
    beat(teller, group, "a", epoch, "as another instance", instance_id="i2")
    beat(teller, group, "b", epoch, "as another member", instance_id="i1")
    beat(teller, group, "a", -2, "leaves for a while", instance_id="i1")
    describe(teller, group, "while it is away")
    beat(teller, group, "a", epoch, "while it is away", instance_id="i1")
    beat(teller, group, "b", -1, "a stranger leaves for it", instance_id="i1")
    other = enter(teller, group, "b", names, "comes back by another id", instance_id="i1")
    beat(teller, group, "a", epoch, "the id before", instance_id="i1")
    beat(teller, group, "b", other.member_epoch, "goes on", instance_id="i1", topic_partitions=owned((topic, range(4))))
    describe(teller, group, "back")
    beat(teller, group, "b", -2, "leaves for a while", instance_id="i1")
    enter(teller, group, "c", names, "comes back with another subscription", instance_id="i1", rack_id="r")
    leave = [{"member_id": "c", "group_instance_id": "i1"}, {"member_id": "", "group_instance_id": "i9"}]
    leave += [{"member_id": "x", "group_instance_id": None}]  # type: ignore[dict-item]
    teller.ask("LeaveGroup", 5, "removed by an administrator", group_id=group, members=leave)
    describe(teller, group, "after that")
    enter(teller, group, "d", names, "a static member again", instance_id="i1")
    by_instance = [{"member_id": "", "group_instance_id": "i1"}]
    teller.ask("LeaveGroup", 5, "removed by its instance", group_id=group, members=by_instance)
    describe(teller, group, "in the end")


def crowded(teller: Teller) -> None:
    """Both brokers let five members into a group."""
    topic = teller.topic("crowded-848", 5)
    for number in range(5):
        enter(teller, "crowded-848", f"m{number}", [topic.name], instance_id=f"i{number}")
    enter(teller, "crowded-848", "m9", [topic.name], "one too many")
    enter(teller, "crowded-848", "m9", [topic.name], "one static member too many", instance_id="i9")
    enter(teller, "crowded-848", "m3", [topic.name], "who is in", instance_id="i3")
    for version in range(10):
        teller.ask("JoinGroup", version, "one classic member too many", **join_fields("crowded-848", ""))  # type: ignore[arg-type]
    beat(teller, "crowded-848", "m4", -2, "leaves for a while", instance_id="i4")
    enter(teller, "crowded-848", "m8", [topic.name], "takes a place", instance_id="i4")


def strangers(teller: Teller) -> None:
    """Requests of the classic protocol to a consumer group, and the other way round."""
    topic = teller.topic("strangers")
    group = "strangers"
    epoch = enter(teller, group, "a", [topic.name]).member_epoch
    for version in range(5):
        fields: Mapping[str, object] = {"group_id": group, "generation_id": epoch, "member_id": "a"}
        teller.ask("Heartbeat", version, "of a member of the new protocol", **fields)  # type: ignore[arg-type]
        teller.ask("Heartbeat", version, "of a stranger", group_id=group, generation_id=1, member_id="x")
    for version in range(6):
        teller.ask("SyncGroup", version, "of a member of the new protocol", group_id=group, generation_id=epoch,
                   member_id="a")  # fmt: skip
        teller.ask("LeaveGroup", version, "of a stranger", group_id=group, member_id="x",
                   members=[{"member_id": "x"}])  # fmt: skip
    teller.ask("OffsetDelete", 0, "subscribed", group_id=group,
               topics=[{"name": topic.name, "partitions": [{"partition_index": 0}]}])  # fmt: skip
    commit(teller, 9, group, [("diff-wide", [(0, 5, "")])], "a", epoch)
    teller.ask("OffsetDelete", 0, "not subscribed", group_id=group,
               topics=[{"name": "diff-wide", "partitions": [{"partition_index": 0}]}])  # fmt: skip
    teller.ask("LeaveGroup", 5, "removes a member of the new protocol", group_id=group, members=[{"member_id": "a"}])
    describe(teller, group, "in the end")


def stories() -> Iterator[Story]:
    yield from (alone, refused, rejoining, sharing, with_regex, static_members, crowded, strangers)
