"""Fetch sessions: epochs, what is news, and who must make room for whom (KIP-227)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker.errors import Refusal
from kbroker.sessions import MAX_EPOCH, Session, SessionCache, Told, Wanted
from kbroker_wire import ErrorCode

EVICTION_MS = 1000


def wanted(*partitions, topic="topic"):
    return [Wanted(topic, index, 0, 1000) for index in partitions]


def cache(slots=2, seed=0):
    return SessionCache(slots, EVICTION_MS, random.Random(seed))


def create(cache, size=1, now=0, *, privileged=False):
    return cache.create(wanted(*range(size)), now, privileged=privileged, uses_ids=False)


# -- one session


def test_a_session_takes_on_changes_and_forgets():
    session = Session(1, wanted(0, 1), 0, privileged=False, uses_ids=False)
    session.update([Wanted("topic", 1, 7, 10), Wanted("topic", 2, 0, 10)], [("topic", 0), ("nowhere", 3)])
    assert [(key, told.wanted.offset) for key, told in session.partitions.items()] == [
        (("topic", 1), 7),
        (("topic", 2), 0),
    ]


def test_a_partition_that_got_data_goes_behind_the_others():
    session = Session(1, wanted(0, 1, 2), 0, privileged=False, uses_ids=False)
    session.served(("topic", 0))
    assert [index for _, index in session.partitions] == [1, 2, 0]


def test_epochs_begin_at_one_and_wrap_to_one():
    session = Session(1, wanted(0), 0, privileged=False, uses_ids=False)
    assert session.epoch == 1
    session.advance()
    assert session.epoch == 2
    session.epoch = MAX_EPOCH
    session.advance()
    assert session.epoch == 1


def test_only_what_changed_is_news_and_an_error_is_news_each_time():
    told = Told(*wanted(0))
    assert told.is_news(0, 5, 0, 0)
    assert not told.is_news(0, 5, 0, 0)
    assert told.is_news(0, 5, 0, 100), "data"
    assert told.is_news(0, 6, 0, 0), "the high watermark"
    assert told.is_news(0, 6, 2, 0), "the log start"
    assert told.is_news(1, -1, -1, 0)
    assert told.is_news(1, -1, -1, 0)
    assert told.is_news(0, 6, 2, 0), "what follows an error"
    assert not told.is_news(0, 6, 2, 0)


# -- the cache


def test_a_session_goes_on_with_the_right_epoch_only():
    sessions = cache()
    session = create(sessions)
    assert sessions.resume(session.id, 1, 0, uses_ids=False) is session
    assert session.epoch == 2
    for session_id, epoch, uses_ids, code in (
        (session.id, 1, False, ErrorCode.INVALID_FETCH_SESSION_EPOCH),
        (session.id, 3, False, ErrorCode.INVALID_FETCH_SESSION_EPOCH),
        (session.id + 1, 2, False, ErrorCode.FETCH_SESSION_ID_NOT_FOUND),
        (session.id, 2, True, ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR),
    ):
        with pytest.raises(Refusal) as refusal:
            sessions.resume(session_id, epoch, 0, uses_ids=uses_ids)
        assert refusal.value.code == code
    assert session.epoch == 2, "a refused request changes nothing"


def test_a_full_cache_gives_no_session_as_long_as_the_others_are_young_or_larger():
    sessions = cache(slots=2)
    assert create(sessions, 2)
    assert create(sessions, 2)
    assert create(sessions, 50, now=EVICTION_MS) is None, "both were used too lately"
    assert len(sessions) == 2


def test_a_stale_session_makes_room():
    sessions = cache(slots=2)
    stale, used = create(sessions, 5), create(sessions, 1)
    sessions.resume(used.id, 1, EVICTION_MS, uses_ids=False)
    new = create(sessions, 1, now=EVICTION_MS + 1)
    assert {session.id for session in sessions} == {used.id, new.id}
    assert stale.id not in {session.id for session in sessions}


def test_a_larger_session_pushes_out_the_smallest_that_is_old_though_in_use():
    sessions = cache(slots=2)
    small, large = create(sessions, 2), create(sessions, 9)
    for epoch, now in ((1, EVICTION_MS), (2, EVICTION_MS + 5)):
        for session in (small, large):
            sessions.resume(session.id, epoch, now, uses_ids=False)
    assert create(sessions, 2, now=EVICTION_MS + 10) is None, "not larger than the smallest"
    new = create(sessions, 3, now=EVICTION_MS + 10)
    assert {session.id for session in sessions} == {large.id, new.id}


def test_a_follower_pushes_out_a_consumer_but_never_the_other_way_round():
    sessions = cache(slots=1)
    create(sessions, 100)
    follower = create(sessions, 1, privileged=True)
    assert [session.id for session in sessions] == [follower.id]
    assert create(sessions, 100) is None
    assert create(sessions, 100, privileged=True) is None, "young, and as privileged"


def test_a_closed_session_is_gone_and_closing_an_unknown_one_is_fine():
    sessions = cache(slots=1)
    session = create(sessions)
    sessions.close(session.id)
    sessions.close(session.id)
    assert len(sessions) == 0
    assert create(sessions)


@given(st.integers(0, 4), st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3000), st.booleans()), max_size=30))
def test_there_are_never_more_sessions_than_slots_and_ids_differ(slots, arrivals):
    sessions, now, seen = cache(slots), 0, set()
    for size, pause, privileged in arrivals:
        now += pause
        session = create(sessions, size, now, privileged=privileged)
        assert len(sessions) <= slots
        if session is not None:
            assert session.id > 0
            assert session.id not in seen
            seen.add(session.id)
