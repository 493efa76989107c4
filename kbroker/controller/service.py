"""The single writer of the metadata log: decides on the newest image, appends, and publishes what is committed.

A decision is appended and replayed without an await in between, so the next one already sees it; only the reply, and
what the rest of the broker sees, wait until the batch is as durable as the broker promises. Many decisions that wait
share one sync round.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import trio

from kbroker_storage import Log, StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.schema import Message

from ..config import BrokerConfig
from ..durability import SyncRounds
from ..errors import Refusal
from ..metadata.image import Delta, Image, TopicImage
from ..metadata.log import MetadataLog
from . import core
from .core import CreatedTopic, Defaults, NewTopic

if TYPE_CHECKING:
    from .configs import ConfigChange

log = logging.getLogger(__name__)

Publish = Callable[[Image, Delta], Awaitable[None]]


class Pending(NamedTuple):
    """Appended, not yet published: the log's end after it, and what it makes of the image."""

    end: int
    image: Image
    delta: Delta
    published: trio.Event


class Controller:
    """The controller of a cluster whose metadata log is in this process (`Syncable`)."""

    def __init__(
        self,
        metadata: MetadataLog,
        rounds: SyncRounds,
        *,
        synced: bool,
        defaults: Defaults,
        new_uuid: Callable[[], bytes],
        publish: Publish,
    ) -> None:
        """`publish` is called with each committed image, in order; the next one waits for it."""
        self._metadata, self._rounds, self._synced, self._publish = metadata, rounds, synced, publish
        self._defaults, self._new_uuid = defaults, new_uuid
        self._pending: deque[Pending] = deque()
        self._committed = trio.Event()
        self._failure: Exception | None = None
        self.image = Image()

    def __repr__(self) -> str:
        return f"<Controller at offset {self.image.offset}>"

    @property
    def log(self) -> Log:
        return self._metadata.log

    def load(self) -> Delta:
        """Replay the log into the image, at the start; what a `publish` of all of it has to know."""
        whole = Delta()
        for offset, records in self._metadata.replay():
            self.image, delta = self.image.replay(records, offset)
            whole.removed.update(delta.removed)
        whole.topics = set(self.image.topics)
        whole.brokers = set(self.image.brokers)
        whole.configs = set(self.image.configs)
        whole.features = bool(self.image.features)
        return whole

    async def commit(self, records: Sequence[Message]) -> None:
        """Append `records` as one batch; returns when they are committed and published.

        Records must have been decided on `image` with no await in between. If there are none, that was decided too:
        this waits for what it may rest on, so that nobody is told of what a power cut may undo.
        Raises Refusal (KAFKA_STORAGE_ERROR) when the log can not take them.
        """
        if not records:
            if self._pending:
                await self.settled()
                self._require_log()
            return
        self._require_log()
        try:
            first = self._metadata.append(records)
        except (StorageError, OSError) as error:
            log.exception("the metadata log can not be written")
            if self.log.poisoned is not None:
                self.failed(self.log.poisoned)  # those who wait for their sync would wait for ever
            else:
                self._rounds.due(self)  # what the write left is cut off on the disk as well
            raise Refusal(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata log can not be written: {error}") from error
        self.image, delta = self.image.replay(records, first)
        published = trio.Event()
        self._pending.append(Pending(self._metadata.log.end, self.image, delta, published))
        if self._synced:
            self._rounds.due(self)
        else:
            self._committed.set()
        await published.wait()
        self._require_log()

    def _require_log(self) -> None:
        if self._failure is not None:
            raise Refusal(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata log is offline: {self._failure}")

    # -- decisions -------------------------------------------------------------------------------------------------

    async def create_topics(
        self, topics: Sequence[NewTopic], *, validate_only: bool = False
    ) -> dict[str, CreatedTopic | Refusal]:
        """What became of each name; one atomic batch for all that can be created."""
        records, outcome = core.create_topics(self.image, topics, self._defaults, self._new_uuid)
        if not validate_only:
            await self.commit(records)
        return outcome

    async def delete_topics(self, topics: Sequence[TopicImage]) -> None:
        """Topics of the newest image; they are gone from the broker, folders included, when this returns."""
        await self.commit(core.delete_topics(topics))

    async def create_partitions(
        self, wanted: Sequence[tuple[str, int, Sequence[Sequence[int]] | None]], *, validate_only: bool = False
    ) -> dict[str, Refusal | None]:
        """Bring each topic to so many partitions; None for a name that was granted."""
        records: list[Message] = []
        outcome: dict[str, Refusal | None] = {}
        for name, count, assignments in wanted:
            try:
                records += core.create_partitions(self.image, name, count, assignments)
                outcome[name] = None
            except Refusal as refusal:
                outcome[name] = refusal
        if not validate_only:
            await self.commit(records)
        return outcome

    async def alter_configs(
        self, changes: Sequence[ConfigChange], config: BrokerConfig, *, validate_only: bool = False
    ) -> list[Refusal | None]:
        """What became of each change, None for one that was granted; `config`: of the broker that was asked."""
        from . import configs  # noqa: PLC0415  # not needed to start a broker

        records, outcome = configs.alter_configs(self.image, config, changes)
        if not validate_only:
            await self.commit(records)
        return outcome

    async def allocate_producer_ids(self, broker_id: int) -> range:
        records, block = core.allocate_producer_ids(self.image, broker_id, self.image.brokers[broker_id].epoch)
        await self.commit(records)
        return block

    async def register(self, registration: Callable[[int], list[Message]]) -> None:
        """A broker starts; `registration` makes its records, given its epoch: the offset of the first of them."""
        await self.commit(registration(self._metadata.log.end))

    # -- committing ------------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Until everything that is decided by now is published."""
        if self._pending:
            await self._pending[-1].published.wait()

    async def run(self) -> None:
        """Publish what is committed, in order; the controller's one task."""
        while True:
            await self._committed.wait()
            self._committed = trio.Event()
            while self._pending and (self._failure is not None or self._pending[0].end <= self.committed_end):
                pending = self._pending.popleft()
                if self._failure is None:
                    await self._publish(pending.image, pending.delta)
                pending.published.set()

    @property
    def committed_end(self) -> int:
        """Of the metadata log: everything below is decided for good."""
        return self._metadata.log.durable_end if self._synced else self._metadata.log.end

    def synced(self) -> None:
        self._committed.set()

    def failed(self, error: Exception) -> None:
        self._failure = error
        self._committed.set()
