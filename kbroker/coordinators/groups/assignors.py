"""Who gets which partitions: the assignors that a broker runs for consumer groups (KIP-848).

An assignor is a function of the group as it is: what each member wants, and what the last target gave it. It gives each
partition of each topic that anybody wants to exactly one member that wants it. Racks do not matter to either of these,
nor do they in Apache Kafka 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .assignor_mixed import assign_mixed
from .consumer_member import Partitions


class MemberSpec(NamedTuple):
    """topics: ids, of topics that exist. target: what it had in the last one."""

    id: str
    instance_id: str | None
    topics: frozenset[bytes]
    target: Partitions


# (members, number of partitions by topic id) -> the target by member id
Assignor = Callable[[Sequence[MemberSpec], Mapping[bytes, int]], dict[str, Partitions]]


def assign_range(members: Sequence[MemberSpec], partitions: Mapping[bytes, int]) -> dict[str, Partitions]:
    """Of each topic a row of partitions for each member, so that topics of equal size are divided alike.

    Members are in the order of their ids, static ones before the others in the order of their instance ids: those come
    back with another member id, and get the same row.
    """
    ordered = sorted(members, key=lambda member: (member.instance_id is None, member.instance_id or member.id))
    subscribers: dict[bytes, list[str]] = {}
    for member in ordered:
        for topic_id in member.topics:
            subscribers.setdefault(topic_id, []).append(member.id)
    target: dict[str, dict[bytes, frozenset[int]]] = {member.id: {} for member in members}
    for topic_id, ids in subscribers.items():
        quota, extra = divmod(partitions[topic_id], len(ids))
        start = 0
        for place, member_id in enumerate(ids):
            end = start + quota + (place < extra)
            if start == end:
                break
            target[member_id][topic_id] = frozenset(range(start, end))
            start = end
    return dict(target)


def assign_uniform(members: Sequence[MemberSpec], partitions: Mapping[bytes, int]) -> dict[str, Partitions]:
    """As many partitions for each member as for any other, give or take one; the fewest that will do change hands."""
    if not members:
        return {}
    topics = members[0].topics
    if any(member.topics != topics for member in members):
        return assign_mixed([(member.id, member.topics, member.target) for member in members], partitions)
    kept, free = _keep(members, partitions, topics)
    quota, extra = divmod(sum(partitions[topic_id] for topic_id in topics), len(members))
    sizes = {member_id: sum(map(len, target.values())) for member_id, target in kept.items()}
    # Who has one more than the quota may keep it, as far as there is one for everybody who does. (Kafka hands those
    # out in the order of members, and so moves partitions that could stay.)
    limits: dict[str, int] = {}
    for member_id, size in sizes.items():
        may_keep = size > quota and extra > 0
        extra -= may_keep
        limits[member_id] = quota + may_keep
        if size > limits[member_id]:
            free.extend(_give_up(kept[member_id], size - limits[member_id]))
    for member_id, limit in limits.items():
        if extra > 0 and limit == quota:
            limits[member_id], extra = quota + 1, extra - 1
    free.reverse()
    for member_id, size in sizes.items():
        for _ in range(limits[member_id] - size):
            topic_id, partition = free.pop()
            kept[member_id].setdefault(topic_id, set()).add(partition)
    return frozen(kept)


def _keep(
    members: Sequence[MemberSpec], partitions: Mapping[bytes, int], topics: frozenset[bytes]
) -> tuple[dict[str, dict[bytes, set[int]]], list[tuple[bytes, int]]]:
    """What each member had and still may have, and what is with nobody then.

    A partition with two members stays with the first: the assignor of a classic group may have done so.
    """
    free = {topic_id: set(range(partitions[topic_id])) for topic_id in topics}
    kept: dict[str, dict[bytes, set[int]]] = {}
    for member in members:
        mine = kept[member.id] = {}
        for topic_id, had in member.target.items():
            if topic_id in topics and (keeps := free[topic_id] & had):
                mine[topic_id] = keeps
                free[topic_id] -= keeps
    return kept, [(topic_id, partition) for topic_id in sorted(free) for partition in sorted(free[topic_id])]


def _give_up(target: dict[bytes, set[int]], count: int) -> Iterator[tuple[bytes, int]]:
    """The last partitions of the last topics."""
    for topic_id in sorted(target, reverse=True):
        partitions = target[topic_id]
        for partition in sorted(partitions, reverse=True)[:count]:
            partitions.remove(partition)
            count -= 1
            yield topic_id, partition
        if not partitions:
            del target[topic_id]
        if not count:
            return


def frozen(target: Mapping[str, Mapping[bytes, set[int]]]) -> dict[str, Partitions]:
    return {
        member_id: {topic_id: frozenset(each) for topic_id, each in topics.items()}
        for member_id, topics in target.items()
    }


ASSIGNORS: Mapping[str, Assignor] = {"uniform": assign_uniform, "range": assign_range}
