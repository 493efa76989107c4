"""OffsetDelete: which offsets a group may be made to forget."""

from __future__ import annotations

import pytest

from kbroker.errors import Refusal
from offsets_world import World

A, B, C = ("t", 0), ("t", 1), ("u", 0)
OK = "NONE"


@pytest.fixture
def world() -> World:
    world = World()
    world.create("t", 2)
    world.create("u")
    world.commit("g", {A: 1, B: 2, C: 3})
    return world


def test_offsets_are_forgotten_and_stay_so(world: World) -> None:
    rows = world.delete("g", [A, ("t", 9), ("nope", 0), C])
    unknown = "UNKNOWN_TOPIC_OR_PARTITION"
    assert list(rows.items()) == [(("t", 9), unknown), (A, OK), (("nope", 0), unknown), (C, OK)]
    assert world.fetch("g") == {B: 2}
    world.restart()
    assert world.fetch("g") == {B: 2}


def test_what_is_not_committed_is_deleted_without_a_record(world: World) -> None:
    world.delete("g", [A])
    before = len(world.log)
    assert world.delete("g", [A, A]) == {A: OK}
    assert world.delete("g", []) == {}
    assert len(world.log) == before


def test_what_a_transaction_is_about_to_commit_is_forgotten_too(world: World) -> None:
    world.txn_commit("g", {A: 5, B: 6})
    assert world.delete("g", [A]) == {A: OK}
    world.end(commit=True)
    assert world.fetch("g") == {B: 6, C: 3}


def test_topics_that_members_read_are_kept(world: World) -> None:
    world.assign("g", world.member("g", "t"))
    assert world.delete("g", [A, ("t", 9), C]) == {
        A: "GROUP_SUBSCRIBED_TO_TOPIC",
        ("t", 9): "UNKNOWN_TOPIC_OR_PARTITION",
        C: OK,
    }
    assert world.fetch("g") == {A: 1, B: 2}


@pytest.mark.parametrize(("group", "code"), [("", "INVALID_GROUP_ID"), ("nobody", "GROUP_ID_NOT_FOUND")])
def test_a_group_that_is_not_there(world: World, group: str, code: str) -> None:
    world.commit("", {A: 1})
    with pytest.raises(Refusal, match=code):
        world.delete(group, [A])


def test_nobody_knows_what_members_that_are_no_consumers_read(world: World) -> None:
    member = world.member("g", protocol_type="connect")
    with pytest.raises(Refusal, match="NON_EMPTY_GROUP"):
        world.delete("g", [A])
    world.leave("g", member)
    assert world.delete("g", [A]) == {A: OK}
