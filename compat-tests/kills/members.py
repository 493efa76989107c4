"""Consumers under transactional load: members of groups that come, go and commit, and those that look what is there."""

import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event

import confluent_kafka
from brokers import PATIENCE_S
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from history import Partition, Seen
from transaction_history import Look

from kills.ledger import Ledger
from kills.loop import QUICK_RETRIES
from kills.transactional import CALL_S, commit, transactional_producer
from kills.values import seen, transaction_value

SESSION_MS = 6_000  # the least that brokers allow by default
HEARTBEAT_MS = 200
POLL_S = 0.05
BATCH = 20  # records that a member reads before it commits
STAY_S = 3.0  # at most, of a visitor in its group; away for as long


def group_member(bootstrap: str, group: str, protocol: str = "classic") -> confluent_kafka.Consumer:
    settings = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest", **QUICK_RETRIES}
    of_protocol: dict[str, object] = {"group.protocol": protocol}
    if protocol == "classic":
        of_protocol |= {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS}
    return confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, **settings, **of_protocol, "isolation.level": "read_committed"}
    )


def usable(message: confluent_kafka.Message | None) -> confluent_kafka.Message | None:
    """None for an error that the consumer gets over by itself. Raises KafkaException for one that it does not."""
    if message is None or (error := message.error()) is None:
        return message
    if error.fatal():
        raise KafkaException(error)
    return None


def offsets_of(partitions: dict[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in partitions.items()]


@dataclass
class Member:
    """A member of a group in a thread of its own. What it read is committed every BATCH records, and when it must give
    partitions up. A visitor comes and goes: each time a rebalance for the others."""

    group: str
    protocol: str
    bootstrap: str
    topics: Sequence[str]
    ledger: Ledger
    stop: Event
    visitor: random.Random | None = None
    _read: dict[Partition, int] = field(default_factory=dict)  # offset to commit next
    _count: int = 0

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self._stay()
            except KafkaException as failure:
                self.ledger.met(self.group, failure)
            if self.visitor is not None:
                self.stop.wait(self.visitor.uniform(0, STAY_S))

    def _stay(self) -> None:
        """One membership: until `stop`, or until the visitor wants to go."""
        leaves_at = time.monotonic() + (self.visitor.uniform(0, STAY_S) if self.visitor else 1e9)
        consumer = group_member(self.bootstrap, self.group, self.protocol)
        try:
            consumer.subscribe(list(self.topics), on_revoke=self._give_up, on_lost=self._lose)
            while not self.stop.is_set() and time.monotonic() < leaves_at:
                message = usable(consumer.poll(POLL_S))
                if message is not None:
                    self._read[message.topic() or "", message.partition() or 0] = (message.offset() or 0) + 1
                    self._count += 1
                if self._read and (message is None or self._count >= BATCH):
                    self._commit(consumer)
        finally:
            consumer.close()
            self._forget()

    def _give_up(self, consumer: confluent_kafka.Consumer, _partitions: list[TopicPartition]) -> None:
        if self._read:
            self._commit(consumer)
        self._forget()

    def _lose(self, _consumer: confluent_kafka.Consumer, _partitions: list[TopicPartition]) -> None:
        self._forget()

    def _forget(self) -> None:
        self._read.clear()
        self._count = 0

    def _commit(self, consumer: confluent_kafka.Consumer) -> None:
        offsets = dict(self._read)
        self._count = 0
        self.ledger.ask_commit(self.group, offsets)
        acknowledged: dict[Partition, int] = {}
        try:
            answer = consumer.commit(offsets=offsets_of(offsets), asynchronous=False)
            acknowledged = {(each.topic, each.partition): each.offset for each in answer or () if each.error is None}
            self._read.clear()  # what failed is committed with the next records, if the partitions are still its own
        except KafkaException as failure:
            self.ledger.met(self.group, f"commit: {failure}")
        finally:
            self.ledger.end_commit(self.group, acknowledged)


@dataclass
class Transformer:
    """Consume-transform-produce: for each record of `source` one in the same partition of `target`, whose key says of
    which, with the offsets in the transaction. A visitor comes and goes, with the same transactional id each time."""

    name: str
    group: str
    bootstrap: str
    source: str
    target: str
    ledger: Ledger
    timeout_ms: int
    stop: Event
    visitor: random.Random | None = None
    _batch: list[confluent_kafka.Message] = field(default_factory=list)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self._stay()
            except KafkaException as failure:
                self.ledger.met(self.name, failure)
            if self.visitor is not None:
                self.stop.wait(self.visitor.uniform(0, STAY_S))

    def _stay(self) -> None:
        """One membership with a producer of its own. Raises KafkaException if a transaction did not commit: a new
        member starts from what is committed."""
        leaves_at = time.monotonic() + (self.visitor.uniform(0, STAY_S) if self.visitor else 1e9)
        producer = transactional_producer(self.bootstrap, self.name, self.timeout_ms)
        consumer = group_member(self.bootstrap, self.group)
        try:
            consumer.subscribe([self.source], on_revoke=self._drop, on_lost=self._drop)
            while not self.stop.is_set() and time.monotonic() < leaves_at:
                message = usable(consumer.poll(POLL_S))
                if message is not None:
                    self._batch.append(message)
                if self._batch and (message is None or len(self._batch) >= BATCH):
                    self._transform(consumer, producer)
        finally:
            self._batch.clear()
            consumer.close()

    def _drop(self, _consumer: confluent_kafka.Consumer, _partitions: list[TopicPartition]) -> None:
        self._batch.clear()

    def _transform(self, consumer: confluent_kafka.Consumer, producer: confluent_kafka.Producer) -> None:
        batch = self._batch[:]
        self._batch.clear()
        transaction = self.ledger.begin(self.name, [(self.target, each.partition() or 0) for each in batch])
        offsets = {(self.source, each.partition() or 0): (each.offset() or 0) + 1 for each in batch}
        self.ledger.ask_commit(self.group, offsets)
        told = None
        try:
            producer.begin_transaction()
            for place, (each, (topic, partition)) in enumerate(zip(batch, transaction.records, strict=True)):
                key = f"{self.source} {each.partition()} {each.offset()}"
                producer.produce(topic, transaction_value(transaction.name, place), key, partition)
            self._send_offsets(consumer, producer, offsets)
            told = commit(producer, transaction, self.ledger)
        finally:
            self.ledger.end(transaction, told)
            self.ledger.end_commit(self.group, offsets if told == "committed" else {})
        if told != "committed":
            raise KafkaException(KafkaError(KafkaError._STATE, "the transaction was aborted"))

    @staticmethod
    def _send_offsets(
        consumer: confluent_kafka.Consumer, producer: confluent_kafka.Producer, offsets: dict[Partition, int]
    ) -> None:
        metadata = consumer.consumer_group_metadata()
        producer.send_offsets_to_transaction(offsets_of(offsets), metadata, CALL_S)


@dataclass
class Auditor:
    """Asks for the committed offsets of groups all the time: none may be behind what had been acknowledged before."""

    groups: Sequence[tuple[str, Sequence[Partition]]]
    bootstrap: str
    ledger: Ledger
    stop: Event

    def run(self) -> None:
        consumers = [confluent_kafka.Consumer({**self._settings, "group.id": group}) for group, _ in self.groups]
        while not self.stop.wait(POLL_S):
            self._look(consumers)
        self._look(consumers)
        for consumer in consumers:
            consumer.close()

    @property
    def _settings(self) -> dict[str, object]:
        return {"bootstrap.servers": self.bootstrap, "enable.auto.commit": False, **QUICK_RETRIES}

    def _look(self, consumers: Sequence[confluent_kafka.Consumer]) -> None:
        for consumer, (group, partitions) in zip(consumers, self.groups, strict=True):
            at_least = self.ledger.committed(group, partitions)
            with contextlib.suppress(KafkaException):
                for each in consumer.committed(offsets_of(dict.fromkeys(partitions, 0)), CALL_S):
                    if each.error is None:
                        partition = (each.topic, each.partition)
                        self.ledger.looks.append(Look(group, partition, at_least[partition], max(0, each.offset)))


@dataclass
class Reader:
    """A consumer with read_committed that reads along: what it was given must be there in the end, and committed."""

    bootstrap: str
    partitions: Sequence[Partition]
    stop: Event
    polls: dict[Partition, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    polled_at: dict[str, float] = field(default_factory=dict)  # when the first record of a transaction came
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        consumer = reader(self.bootstrap, self.partitions)
        while not self.stop.is_set():
            for message in consumer.consume(500, 0.1):
                if (error := message.error()) is None:
                    found = seen(message, transaction_value)
                    self.polls[message.topic() or "", message.partition() or 0].append(found)
                    self.polled_at.setdefault(found.producer, time.monotonic())
                elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                    self.failures.append(f"the consumer's position was out of range: {error}")
        consumer.close()


def reader(
    bootstrap: str, partitions: Sequence[Partition], isolation: str = "read_committed"
) -> confluent_kafka.Consumer:
    """Reads the partitions from their first records; librdkafka tells of a position out of range as an error."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, **QUICK_RETRIES}
    of_reading = {"auto.offset.reset": "error", "check.crcs": True, "enable.partition.eof": True}
    consumer = confluent_kafka.Consumer({**settings, **of_reading, "isolation.level": isolation})
    consumer.assign(offsets_of(dict.fromkeys(partitions, 0)))
    return consumer


def read_to_end(
    bootstrap: str, partitions: Sequence[Partition], isolation: str
) -> dict[Partition, list[confluent_kafka.Message]]:
    """Every partition from its first record to its end. Raises AssertionError on an error, or without progress."""
    log: dict[Partition, list[confluent_kafka.Message]] = {each: [] for each in partitions}
    unfinished = set(log)
    consumer = reader(bootstrap, partitions, isolation)
    deadline = time.monotonic() + PATIENCE_S
    while unfinished:
        assert time.monotonic() < deadline, f"no more records of {unfinished}"
        for message in consumer.consume(1000, 0.1):
            deadline = time.monotonic() + PATIENCE_S
            partition = (message.topic() or "", message.partition() or 0)
            if (error := message.error()) is None:
                log[partition].append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                unfinished.discard(partition)
            else:
                raise AssertionError(f"{partition}: {error}")
    consumer.close()
    return log
