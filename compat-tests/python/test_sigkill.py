"""A short form of the loop of kills; `python sigkill.py --kills 200` is the long one."""

import subprocess
import sys

import apache_kafka
import pytest
import sigkill


def test_ten_kills_lose_no_acknowledged_record_and_double_none_of_an_idempotent_producer(target: str) -> None:
    """In a process of its own: kafka-python leaves a socket for each connection that was refused."""
    if target not in ("kbroker", "apache"):
        pytest.skip(f"{target} belongs to somebody else, and is not to be killed")
    if target == "apache" and (reason := apache_kafka.missing()):
        pytest.skip(reason)
    command = [sys.executable, sigkill.__file__, "--broker", target, "--kills", "10"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
