"""Runs the load generator, and real clients as loads, and reads the one line of JSON that each prints."""

import json
import subprocess
import sys
from pathlib import Path

import build
from admin import Address

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 300.0


class LoadFailed(RuntimeError):
    """The load generator saw a wrong answer, or the broker went away; the message is what it said."""


def run(command: str, address: Address, topic: str, **options: object) -> dict[str, float]:
    """`options` are those of kload, with underscores for dashes. Raises LoadFailed."""
    with start(command, address, topic, **options) as process:
        return finish(process)


def start(command: str, address: Address, topic: str, **options: object) -> subprocess.Popen[str]:
    """A load in the background: `finish` it, or terminate and wait."""
    at = ["--host", address.host, "--port", str(address.port), "--topic", topic]
    return _start([str(build.kload()), command, *at], options)


def franz_go(program: str, *command: str, address: Address, topic: str, **options: object) -> dict[str, float]:
    """A program of go/, by its name and its command if it has several. Raises LoadFailed, build.BuildFailed."""
    at = ["--broker", f"{address.host}:{address.port}", "--topic", topic]
    with _start([str(build.go_program(program)), *command, *at], options) as process:
        return finish(process)


def librdkafka(script: str, address: Address, topic: str, **options: object) -> dict[str, float]:
    """A script of this folder that uses confluent-kafka. Raises LoadFailed."""
    at = ["--broker", f"{address.host}:{address.port}", "--topic", topic]
    with _start([sys.executable, str(HERE / script), *at], options) as process:
        return finish(process)


def _start(command: list[str], options: dict[str, object]) -> subprocess.Popen[str]:
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> dict[str, float]:
    """Waits for a load to end by itself. Raises LoadFailed."""
    try:
        printed, said = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise LoadFailed(f"no result within {TIMEOUT_S:.0f} s") from None
    if process.returncode != 0:
        raise LoadFailed(said.strip() or f"ended with status {process.returncode}")
    outcome: dict[str, float] = json.loads(printed)
    return outcome
