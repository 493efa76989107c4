"""The `kbroker` command as a process: what it prints where, how it stops, and how it says that it can not start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from kbroker.cli import DEV_OVERRIDES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Process = subprocess.Popen[str]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors are POSIX's")


@contextmanager
def kbroker(folder: Path, *arguments: str, fd: int | None = None) -> Iterator[Process]:
    """The command running in `folder`, killed at the end if it is still there."""
    command = [sys.executable, "-m", "kbroker", *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    passed = () if fd is None else (fd,)
    with subprocess.Popen(command, cwd=folder, text=True, pass_fds=passed, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def first_line(process: Process) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.readline() or pytest.fail(f"no ready line: {process.stderr.read()}")


def ready_port(process: Process) -> int:
    words = first_line(process).split()
    assert words[:2] == ["kbroker", "ready"]
    return int(words[2].rpartition(":")[2])


def stopped(process: Process, how: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """The exit status after a signal, and what came on stdout and stderr since."""
    process.send_signal(how)
    # not communicate(), which reads the descriptors past what readline() has buffered; stderr is short enough to wait
    out = process.stdout.read() if process.stdout is not None else ""
    err = process.stderr.read() if process.stderr is not None else ""
    return process.wait(), out, err


def failure(folder: Path, *arguments: str) -> str:
    """What a command that can not start says, which is one line."""
    with kbroker(folder, *arguments) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == "", "the broker is ready, and was not to be"
        _, err = process.communicate()
    assert process.returncode == 1
    lines = [line for line in err.splitlines() if line.startswith("kbroker: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


@posix_only
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", None)])
def test_serve_says_ready_when_everything_answers_and_stops_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    with kbroker(tmp_path, "serve", "--port", "0") as process:
        port = ready_port(process)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                bytes.fromhex("0000000a 0012 0000 0000002a 0000")
            )  # ApiVersions v0, correlation 42, no client id
            assert client.recv(8)[4:] == (42).to_bytes(4, "big")
        status, out, err = stopped(process, how)
    assert (status, out) == (0, "")
    assert "Traceback" not in err
    assert (tmp_path / "kbroker-data" / "meta.properties").exists()


@posix_only
def test_a_broker_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does; a child inherits it
    try:
        with kbroker(tmp_path, "dev", "--memory", "--port", "0") as process:
            port = ready_port(process)
            process.send_signal(signal.SIGHUP)
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(bytes.fromhex("0000000a 0012 0000 0000002a 0000"))
                assert client.recv(8)[4:] == (42).to_bytes(4, "big")
            assert stopped(process)[0] == 0
    finally:
        signal.signal(signal.SIGHUP, usual)


@posix_only
def test_a_stopped_broker_starts_again_on_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with kbroker(tmp_path, "serve", "--port", "0", "--data-dir", "data") as process:
            ready_port(process)
            assert stopped(process)[0] == 0


@posix_only
def test_the_ready_line_names_every_listener(tmp_path: Path) -> None:
    two = ["--listeners", "PLAINTEXT://127.0.0.1:0,INSIDE://localhost:0"]
    protocols = ["--set", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT"]
    with kbroker(tmp_path, "serve", *two, *protocols) as process:
        words = first_line(process).split()
        assert len(words) == 4
        for address in words[2:]:
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port))).close()
        assert stopped(process)[0] == 0


@posix_only
def test_a_descriptor_gets_the_ready_line_too_and_is_closed(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with kbroker(tmp_path, "dev", "--memory", "--port", "0", "--ready-fd", str(writing), fd=writing) as process:
        os.close(writing)
        with open(reading, encoding="ascii") as pipe:
            told = pipe.read()  # ends only because the broker closes its end
        assert told == first_line(process)
        assert stopped(process)[0] == 0


@posix_only
def test_dev_shows_its_screen_after_the_ready_line(tmp_path: Path) -> None:
    with kbroker(tmp_path, "dev", "--port", "0") as process:
        port = ready_port(process)
        status, out, _ = stopped(process)
    assert status == 0
    assert f"127.0.0.1:{port}" in out
    assert str(tmp_path / ".kbroker") in out
    assert all(name in out for name in DEV_OVERRIDES)
    assert (tmp_path / ".kbroker").is_dir()


@posix_only
def test_a_broker_in_memory_leaves_nothing_behind(tmp_path: Path) -> None:
    with kbroker(tmp_path, "dev", "--memory", "--port", "0") as process:
        ready_port(process)
        status, out, _ = stopped(process)
    assert status == 0
    assert "in memory only" in out
    assert list(tmp_path.iterdir()) == []


@posix_only
def test_a_broker_lives_on_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with kbroker(tmp_path, "dev", "--memory", "--port", "0", "--ready-fd", str(writing), fd=writing) as process:
        os.close(writing)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        with open(reading, encoding="ascii") as pipe:
            port = int(pipe.read().rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
        status, _, err = stopped(process)
    assert status == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


@posix_only
def test_warnings_go_to_stderr(tmp_path: Path) -> None:
    with kbroker(tmp_path, "dev", "--memory", "--port", "0", "--set", "log.segmnt.bytes=5") as process:
        ready_port(process)
        _, out, err = stopped(process)
    assert err.count("unknown setting 'log.segmnt.bytes' is ignored; did you mean 'log.segment.bytes'?") == 1
    assert "segmnt" not in out


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in failure(tmp_path, "dev", "--memory", "--port", str(port))


def test_a_folder_that_can_not_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "file/data" in failure(tmp_path, "serve", "--port", "0", "--data-dir", "file/data")


@posix_only
def test_a_folder_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with kbroker(tmp_path, "serve", "--port", "0", "--data-dir", "data") as process:
        ready_port(process)
        assert "in use" in failure(tmp_path, "serve", "--port", "0", "--data-dir", "data")
        assert stopped(process)[0] == 0


@posix_only
@pytest.mark.parametrize(
    ("old", "new", "words"), [("version=1", "version=9", "version 9"), ("node.id=1", "node.id=7", "7")]
)
def test_a_folder_of_a_newer_format_or_of_another_node_is_said_in_one_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    with kbroker(tmp_path, "serve", "--port", "0", "--data-dir", "data") as process:
        ready_port(process)
        assert stopped(process)[0] == 0
    meta = tmp_path / "data" / "meta.properties"
    text = meta.read_text()
    assert old in text
    meta.write_text(text.replace(old, new))
    assert words in failure(tmp_path, "serve", "--port", "0", "--data-dir", "data")


def test_a_wrong_value_is_said_in_one_line(tmp_path: Path) -> None:
    said = failure(tmp_path, "serve", "--set", "log.segment.bytes=5")
    assert all(words in said for words in ("log.segment.bytes", "5", "1048576 or more"))
