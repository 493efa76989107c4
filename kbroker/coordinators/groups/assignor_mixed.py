"""The uniform assignor where members want different topics.

A partition can go only to those who want its topic, so loads can not always be equal. In the order of how hard a topic
is to place, its free partitions go to whoever of its subscribers has the least; then, topic by topic and round after
round, partitions move from the subscriber with the most to the one with the least, until nobody who has a partition of
a topic has more than one partition above another subscriber of that topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from .consumer_member import Partitions

# Where subscriptions overlap in a chain, each round may move load one topic further. Kafka stops after as many.
ROUNDS = 16


def assign_mixed(
    members: Sequence[tuple[str, frozenset[bytes], Partitions]], partitions: Mapping[bytes, int]
) -> dict[str, Partitions]:
    """The target by member id. `members`: (id, ids of its topics, its last target)."""
    placing = _Placing(members, partitions)
    topics = placing.hardest_first()
    for topic_id in topics:
        placing.place_free(topic_id)
    shared = [topic_id for topic_id in topics if len(placing.subscribers[topic_id]) > 1]
    balanced = 0  # topics in a row that needed nothing
    for _ in range(ROUNDS):
        for topic_id in shared:
            balanced = 0 if placing.balance(topic_id) else balanced + 1
            if balanced == len(shared):
                return placing.target()
    return placing.target()


class _Placing:
    """Members are numbers here, by their place in the list.

    subscribers   of each topic
    holders       of each topic: member -> its partitions
    sizes         how many partitions each member has
    """

    def __init__(
        self, members: Sequence[tuple[str, frozenset[bytes], Partitions]], partitions: Mapping[bytes, int]
    ) -> None:
        self._ids = [member_id for member_id, _, _ in members]
        self._partitions = partitions
        self.subscribers: dict[bytes, list[int]] = {}
        self.holders: dict[bytes, dict[int, set[int]]] = {}
        self.sizes = [0] * len(members)
        self._free: dict[bytes, set[int]] = {}
        for member, (_, topics, _) in enumerate(members):
            for topic_id in topics:
                self.subscribers.setdefault(topic_id, []).append(member)
        for topic_id in self.subscribers:
            self._free[topic_id] = set(range(partitions[topic_id]))
            self.holders[topic_id] = {}
        for member, (_, topics, target) in enumerate(members):
            for topic_id, had in target.items():
                if topic_id in topics and (keeps := had & self._free[topic_id]):
                    self._free[topic_id] -= keeps
                    self.holders[topic_id][member] = set(keeps)
                    self.sizes[member] += len(keeps)

    def hardest_first(self) -> list[bytes]:
        """Many partitions for few subscribers come first, then those with fewer subscribers."""

        def hardness(topic_id: bytes) -> tuple[float, int, bytes]:
            count = len(self.subscribers[topic_id])
            return -self._partitions[topic_id] / count, count, topic_id

        return sorted(self.subscribers, key=hardness)

    def place_free(self, topic_id: bytes) -> None:
        free = self._free[topic_id]
        if not free:
            return
        least = self._by_size(self.subscribers[topic_id])
        for partition in sorted(free):
            size, member = least[0]
            heapreplace(least, (size + 1, member))
            self._give(topic_id, partition, member)

    def balance(self, topic_id: bytes) -> bool:
        """Move partitions of one topic until its subscribers are even; whether any was moved."""
        least = self._by_size(self.subscribers[topic_id])
        most = [(-self.sizes[member], -member) for member in self.holders[topic_id]]
        heapify(most)
        moved = False
        while most:
            giver = -most[0][1]
            while least[0][0] != self.sizes[least[0][1]]:
                heappop(least)  # it has given something since, and has a newer entry
            size, taker = least[0]
            if self.sizes[giver] - size <= 1:
                return moved
            moved = True
            held = self.holders[topic_id][giver]
            partition = max(held)
            held.remove(partition)
            self.sizes[giver] -= 1
            heappush(least, (self.sizes[giver], giver))
            if held:
                heapreplace(most, (-self.sizes[giver], -giver))
            else:
                del self.holders[topic_id][giver]
                heappop(most)
            self._give(topic_id, partition, taker)
            heappush(least, (self.sizes[taker], taker))
        return moved

    def target(self) -> dict[str, Partitions]:
        target: dict[str, dict[bytes, frozenset[int]]] = {member_id: {} for member_id in self._ids}
        for topic_id, holders in self.holders.items():
            for member, partitions in holders.items():
                target[self._ids[member]][topic_id] = frozenset(partitions)
        return dict(target)

    def _by_size(self, members: Iterable[int]) -> list[tuple[int, int]]:
        heap = [(self.sizes[member], member) for member in members]
        heapify(heap)
        return heap

    def _give(self, topic_id: bytes, partition: int, member: int) -> None:
        self.holders[topic_id].setdefault(member, set()).add(partition)
        self.sizes[member] += 1
