"""What stories of groups ask, in one line each: the ordinary request, any field of it replaced by the story."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from raw_kafka.codec import Struct

from .story import Teller, Until

NONE, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS = 0, 22, 27
SESSION_MS = 30_000
LONG = "g" * 40_000  # no int16 can tell its length; compact strings can
COOPERATIVE = ("sticky", b"\1\2")


def protocols(*named: tuple[str, bytes]) -> list[dict[str, object]]:
    return [{"name": name, "metadata": metadata} for name, metadata in named]


RANGE = protocols(("range", b"\0\1"))


def join(
    teller: Teller,
    version: int,
    group: str,
    member: str = "",
    title: str = "",
    *,
    on: str = "",
    until: Until | None = None,
    **more: object,
) -> Struct:
    return teller.ask("JoinGroup", version, title, on=on, until=until, **join_fields(group, member, **more))


def send_join(
    teller: Teller, version: int, group: str, member: str = "", title: str = "", *, on: str, **more: object
) -> None:
    """A join that waits for others."""
    teller.send("JoinGroup", version, title, on=on, **join_fields(group, member, **more))


def join_fields(group: str, member: str, **more: object) -> dict[str, object]:
    return {
        "group_id": group,
        "session_timeout_ms": SESSION_MS,
        "rebalance_timeout_ms": 60_000,
        "member_id": member,
        "protocol_type": "consumer",
        "protocols": RANGE,
        **more,
    }


def joined(teller: Teller, version: int, group: str, *, on: str = "", **more: object) -> str:
    """The id of a member that is in, by as many steps as the version and the member need."""
    answer = join(teller, version, group, on=on, **more)  # type: ignore[arg-type]
    if answer.error_code == 79:
        answer = join(teller, version, group, answer.member_id, "second step", on=on, **more)  # type: ignore[arg-type]
    return str(answer.member_id)


def sync(
    teller: Teller,
    version: int,
    group: str,
    member: str,
    generation: int,
    shares: Mapping[str, bytes] | None = None,
    title: str = "",
    *,
    on: str = "",
    **more: object,
) -> Struct:
    return teller.ask("SyncGroup", version, title, on=on, **sync_fields(group, member, generation, shares, **more))  # type: ignore[arg-type]


def sync_fields(
    group: str, member: str, generation: int, shares: Mapping[str, bytes] | None = None, **more: object
) -> dict[str, object]:
    assignments = [{"member_id": each, "assignment": share} for each, share in (shares or {}).items()]
    fields = {"group_id": group, "generation_id": generation, "member_id": member, "assignments": assignments}
    return {**fields, "protocol_type": "consumer", "protocol_name": "range", **more}


def heartbeat(
    teller: Teller,
    version: int,
    group: str,
    member: str,
    generation: int,
    title: str = "",
    *,
    on: str = "",
    until: Until | None = None,
    instance: str | None = None,
) -> Struct:
    fields: dict[str, object] = {"group_id": group, "generation_id": generation, "member_id": member}
    return teller.ask("Heartbeat", version, title, on=on, until=until, **fields, group_instance_id=instance)


def leave(
    teller: Teller, version: int, group: str, *members: str | tuple[str, str | None], title: str = "", on: str = ""
) -> Struct:
    """Members by id, or by (id, instance id); versions up to 2 know the first member's id alone."""
    pairs = [each if isinstance(each, tuple) else (each, None) for each in members]
    rows = [{"member_id": member, "group_instance_id": instance, "reason": "why not"} for member, instance in pairs]
    first = pairs[0][0] if pairs else ""
    return teller.ask("LeaveGroup", version, title, on=on, group_id=group, member_id=first, members=rows)


def rebalancing(answer: Struct) -> bool:
    return bool(answer.error_code == REBALANCE_IN_PROGRESS)


def commit(
    teller: Teller,
    version: int,
    group: str,
    topics: Iterable[tuple[str, Iterable[tuple[int, int, str | None]]]],
    member: str = "",
    epoch: int = -1,
    title: str = "",
    *,
    on: str = "",
    ids: Mapping[str, UUID] | None = None,
    **more: object,
) -> Struct:
    """Offsets of (partition, offset, metadata) by topic; `ids` are those of the topics, for version 10."""
    rows = [
        {
            "name": name,
            "topic_id": (ids or {}).get(name),
            "partitions": [
                {"partition_index": index, "committed_offset": offset, "committed_metadata": metadata}
                for index, offset, metadata in partitions
            ],
        }
        for name, partitions in topics
    ]
    fields: dict[str, object] = {"group_id": group, "generation_id_or_member_epoch": epoch, "member_id": member}
    return teller.ask("OffsetCommit", version, title, on=on, **fields, topics=rows, **more)  # type: ignore[arg-type]


def offsets(
    teller: Teller,
    version: int,
    group: str,
    topics: Mapping[str, Iterable[int]] | None,
    title: str = "",
    *,
    ids: Mapping[str, UUID] | None = None,
    stable: bool = False,
    member: str | None = None,
    epoch: int = -1,
    until: Until | None = None,
) -> Struct:
    """OffsetFetch of one group, in the shape of the version; null topics are all that have offsets."""
    rows: list[dict[str, object]] | None = None
    if topics is not None:
        rows = [{"name": name, "partition_indexes": list(indexes)} for name, indexes in topics.items()]
    if version < 8:
        asked: dict[str, object] = {"group_id": group, "topics": rows}
    else:
        for row in rows or ():
            row["topic_id"] = (ids or {}).get(str(row["name"]))
        asked = {"groups": [{"group_id": group, "topics": rows, "member_id": member, "member_epoch": epoch}]}
    return teller.ask("OffsetFetch", version, title, until=until, **asked, require_stable=stable)  # type: ignore[arg-type]
