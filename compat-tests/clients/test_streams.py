"""Kafka Streams counting words exactly once, killed and stopped while it does."""

import random
import select
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import confluent_kafka
import pytest
from brokers import PATIENCE_S, Broker
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from program_clients import NotHere, streams_command
from step_programs import not_served

WORDS = ("offset", "leader", "epoch", "segment", "broker", "batch", "group")
PARTITIONS = 2
LINES, FULL_LINES = 300, 6000  # written at a time
WITHIN_S = 2 * PATIENCE_S  # a killed member is given up after 6 s, its transaction after 10


class Application:
    """The word count as a process; `start` returns when it works."""

    def __init__(self, command: tuple[str, ...], folder: Path) -> None:
        self._command = command
        self._said = folder / "word-count.err"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, bufsize=0
            )
        assert self._process.stdout is not None
        deadline = time.monotonic() + WITHIN_S
        for line in iter(self._process.stdout.readline, b""):
            if b'"RUNNING"' in line:
                return
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                break
        pytest.fail(f"the word count does not run: {self._said.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._end()

    def kill(self) -> None:
        """SIGKILL; nothing happens if it has ended."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait(WITHIN_S)
        self._process = None


class Counts:
    """The committed output so far, read as it comes: the counts of each word, in order."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.of: dict[str, list[int]] = {word: [] for word in WORDS}
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "unused",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        start = confluent_kafka.OFFSET_BEGINNING
        self._consumer.assign([TopicPartition(topic, partition, start) for partition in range(PARTITIONS)])

    def read_until(self, total: int) -> None:
        """Until there are so many counts; more may come with them."""
        deadline = time.monotonic() + WITHIN_S
        while sum(map(len, self.of.values())) < total:
            assert time.monotonic() < deadline, f"{sum(map(len, self.of.values()))} of {total} counts"
            self.read(0.5)

    def read(self, timeout_s: float) -> None:
        for message in self._consumer.consume(1000, timeout_s):
            assert message.error() is None, message.error()
            word, count = message.key(), message.value()
            assert isinstance(word, bytes)
            assert isinstance(count, bytes)
            self.of[word.decode()].append(int(count))

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def name(group_broker: Broker) -> str:
    """Of the application and its input; the output has -counts behind it."""
    if missing := not_served(group_broker.host, group_broker.port, "ctp"):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")
    name = f"words-{uuid.uuid4().hex[:10]}"
    admin = AdminClient({"bootstrap.servers": group_broker.bootstrap})
    topics = [NewTopic(name, PARTITIONS), NewTopic(f"{name}-counts", PARTITIONS)]
    for created in admin.create_topics(topics).values():
        created.result(PATIENCE_S)
    return name


def test_word_counts_are_right_after_a_kill_and_a_stop(
    request: pytest.FixtureRequest, group_broker: Broker, programs_folder: Path, tmp_path: Path, name: str
) -> None:
    try:
        command = streams_command(programs_folder)
    except NotHere as reason:
        pytest.skip(str(reason))
    lines = FULL_LINES if request.config.getoption("--full") else LINES
    application = Application(
        (*command, group_broker.bootstrap, name, name, f"{name}-counts", str(tmp_path / "state")), tmp_path
    )
    draw, sent = random.Random(1), Counter[str]()
    producer = confluent_kafka.Producer({"bootstrap.servers": group_broker.bootstrap, "enable.idempotence": True})

    def write() -> None:
        for _ in range(lines):
            words = draw.choices(WORDS, k=4)
            sent.update(words)
            producer.produce(name, " ".join(words).encode(), partition=draw.randrange(PARTITIONS))
            producer.poll(0)
        assert producer.flush(PATIENCE_S) == 0

    with ExitStack() as stack:
        stack.callback(application.kill)
        counts = Counts(group_broker.bootstrap, f"{name}-counts")
        stack.callback(counts.close)
        endings: list[Callable[[], None]] = [application.kill, application.stop]
        for end in endings:
            done = sent.total()
            application.start()
            write()
            counts.read_until(done + 1)
            write()  # it ends in the middle of these
            end()
        application.start()
        counts.read_until(sent.total())
        application.stop()
        counts.read(1.0)
    # each update once and in order: nothing was counted twice, nothing left out, nothing shown that was undone
    assert counts.of == {word: list(range(1, sent[word] + 1)) for word in WORDS}
