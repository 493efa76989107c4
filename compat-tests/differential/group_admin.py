"""Stories of administrators: listing with filters, describing, deleting groups of every kind and in every state."""

from collections.abc import Iterator

from .group_requests import commit, join, joined, leave, offsets, sync
from .story import Story, Teller

STATES = ("Empty", "Stable", "Dead", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling")


def consumer(teller: Teller, group: str, member: str, epoch: int = 0, **more: object) -> int:
    """A heartbeat of a member of the new protocol; the epoch that it is told."""
    fields = {"group_id": group, "member_id": member, "member_epoch": epoch, **more}
    if epoch == 0:
        fields = {"rebalance_timeout_ms": 60_000, "topic_partitions": [], **fields}
        fields.setdefault("subscribed_topic_names", ["diff-wide"])
    return int(teller.ask("ConsumerGroupHeartbeat", 1, **fields).member_epoch)  # type: ignore[arg-type]


def described_and_deleted(teller: Teller) -> None:
    """One group of each kind; it is the names that tell them apart."""
    stable = joined(teller, 9, "kind-stable")
    sync(teller, 5, "kind-stable", stable, 1, {stable: b"all"})
    joined(teller, 9, "kind-completing")
    gone = joined(teller, 9, "kind-empty")
    leave(teller, 5, "kind-empty", gone)
    commit(teller, 9, "kind-simple", [("diff-wide", [(0, 5, "")])])
    join(teller, 9, "kind-pending")
    connect = joined(teller, 9, "kind-connect", protocol_type="connect")
    sync(teller, 5, "kind-connect", connect, 1, {connect: b"all"}, protocol_type="connect")
    consumer(teller, "kind-consumer", "c-1")
    consumer(teller, "kind-left", "c-2")
    consumer(teller, "kind-left", "c-2", -1)
    kinds = ["stable", "completing", "empty", "simple", "pending", "connect", "consumer", "left", "nowhere"]
    groups = [f"kind-{kind}" for kind in kinds]
    for version in range(6):
        teller.ask("ListGroups", version, "all")
    for version in (4, 5):
        for state in (*STATES, "stable", "STABLE", "nonsense", "", "empty"):
            teller.ask("ListGroups", version, f"state {state!r}", states_filter=[state])
        teller.ask("ListGroups", version, "two states", states_filter=["Stable", "Empty"])
    for types in (["classic"], ["Consumer"], ["CLASSIC", "consumer"], ["share"], ["streams"], ["nonsense"], [""]):
        teller.ask("ListGroups", 5, f"types {types}", types_filter=types)
    teller.ask("ListGroups", 5, "type and state", types_filter=["classic"], states_filter=["Empty"])
    teller.ask("ListGroups", 5, "nonsense and a type", types_filter=["nonsense", "classic"])
    for version in range(7):
        teller.ask("DescribeGroups", version, "all kinds", groups=groups)
        teller.ask("DescribeGroups", version, "none", groups=[])
        teller.ask("DescribeGroups", version, "no name", groups=[""])
        teller.ask("DescribeGroups", version, "twice", groups=["kind-stable", "kind-stable"])
        if version >= 3:
            teller.ask(
                "DescribeGroups", version, "with operations", groups=groups[:1] + groups[-1:],
                include_authorized_operations=True,
            )  # fmt: skip
    for version in range(2):
        teller.ask("ConsumerGroupDescribe", version, "all kinds", group_ids=groups)
        teller.ask("ConsumerGroupDescribe", version, "none", group_ids=[])
        teller.ask("ConsumerGroupDescribe", version, "no name", group_ids=[""])
        more = {"include_authorized_operations": True}
        teller.ask("ConsumerGroupDescribe", version, "with operations", group_ids=["kind-consumer"], **more)  # type: ignore[arg-type]
    for version in range(3):
        teller.ask("DeleteGroups", version, "no name, and unknown ones", groups_names=["", "kind-nowhere"])
        teller.ask("DeleteGroups", version, "none", groups_names=[])
        busy = ["kind-stable", "kind-completing", "kind-connect", "kind-consumer"]
        teller.ask("DeleteGroups", version, "with members", groups_names=busy)
    teller.ask("DeleteGroups", 2, "one that somebody is about to join", groups_names=["kind-pending"])
    teller.ask("DeleteGroups", 2, "empty ones", groups_names=["kind-empty", "kind-simple", "kind-left"])
    teller.ask("DeleteGroups", 2, "empty ones again", groups_names=["kind-empty", "kind-simple", "kind-left"])
    offsets(teller, 9, "kind-simple", None, "of a group that was deleted")
    teller.ask("ListGroups", 5, "what is left")


def deleted_twice(teller: Teller) -> None:
    commit(teller, 9, "delete-twice", [("diff-wide", [(0, 5, "")])])
    teller.ask("DeleteGroups", 2, "named twice", groups_names=["delete-twice", "delete-twice"])
    commit(teller, 9, "delete-twice", [("diff-wide", [(1, 6, "")])], title="and made again")
    offsets(teller, 9, "delete-twice", None, "has only the new ones")


def stories() -> Iterator[Story]:
    yield from (described_and_deleted, deleted_twice)
