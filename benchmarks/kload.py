"""Runs the load generator and reads its one line of JSON."""

import json
import subprocess

import build
from admin import Address

TIMEOUT_S = 300.0


class LoadFailed(RuntimeError):
    """The load generator saw a wrong answer, or the broker went away; the message is what it said."""


def run(command: str, address: Address, topic: str, **options: object) -> dict[str, float]:
    """`options` are those of kload, with underscores for dashes. Raises LoadFailed."""
    with start(command, address, topic, **options) as process:
        return finish(process)


def start(command: str, address: Address, topic: str, **options: object) -> subprocess.Popen[str]:
    """A load in the background: `finish` it, or terminate and wait."""
    arguments = [str(build.kload()), command, "--host", address.host, "--port", str(address.port), "--topic", topic]
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    return subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def real_client(command: str, address: Address, topic: str, records: int, size: int) -> dict[str, float]:
    """franz-go, producing or consuming so many records of so many bytes. Raises LoadFailed, build.BuildFailed."""
    arguments = [str(build.go_program("realclient")), command, "-broker", f"{address.host}:{address.port}"]
    arguments += ["-topic", topic, "-records", str(records), "-size", str(size)]
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        return finish(process)


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
