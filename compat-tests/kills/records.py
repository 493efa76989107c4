"""The load of plain records: producers with acks=all, idempotent or not, and a consumer that reads along.

Five producers write to topics of the smallest segments, so that segments roll all the time: three of them idempotent
with five requests in flight, two with one request in flight. In the end everything is read, and history.py compares.
"""

import contextlib
import random
import statistics
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import confluent_kafka
import kafka
from brokers import PATIENCE_S, OwnBroker
from confluent_kafka import KafkaError
from history import Anomaly, Partition, Seen, Write, check

from kills.loop import QUICK_RETRIES, SEGMENT_BYTES, Kills, kill_repeatedly
from kills.values import seen, value_of

TOPICS = {"small": 2, "large": 2}  # partitions of each
MOST_ACKNOWLEDGED = 2_000  # a kill comes after a random number of new acknowledgements, up to this
IN_FLIGHT = 200  # records of a producer that wait for their acknowledgement
TURN_S = (
    0.01  # a producer sends IN_FLIGHT / 10 records in a turn: at most 2,000 a second, so that memory holds them all
)
IDEMPOTENT = {"enable.idempotence": True, "max.in.flight.requests.per.connection": 5}
ONE_IN_FLIGHT = {"acks": "all", "max.in.flight.requests.per.connection": 1}
LIBRDKAFKA_PRODUCERS: dict[str, dict[str, object]] = {
    "idempotent": {**IDEMPOTENT, "linger.ms": 0},
    "idempotent-lz4": {**IDEMPOTENT, "linger.ms": 5, "compression.codec": "lz4"},
    "plain": {**ONE_IN_FLIGHT, "linger.ms": 0},
    "plain-zstd": {**ONE_IN_FLIGHT, "linger.ms": 5, "compression.codec": "zstd"},
}
KAFKA_PYTHON_PRODUCER = "kafka-python"
IDEMPOTENT_PRODUCERS = frozenset({"idempotent", "idempotent-lz4", KAFKA_PYTHON_PRODUCER})


@dataclass
class Producer:
    """One producer in a thread of its own: sends until told to stop, then waits for the last acknowledgements."""

    name: str
    bootstrap: str
    stop: Event
    writes: list[Write] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    unsettled: dict[int, Partition] = field(default_factory=dict)
    acknowledged: int = 0
    number: int = 0

    def run(self) -> None:
        raise NotImplementedError

    def next_record(self) -> tuple[int, Partition, bytes]:
        """Number, partition and value of the record to send next; it is unsettled from now on."""
        number = self.number
        self.number += 1
        topic = tuple(TOPICS)[number % len(TOPICS)]
        target = (topic, number // len(TOPICS) % TOPICS[topic])
        self.unsettled[number] = target
        return number, target, value_of(self.name, number)

    def settle(self, number: int, offset: int | None, error: object) -> None:
        """Takes down how the record ended. An offset below 0 stands for one that was not told."""
        told = offset if offset is not None and offset >= 0 else None
        self.writes.append(Write(self.unsettled.pop(number), self.name, number, error is None, told))
        if error is None:
            self.acknowledged += 1
        else:
            self.failures.append(f"{self.name}: {error}")

    def give_up(self) -> None:
        """Takes down the records of which nobody will ever hear."""
        if self.unsettled:
            self.failures.append(f"{self.name}: {len(self.unsettled)} records without an answer")
        for number in list(self.unsettled):
            self.writes.append(Write(self.unsettled.pop(number), self.name, number, False, None))


class LibrdkafkaProducer(Producer):
    def run(self) -> None:
        settings = {"bootstrap.servers": self.bootstrap, **QUICK_RETRIES, **LIBRDKAFKA_PRODUCERS[self.name]}
        producer = confluent_kafka.Producer({**settings, "message.timeout.ms": 120_000, "socket.timeout.ms": 10_000})
        try:
            while not self.stop.wait(TURN_S):
                for _ in range(min(IN_FLIGHT // 10, IN_FLIGHT - len(producer))):
                    self._send(producer)
                producer.poll(0)
            producer.flush(2 * PATIENCE_S)
        except confluent_kafka.KafkaException as fatal:  # what an idempotent producer can not get over
            self.failures.append(f"{self.name}: {fatal}")
        self.give_up()

    def _send(self, producer: confluent_kafka.Producer) -> None:
        number, target, value = self.next_record()

        def delivered(error: object, message: confluent_kafka.Message) -> None:
            self.settle(number, message.offset(), error)

        producer.produce(target[0], value, partition=target[1], on_delivery=delivered)


class KafkaPythonProducer(Producer):
    def run(self) -> None:
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.bootstrap,
            reconnect_backoff_max_ms=100,
            retry_backoff_ms=20,
            request_timeout_ms=10_000,
        )
        waiting: list[tuple[int, Any]] = []
        while not self.stop.wait(TURN_S):
            for _ in range(min(IN_FLIGHT // 10, IN_FLIGHT - len(waiting))):
                number, target, value = self.next_record()
                waiting.append((number, producer.send(target[0], value, partition=target[1])))
            waiting = [each for each in waiting if not self._settled(*each)]
        with contextlib.suppress(kafka.errors.KafkaTimeoutError):
            producer.flush(2 * PATIENCE_S)
        for each in waiting:
            self._settled(*each)
        self.give_up()
        producer.close(PATIENCE_S)

    def _settled(self, number: int, future: Any) -> bool:
        if not future.is_done:
            return False
        self.settle(number, None if future.failed() else future.value.offset, future.exception)
        return True


@dataclass
class Reader:
    """A consumer that reads along: what it was given may never be gone later."""

    bootstrap: str
    stop: Event
    polls: dict[Partition, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        consumer = _consumer(self.bootstrap)
        while not self.stop.is_set():
            for message in consumer.consume(500, 0.1):
                if (error := message.error()) is None:
                    self.polls[message.topic() or "", message.partition() or 0].append(seen(message))
                elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                    self.failures.append(f"the consumer's position was out of range: {error}")
        consumer.close()


def _consumer(bootstrap: str) -> confluent_kafka.Consumer:
    settings = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, **QUICK_RETRIES}
    # librdkafka tells of a position out of range as an error, where it would else start again somewhere.
    consumer = confluent_kafka.Consumer(
        {**settings, "auto.offset.reset": "error", "check.crcs": True, "enable.partition.eof": True}
    )
    consumer.assign(
        [confluent_kafka.TopicPartition(topic, each, 0) for topic, count in TOPICS.items() for each in range(count)]
    )
    return consumer


def read_everything(bootstrap: str) -> dict[Partition, list[Seen]]:
    """Every partition from its first record to its end. Raises AssertionError on an error, or without progress."""
    log: dict[Partition, list[Seen]] = {(topic, each): [] for topic, count in TOPICS.items() for each in range(count)}
    unfinished = set(log)
    consumer = _consumer(bootstrap)
    deadline = time.monotonic() + PATIENCE_S
    while unfinished:
        assert time.monotonic() < deadline, f"no more records of {unfinished}"
        for message in consumer.consume(1000, 0.1):
            deadline = time.monotonic() + PATIENCE_S
            partition = (message.topic() or "", message.partition() or 0)
            if (error := message.error()) is None:
                log[partition].append(seen(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                unfinished.discard(partition)
            else:
                raise AssertionError(f"{partition}: {error}")
    consumer.close()
    return log


@dataclass
class Report:
    """What a loop of kills came to."""

    kills: Kills
    acknowledged_by: dict[str, int]
    segments: int
    records: int
    anomalies: list[Anomaly]
    failures: list[str]

    @property
    def faults(self) -> list[str]:
        """What the broker did wrong, or why the loop has shown nothing."""
        faults = [str(each) for each in self.anomalies] + self.failures
        if self.segments <= sum(TOPICS.values()):
            faults.append("no segment rolled: the load was too small")
        faults += [f"{name} had nothing acknowledged" for name, count in self.acknowledged_by.items() if not count]
        return faults

    def __str__(self) -> str:
        per_kill = self.kills.acknowledged
        lines = [
            str(self.kills),
            f"acknowledged records per kill: median {statistics.median(per_kill):.0f}, least {min(per_kill)}",
            "by producer: " + ", ".join(f"{name} {count}" for name, count in self.acknowledged_by.items()),
            f"{self.records} records in {self.segments} segments read back",
            f"{len(self.anomalies)} anomalies, {len(self.failures)} failed sends or reads",
        ]
        return "\n".join(lines + self.faults[:40])


def run(broker: OwnBroker, kills: int, draw: random.Random) -> Report:
    """Runs the load against `broker`, which is running, and kills it `kills` times; it is running again at the end."""
    _create_topics(broker.bootstrap)
    stop, stop_reading = Event(), Event()
    producers: list[Producer] = [LibrdkafkaProducer(name, broker.bootstrap, stop) for name in LIBRDKAFKA_PRODUCERS]
    producers.append(KafkaPythonProducer(KAFKA_PYTHON_PRODUCER, broker.bootstrap, stop))
    reader = Reader(broker.bootstrap, stop_reading)
    with ThreadPoolExecutor(len(producers) + 1) as pool:
        reading = pool.submit(reader.run)
        producing = [pool.submit(producer.run) for producer in producers]
        try:
            killed = kill_repeatedly(
                broker, kills, draw, lambda: [producer.acknowledged for producer in producers], MOST_ACKNOWLEDGED
            )
        finally:
            stop.set()
            wait(producing)
            stop_reading.set()
        for thread in (*producing, reading):
            thread.result()
    log = read_everything(broker.bootstrap)
    writes = [write for producer in producers for write in producer.writes]
    return Report(
        killed,
        {producer.name: producer.acknowledged for producer in producers},
        sum(len(list(broker.log_dir.glob(f"{topic}-*/*.log"))) for topic in TOPICS),
        sum(map(len, log.values())),
        check(writes, log, reader.polls, IDEMPOTENT_PRODUCERS),
        [failure for producer in producers for failure in producer.failures] + reader.failures,
    )


def _create_topics(bootstrap: str) -> None:
    admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap)
    configs = {"segment.bytes": str(SEGMENT_BYTES)}
    admin.create_topics({topic: {"num_partitions": count, "configs": configs} for topic, count in TOPICS.items()})
    admin.wait_for_topics(list(TOPICS))
    admin.close()
