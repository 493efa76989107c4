"""The broker under test: kbroker, Apache Kafka, or any other that is already running.

Tests ask for a broker by its target, the word after `--broker`:
    kbroker      the installed `kbroker` command, started as a process of its own (the default)
    apache       a real Apache Kafka (apache_kafka.py), whose answers are the expected value
    HOST:PORT    whatever listens there; it can not be stopped, killed, or given settings
"""

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, Protocol

from apache_kafka import ApacheKafka

Kind = Literal["kbroker", "apache", "other"]

PATIENCE_S = 30.0  # how long a test waits for a client without any progress; a healthy broker answers in milliseconds

# A group rebalances at once instead of after 3 s; one of the new protocol (KIP-848) is assigned anew as often as it
# needs to be instead of once a second, and its members hear of that within 0.2 s instead of 5.
QUICK_GROUPS: dict[str, object] = {
    "group.initial.rebalance.delay.ms": 0,
    "group.consumer.assignment.interval.ms": 0,
    "group.consumer.heartbeat.interval.ms": 200,
    "group.consumer.min.heartbeat.interval.ms": 200,
}

READY_S = 30.0  # kbroker answers in half a second; a machine that is busy with other things gets its time
STOP_S = 30.0


class BrokerUnavailable(RuntimeError):
    """The broker under test can not be started here, or did not come up; the message says why."""


class Broker(Protocol):
    """A running broker: where clients connect to it, and where its partition folders are if that is known."""

    @property
    def kind(self) -> Kind: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def bootstrap(self) -> str: ...
    @property
    def log_dir(self) -> Path | None: ...


class OwnBroker(Broker, Protocol):
    """A broker that one test has for itself: to be ended in any way, and started again on the same port and folder."""

    @property
    def log_dir(self) -> Path: ...
    def start(self) -> None: ...
    def launch(self) -> None: ...
    def wait_until_ready(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Kbroker:
    """`kbroker serve` as a process. Attributes are those of OwnBroker; `ready_s` is how long the last start took.

    port       client port on 127.0.0.1; 0 lets the broker pick one, which later starts use again
    settings   Kafka's names and our own, given as --set
    """

    kind: Kind = "kbroker"

    def __init__(self, data_dir: Path, port: int = 0, settings: Mapping[str, object] | None = None) -> None:
        self.data_dir = data_dir
        self.host, self.port = "127.0.0.1", port
        self.ready_s = 0.0
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def log_dir(self) -> Path:
        return self.data_dir

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def stderr(self) -> Path:
        """Where the broker's log lines of all its starts go."""
        return self.data_dir.with_name(self.data_dir.name + ".stderr")

    def launch(self) -> None:
        """Starts the process without waiting for it; `start` is this and `wait_until_ready`."""
        assert self._process is None, "already started"
        command = [_kbroker_command(), "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        for key, value in self._settings.items():
            command += ["--set", f"{key}={value}"]
        with self.stderr.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, bufsize=0
            )

    def wait_until_ready(self) -> None:
        """Reads the ready line. Raises BrokerUnavailable if the broker ends, says something else, or is silent."""
        line = self._first_line()
        words = line.split()
        if words[:2] != ["kbroker", "ready"] or len(words) < 3:
            self.kill()
            said = self.stderr.read_text(errors="replace")[-2000:]
            raise BrokerUnavailable(f"kbroker did not become ready; first line {line!r}, then on stderr:\n{said}")
        self.port = int(words[2].rpartition(":")[2])

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line, deadline = b"", time.monotonic() + READY_S
        while not line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                break
            byte = self._process.stdout.read(1)
            if not byte:
                break
            line += byte
        return line.decode(errors="replace")

    def start(self) -> None:
        started = time.monotonic()
        self.launch()
        self.wait_until_ready()
        self.ready_s = time.monotonic() - started

    def stop(self) -> None:
        """A clean stop. Raises BrokerUnavailable if it takes longer than STOP_S or ends with another status than 0."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BrokerUnavailable(f"kbroker did not stop within {STOP_S:.0f} s") from None
        self._ended()
        if status != 0:
            said = self.stderr.read_text(errors="replace")[-2000:]
            raise BrokerUnavailable(f"kbroker ended with status {status}:\n{said}")

    def kill(self) -> None:
        """SIGKILL: what a crash of the process looks like."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._ended()

    def _ended(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


class _Apache(ApacheKafka):
    kind: Kind = "apache"


class _Other:
    """A broker somebody else started."""

    kind: Kind = "other"
    log_dir = None

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"


def _kbroker_command() -> str:
    """The `kbroker` that is installed beside this Python, else the one on PATH."""
    beside = Path(sys.executable).with_name("kbroker")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("kbroker")
    if found is None:
        raise BrokerUnavailable(f"no `kbroker` beside {sys.executable} nor on PATH: pip install kbroker")
    return found


@contextmanager
def own_broker(target: str, settings: Mapping[str, object] | None = None, port: int = 0) -> Iterator[OwnBroker]:
    """A fresh broker with an empty folder, running; stopped and its folder removed at the end.

    Raises BrokerUnavailable if `target` is an address, KafkaUnavailable or BrokerUnavailable if it can not be started.
    """
    if target not in ("kbroker", "apache"):
        raise BrokerUnavailable(
            f"this needs a broker of its own, and {target} can not be stopped and started from here"
        )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{target}-")))
        broker: OwnBroker
        if target == "apache":
            broker = _Apache(port, folder / "data", settings)
        else:
            broker = Kbroker(folder / "data", port, settings)
        stack.callback(broker.stop)
        broker.start()
        yield broker


@contextmanager
def any_broker(target: str) -> Iterator[Broker]:
    """The broker that `target` names, fresh if it is started from here.

    Raises ValueError for a word that is no target, KafkaUnavailable or BrokerUnavailable if it can not be started.
    """
    if target in ("kbroker", "apache"):
        with own_broker(target) as broker:
            yield broker
        return
    host, _, port = target.rpartition(":")
    if not (host and port.isdigit()):
        raise ValueError(f"a broker is kbroker, apache or HOST:PORT, not {target!r}")
    yield _Other(host, int(port))
