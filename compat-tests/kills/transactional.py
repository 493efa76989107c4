"""Producers of transactions: these are committed, aborted, or left open; producers are fenced by others, or killed."""

import logging
import math
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event

import confluent_kafka
from brokers import PATIENCE_S
from confluent_kafka import KafkaException
from history import Partition
from transaction_history import Transaction

from kills.ledger import Ledger
from kills.loop import QUICK_RETRIES
from kills.values import ABORTED, MOST_RECORDS, PAUSE_S, transaction_value

CALL_S = 5.0  # how long a call of a client waits before it is asked again
LEFT_OPEN = 0.1  # of the transactions, for a successor to abort
KILLED = 0.02  # a program is killed in one of so many of its transactions

SILENT = logging.Logger("librdkafka", logging.CRITICAL + 1)  # it tells of every fenced producer


@dataclass
class Writer:
    """One transactional id in a thread of its own, until `stop`; whatever goes wrong, a new producer takes over."""

    name: str
    bootstrap: str
    partitions: Sequence[Partition]
    ledger: Ledger
    timeout_ms: int
    seed: int
    stop: Event
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def run(self) -> None:
        raise NotImplementedError


# -- librdkafka -------------------------------------------------------------------------------------------------------


def transactional_producer(bootstrap: str, transactional_id: str, timeout_ms: int) -> confluent_kafka.Producer:
    """Its predecessors are fenced, and what they left open is aborted. Raises KafkaException after PATIENCE_S."""
    settings = {**QUICK_RETRIES, "transactional.id": transactional_id, "transaction.timeout.ms": timeout_ms}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": bootstrap, **settings, "linger.ms": 0, "socket.timeout.ms": timeout_ms},
            logger=SILENT,
        )
        try:
            insist(partial(producer.init_transactions, CALL_S))
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        else:
            return producer


def insist(call: Callable[[], None]) -> None:
    """Calls again while the error is one that librdkafka calls retriable. Raises KafkaException; PATIENCE_S at most."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except KafkaException as failure:
            if not failure.args[0].retriable() or time.monotonic() > deadline:
                raise


def commit(producer: confluent_kafka.Producer, transaction: Transaction, ledger: Ledger) -> str | None:
    """How the transaction ended, as Ledger.end takes it. Raises KafkaException if the producer is of no more use."""
    ledger.ask(transaction)
    try:
        insist(lambda: producer.commit_transaction(CALL_S))
    except KafkaException as failure:
        ledger.met(transaction.transactional_id, f"commit: {failure}")
        if not failure.args[0].txn_requires_abort():
            raise
        return abort(producer)
    return "committed"


def abort(producer: confluent_kafka.Producer) -> str:
    insist(lambda: producer.abort_transaction(CALL_S))
    return "aborted"


def send(producer: confluent_kafka.Producer, transaction: Transaction) -> None:
    for place, (topic, partition) in enumerate(transaction.records):
        producer.produce(topic, transaction_value(transaction.name, place), partition=partition)
        producer.poll(0)


class LibrdkafkaWriter(Writer):
    def run(self) -> None:
        producer = self._producer()
        while not self.stop.wait(self.draw.uniform(0, PAUSE_S)):
            count = self.draw.randint(1, MOST_RECORDS)
            transaction = self.ledger.begin(self.name, self.draw.choices(self.partitions, k=count))
            told = None
            try:
                producer.begin_transaction()
                send(producer, transaction)
                fate = self.draw.random()
                if fate < LEFT_OPEN:
                    producer = self._take_over(producer)
                elif fate < LEFT_OPEN + ABORTED:
                    producer.flush(self.draw.choice((0, CALL_S)))  # some are aborted before they were ever sent
                    told = abort(producer)
                else:
                    told = commit(producer, transaction, self.ledger)
            except KafkaException as failure:
                self.ledger.met(self.name, failure)
                producer = self._producer()
            finally:
                self.ledger.end(transaction, told)

    def _producer(self) -> confluent_kafka.Producer:
        return transactional_producer(self.bootstrap, self.name, self.timeout_ms)

    def _take_over(self, former: confluent_kafka.Producer) -> confluent_kafka.Producer:
        """The former one's transaction, which nobody asked to commit so far, must not be committed any more."""
        former.flush(CALL_S)
        successor = self._producer()
        try:
            former.commit_transaction(CALL_S)
        except KafkaException:
            return successor
        self.ledger.failures.append(f"{self.name}: a producer that had been fenced committed a transaction")
        return successor


def leave_open(name: str, bootstrap: str, partitions: Sequence[Partition], ledger: Ledger, timeout_ms: int) -> None:
    """One transaction that nobody will ever end, nor take over: only its timeout can."""
    producer = transactional_producer(bootstrap, name, timeout_ms)
    transaction = ledger.begin(name, partitions)
    producer.begin_transaction()
    send(producer, transaction)
    producer.flush(PATIENCE_S)
    ledger.end(transaction, None)


# -- programs ---------------------------------------------------------------------------------------------------------


@dataclass
class ProgramWriter(Writer):
    """A program that writes transactions and is killed at any moment, in the middle of one, and started again.

        PROGRAM BOOTSTRAP writer TRANSACTIONAL_ID FIRST_NUMBER TIMEOUT_MS TOPIC:PARTITION...

    It goes on until it is killed, with records as `transaction_value` makes them, and prints lines:

        begun NUMBER TOPIC:PARTITION...     before it sends the records
        commit NUMBER                       before it asks for the commit
        committed NUMBER, aborted NUMBER    what it was told
        failed NUMBER ERROR                 nobody was told; a new producer takes over
    """

    command: Sequence[str] = ()
    launches: int = 0
    _process: "subprocess.Popen[str] | None" = None
    _open: Transaction | None = None

    def run(self) -> None:
        while not self.stop.is_set():
            self._live()

    def end(self) -> None:
        """Called by another thread, after `stop` is set: the program may be silent for ever."""
        if self._process is not None:
            self._process.kill()

    def _live(self) -> None:
        """One life of the program."""
        places = [f"{topic}:{partition}" for topic, partition in self.partitions]
        first = str(self.ledger.next_number(self.name))
        arguments = [*self.command, self.bootstrap, "writer", self.name, first, str(self.timeout_ms), *places]
        self.launches += 1
        with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            self._process = process
            assert process.stdout is not None
            for line in process.stdout:
                self._note(line)
                if self.stop.is_set() or (line.startswith("begun") and self.draw.random() < KILLED):
                    time.sleep(self.draw.uniform(0, 0.01))
                    process.kill()
        self._settle(None)

    def _note(self, line: str) -> None:
        word, number, *rest = line.split(" ", 2)
        if word == "begun":
            pairs = [place.rpartition(":") for place in rest[0].split()]
            records = [(topic, int(partition)) for topic, _, partition in pairs]
            self._open = self.ledger.begin(self.name, records, int(number))
            return
        assert self._open is not None, line
        assert self._open.number == int(number), line
        if word == "commit":
            self.ledger.ask(self._open, -math.inf)  # some time ago: the line may have waited in the pipe
        elif word == "failed":
            self.ledger.met(self.name, rest[0].strip())
            self._settle(None)
        else:
            self._settle(word)

    def _settle(self, told: str | None) -> None:
        if self._open is not None:
            self.ledger.end(self._open, told)
            self._open = None
