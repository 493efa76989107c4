"""The steps of a client program, told once for all Python clients: groups with rebalances, commits, transactions.

    PROGRAM BOOTSTRAP STEP PREFIX COUNT

`step_programs.py` says what each step does and prints; PREFIX makes the names of topics and groups unique, COUNT is how
many records a partition gets at a time. A client is `Client`, a handful of calls that its program fills in.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

PATIENCE_S = 40.0  # without progress; a rebalance of the slowest client on a busy machine needs some seconds
POLL_S = 0.1
GROUP_PARTITIONS, TRANSACTION_PARTITIONS = 4, 3
COMMITTED = {0: 3, 1: 7}  # what commits-before commits and commits-after goes on from, by partition


@dataclass(frozen=True, slots=True)
class Read:
    """One record as a consumer got it."""

    partition: int
    offset: int
    value: str


class Consumer(Protocol):
    """Used by one thread at a time. A member of a group, or a reader of all partitions from their starts."""

    def poll(self, timeout_s: float) -> list[Read]: ...
    def owned(self) -> list[int]: ...
    def commit(self, offsets: Mapping[int, int]) -> None: ...
    def committed(self, partitions: Sequence[int]) -> dict[int, int]: ...
    def close(self) -> None: ...


class Producer(Protocol):
    """`send` may return before the record is acknowledged; `flush` returns after all are, or raises."""

    def send(self, topic: str, partition: int, value: str) -> None: ...
    def flush(self) -> None: ...
    def init_transactions(self) -> None: ...
    def begin(self) -> None: ...
    def send_offsets(self, consumer: Consumer, offsets: Mapping[int, int]) -> None: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class Client(Protocol):
    """`member` subscribes to the topic, `reader` assigns itself all of its partitions."""

    def create_topic(self, topic: str, partitions: int) -> None: ...
    def producer(self, transactional_id: str | None = None) -> Producer: ...
    def member(self, topic: str, group: str, protocol: str = "classic") -> Consumer: ...
    def reader(self, topic: str, partitions: int, isolation: str) -> Consumer: ...


class Stuck(RuntimeError):
    """What a step waits for did not come within PATIENCE_S."""


class Running(threading.Thread):
    """A member at work: polls, notes what it read, commits it. `owned` and `read` may be looked at from outside."""

    def __init__(self, consumer: Consumer) -> None:
        super().__init__(daemon=True)
        self.consumer = consumer
        self.owned: list[int] = []
        self.read: list[Read] = []
        self.failure: BaseException | None = None
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                batch = self.consumer.poll(POLL_S)
                if batch:
                    self.consumer.commit(_next_offsets(batch))
                    self.read += batch
                self.owned = sorted(self.consumer.owned())
            self.consumer.close()
        except BaseException as error:
            self.failure = error
            raise

    def leave(self) -> None:
        self._stopping.set()
        self.join(PATIENCE_S)
        if self.is_alive():
            raise Stuck("the member does not leave")


def _next_offsets(batch: Sequence[Read]) -> dict[int, int]:
    """What to commit after these: one past the last offset of each partition."""
    return {read.partition: read.offset + 1 for read in batch}


def _wait(what: str, holds: Callable[[], bool], members: Sequence[Running] = ()) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        for member in members:
            if member.failure is not None:
                raise member.failure
        if time.monotonic() > deadline:
            seen = [(member.owned, len(member.read)) for member in members]
            raise Stuck(f"{what}: not within {PATIENCE_S:.0f} s; owned and read by each member: {seen}")
        time.sleep(0.01)


def _take(consumer: Consumer, count: int, kept: list[Read]) -> list[Read]:
    """Exactly `count` records; what a poll brought beyond them stays in `kept` for the next call."""
    deadline = time.monotonic() + PATIENCE_S
    while len(kept) < count:
        kept += consumer.poll(POLL_S)
        if time.monotonic() > deadline:
            raise Stuck(f"{len(kept)} of {count} records")
    taken = kept[:count]
    del kept[:count]
    return taken


class Steps:
    """The steps for one client; each prints a line when a phase of it is done."""

    def __init__(self, client: Client, step: str, prefix: str, count: int) -> None:
        self.client, self.step, self.prefix, self.count = client, step, prefix, count
        self.name = f"{prefix}-{step}"

    def tell(self, phase: str, **details: object) -> None:
        print(json.dumps({"step": self.step, "phase": phase, "ok": True, "details": details}), flush=True)

    def run(self) -> None:
        {
            "group": lambda: self.group("classic"),
            "group848": lambda: self.group("consumer"),
            "commits-before": self.commits_before,
            "commits-after": self.commits_after,
            "transactions": self.transactions,
            "ctp": self.consume_transform_produce,
        }[self.step]()

    def write(self, topic: str, partitions: int, word: str) -> None:
        producer = self.client.producer()
        for partition in range(partitions):
            for number in range(self.count):
                producer.send(topic, partition, f"{word}-{partition}-{number}")
        producer.flush()
        producer.close()

    # -- groups -------------------------------------------------------------------------------------------------------

    def group(self, protocol: str) -> None:
        self.client.create_topic(self.name, GROUP_PARTITIONS)
        first = Running(self.client.member(self.name, self.name, protocol))
        self._phase("alone", [first])
        second = Running(self.client.member(self.name, self.name, protocol))
        self._phase("shared", [first, second])
        second.leave()
        self._phase("alone again", [first])
        first.leave()
        read = [(each.partition, each.offset) for member in (first, second) for each in member.read]
        committed = self._committed(self.name, range(GROUP_PARTITIONS), protocol)
        self.tell("sum", read=len(read), distinct=len(set(read)), committed=committed)

    def _phase(self, phase: str, members: list[Running]) -> None:
        """Waits for a settled assignment, writes, and waits until all of it was read and committed."""

        def settled() -> bool:
            owned = [partition for member in members for partition in member.owned]
            return sorted(owned) == list(range(GROUP_PARTITIONS)) and all(member.owned for member in members)

        _wait(f"{phase}: assignment", settled, members)
        before = [len(member.read) for member in members]
        self.write(self.name, GROUP_PARTITIONS, phase)
        due = sum(before) + GROUP_PARTITIONS * self.count
        _wait(f"{phase}: records", lambda: sum(len(member.read) for member in members) >= due, members)
        read = [len(member.read) - earlier for member, earlier in zip(members, before, strict=True)]
        self.tell(phase, owned=[member.owned for member in members], read=read)

    def _committed(self, name: str, partitions: Sequence[int], protocol: str = "classic") -> dict[int, int]:
        """Asked by a consumer that knows nothing yet: kafka-python answers from memory what it once was told."""
        asker = self.client.member(name, name, protocol)
        offsets = asker.committed(partitions)
        asker.close()
        return offsets

    # -- commits ------------------------------------------------------------------------------------------------------

    def commits_before(self) -> None:
        topic = f"{self.prefix}-commits"
        self.client.create_topic(topic, len(COMMITTED))
        self.write(topic, len(COMMITTED), "kept")
        member = self.client.member(topic, topic)
        _take(member, len(COMMITTED) * self.count, [])
        member.commit(COMMITTED)
        member.close()
        self.tell("committed", offsets=self._committed(topic, list(COMMITTED)))

    def commits_after(self) -> None:
        topic = f"{self.prefix}-commits"
        self.tell("committed", offsets=self._committed(topic, list(COMMITTED)))
        member = self.client.member(topic, topic)
        found = _take(member, len(COMMITTED) * self.count - sum(COMMITTED.values()), [])
        first = {
            partition: min(each.offset for each in found if each.partition == partition) for partition in COMMITTED
        }
        self.tell("read", first=first, read=Counter(each.partition for each in found))
        member.close()

    # -- transactions -------------------------------------------------------------------------------------------------

    def transactions(self) -> None:
        self.client.create_topic(self.name, TRANSACTION_PARTITIONS)
        producer = self.client.producer(self.name)
        producer.init_transactions()
        for word, end in (("committed", producer.commit), ("aborted", producer.abort), ("later", producer.commit)):
            producer.begin()
            for partition in range(TRANSACTION_PARTITIONS):
                for number in range(self.count):
                    producer.send(self.name, partition, f"{word}-{partition}-{number}")
            producer.flush()
            end()
        producer.close()
        for isolation in ("read_committed", "read_uncommitted"):
            self.tell(isolation, **self._words(isolation))

    def _words(self, isolation: str) -> dict[str, int]:
        """How many records of each word are read until those of the last transaction are all there."""
        reader = self.client.reader(self.name, TRANSACTION_PARTITIONS, isolation)
        words = Counter[str]({"committed": 0, "aborted": 0, "later": 0})
        deadline = time.monotonic() + PATIENCE_S
        while words["later"] < TRANSACTION_PARTITIONS * self.count:
            words.update(each.value.partition("-")[0] for each in reader.poll(POLL_S))
            if time.monotonic() > deadline:
                raise Stuck(f"{isolation}: {dict(words)}")
        reader.close()
        return dict(words)

    def consume_transform_produce(self) -> None:
        """The first worker is left in the middle of a transaction; the second has its transactional id and goes on."""
        output = f"{self.name}-out"
        self.client.create_topic(self.name, 2)
        self.client.create_topic(output, 2)
        self.write(self.name, 2, "in")

        first, kept, consumer = self.client.producer(self.name), list[Read](), self.client.member(self.name, self.name)
        first.init_transactions()
        self._transform(first, consumer, _take(consumer, self.count, kept), output)
        first.commit()
        self.tell("first", processed=self.count)
        self._transform(first, consumer, _take(consumer, self.count // 2, kept), output)

        second = self.client.producer(self.name)
        second.init_transactions()
        self.tell("fenced", error=_error_of(first.commit))
        consumer.close()

        kept, consumer = [], self.client.member(self.name, self.name)
        for count in (self.count // 2, self.count - self.count // 2):
            self._transform(second, consumer, _take(consumer, count, kept), output)
            second.commit()
        consumer.close()
        second.close()
        self.tell("committed", offsets=self._committed(self.name, [0, 1]))
        reader = self.client.reader(output, 2, "read_committed")
        values = [each.value for each in _take(reader, 2 * self.count, [])]
        values += [each.value for each in reader.poll(10 * POLL_S)]
        reader.close()
        self.tell("output", read=len(values), distinct=len(set(values)))

    def _transform(self, producer: Producer, consumer: Consumer, batch: list[Read], output: str) -> None:
        """A transaction with the records of the batch and the offsets behind them, not ended yet."""
        producer.begin()
        for each in batch:
            producer.send(output, each.partition, f"out of {each.value}")
        producer.flush()
        producer.send_offsets(consumer, _next_offsets(batch))


def _error_of(call: Callable[[], None]) -> str:
    """What the call failed with; empty if it did not."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any error is the answer; which one is judged outside
        return f"{type(error).__name__}: {error}"
    return ""


def main(connect: Callable[[str], Client]) -> int:
    bootstrap, step, prefix, count = sys.argv[1:5]
    try:
        Steps(connect(bootstrap), step, prefix, int(count)).run()
    except Exception as error:  # noqa: BLE001 - the program's last line tells of any failure
        details = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"step": step, "phase": "failed", "ok": False, "details": details}), flush=True)
        return 1
    return 0
