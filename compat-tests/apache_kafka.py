"""A real Apache Kafka on loopback: the broker whose answers are the expected value.

One node, broker and KRaft controller in one process, from the jars that java/pom.xml pins. The broker and the console
tools are two sets of jars, because the tools' newest published version does not run on the broker's libraries.

In Python:
    with ApacheKafka(settings={"num.partitions": 3}) as kafka:
        print(kafka.bootstrap)
        tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", kafka.bootstrap, "--list")

By hand:
    python apache_kafka.py install
    python apache_kafka.py start [--port 9092] [--quick] DATA_DIR [key=value ...]
    python apache_kafka.py status DATA_DIR
    python apache_kafka.py stop DATA_DIR
    python apache_kafka.py tool org.apache.kafka.tools.TopicCommand --help

Needs `java` (17 or newer) and, for the first installation, `mvn`. Jars are kept in the user's cache folder.
"""

import argparse
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

BROKER_VERSION = "4.4.0"
TOOLS_VERSION = "4.3.1"
STREAMS_VERSION = "4.3.1"
POM = Path(__file__).parent / "java" / "pom.xml"

CLUSTER_ID = "a2Jyb2tlci1jb21wYXQtMQ"  # 16 bytes in URL-safe base64, as KRaft wants it
READY_S = 90.0  # a cold JVM on one busy core has needed 30 s
STOP_S = 30.0  # a controlled shutdown takes 2 to 4 s
POLL_S = 0.05
QUICK_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

# A single node can have no second replica, and one partition of an internal topic does for a test.
SINGLE_NODE = {
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
}


class KafkaUnavailable(RuntimeError):
    """This machine can not run Apache Kafka, or the broker did not come up; the message says what to do."""


def cache_folder() -> Path:
    """Where the jars are kept between runs: below XDG_CACHE_HOME, else ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kbroker-compat"


def broker_libs() -> Path:
    return cache_folder() / f"kafka-{BROKER_VERSION}" / "libs"


def tools_libs() -> Path:
    return cache_folder() / f"kafka-tools-{TOOLS_VERSION}" / "libs"


def streams_libs() -> Path:
    """Kafka Streams and what it needs. Fetched once, 95 MB. Raises KafkaUnavailable."""
    return _fetched(f"kafka-streams-{STREAMS_VERSION}", "streams")


def configs_libs() -> Path:
    """kafka.admin.ConfigCommand and what it needs. Fetched once, 45 MB. Raises KafkaUnavailable."""
    return _fetched(f"kafka-configs-{TOOLS_VERSION}", "configs")


def _fetched(folder: str, profile: str) -> Path:
    if reason := missing():
        raise KafkaUnavailable(reason)
    libs = cache_folder() / folder / "libs"
    if not libs.is_dir():
        if shutil.which("mvn") is None:
            raise KafkaUnavailable("mvn is not on PATH: install Maven (Debian: apt-get install maven)")
        _copy_jars(libs, profile)
    return libs


def missing() -> str | None:
    """What this machine lacks to run Apache Kafka, as one sentence; None if nothing."""
    if shutil.which("java") is None:
        return "java is not on PATH: install a Java 17 or newer (Debian: apt-get install openjdk-17-jdk-headless)"
    if not (broker_libs().is_dir() and tools_libs().is_dir()) and shutil.which("mvn") is None:
        return "mvn is not on PATH, and the jars are not installed yet: install Maven (Debian: apt-get install maven)"
    return None


def install() -> None:
    """Copies the pinned jars of broker and tools into the cache folder, once. Raises KafkaUnavailable."""
    if reason := missing():
        raise KafkaUnavailable(reason)
    for libs, profile in ((broker_libs(), "broker"), (tools_libs(), "tools")):
        if not libs.is_dir():
            _copy_jars(libs, profile)


def _copy_jars(libs: Path, profile: str) -> None:
    """Fills `libs` in one step, so that an interrupted or a second installation leaves no half of a set."""
    libs.parent.mkdir(parents=True, exist_ok=True)
    with (libs.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if libs.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=libs.parent) as staging:
            command = ["mvn", "-q", "-B", "-f", str(POM), f"-P{profile}", "dependency:copy-dependencies"]
            copied = Path(staging) / "libs"
            done = subprocess.run(
                [*command, f"-DoutputDirectory={copied}"],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode != 0 or not copied.is_dir():
                raise KafkaUnavailable(f"Maven could not fetch the {profile} jars:\n{_tail(done.stdout + done.stderr)}")
            copied.rename(libs)


def tool(
    main_class: str, *arguments: str, stdin: str | None = None, timeout_s: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """Runs a console tool, for example org.apache.kafka.tools.TopicCommand, and returns whatever it said.

    A tool of the package kafka.admin is looked for among `configs_libs`.

    Raises KafkaUnavailable without Java or jars, subprocess.TimeoutExpired after `timeout_s`.
    """
    command = tool_command(main_class, *arguments)
    return subprocess.run(command, input=stdin or "", capture_output=True, text=True, timeout=timeout_s, check=False)


def tool_command(main_class: str, *arguments: str) -> list[str]:
    """The command that runs a console tool, for who wants its output while it runs. Raises KafkaUnavailable."""
    install()
    libs = configs_libs() if main_class.startswith("kafka.admin.") else tools_libs()
    return ["java", "-Xmx256M", *QUICK_JVM, "-cp", f"{libs}/*", main_class, *arguments]


class ApacheKafka:
    """One Apache Kafka process and its folder; a context manager, or start() and stop() by hand.

    port       client port on 127.0.0.1; 0 picks a free one. The controller listens on a second, free port.
    data_dir   holds `log/` (the log.dirs), server.properties, server.log; kept. None: a temporary folder, not kept
    settings   lines for server.properties, over the defaults for a single node
    heap       maximum and initial heap, as the JVM's -Xmx takes it
    quick      JVM options for a fast start (serial collector, first compiler only); False: its defaults, for benchmarks
    """

    def __init__(
        self,
        port: int = 0,
        data_dir: str | os.PathLike[str] | None = None,
        settings: Mapping[str, object] | None = None,
        *,
        heap: str = "1G",
        quick: bool = True,
    ) -> None:
        self._cleanup = ExitStack()
        if data_dir is None:
            data_dir = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="apache-kafka-"))
        self.data_dir = Path(data_dir).resolve()
        self.host = "127.0.0.1"
        self.port = port
        self._settings = {key: str(value) for key, value in (settings or {}).items()}
        for key, value in self._settings.items():
            if "\n" in key + value:
                raise ValueError(f"a setting holds a line break: {key!r}={value!r}")
        self._jvm = [f"-Xms{heap}", f"-Xmx{heap}", *(QUICK_JVM if quick else ())]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def log_dir(self) -> Path:
        """The folder of partition folders (log.dirs)."""
        return self.data_dir / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._cleanup.close()

    def start(self, *, detached: bool = False) -> None:
        """Returns when clients can connect. `detached`: the broker outlives this process and its terminal.

        Raises KafkaUnavailable with the end of the broker's log if it ends, or is not ready after READY_S.
        """
        self.launch(detached=detached)
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def launch(self, *, detached: bool = False) -> None:
        """Starts the process without waiting for it; `start` is this and `wait_until_ready`."""
        assert self._process is None, "already started"
        install()
        self.log_dir.mkdir(parents=True, exist_ok=True)
        controller_port = self._choose_ports()
        self._write_files(controller_port)
        if not (self.log_dir / "meta.properties").exists():
            self._format()
        self._log.write_bytes(b"")
        command = self._java(self._jvm, "kafka.Kafka", str(self._properties))
        with (self.data_dir / "stdout.log").open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=detached
            )
        (self.data_dir / "pid").write_text(str(self._process.pid))

    def wait_until_ready(self) -> None:
        """Raises KafkaUnavailable if the process ends, or is not ready after READY_S."""
        assert self._process is not None, "not launched"
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise KafkaUnavailable(
                    f"Apache Kafka ended with status {self._process.returncode}:\n{self._last_words()}"
                )
            if b"Kafka Server started" in self._log.read_bytes() and _listening(self.host, self.port):
                return
            time.sleep(POLL_S)
        raise KafkaUnavailable(f"Apache Kafka was not ready after {READY_S:.0f} s:\n{self._last_words()}")

    def stop(self) -> None:
        """A controlled shutdown; the process is killed if that takes longer than STOP_S."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._ended()

    def kill(self) -> None:
        """SIGKILL: what a crash of the process looks like."""
        if self._process is None:
            return
        self._process.kill()
        self._ended()

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait()
        self._process = None
        (self.data_dir / "pid").unlink(missing_ok=True)

    @property
    def _properties(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def _log(self) -> Path:
        return self.data_dir / "server.log"

    def _choose_ports(self) -> int:
        """Fixes the client port if it was left open, and returns the controller's. Both are free now, not reserved."""
        with ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in range(2)]
            for each in sockets:
                each.bind((self.host, 0))
            first, second = (each.getsockname()[1] for each in sockets)
        if self.port == 0:
            self.port = first
        elif _listening(self.host, self.port):
            raise KafkaUnavailable(f"port {self.port} is in use")
        return int(second)

    def _write_files(self, controller_port: int) -> None:
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.host}:{controller_port}",
            "listeners": f"PLAINTEXT://{self.host}:{self.port},CONTROLLER://{self.host}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.host}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.log_dir),
            **SINGLE_NODE,
            **self._settings,
        }
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        (self.data_dir / "log4j2.properties").write_text(
            "status = error\n"
            "appender.file.type = File\n"
            "appender.file.name = FILE\n"
            f"appender.file.fileName = {self._log}\n"
            "appender.file.layout.type = PatternLayout\n"
            "appender.file.layout.pattern = [%d] %p %m (%c)%n\n"
            "rootLogger.level = INFO\n"
            "rootLogger.appenderRef.file.ref = FILE\n"
        )

    def _java(self, jvm: list[str], *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}"
        return ["java", *jvm, "-Djava.awt.headless=true", logging, "-cp", f"{broker_libs()}/*", *arguments]

    def _format(self) -> None:
        jvm = ["-Xmx256M", *QUICK_JVM]
        command = self._java(jvm, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._properties))
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise KafkaUnavailable(f"Apache Kafka could not format {self.log_dir}:\n{_tail(done.stdout + done.stderr)}")

    def _last_words(self) -> str:
        output = (self.data_dir / "stdout.log").read_text(errors="replace")
        return _tail(self._log.read_text(errors="replace") + output)


def _listening(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(text.splitlines()[-lines:])


def running_pid(data_dir: Path) -> int | None:
    """The process that a detached start left in `data_dir`, unless it ended or its number belongs to another by now."""
    try:
        pid = int((data_dir / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return pid if str(data_dir / "server.properties") in shown.stdout else None


def stop_detached(data_dir: Path) -> bool:
    """Stops what `start --detached` left running; False if nothing was."""
    pid = running_pid(data_dir)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while running_pid(data_dir) is not None:
        if time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
    (data_dir / "pid").unlink(missing_ok=True)
    return True


def _command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="A real Apache Kafka on loopback, for tests and benchmarks.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="fetch the pinned jars once")
    start = commands.add_parser("start", help="start a broker that keeps running")
    start.add_argument("--port", type=int, default=0, help="client port on 127.0.0.1; 0 (default) picks a free one")
    start.add_argument("--heap", default="1G", help="maximum and initial heap, as for -Xmx (default 1G)")
    start.add_argument("--quick", action="store_true", help="JVM options for a fast start rather than for speed")
    start.add_argument("data_dir", type=Path)
    start.add_argument("settings", nargs="*", metavar="key=value", help="lines for server.properties")
    for name, text in (("stop", "stop the broker of a folder"), ("status", "tell whether the broker of a folder runs")):
        commands.add_parser(name, help=text).add_argument("data_dir", type=Path)
    run = commands.add_parser("tool", help="run a console tool")
    run.add_argument("main_class")
    run.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _start(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    settings = {}
    for line in arguments.settings:
        key, equals, value = line.partition("=")
        if not (key and equals):
            parser.error(f"not a key=value: {line!r}")
        settings[key] = value
    data_dir = arguments.data_dir.resolve()
    if (pid := running_pid(data_dir)) is not None:
        raise KafkaUnavailable(f"already running in {data_dir}: pid {pid}")
    kafka = ApacheKafka(arguments.port, data_dir, settings, heap=arguments.heap, quick=arguments.quick)
    kafka.start(detached=True)
    print(f"ready {kafka.bootstrap} pid {kafka.pid}")


def main() -> int:
    parser = _command_line()
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "install":
                install()
                print(f"{broker_libs()}\n{tools_libs()}")
            case "start":
                _start(parser, arguments)
            case "stop":
                stop_detached(arguments.data_dir.resolve())
            case "status":
                pid = running_pid(arguments.data_dir.resolve())
                print("stopped" if pid is None else f"running pid {pid}")
                return 3 if pid is None else 0
            case "tool":
                command = tool_command(arguments.main_class, *arguments.arguments)
                return subprocess.run(command, check=False).returncode
    except KafkaUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
