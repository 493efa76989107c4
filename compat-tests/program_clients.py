"""Clients of other languages, each a small program that is driven through its command line.

    PROGRAM BOOTSTRAP write TOPIC CODEC < records    writes to partition 0, prints the offset of each record
    PROGRAM BOOTSTRAP read TOPIC COUNT               prints the first COUNT records of partition 0
    PROGRAM BOOTSTRAP offsets TOPIC                  prints the first offset of partition 0 and the end
    PROGRAM BOOTSTRAP admin TOPIC                    creates, describes, grows and deletes the topic

A record is a line: timestamp in ms, key, value, headers, with tabs between. Keys, values, and the names and values of
headers are base64, `-` stands for null, a header is `name:value`, and commas are between headers.
"""

import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_kafka
from brokers import PATIENCE_S
from python_clients import CODECS, Record

HERE = Path(__file__).parent
BUILD_S = 540.0  # a first build fetches modules and compiles everything


class NotHere(RuntimeError):
    """A tool that the program needs is missing on this machine; the message says which."""


class Failed(AssertionError):
    """The program ended with an error; the message is what it wrote."""


@dataclass(frozen=True, slots=True)
class Program:
    """One client program: its command, the codecs it has, and whether it can read without a group."""

    name: str
    command: tuple[str, ...]
    codecs: tuple[str, ...] = CODECS
    reads: bool = True

    def write(self, bootstrap: str, topic: str, records: Sequence[Record], codec: str = "none") -> list[int]:
        """The offsets of the records, in order."""
        lines = "".join(f"{format_record(record)}\n" for record in records)
        return [int(line) for line in self._run(bootstrap, "write", topic, codec, stdin=lines)]

    def read(self, bootstrap: str, topic: str, count: int) -> list[Record]:
        return [parse_record(line) for line in self._run(bootstrap, "read", topic, str(count))]

    def offsets(self, bootstrap: str, topic: str) -> tuple[int, int]:
        """The first offset of partition 0, and its end."""
        start, end = self._run(bootstrap, "offsets", topic)[0].split()
        return int(start), int(end)

    def administer(self, bootstrap: str, topic: str) -> None:
        """Raises Failed with the step that went wrong."""
        self._run(bootstrap, "admin", topic)

    def _run(self, *arguments: str, stdin: str = "") -> list[str]:
        done = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=3 * PATIENCE_S,
        )
        if done.returncode != 0:
            raise Failed(f"{self.name} {' '.join(arguments[1:])}:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
        return done.stdout.splitlines()


def format_record(record: Record) -> str:
    headers = ",".join(f"{_base64(name.encode())}:{_base64(value)}" for name, value in record.headers)
    return f"{record.timestamp_ms}\t{_base64(record.key)}\t{_base64(record.value)}\t{headers}"


def parse_record(line: str) -> Record:
    timestamp, key, value, headers = line.split("\t")
    return Record(_bytes(key), _bytes(value), tuple(_headers(headers)), int(timestamp))


def _headers(text: str) -> Iterable[tuple[str, bytes]]:
    for header in text.split(",") if text else ():
        name, value = map(_bytes, header.split(":"))
        assert name is not None
        assert value is not None
        yield name.decode(), value


def _base64(value: bytes | None) -> str:
    return "-" if value is None else b64encode(value).decode()


def _bytes(text: str) -> bytes | None:
    return None if text == "-" else b64decode(text, validate=True)


def _need(tool: str, package: str) -> None:
    if shutil.which(tool) is None:
        raise NotHere(f"{tool} is not on PATH (Debian: {package})")


def _build(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Raises NotHere with the end of the output: what fails in a build is the machine, not the broker."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_S,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        raise NotHere(f"{' '.join(command)}: {(done.stdout + done.stderr)[-1500:]}")


def java(folder: Path) -> Program:
    """Apache Kafka's Java client. Raises NotHere."""
    return Program("Java", java_command(folder, "Client"))


def franz_go(folder: Path) -> Program:
    """franz-go. Raises NotHere."""
    return Program("franz-go", go_command(folder))


def kafkajs(folder: Path) -> Program:
    """kafkajs. Raises NotHere."""
    return Program("kafkajs", node_command(folder, "kafkajs.js"), ("none", "gzip"), reads=False)


def platformatic(folder: Path) -> Program:
    """@platformatic/kafka. Raises NotHere."""
    return Program("@platformatic/kafka", node_command(folder, "platformatic.js"), ("none", "gzip"))


def java_command(folder: Path, main_class: str) -> tuple[str, ...]:
    """A class of java/, compiled into `folder` against the client library that the pom pins. Raises NotHere."""
    try:
        apache_kafka.install()
    except apache_kafka.KafkaUnavailable as reason:
        raise NotHere(str(reason)) from None
    return _java_command(folder, main_class, apache_kafka.broker_libs())


def streams_command(folder: Path) -> tuple[str, ...]:
    """The word count of java/, compiled into `folder` against Kafka Streams. Raises NotHere."""
    try:
        libs = apache_kafka.streams_libs()
    except apache_kafka.KafkaUnavailable as reason:
        raise NotHere(str(reason)) from None
    return _java_command(folder, "WordCount", libs)


def _java_command(folder: Path, main_class: str, libs: Path) -> tuple[str, ...]:
    _need("javac", "openjdk-17-jdk-headless")
    jars, classes = f"{libs}/*", folder / "classes"
    if not (classes / f"{main_class}.class").exists():
        _build(["javac", "-d", str(classes), "-cp", jars, str(HERE / "java" / f"{main_class}.java")], HERE)
    jvm = ("-Xmx256M", *apache_kafka.QUICK_JVM, "-Dlog4j2.level=OFF")
    return ("java", *jvm, "-cp", f"{classes}:{jars}", main_class)


def go_command(folder: Path) -> tuple[str, ...]:
    """The program of go/, built into `folder`. Raises NotHere."""
    _need("go", "golang")
    _build(["go", "build", "-o", str(folder / "franz-go"), "."], HERE / "go")
    return (str(folder / "franz-go"),)


def node_command(folder: Path, script: str) -> tuple[str, ...]:
    """A script of node/, in a copy in `folder` that has the packages of the lock file. Raises NotHere."""
    _need("node", "nodejs")
    _need("npm", "npm")
    copy = folder / "node"
    if not copy.is_dir():
        shutil.copytree(HERE / "node", copy, ignore=shutil.ignore_patterns("node_modules"))
        _build(["npm", "ci", "--no-progress", "--loglevel=error"], copy)
    return ("node", str(copy / script))
