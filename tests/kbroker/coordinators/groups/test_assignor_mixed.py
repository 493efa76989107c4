"""The uniform assignor where members want different topics."""

from __future__ import annotations

from itertools import pairwise

from kbroker.coordinators.groups.assignor_mixed import assign_mixed

T, U = b"t" * 16, b"u" * 16


def sizes(target: dict[str, dict[bytes, frozenset[int]]]) -> dict[str, int]:
    return {name: sum(map(len, topics.values())) for name, topics in target.items()}


def test_hard_topics_are_placed_first() -> None:
    """t can go to a only, so u goes to b as far as that evens the loads."""
    members = [("a", frozenset((T, U)), {}), ("b", frozenset((U,)), {})]
    assert sizes(assign_mixed(members, {T: 2, U: 4})) == {"a": 3, "b": 3}


def test_partitions_move_from_the_most_to_the_least_loaded() -> None:
    members = [
        ("a", frozenset((T,)), {T: frozenset(range(6))}),
        ("b", frozenset((T, U)), {}),
        ("c", frozenset((U,)), {}),
    ]
    target = assign_mixed(members, {T: 6, U: 3})
    assert target["a"] == {T: frozenset({0, 1, 2, 3})}
    assert sizes(target) == {"a": 4, "b": 3, "c": 2}  # even enough for those who share a topic


def test_load_goes_down_a_chain_of_overlapping_subscriptions() -> None:
    """Neighbours are even; as in Apache Kafka, the ends of a chain need not be."""
    topics = [bytes([number]) * 16 for number in range(6)]
    members = [(f"m{each}", frozenset(topics[max(each - 1, 0) : each + 1]), {}) for each in range(6)]
    load = list(sizes(assign_mixed(members, dict.fromkeys(topics, 12))).values())
    assert sum(load) == 72
    assert all(abs(here - there) <= 1 for here, there in pairwise(load))


def test_a_thousand_members_with_different_topics_are_nearly_even() -> None:
    topics = [bytes([number]) * 16 for number in range(10)]
    members = [(f"m{each}", frozenset((topics[each % 10], topics[each % 7])), {}) for each in range(1000)]
    load = sizes(assign_mixed(members, dict.fromkeys(topics, 100)))
    assert sum(load.values()) == 1000
    assert max(load.values()) <= 2
