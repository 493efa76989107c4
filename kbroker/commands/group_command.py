"""`kbroker group`: list, describe, reset-offsets, delete, delete-offsets."""

from __future__ import annotations

import argparse
from operator import itemgetter
from typing import TYPE_CHECKING

from kbroker_wire.messages.list_offsets import LATEST_TIMESTAMP

from . import lag, options
from .cluster import Cluster, TopicPartition
from .failures import Failure
from .groups import (
    CLASSIC,
    CONSUMER,
    STATES,
    TYPES,
    Group,
    Member,
    NoSuchGroup,
    delete_groups,
    describe_groups,
    list_groups,
)
from .offsets import Committed, commit_offsets, committed_offsets, delete_offsets, positions
from .options import complain, say, say_json
from .reset import Change, Kind, Target, plan, timestamp_ms
from .table import Cell, compact, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .options import Selection

DESCRIPTION = "Consumer groups of any broker that speaks Kafka's protocol: who is in them, how far they have read."


def main(arguments: Sequence[str]) -> int:
    """The arguments behind `kbroker group`; the result is the exit status."""
    return options.run(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    top, actions = options.parser("group", DESCRIPTION)
    listing = options.action(actions, "list", "groups, with type and state", _list)
    listing.add_argument(
        "--state", nargs="+", action="extend", default=[], type=options.one_of(STATES, "a state"), metavar="STATE"
    )
    listing.add_argument(
        "--type", nargs="+", action="extend", default=[], type=options.one_of(TYPES, "a type"), metavar="TYPE"
    )
    describe = options.action(actions, "describe", "offsets and lag of a group, or its members", _describe)
    describe.add_argument("groups", nargs="*", metavar="GROUP", help="all groups of consumers if none is named")
    describe.add_argument("--members", action="store_true", help="members, and what they own")
    _add_reset(actions)
    delete = options.action(actions, "delete", "forget groups without members, with their offsets", _delete)
    delete.add_argument("groups", nargs="+", metavar="GROUP")
    forget = options.action(actions, "delete-offsets", "forget committed offsets of topics", _delete_offsets)
    forget.add_argument("group", metavar="GROUP")
    _add_topics(forget, required=True)
    return top


def _add_reset(actions: options.Actions) -> None:
    reset = options.action(actions, "reset-offsets", "move a group without members to another position", _reset)
    reset.add_argument("group", metavar="GROUP")
    scope = reset.add_mutually_exclusive_group(required=True)
    _add_topics(scope)
    scope.add_argument("--all-topics", action="store_true", help="all partitions that the group committed offsets of")
    where = reset.add_mutually_exclusive_group(required=True)
    where.add_argument("--to-earliest", dest="target", action="store_const", const=Target(Kind.EARLIEST))
    where.add_argument("--to-latest", dest="target", action="store_const", const=Target(Kind.LATEST))
    where.add_argument("--to-offset", dest="target", type=_to_offset, metavar="N")
    where.add_argument("--shift-by", dest="target", type=_shift_by, metavar="N", help="forward, or back if negative")
    where.add_argument(
        "--to-datetime", dest="target", type=_to_datetime, metavar="ISO", help="2026-01-31T08:00, UTC unless it says"
    )
    how = reset.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only show what would be done; so it is without --execute")
    how.add_argument("--execute", action="store_true", help="commit the new offsets")


def _add_topics(to: argparse._ActionsContainer, *, required: bool = False) -> None:
    to.add_argument(
        "--topic",
        dest="topics",
        action="append",
        required=required,
        type=options.selection,
        metavar="T[:0,1]",
        help="a topic, or some of its partitions; may be given several times",
    )


def _to_offset(text: str) -> Target:
    return Target(Kind.OFFSET, options.offset(text))


def _shift_by(text: str) -> Target:
    return Target(Kind.SHIFT, options.shift(text))


def _to_datetime(text: str) -> Target:
    try:
        return Target(Kind.DATETIME, timestamp_ms(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time since 1970 such as 2026-01-31T08:00:00+01:00"
        ) from None


# -- list


def _list(given: argparse.Namespace, cluster: Cluster) -> int:
    found = list_groups(cluster, given.state, given.type)
    if given.json:
        say_json(found)
    elif found:
        rows = [(each.group_id, each.type, each.state, each.protocol_type, each.coordinator) for each in found]
        say(table(("GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"), rows))
    else:
        complain("there are no groups" + " of that kind" * bool(given.state or given.type))
    return 0


# -- describe


def _describe(given: argparse.Namespace, cluster: Cluster) -> int:
    """Groups that can not be described do not keep others from it."""
    named = list(dict.fromkeys(given.groups)) or [
        each.group_id for each in list_groups(cluster) if each.type in (CLASSIC, CONSUMER, None)
    ]
    described = describe_groups(cluster, named)
    groups = [group for group in map(described.__getitem__, named) if isinstance(group, Group)]
    committed = committed_offsets(cluster, [group.group_id for group in groups])
    wanted = set[TopicPartition]().union(*(lag.partitions_of(each, committed[each.group_id]) for each in groups))
    ends = positions(cluster, wanted, LATEST_TIMESTAMP)
    rows = {group.group_id: lag.rows(group, committed[group.group_id], ends) for group in groups}
    if given.json:
        say_json([_as_json(group, rows[group.group_id]) for group in groups])
    else:
        blocks = [_block(cluster, group, rows[group.group_id], members=given.members) for group in groups]
        if blocks:
            say("\n\n".join(blocks))
        elif not named:
            complain("there are no groups of consumers")
    failures = [failure for failure in described.values() if isinstance(failure, Failure)]
    for failure in failures:
        complain(str(failure))
    return 1 if failures else 0


def _as_json(group: Group, rows: list[lag.Row]) -> object:
    described = options.plain(group)
    assert isinstance(described, dict)
    return {**described, "lag": lag.total(rows), "partitions": options.plain(rows)}


def _block(cluster: Cluster, group: Group, rows: list[lag.Row], *, members: bool) -> str:
    lines = [_summary(cluster, group)]
    if members and group.members:
        lines.append(_members_table(group.members))
    elif not members and rows:
        lines += [_rows_table(rows), _total(rows)]
    elif not members:
        lines.append("no partitions: nothing is assigned, nothing committed")
    return "\n".join(lines)


def _summary(cluster: Cluster, group: Group) -> str:
    count = len(group.members)
    words = [
        f"{group.group_id}: {group.state}",
        f"{group.type} protocol" if group.protocol_type in ("", "consumer") else f"{group.protocol_type} workers",
        "no members" if not count else f"{count} member{'s' * (count > 1)}",
    ]
    if group.assignor:
        words.append(f"assignor {group.assignor}")
    if group.epoch is not None:
        words.append(f"epoch {group.epoch}")
    words.append(f"coordinator {cluster.address(group.coordinator)} (node {group.coordinator})")
    return ", ".join(words)


def _rows_table(rows: list[lag.Row]) -> str:
    headers = ["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "MEMBER", "CLIENT-ID", "HOST"]
    cells: list[tuple[Cell, ...]] = [
        (
            row.topic,
            row.partition,
            row.current_offset,
            row.log_end_offset,
            row.lag,
            row.member_id,
            row.client_id,
            row.host,
        )
        for row in rows
    ]
    return table(headers, cells)


def _total(rows: list[lag.Row]) -> str:
    unknown = len({(row.topic, row.partition) for row in rows if row.lag is None})
    return f"total lag {lag.total(rows)}" + (
        f", unknown for {unknown} partition{'s' * (unknown > 1)}" if unknown else ""
    )


def _members_table(members: list[Member]) -> str:
    """Columns in which no member has anything are left out."""
    headers = ("MEMBER", "INSTANCE", "CLIENT-ID", "HOST", "EPOCH", "#PARTITIONS", "ASSIGNMENT", "TARGET")
    rows: list[tuple[Cell, ...]] = [
        (
            each.member_id,
            each.instance_id,
            each.client_id,
            each.host,
            each.epoch,
            len(each.assignment),
            compact(each.assignment),
            None if each.target in (None, each.assignment) else compact(each.target) or "(nothing)",
        )
        for each in sorted(members, key=lambda each: (each.client_id, each.member_id))
    ]
    used = [index for index in range(len(headers)) if any(row[index] is not None for row in rows)]
    return table([headers[index] for index in used], [[row[index] for index in used] for row in rows])


# -- reset-offsets


def _reset(given: argparse.Namespace, cluster: Cluster) -> int:
    group_id: str = given.group
    _require_idle(describe_groups(cluster, [group_id])[group_id])
    committed = committed_offsets(cluster, [group_id])[group_id]
    partitions = _all_committed(group_id, committed) if given.all_topics else _selected(cluster, given.topics)
    changes = plan(cluster, partitions, given.target, committed)
    if given.execute:
        commit_offsets(cluster, group_id, {change.partition: change.new for change in changes})
    _show_changes(group_id, changes, executed=given.execute, as_json=given.json)
    return 0


def _require_idle(group: Group | Failure) -> None:
    """A group that does not exist may be given offsets to begin with. Raises Failure."""
    if isinstance(group, Failure):
        if not isinstance(group, NoSuchGroup):
            raise group
    elif group.members or group.state != "Empty":
        count = len(group.members)
        raise Failure(
            f"group {group.group_id} is {group.state} and has {count} member{'s' * (count != 1)}: stop them first"
        )


def _all_committed(group_id: str, committed: Mapping[TopicPartition, Committed]) -> list[TopicPartition]:
    if not committed:
        raise Failure(f"group {group_id} has committed nothing: name topics with --topic")
    return sorted(committed)


def _selected(cluster: Cluster, selections: Sequence[Selection]) -> list[TopicPartition]:
    there = cluster.leaders({each.topic for each in selections})
    chosen: set[TopicPartition] = set()
    for topic, indexes in selections:
        of_topic = {each for each in there if each.topic == topic}
        named = of_topic if indexes is None else {TopicPartition(topic, index) for index in indexes}
        if missing := sorted(named - of_topic):
            raise Failure(f"topic {topic} has no partition {missing[0].partition}, but 0 to {len(of_topic) - 1}")
        chosen |= named
    return sorted(chosen)


def _show_changes(group_id: str, changes: list[Change], *, executed: bool, as_json: bool) -> None:
    if as_json:
        offsets = [
            {
                "topic": change.partition.topic,
                "partition": change.partition.partition,
                "current_offset": change.current,
                "new_offset": change.new,
                "note": change.note or None,
            }
            for change in changes
        ]
        say_json({"group_id": group_id, "executed": executed, "partitions": offsets})
        return
    headers = ["TOPIC", "PARTITION", "CURRENT-OFFSET", "NEW-OFFSET"]
    rows: list[list[Cell]] = [[*change.partition, change.current, change.new] for change in changes]
    if any(change.note for change in changes):
        headers.append("NOTE")
        rows = [[*row, change.note] for row, change in zip(rows, changes, strict=True)]
    say(table(headers, rows))
    if not executed:
        complain("nothing is changed yet: add --execute to commit the new offsets")


# -- delete, delete-offsets


def _delete(given: argparse.Namespace, cluster: Cluster) -> int:
    done = delete_groups(cluster, dict.fromkeys(given.groups))
    outcomes = {group_id: done[group_id] for group_id in given.groups}  # in the order of the arguments
    return _show_outcomes(outcomes, "deleted {}", "group_id", as_json=given.json)


def _delete_offsets(given: argparse.Namespace, cluster: Cluster) -> int:
    """Of a topic without partitions, those that the group committed, whether or not the topic is still there."""
    group_id: str = given.group
    committed = committed_offsets(cluster, [group_id])[group_id]
    partitions = set()
    for topic, indexes in given.topics:
        theirs = [each for each in committed if each.topic == topic]
        if indexes is None and not theirs:
            _require_existing(cluster, group_id)
            raise Failure(f"group {group_id} has committed nothing for topic {topic}")
        partitions |= set(theirs if indexes is None else (TopicPartition(topic, index) for index in indexes))
    done = delete_offsets(cluster, group_id, partitions)
    outcomes = {str(each): failure for each, failure in sorted(done.items(), key=itemgetter(0))}
    return _show_outcomes(outcomes, f"group {group_id} forgot {{}}", "partition", as_json=given.json)


def _require_existing(cluster: Cluster, group_id: str) -> None:
    group = describe_groups(cluster, [group_id])[group_id]
    if isinstance(group, Failure):
        raise group


def _show_outcomes(outcomes: Mapping[str, Failure | None], words: str, key: str, *, as_json: bool) -> int:
    if as_json:
        say_json(
            [
                {key: name, "deleted": failure is None, "error": str(failure) if failure else None}
                for name, failure in outcomes.items()
            ]
        )
    for name, failure in outcomes.items():
        if failure is not None:
            complain(str(failure) if key == "group_id" else f"{name}: {failure}")
        elif not as_json:
            say(words.format(name))
    return 1 if any(outcomes.values()) else 0
