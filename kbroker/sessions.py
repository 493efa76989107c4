"""Fetch sessions (KIP-227): a client names its partitions once, then only what changed, and hears only what changed.

Pure: time is an argument (ms, monotonic). The rules are Apache Kafka's, `FetchSessionCache` and `FetchManager`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kbroker_wire import ErrorCode

from .errors import Refusal

SESSIONLESS_EPOCH = -1  # "no session", or with a session id: close it
INITIAL_EPOCH = 0
MAX_EPOCH = 2**31 - 1
UNKNOWN_EPOCH = -1  # of a leader, in a request

Key = tuple[str | bytes, int]  # topic by name (before v13) or by id, and partition


class Wanted(NamedTuple):
    """One partition of a fetch, as the request has it."""

    topic: str | bytes
    partition: int
    offset: int
    max_bytes: int
    leader_epoch: int = UNKNOWN_EPOCH
    last_fetched_epoch: int = -1
    log_start: int = -1


class Told:
    """What the client was last told of a partition of its session, and what it wants of it."""

    __slots__ = ("high_watermark", "log_start", "wanted")

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.high_watermark = -1
        self.log_start = -1

    def is_news(self, error: int, high_watermark: int, log_start: int, nbytes: int) -> bool:
        """Whether an incremental answer has to list the partition; remembers that the client will know.

        An error is told every time, and what follows it is news.
        """
        news = nbytes > 0 or error != 0 or high_watermark != self.high_watermark or log_start != self.log_start
        self.high_watermark = -1 if error else high_watermark
        self.log_start = log_start
        return news


class Session:
    """One client's session. `epoch` is what its next request must carry."""

    __slots__ = ("created_ms", "epoch", "id", "last_used_ms", "partitions", "privileged", "uses_ids")

    def __init__(
        self, session_id: int, wanted: Iterable[Wanted], now_ms: int, *, privileged: bool, uses_ids: bool
    ) -> None:
        self.id = session_id
        self.epoch = 1
        self.privileged = privileged
        self.uses_ids = uses_ids
        self.created_ms = self.last_used_ms = now_ms
        # In the order in which they are served: one that got data goes to the end, so that none starves.
        self.partitions: dict[Key, Told] = {(each.topic, each.partition): Told(each) for each in wanted}

    def update(self, wanted: Iterable[Wanted], forgotten: Iterable[Key]) -> None:
        for each in wanted:
            told = self.partitions.get((each.topic, each.partition))
            if told is None:
                self.partitions[each.topic, each.partition] = Told(each)
            else:
                told.wanted = each
        for key in forgotten:
            self.partitions.pop(key, None)

    def served(self, key: Key) -> None:
        """That partition got data: it goes behind the others."""
        self.partitions[key] = self.partitions.pop(key)

    def advance(self) -> None:
        self.epoch = 1 if self.epoch == MAX_EPOCH else self.epoch + 1


class SessionCache:
    """The sessions of one broker, at most `slots`.

    A new session may push out one that was not used for `eviction_ms`, or one that is smaller and older than that;
    a follower's session may push out a consumer's. If it can not, the client goes on without a session.
    """

    def __init__(self, slots: int, eviction_ms: int, rng: random.Random) -> None:
        self._slots, self._eviction_ms, self._rng = slots, eviction_ms, rng
        self._sessions: dict[int, Session] = {}  # least recently used first

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def create(self, wanted: Iterable[Wanted], now_ms: int, *, privileged: bool, uses_ids: bool) -> Session | None:
        """None if there is no room."""
        session = Session(self._new_id(), wanted, now_ms, privileged=privileged, uses_ids=uses_ids)
        if len(self._sessions) >= self._slots and not self._evict_for(session, now_ms):
            return None
        self._sessions[session.id] = session
        return session

    def close(self, session_id: int) -> None:
        self._sessions.pop(session_id, None)

    def resume(self, session_id: int, epoch: int, now_ms: int, *, uses_ids: bool) -> Session:
        """The session that an incremental request continues.

        Raises Refusal: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, or FETCH_SESSION_TOPIC_ID_ERROR when
        it changes between names and ids.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise Refusal(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            raise Refusal(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.uses_ids != uses_ids:
            raise Refusal(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        session.advance()
        session.last_used_ms = now_ms
        self._sessions[session_id] = self._sessions.pop(session_id)
        return session

    def _new_id(self) -> int:
        while True:
            session_id = self._rng.randrange(1, 2**31)
            if session_id not in self._sessions:
                return session_id

    def _evict_for(self, new: Session, now_ms: int) -> bool:
        oldest = next(iter(self._sessions.values()), None)
        if oldest is not None and now_ms - oldest.last_used_ms > self._eviction_ms:
            return self._sessions.pop(oldest.id, None) is not None
        evictable = [
            each
            for each in self._sessions.values()
            if (new.privileged and not each.privileged)
            or (
                new.privileged >= each.privileged
                and now_ms - each.created_ms > self._eviction_ms
                and len(each.partitions) < len(new.partitions)
            )
        ]
        if not evictable:
            return False
        victim = min(evictable, key=lambda each: (each.privileged, len(each.partitions), each.last_used_ms))
        return self._sessions.pop(victim.id, None) is not None
