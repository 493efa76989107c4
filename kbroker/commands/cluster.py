"""The brokers behind a bootstrap address: who coordinates a group, who leads a partition; trying again for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from kbroker_wire import ErrorCode
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from kbroker_wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse

from .connection import Address, Connection
from .failures import Failure, Refused, Unreachable, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

T = TypeVar("T")

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
SEVERAL_KEYS = 4  # the version of FindCoordinator that takes several keys at once (KIP-699)


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}"


class Cluster:
    """Connections are made when first needed and kept.

    bootstrap  tried in this order; the first that answers tells the others' addresses
    timeout_s  for connecting, for each answer, and how long in all what fails is tried again
    clock, pause  monotonic seconds, and a sleep of so many
    """

    def __init__(
        self,
        bootstrap: Sequence[Address],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bootstrap, self._timeout_s = bootstrap, timeout_s
        self._clock, self._pause = clock, pause
        self._deadline = clock() + timeout_s
        self._reached = False  # once a broker has answered, one that goes away is waited for
        self._attempting = False
        self._first: Connection | None = None
        self._connections: dict[int, Connection] = {}
        self._addresses: dict[int, Address] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def patiently(self, attempt: Callable[[], T]) -> T:
        """What `attempt` gives, called again while a broker refuses for now or goes away, until the time is over.

        Within an attempt only the outermost one is made again, which looks up again whom to ask. Raises what the last
        attempt raised.
        """
        if self._attempting:
            return attempt()
        self._attempting = True
        try:
            return self._repeat(attempt)
        finally:
            self._attempting = False

    def _repeat(self, attempt: Callable[[], T]) -> T:
        wait_s = FIRST_PAUSE_S
        while True:
            try:
                return attempt()
            except (Refused, Unreachable) as failure:
                if not failure.passes or not self._reached or self._clock() + wait_s > self._deadline:
                    raise
                if isinstance(failure, Unreachable):
                    self._hang_up()
            self._pause(wait_s)
            wait_s = min(2 * wait_s, LONGEST_PAUSE_S)

    def any_connection(self) -> Connection:
        """To a bootstrap address, or else a broker that was heard of. Raises Unreachable if none of them answers."""
        if self._first is None:
            self._first = self._first_that_answers()
            self._reached = True
        return self._first

    def _first_that_answers(self) -> Connection:
        problems = []
        for address in dict.fromkeys([*self._bootstrap, *self._addresses.values()]):
            try:
                return Connection(address, self._timeout_s, str(address))
            except Unreachable as problem:
                problems.append(str(problem))
        raise Unreachable("; ".join(problems))

    def connection(self, node_id: int) -> Connection:
        """To a broker that an answer has named. Raises Unreachable."""
        if node_id not in self._connections:
            address = self._addresses.get(node_id)
            if address is None:
                raise Unreachable(f"broker {node_id} is not up")
            try:
                self._connections[node_id] = Connection(address, self._timeout_s, f"broker {node_id} at {address}")
            except Unreachable as problem:
                raise Unreachable(f"{problem} (the address that it advertises)", passes=problem.passes) from None
        return self._connections[node_id]

    def address(self, node_id: int) -> Address:
        return self._addresses[node_id]

    def brokers(self) -> list[int]:
        """The ids of all brokers that are up."""
        return sorted(row.node_id for row in self.patiently(lambda: self._metadata([])).brokers)

    def leaders(self, topics: Collection[str]) -> dict[TopicPartition, int]:
        """Partition -> node id, -1 while it has no leader. Raises Failure for a topic that does not exist."""
        found: dict[TopicPartition, int] = {}
        for topic, rows in self.known_leaders(topics).items():
            if rows is None:
                raise Failure(f"topic {topic} does not exist")
            found.update(rows)
        return found

    def known_leaders(self, topics: Collection[str]) -> dict[str, dict[TopicPartition, int] | None]:
        """As `leaders` for each topic, but None for one that does not exist."""
        return self.patiently(lambda: self._leaders(topics)) if topics else {}

    def coordinators(self, keys: Collection[str], key_type: int) -> dict[str, int]:
        """Key -> node id, for groups or transactional ids. Raises Failure."""
        return self.patiently(lambda: self._coordinators(sorted(set(keys)), key_type)) if keys else {}

    def _leaders(self, topics: Collection[str]) -> dict[str, dict[TopicPartition, int] | None]:
        found: dict[str, dict[TopicPartition, int] | None] = {}
        for row in self._metadata(topics).topics:
            assert row.name is not None, "asked for by name"
            found[row.name] = None
            if row.error_code != ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                refuse(row.error_code, f"topic {row.name}")
                found[row.name] = {
                    TopicPartition(row.name, each.partition_index): each.leader_id for each in row.partitions
                }
        return found

    def _metadata(self, topics: Iterable[str]) -> MetadataResponse:
        asked = [MetadataRequestTopic(name=name) for name in topics]
        request = MetadataRequest(topics=asked, allow_auto_topic_creation=False)
        answer = self.any_connection().ask(request, MetadataResponse)
        refuse(answer.error_code, "metadata")
        self._addresses.update((row.node_id, Address(row.host, row.port)) for row in answer.brokers)
        return answer

    def _coordinators(self, keys: Sequence[str], key_type: int) -> dict[str, int]:
        connection = self.any_connection()
        found = {}
        if connection.version(FindCoordinatorRequest) >= SEVERAL_KEYS:
            request = FindCoordinatorRequest(coordinator_keys=list(keys), key_type=key_type)
            for row in connection.ask(request, FindCoordinatorResponse).coordinators:
                refuse(row.error_code, f"the coordinator of {row.key}", row.error_message)
                self._addresses[row.node_id] = Address(row.host, row.port)
                found[row.key] = row.node_id
            return found
        for key in keys:
            answer = connection.ask(FindCoordinatorRequest(key=key, key_type=key_type), FindCoordinatorResponse)
            refuse(answer.error_code, f"the coordinator of {key}")
            self._addresses[answer.node_id] = Address(answer.host, answer.port)
            found[key] = answer.node_id
        return found

    def _hang_up(self) -> None:
        for connection in [self._first, *self._connections.values()]:
            if connection is not None:
                connection.close()
        self._first = None
        self._connections.clear()
