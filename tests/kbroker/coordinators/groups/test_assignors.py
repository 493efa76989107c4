"""The assignors: balanced, one owner, sticky."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker.coordinators.groups.assignors import ASSIGNORS, MemberSpec, assign_range, assign_uniform
from kbroker.coordinators.groups.consumer_member import Partitions

T, U, V = (name * 16 for name in (b"t", b"u", b"v"))
TOPICS = (T, U, V)


def member(
    name: str,
    topics: tuple[bytes, ...] = (T,),
    target: Mapping[bytes, set[int]] | None = None,
    instance: str | None = None,
) -> MemberSpec:
    held = {topic_id: frozenset(numbers) for topic_id, numbers in (target or {}).items()}
    return MemberSpec(name, instance, frozenset(topics), held)


def plain(target: Mapping[str, Partitions]) -> dict[str, dict[bytes, list[int]]]:
    return {name: {each: sorted(numbers) for each, numbers in topics.items()} for name, topics in target.items()}


# -- range


def test_range_gives_each_member_the_same_row_of_topics_of_equal_size() -> None:
    members = [member("b", (T, U)), member("a", (T, U))]
    assert plain(assign_range(members, {T: 3, U: 3})) == {
        "a": {T: [0, 1], U: [0, 1]},
        "b": {T: [2], U: [2]},
    }


def test_range_puts_static_members_first_by_their_instance() -> None:
    members = [member("a"), member("z", instance="i1"), member("y", instance="i2")]
    assert plain(assign_range(members, {T: 3})) == {"z": {T: [0]}, "y": {T: [1]}, "a": {T: [2]}}
    again = [member("a"), member("b", instance="i1"), member("y", instance="i2")]
    assert plain(assign_range(again, {T: 3}))["b"] == {T: [0]}


def test_range_leaves_members_without_when_there_are_too_few_partitions() -> None:
    members = [member(name) for name in "abc"]
    assert plain(assign_range(members, {T: 2})) == {"a": {T: [0]}, "b": {T: [1]}, "c": {}}


def test_range_divides_a_topic_among_those_who_want_it() -> None:
    members = [member("a", (T,)), member("b", (T, U)), member("c", (U,))]
    assert plain(assign_range(members, {T: 2, U: 4})) == {
        "a": {T: [0]},
        "b": {T: [1], U: [0, 1]},
        "c": {U: [2, 3]},
    }


# -- uniform


def test_uniform_fills_members_in_the_order_of_topics_and_partitions() -> None:
    members = [member("a", (T, U)), member("b", (T, U))]
    assert plain(assign_uniform(members, {T: 3, U: 2})) == {"a": {T: [0, 1, 2]}, "b": {U: [0, 1]}}


def test_uniform_moves_nothing_that_may_stay() -> None:
    members = [member("a", target={T: {0}}), member("b", target={T: {1, 2}}), member("c", target={T: {3, 4}})]
    assert plain(assign_uniform(members, {T: 5})) == {"a": {T: [0]}, "b": {T: [1, 2]}, "c": {T: [3, 4]}}


def test_uniform_takes_from_who_has_too_much_the_last_partitions() -> None:
    members = [member("a", target={T: {0, 1, 2, 3}}), member("b")]
    assert plain(assign_uniform(members, {T: 4})) == {"a": {T: [0, 1]}, "b": {T: [2, 3]}}


def test_a_partition_that_two_members_had_stays_with_the_first() -> None:
    members = [member("a", target={T: {0, 1}}), member("b", target={T: {0, 1}})]
    assert plain(assign_uniform(members, {T: 2})) == {"a": {T: [0]}, "b": {T: [1]}}


def test_partitions_and_topics_that_are_gone_are_not_kept() -> None:
    members = [member("a", target={T: {0, 9}, U: {0}})]
    assert plain(assign_uniform(members, {T: 2})) == {"a": {T: [0, 1]}}


@pytest.mark.parametrize("name", ASSIGNORS)
def test_nobody_and_nothing_can_be_assigned(name: str) -> None:
    assert ASSIGNORS[name]([], {}) == {}
    assert ASSIGNORS[name]([member("a", ())], {}) == {"a": {}}
    assert ASSIGNORS[name]([member("a")], {T: 0}) == {"a": {}}


# -- laws

sizes = st.fixed_dictionaries({topic_id: st.integers(0, 12) for topic_id in TOPICS})
wants = st.frozensets(st.sampled_from(TOPICS))


@st.composite
def groups(draw: st.DrawFn, *, alike: bool) -> tuple[list[MemberSpec], dict[bytes, int]]:
    """Members with targets that no two of them share, of topics that may have been larger or smaller."""
    partitions = draw(sizes)
    names = [f"m{number}" for number in range(draw(st.integers(1, 6)))]
    owners = draw(st.lists(st.sampled_from([None, *names]), min_size=36, max_size=36))
    targets: dict[str, dict[bytes, set[int]]] = {name: {} for name in names}
    for place, owner in enumerate(owners):
        if owner is not None:
            targets[owner].setdefault(TOPICS[place // 12], set()).add(place % 12)
    same = draw(wants)
    return [member(name, tuple(same if alike else draw(wants)), targets[name]) for name in names], partitions


def loads(target: Mapping[str, Partitions]) -> dict[str, int]:
    return {name: sum(map(len, topics.values())) for name, topics in target.items()}


def check_complete(members: list[MemberSpec], partitions: dict[bytes, int], target: Mapping[str, Partitions]) -> None:
    """Every partition of every topic that anybody wants has exactly one member, who wants it."""
    wanted = {member.id: member.topics for member in members}
    owners: dict[tuple[bytes, int], str] = {}
    assert target.keys() == wanted.keys()
    for name, topics in target.items():
        for topic_id, numbers in topics.items():
            assert topic_id in wanted[name]
            for number in numbers:
                assert owners.setdefault((topic_id, number), name) == name
    everything = {
        (topic_id, number)
        for topics in wanted.values()
        for topic_id in topics
        for number in range(partitions[topic_id])
    }
    assert owners.keys() == everything
    assert len(owners) == sum(loads(target).values())


@pytest.mark.parametrize("name", ASSIGNORS)
@given(data=st.data(), alike=st.booleans())
@settings(deadline=None)
def test_every_wanted_partition_has_exactly_one_member_that_wants_it(
    name: str, data: st.DataObject, alike: bool
) -> None:
    members, partitions = data.draw(groups(alike=alike))
    check_complete(members, partitions, ASSIGNORS[name](members, partitions))


@given(groups(alike=True))
def test_uniform_is_balanced_within_one_and_moves_as_little_as_that_allows(
    group: tuple[list[MemberSpec], dict[bytes, int]],
) -> None:
    members, partitions = group
    target = assign_uniform(members, partitions)
    load = loads(target)
    assert max(load.values()) - min(load.values()) <= 1
    topics = members[0].topics
    had = {
        member.id: sum(
            number < partitions[each] for each, numbers in member.target.items() if each in topics for number in numbers
        )
        for member in members
    }
    kept = sum(
        len(numbers & member.target.get(each, frozenset()))
        for member in members
        for each, numbers in target[member.id].items()
    )
    quota, extra = divmod(sum(partitions[each] for each in topics), len(members))
    above = sum(count > quota for count in had.values())
    assert kept == sum(min(count, quota) for count in had.values()) + min(extra, above)


@given(groups(alike=False))
@settings(deadline=None)
def test_uniform_with_different_topics_is_balanced_among_those_who_share_one(
    group: tuple[list[MemberSpec], dict[bytes, int]],
) -> None:
    members, partitions = group
    target = assign_uniform(members, partitions)
    load = loads(target)
    for topic_id in TOPICS:
        least = min((load[member.id] for member in members if topic_id in member.topics), default=0)
        for member in members:
            if target[member.id].get(topic_id):
                assert load[member.id] - least <= 1


@pytest.mark.parametrize("name", ASSIGNORS)
@given(data=st.data(), alike=st.booleans())
@settings(deadline=None)
def test_an_assignment_is_its_own_next_one(name: str, data: st.DataObject, alike: bool) -> None:
    members, partitions = data.draw(groups(alike=alike))
    target = ASSIGNORS[name](members, partitions)
    again = [each._replace(target=target[each.id]) for each in members]
    assert ASSIGNORS[name](again, partitions) == target
