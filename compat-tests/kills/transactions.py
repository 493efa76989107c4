"""The load of transactions and groups: writers, consume-transform-produce, members that commit, and who looks at it.

Writers (kills/transactional.py) write transactions over the partitions of two topics; one of the topics is the input of
two transformers, and both are read by two groups, one of each protocol (kills/members.py). After the last kill some
transactions are left open: the last stable offset must reach the end without anybody's help. In the end everything is
read with read_committed, and transaction_history.py compares.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event

import confluent_kafka
import kafka
from brokers import PATIENCE_S, OwnBroker
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from history import Anomaly, Partition
from transaction_history import Source, Transaction, check_commits, check_outputs, check_transactions

from kills.ledger import Ledger
from kills.loop import QUICK_RETRIES, SEGMENT_BYTES, Kills, kill_repeatedly, start
from kills.members import Auditor, Member, Reader, Transformer, read_to_end
from kills.transactional import CALL_S, LibrdkafkaWriter, ProgramWriter, Writer, leave_open
from kills.values import seen, transaction_value

HERE = Path(__file__).parents[1]
TOPICS = {"accounts": 3, "entries": 2, "out": 2, "left": 1}  # partitions of each
INPUT, OUTPUT, LEFT = "entries", "out", "left"
WRITTEN = ("accounts", INPUT)
OFFSETS_TOPIC = "__consumer_offsets"
TRANSFORMING = "transforming"
GROUPS = {"classic-readers": "classic", "consumer-readers": "consumer"}  # their protocols
LIBRDKAFKA_WRITERS = ("librdkafka-1", "librdkafka-2", "librdkafka-3")
MOST_ACKNOWLEDGED = 100  # a kill comes after a random number of new transactions and commits, up to this
KILL_S = 5.0  # between two kills at most: members of groups may take longer to come back
LEFT_EVERY = 20  # kills; before each a transaction is left to its timeout
UNKNOWN = -1  # a committed offset that could not be had
LAST_STABLE_S = 30.0  # after the last start all last stable offsets must have reached their ends


def _partitions(*topics: str) -> list[Partition]:
    return [(topic, each) for topic in topics for each in range(TOPICS[topic])]


@dataclass
class Report:
    """What a loop of kills came to.

    last_stable_s  from the last start until every last stable offset was at its end
    behind         what did not come to its end at all: a group, a partition
    """

    kills: Kills
    load: "Load"
    last_stable_s: float
    behind: list[str]
    visible: int
    written: int
    segments: int
    anomalies: list[Anomaly]

    @property
    def faults(self) -> list[str]:
        """What the broker did wrong, or why the loop has shown nothing."""
        faults = [str(each) for each in self.anomalies] + self.load.ledger.failures + self.behind
        if self.last_stable_s > LAST_STABLE_S:
            faults.append(f"last stable offsets were not at their ends {LAST_STABLE_S:.0f} s after the last start")
        idle = {who for who, count in self._acknowledged_by.items() if not count} - self.load.visitors
        return faults + [f"{who} had nothing acknowledged" for who in sorted(idle)]

    @property
    def _acknowledged_by(self) -> dict[str, int]:
        return dict(zip(self.load.names, self.load.counts(), strict=True))

    def __str__(self) -> str:
        ledger, load = self.load.ledger, self.load
        ends = Counter(map(_end, ledger.transactions))
        lines = [
            str(self.kills),
            f"{ends.total()} transactions: " + ", ".join(f"{count} {end}" for end, count in ends.most_common()),
            "acknowledged by: " + ", ".join(f"{who} {count}" for who, count in self._acknowledged_by.items()),
            *(
                f"{what} per kill under load: {_summary([now[at] - old[at] for old, now in pairwise(load.told_at)])} "
                f"acknowledged; {_summary([each[at] for each in load.in_flight_at])} in flight"
                for at, what in enumerate(("transactions", "commits"))
            ),
            f"last stable offsets at the ends {self.last_stable_s:.1f} s after the last start",
            f"{self.visible} of {self.written} records visible, in {self.segments} segments",
            f"{len(ledger.looks)} looks at committed offsets",
            f"{len(self.anomalies)} anomalies, {len(ledger.failures)} failures",
        ]
        met = [f"met {count} times: {error}" for error, count in ledger.errors.most_common(12)]
        return "\n".join(lines + met + self.faults[:40])


def _end(transaction: Transaction) -> str:
    if transaction.committed:
        return "committed"
    if transaction.aborted:
        return "aborted"
    return "left open" if transaction.must_be_absent else "not told"


def _summary(numbers: Sequence[int]) -> str:
    return f"median {statistics.median(numbers):.0f}, {min(numbers)} to {max(numbers)}, {sum(numbers)} in all"


@dataclass
class Load:
    """Everything that runs while the broker is killed: writers until `stop`, the others until `stop_reading`, and who
    looks until `stop_looking`. in_flight_at, told_at: transactions and commits in flight at each kill, and acknowledged
    until then."""

    bootstrap: str
    timeout_ms: int
    draw: random.Random
    programs: dict[str, Sequence[str]]
    ledger: Ledger = field(default_factory=Ledger)
    stop: Event = field(default_factory=Event)
    stop_reading: Event = field(default_factory=Event)
    stop_looking: Event = field(default_factory=Event)
    in_flight_at: list[tuple[int, int]] = field(default_factory=list)
    told_at: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])

    def __post_init__(self) -> None:
        common = (self.bootstrap, _partitions(*WRITTEN), self.ledger, self.timeout_ms)
        self.writers: list[Writer] = [
            LibrdkafkaWriter(name, *common, self.draw.randrange(1 << 32), self.stop) for name in LIBRDKAFKA_WRITERS
        ]
        self.writers += [
            ProgramWriter(name, *common, self.draw.randrange(1 << 32), self.stop, command)
            for name, command in self.programs.items()
        ]
        self.transformers = [
            Transformer(
                f"transformer-{number}", TRANSFORMING, self.bootstrap, INPUT, OUTPUT, self.ledger, self.timeout_ms,
                self.stop_reading, self._visitor(number),
            )
            for number in (1, 2)
        ]  # fmt: skip
        self.members = [
            Member(
                group, protocol, self.bootstrap, WRITTEN, self.ledger, self.stop_reading, self._visitor(number)
            )
            for group, protocol in GROUPS.items() for number in (1, 2)
        ]  # fmt: skip
        groups = [(group, _partitions(*WRITTEN)) for group in GROUPS] + [(TRANSFORMING, _partitions(INPUT))]
        self.auditor = Auditor(groups, self.bootstrap, self.ledger, self.stop_looking)
        self.reader = Reader(self.bootstrap, _partitions(*TOPICS), self.stop_looking)

    def _visitor(self, number: int) -> random.Random | None:
        """The second of each pair comes and goes."""
        return random.Random(self.draw.randrange(1 << 32)) if number == 2 else None

    @property
    def threads(self) -> list[Callable[[], None]]:
        """The writers come first, and those who look come last."""
        of_writers: list[Callable[[], None]] = [each.run for each in self.writers]
        of_transformers, of_members = [each.run for each in self.transformers], [each.run for each in self.members]
        return [*of_writers, *of_transformers, *of_members, self.auditor.run, self.reader.run]

    @property
    def names(self) -> list[str]:
        return [*(each.name for each in self.writers), *(each.name for each in self.transformers), *GROUPS]

    @property
    def visitors(self) -> set[str]:
        return {each.name for each in self.transformers if each.visitor is not None}

    def counts(self) -> list[int]:
        """What each of `names` had acknowledged so far, transactions or commits."""
        return [self.ledger.acknowledged[name] + self.ledger.commits[name] for name in self.names]

    def before_kill(self, number: int) -> None:
        if number % LEFT_EVERY == 1:
            self.leave_open(number, LEFT)
        ledger = self.ledger
        self.in_flight_at.append((sum([*ledger.in_flight.values()]), sum([*ledger.commits_in_flight.values()])))
        self.told_at.append((ledger.acknowledged.total(), ledger.commits.total()))

    def leave_open(self, number: int, *topics: str) -> None:
        leave_open(f"{LEFT}-{number}", self.bootstrap, _partitions(*topics), self.ledger, self.timeout_ms)

    def end_writers(self) -> None:
        self.stop.set()
        for writer in self.writers:
            if isinstance(writer, ProgramWriter):
                writer.end()


def run(
    broker: OwnBroker, kills: int, draw: random.Random, timeout_ms: int, programs: dict[str, Sequence[str]]
) -> Report:
    """Runs the load against `broker`, which is running, and kills it `kills` times and once; it runs at the end.

    timeout_ms  transaction.timeout.ms of every producer
    programs    writers that are programs of their own (ProgramWriter), by the transactional id they get
    """
    _create_topics(broker.bootstrap)
    load = Load(broker.bootstrap, timeout_ms, draw, programs)
    with ThreadPoolExecutor(len(load.threads)) as pool:
        running = [pool.submit(each) for each in load.threads]

        def before_kill(number: int) -> None:
            for dead in (each for each in running if each.done()):
                dead.result()  # raises what the thread died of
            load.before_kill(number)

        try:
            killed = kill_repeatedly(broker, kills, draw, load.counts, MOST_ACKNOWLEDGED, before_kill, KILL_S)
            load.end_writers()
            wait(running[: len(load.writers)])
            load.leave_open(kills + 1, *WRITTEN)
            broker.kill()
            killed.ready_s.append(start(broker))
            started = time.monotonic()
            behind = _unstable(broker.bootstrap, TOPICS)
            last_stable_s = time.monotonic() - started
            behind += _behind(broker.bootstrap)
        finally:
            load.end_writers()
            load.stop_reading.set()
            wait(running[:-2])
            load.stop_looking.set()
        for thread in running:
            thread.result()
    return _judge(broker, load, killed, last_stable_s, behind)


def _judge(broker: OwnBroker, load: Load, killed: Kills, last_stable_s: float, behind: list[str]) -> Report:
    """Once everybody has stopped, the groups' own topic too must come to rest."""
    unstable = _unstable(broker.bootstrap, (*TOPICS, OFFSETS_TOPIC))
    messages = read_to_end(broker.bootstrap, _partitions(*TOPICS), "read_committed")
    visible = {where: [seen(each, transaction_value) for each in held] for where, held in messages.items()}
    outputs = [_source(each) for where in _partitions(OUTPUT) for each in messages[where]]
    inputs = {where: visible[where] for where in _partitions(INPUT)}
    committed = _committed(broker.bootstrap, TRANSFORMING, _partitions(INPUT))
    load.ledger.failures += load.reader.failures
    return Report(
        killed,
        load,
        last_stable_s,
        behind + unstable,
        sum(map(len, visible.values())),
        sum(map(len, read_to_end(broker.bootstrap, _partitions(*TOPICS), "read_uncommitted").values())),
        sum(len(list(broker.log_dir.glob(f"{topic}-*/*.log"))) for topic in TOPICS),
        [
            *check_transactions(load.ledger.transactions, visible, load.reader.polls, load.reader.polled_at),
            *check_outputs(inputs, outputs, committed),
            *check_commits(load.ledger.asked, load.ledger.looks),
        ],
    )


def _source(message: confluent_kafka.Message) -> Source:
    key = message.key()
    assert isinstance(key, bytes), "an output without a key"
    topic, partition, offset = key.decode().split()
    return Source((topic, int(partition)), int(offset))


def _create_topics(bootstrap: str) -> None:
    admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap)
    configs = {"segment.bytes": str(SEGMENT_BYTES)}
    admin.create_topics({topic: {"num_partitions": count, "configs": configs} for topic, count in TOPICS.items()})
    admin.wait_for_topics(list(TOPICS))
    admin.close()


def _unstable(bootstrap: str, topics: Iterable[str]) -> list[str]:
    """The partitions whose last stable offset is not at the end, twice LAST_STABLE_S from now; waits for them."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUICK_RETRIES})
    described = admin.list_topics(timeout=PATIENCE_S).topics
    asked = {
        TopicPartition(topic, partition): OffsetSpec.latest()
        for topic in topics
        for partition in described[topic].partitions
    }

    def ends(level: IsolationLevel) -> dict[Partition, int]:
        found = admin.list_offsets(asked, isolation_level=level, request_timeout=PATIENCE_S)
        return {(at.topic, at.partition): each.result().offset for at, each in found.items()}

    deadline = time.monotonic() + 2 * LAST_STABLE_S
    while True:
        stable, newest = ends(IsolationLevel.READ_COMMITTED), ends(IsolationLevel.READ_UNCOMMITTED)
        open_at = {where: offset for where, offset in stable.items() if offset < newest[where]}
        if not open_at or time.monotonic() > deadline:
            return [
                f"the last stable offset of {where} stays at {at} of {newest[where]}" for where, at in open_at.items()
            ]
        time.sleep(0.1)


def _behind(bootstrap: str) -> list[str]:
    """The groups that have not committed all that read_committed shows, PATIENCE_S from now; waits for them."""
    ends = {
        where: max(((each.offset() or 0) + 1 for each in held), default=0)
        for where, held in read_to_end(bootstrap, _partitions(*WRITTEN), "read_committed").items()
    }
    deadline = time.monotonic() + PATIENCE_S
    while True:
        behind = [
            f"{group} did not get on in {where}: at {offset} of {ends[where]}"
            for group, topics in (*((group, WRITTEN) for group in GROUPS), (TRANSFORMING, (INPUT,)))
            for where, offset in _committed(bootstrap, group, _partitions(*topics)).items()
            if offset < ends[where]
        ]
        if not behind or time.monotonic() > deadline:
            return behind
        time.sleep(0.2)


def _committed(bootstrap: str, group: str, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """0 for what was never committed, UNKNOWN for all if the broker does not tell, as while a transaction has them."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group, **QUICK_RETRIES})
    try:
        asked = consumer.committed([TopicPartition(*each) for each in partitions], CALL_S)
    except KafkaException:
        return dict.fromkeys(partitions, UNKNOWN)
    finally:
        consumer.close()
    return {(each.topic, each.partition): max(0, each.offset) for each in asked}
