"""Timers: which keys fall due, when, and in which order; and that moving a deadline costs no memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kbroker.coordinators.timers import OUT_OF_DATE, Timers


def test_keys_fall_due_at_their_deadline_in_its_order() -> None:
    timers = Timers[str]()
    timers.set("b", 20)
    timers.set("a", 10)
    timers.set("c", 30)
    assert timers.deadline == 10
    assert list(timers.due(9.9)) == []
    assert list(timers.due(20)) == ["a", "b"]
    assert (timers.deadline, len(timers), "c" in timers, "a" in timers) == (30, 1, True, False)


def test_a_key_that_is_set_again_falls_due_once_whether_later_or_earlier() -> None:
    timers = Timers[str]()
    timers.set("later", 10)
    timers.set("later", 40)
    timers.set("earlier", 40)
    timers.set("earlier", 10)
    assert (timers.at("later"), timers.at("earlier")) == (40, 10)
    assert list(timers.due(30)) == ["earlier"]
    assert timers.deadline == 40
    assert list(timers.due(50)) == ["later"]
    assert timers.deadline is None


def test_equal_deadlines_fall_due_in_the_order_they_were_set_in() -> None:
    timers = Timers[str]()
    for key in ("first", "second", "third", "first"):
        timers.set(key, 5)
    assert list(timers.due(5)) == ["second", "third", "first"]


def test_a_cancelled_key_does_not_fall_due_and_may_be_set_again() -> None:
    timers = Timers[str]()
    timers.set("a", 5)
    timers.cancel("a")
    timers.cancel("never set")
    assert (timers.deadline, timers.at("a")) == (None, None)
    timers.set("a", 7)
    assert list(timers.due(10)) == ["a"]


def test_what_one_key_sets_and_cancels_while_it_is_dealt_with_counts() -> None:
    timers = Timers[str]()
    for key in ("a", "b", "c"):
        timers.set(key, 5)
    seen = []
    for key in timers.due(5):
        seen.append(key)
        if key == "a":
            timers.cancel("b")
            timers.set("d", 5)
            timers.set("e", 6)
    assert seen == ["a", "c", "d"]
    assert list(timers.due(6)) == ["e"]


def test_deadlines_that_are_moved_to_and_fro_leave_no_entries_behind() -> None:
    timers = Timers[int]()
    for round_ in range(2000):
        for key in range(10):
            timers.set(key, 1e6 - round_)
        timers.set(round_ + 10, 1e9)
        timers.cancel(round_ + 10)
    assert len(timers._heap) <= 2 * len(timers) + OUT_OF_DATE + 1
    assert sorted(timers.due(1e6)) == list(range(10))


@given(
    st.lists(st.tuples(st.sampled_from(["set", "cancel", "due"]), st.integers(0, 4), st.integers(0, 9)), max_size=60)
)
def test_timers_do_what_a_plain_dictionary_does(steps: list[tuple[str, int, int]]) -> None:
    timers, plain = Timers[int](), dict[int, int]()
    for what, key, at in steps:
        if what == "set":
            timers.set(key, at)
            plain.pop(key, None)
            plain[key] = at
        elif what == "cancel":
            timers.cancel(key)
            plain.pop(key, None)
        else:
            expected = [each for each, _ in sorted(plain.items(), key=lambda item: item[1]) if plain[each] <= at]
            assert list(timers.due(at)) == expected
            for each in expected:
                del plain[each]
        assert timers.deadline == min(plain.values(), default=None)
        assert len(timers) == len(plain)
