"""Stories: requests that build on the answers before them, told to each broker for itself and then compared.

A story is a function of a `Teller`. What a broker makes up (ids of members and producers) is called by a number in the
order of its appearance, so that the same id must come back in the same places from both brokers.
"""

import itertools
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeAlias

from brokers import Broker
from raw_kafka.batches import Batch, read_batches
from raw_kafka.calls import READY_WITHIN_S, Topic, create_topic
from raw_kafka.codec import BadAnswer, Struct
from raw_kafka.connection import Closed, Connection

from .cases import World
from .compare import Difference, Label, differences, flat

# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR (while it starts), CONCURRENT_TRANSACTIONS
NOT_YET = (14, 15, 16, 51)  # asked again, nothing is noted
SETS = {"partitions", "subscribed_topic_names"}  # what has no order, and comes in one by chance
PAUSE_S = 0.02
NOW_MS = 1_750_000_000_000  # later than any record of a story; earlier than what a broker writes itself
Until: TypeAlias = Callable[[Struct], bool]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KAFKA_UUID = re.compile(r"[A-Za-z0-9_-]{22}")  # 16 bytes in base 64: ids of members that a broker made up


class Ended(Exception):
    """The broker did not answer as a message can be; the rest of the story has nothing to build on."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request and the comparable answer to it."""

    api: str
    version: int
    title: str
    answer: Mapping[str, object]


class Names:
    """Numbers for what a broker made up, in the order of appearance."""

    def __init__(self) -> None:
        self._known: dict[str | int, Label] = {}

    def _label(self, kind: str, value: str | int) -> Label:
        return self._known.setdefault(value, Label(f"{kind} {len(self._known) + 1}"))

    def told(self, value: object, field: str = "") -> object:
        """`value` with every made-up id by its label, batches opened."""
        match value:
            case Struct():
                return Struct(**{name: self.told(inner, name) for name, inner in vars(value).items()})
            case list() | tuple():
                told = [self.told(inner, field) for inner in value]
                return (
                    sorted(told, key=str)
                    if field in SETS and not any(isinstance(each, Struct) for each in told)
                    else told
                )
            case bytes() if field == "records":
                return [self._batch(each) for each in read_batches(value)[0]]
            case bytes():
                return _UUID.sub(lambda found: self._label("id", found[0]), value.decode("latin-1"))
            case str():
                if field == "member_id" and _KAFKA_UUID.fullmatch(value):
                    return self._label("member", value)
                for known, label in self._known.items():
                    if isinstance(known, str):
                        value = value.replace(known, label)
                return _UUID.sub(lambda found: self._label("id", found[0]), value)
            case int() if field == "timestamp" and value > NOW_MS:
                return "of a marker"
            case int() if field == "producer_id" and value >= 0:
                return self._label("producer", value)
        return value

    def _batch(self, batch: Batch) -> Struct:
        return Struct(
            base_offset=batch.base_offset,
            attributes=batch.attributes,
            producer_id=self.told(batch.producer_id, "producer_id"),
            producer_epoch=batch.producer_epoch,
            base_sequence=batch.base_sequence,
            records=[Struct(key=each.key, value=each.value) for each in batch.records],
        )


class Teller:
    """Tells one story to one broker, over as many connections as it names."""

    def __init__(self, broker: Broker, world: World) -> None:
        self.steps: list[Step] = []
        self.world = world
        self._broker = broker
        self._names = Names()
        self._connections: dict[str, Connection] = {}
        self._sent: dict[str, list[tuple[str, int, str]]] = {}
        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()

    def ask(
        self, api: str, version: int, title: str = "", *, on: str = "", until: Until | None = None, **fields: object
    ) -> Struct:
        """One request and its answer, which is noted; asked again while `until` does not hold, or "not yet"."""
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            answer = self._once(api, version, title, on, fields)
            if (not _is_not_yet(answer) and (until is None or until(answer))) or time.monotonic() > deadline:
                self._note(api, version, title, answer)
                return answer
            time.sleep(PAUSE_S)

    def send(self, api: str, version: int, title: str = "", *, on: str, **fields: object) -> None:
        """A request whose answer comes later: `answer(on)` waits for it and notes it."""
        self._connection(on).send(api, version, **fields)
        self._sent.setdefault(on, []).append((api, version, title))

    def answer(self, on: str) -> Struct:
        api, version, title = self._sent[on].pop(0)
        try:
            answer = self._connection(on).answer()
        except (Closed, BadAnswer, TimeoutError) as error:
            raise self._failed(api, version, title, on, error) from error
        self._note(api, version, title, answer)
        return answer

    def closes(self, api: str, version: int, title: str = "", **fields: object) -> None:
        """A request that the broker is to hang up on; what it does is noted, and the story goes on."""
        try:
            self._note(api, version, title, self._connection("closes").call(api, version, **fields))
        except (Closed, BadAnswer, TimeoutError) as error:
            self._failed(api, version, title, "closes", error)

    def topic(self, label: str, partitions: int = 1) -> Topic:
        """A new topic `diff-<label>`; answers call its id by the label."""
        topic = create_topic(self._connection(""), f"diff-{label}", partitions=partitions)
        self.world.topics[label] = topic
        self._wait_for_coordinator(topic)
        return topic

    def _wait_for_coordinator(self, topic: Topic) -> None:
        """Apache Kafka's group coordinator hears of a topic some time after its broker leads the partitions."""
        group = f"before-{topic.name}"
        joins = {"group_id": group, "rebalance_timeout_ms": 1000, "topic_partitions": []}
        deadline = time.monotonic() + READY_WITHIN_S
        for number in itertools.count():
            member = {"member_id": f"m{number}", "member_epoch": 0, "subscribed_topic_names": [topic.name]}
            answer = self._connection("").call("ConsumerGroupHeartbeat", 1, **joins, **member)
            leaves = {"group_id": group, "member_id": f"m{number}", "member_epoch": -1}
            self._connection("").call("ConsumerGroupHeartbeat", 1, **leaves)
            if (answer.assignment and answer.assignment.topic_partitions) or time.monotonic() > deadline:
                break
            time.sleep(PAUSE_S)
        self._connection("").call("DeleteGroups", 2, groups_names=[group])

    def _once(self, api: str, version: int, title: str, on: str, fields: Mapping[str, object]) -> Struct:
        try:
            return self._connection(on).call(api, version, **fields)
        except (Closed, BadAnswer, TimeoutError) as error:
            raise self._failed(api, version, title, on, error) from error

    def _failed(self, api: str, version: int, title: str, on: str, error: Exception) -> Ended:
        self._connections.pop(on).close()
        outcome = "closed" if isinstance(error, Closed) else f"{type(error).__name__}: {error}"
        self.steps.append(Step(api, version, title, {"outcome": outcome}))
        return Ended(outcome)

    def _connection(self, name: str) -> Connection:
        if name not in self._connections:
            connection = Connection(self._broker.host, self._broker.port)
            self._connections[name] = self._stack.enter_context(connection)
        return self._connections[name]

    def _note(self, api: str, version: int, title: str, answer: Struct) -> None:
        self.steps.append(Step(api, version, title, flat(self._names.told(answer), self.world)))


def _is_not_yet(value: object) -> bool:
    match value:
        case Struct():
            return any(
                inner in NOT_YET if name.endswith("error_code") else _is_not_yet(inner)
                for name, inner in vars(value).items()
            )
        case list():
            return any(map(_is_not_yet, value))
    return False


Story: TypeAlias = Callable[[Teller], None]
CUT_SHORT = "cut short"  # stands for the API in the last step of a story that could not be told to its end


def told(story: Story, broker: Broker, world: World) -> list[Step]:
    """The steps of a story as far as the broker let it come."""
    teller = Teller(broker, world)
    try:
        story(teller)
    except (Ended, AttributeError, IndexError, ValueError, AssertionError) as error:  # no answer, or not what it needs
        teller.steps.append(Step(CUT_SHORT, 0, "", {"outcome": f"{type(error).__name__}: {error}"}))
    finally:
        teller.close()
    return teller.steps


def unlike(name: str, left: Iterable[Step], right: Iterable[Step]) -> list[Difference]:
    """Step by step; a story that took another course, or was cut short for both, is told once, where it was."""
    found = []
    ones, others = list(left), list(right)
    if ones and others and ones[-1].api == others[-1].api == CUT_SHORT:
        ended = ones[-2:-1] or ones
        found.append(Difference(CUT_SHORT, name, ended[0].version, ended[0].title, ones[-1].answer, others[-1].answer))
    for one, two in zip(ones, others, strict=False):
        title = f"{name}: {one.title}" if one.title else name
        if (one.api, one.version, one.title) != (two.api, two.version, two.title):
            found.append(
                Difference(one.api, title, one.version, "course", one.answer, (two.api, two.title, two.answer))
            )
            return found
        found += [Difference(one.api, title, one.version, *each) for each in differences(one.answer, two.answer)]
    if len(ones) != len(others):
        last = (ones if len(ones) > len(others) else others)[min(len(ones), len(others))]
        found.append(Difference(last.api, f"{name}: {last.title}", last.version, "steps", len(ones), len(others)))
    return found
