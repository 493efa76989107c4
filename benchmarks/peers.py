"""The brokers that are compared: how each is started, what it is called, and why one may be absent."""

import re
import select
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import build
import procstat
from apache_kafka import BROKER_VERSION, ApacheKafka, KafkaUnavailable
from brokers import QUICK_GROUPS, Kbroker

KBROKER, AGAIN, RECORDS, SYNCED = "kbroker", "kbroker-again", "kbroker-records", "kbroker-synced"
APACHE, KFAKE = "apache-kafka", "kfake"
READY_S = 30.0
STOP_S = 10.0

# A deleted topic's files go at once instead of after a minute, so that a run needs little disk; 200 ms, because
# with 0 the deleting task would run all the time.
# Internal topics have the defaults' number of partitions, not the few that do for a test.
APACHE_SETTINGS: dict[str, object] = {
    "log.segment.delete.delay.ms": "200",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "50",
    "transaction.state.log.num.partitions": "50",
    **QUICK_GROUPS,
}


class Peer(Protocol):
    """A broker process on loopback. `start` returns when clients can connect."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Absent(RuntimeError):
    """This peer can not be had here; the message says why. Its figures are missing, which is never a pass."""


@dataclass(frozen=True, slots=True)
class Kind:
    """title: in the report; command: how it is started, for the report; durable: keeps its data when stopped."""

    title: str
    command: str
    open: Callable[[Path, int], Peer]
    durable: bool = True


def _kbroker(durability: str, validate: str, remark: str = "") -> Kind:
    settings: dict[str, object] = {"kbroker.durability": durability, "kbroker.validate": validate, **QUICK_GROUPS}
    shown = " ".join(f"--set {key}={value}" for key, value in settings.items())
    return Kind(
        f"kbroker ({durability}, validate={validate}{remark})",
        f"kbroker serve --port PORT --data-dir FOLDER {shown}",
        lambda folder, port: Kbroker(folder / "data", port, settings),
    )


def _apache(folder: Path, port: int) -> Peer:
    return ApacheKafka(port, folder / "data", APACHE_SETTINGS, quick=False)


class Kfake:
    """franz-go's kfake as a process (go/kfakebroker)."""

    def __init__(self, port: int) -> None:
        self.host, self.port = "127.0.0.1", port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        program = build.go_program("kfakebroker")
        self._process = subprocess.Popen(
            [program, "-port", str(self.port)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        select.select([self._process.stdout], [], [], READY_S)
        if not self._process.stdout.readline().startswith(b"ready"):
            self.kill()
            raise Absent("kfakebroker did not become ready")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


KINDS: dict[str, Kind] = {
    KBROKER: _kbroker("relaxed", "header"),
    AGAIN: _kbroker("relaxed", "header", ", a second one"),
    RECORDS: _kbroker("relaxed", "records"),
    SYNCED: _kbroker("synced", "header"),
    APACHE: Kind(
        f"Apache Kafka {BROKER_VERSION}",
        "java -Xms1G -Xmx1G -Djava.awt.headless=true -cp LIBS kafka.Kafka server.properties  # "
        + " ".join(f"{key}={value}" for key, value in APACHE_SETTINGS.items()),
        _apache,
    ),
    KFAKE: Kind("kfake (Go, in memory)", "kfakebroker -port PORT", lambda _, port: Kfake(port), durable=False),
}


def start(name: str, folder: Path, port: int) -> Peer:
    """Starts a peer on a folder of its own, which may hold data of an earlier start.

    Raises Absent if this machine can not run it, BrokerUnavailable if kbroker does not start, which is a failure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    peer = KINDS[name].open(folder, port)
    try:
        peer.start()
    except (KafkaUnavailable, build.BuildFailed) as reason:
        raise Absent(str(reason)) from reason
    return peer


def check_identity(name: str, peer: Peer) -> None:
    """Raises RuntimeError if the process that was started is not the one that listens on the port."""
    if not procstat.listens(peer.pid, peer.port):
        raise RuntimeError(f"port {peer.port} of {name} is not listened on by process {peer.pid}")


class Ports:
    """Free ports on loopback, counted up from `first`; with 0 the kernel picks."""

    def __init__(self, first: int) -> None:
        self._next = first

    def take(self) -> int:
        if self._next == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                return int(probe.getsockname()[1])
        while True:
            port, self._next = self._next, self._next + 1
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return port


def wait_until_quiet(at_most_s: float, window_s: float = 0.1, quiet_cores: float = 0.3) -> float:
    """Waits until the machine is quiet, not longer than that; returns how many processors are busy at the end."""
    deadline = time.monotonic() + at_most_s
    while (busy := procstat.busy_cores(window_s)) >= quiet_cores and time.monotonic() < deadline:
        pass
    return busy


def short_reason(error: Exception) -> str:
    """The first and the last line of an error, without paths of this machine."""
    told = [line.strip() for line in str(error).splitlines() if line.strip(" |+-")] or [type(error).__name__]
    return re.sub(r"(/[\w.+-]+){2,}", "...", " ... ".join(dict.fromkeys([told[0], told[-1]])))[:300]
