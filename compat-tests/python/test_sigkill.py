"""Short forms of the loop of kills; `python sigkill.py --kills 200` is the long one."""

import subprocess
import sys

import apache_kafka
import pytest
import sigkill

TRANSACTIONS = [
    *("--load", "transactions", "--transaction-timeout-ms", "3000"),
    *("--set", "transaction.abort.timed.out.transaction.cleanup.interval.ms=500"),
]


@pytest.mark.parametrize(
    "load",
    [pytest.param(["--kills", "10"], id="records"), pytest.param(["--kills", "6", *TRANSACTIONS], id="transactions")],
)
def test_kills_under_load_take_nothing_back_that_was_acknowledged(target: str, load: list[str]) -> None:
    """In a process of its own: kafka-python leaves a socket for each connection that was refused."""
    if target not in ("kbroker", "apache"):
        pytest.skip(f"{target} belongs to somebody else, and is not to be killed")
    if target == "apache" and (reason := apache_kafka.missing()):
        pytest.skip(reason)
    command = [sys.executable, sigkill.__file__, "--broker", target, *load]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
