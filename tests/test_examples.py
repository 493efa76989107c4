"""What the README tells a newcomer to type, typed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

ROOT = Path(__file__).parent.parent
ROUND_TRIP = ROOT / "examples" / "roundtrip.py"
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOLD = "localhost:9092"  # the address that the README shows


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a broker as `dev` runs it."""
    command = [sys.executable, "-m", "kbroker", "dev", "--memory", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2]
        process.terminate()
        process.stdout.read()
        assert process.wait() == 0


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language and TOLD in block]


def count(address: str) -> int:
    """Records that the topic of the examples holds."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "unused"})
    _, end = consumer.get_watermark_offsets(TopicPartition("greetings", 0))
    consumer.close()
    return int(end)


def test_the_round_trip_writes_a_record_and_reads_it_back(address: str) -> None:
    assert str(ROUND_TRIP.relative_to(ROOT)) in README
    assert "b'world' -> b'hello'" in run(sys.executable, str(ROUND_TRIP), address)


@pytest.mark.parametrize("example", blocks("python"))
def test_a_client_of_the_readme_delivers_its_record(address: str, example: str) -> None:
    run(sys.executable, str(ROUND_TRIP), address)
    before = count(address)
    run(sys.executable, "-c", example.replace(TOLD, address))
    assert count(address) == before + 1


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcat_of_the_readme_reads_what_it_wrote(address: str) -> None:
    [example] = blocks("")
    run(sys.executable, str(ROUND_TRIP), address)
    before = count(address)
    assert run("sh", "-c", example.replace(TOLD, address)).split().count("hello") >= 1
    assert count(address) == before + 1
