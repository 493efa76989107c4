"""What the commands have in common: addresses, the exit status, and that asking a broker does not start one."""

import os
import subprocess
import sys

import pytest

from kbroker.cli import main
from kbroker.commands.connection import Address
from kbroker.commands.options import addresses


def test_addresses_have_a_port_or_kafkas():
    assert addresses("a:1, b,[::1]:2,[fe80::1]") == [
        Address("a", 1),
        Address("b", 9092),
        Address("::1", 2),
        Address("fe80::1", 9092),
    ]


@pytest.mark.parametrize("command", ["group", "txn"])
def test_options_may_stand_before_the_action_or_behind_it(command, capsys):
    for arguments in (
        [command, "--bootstrap", "127.0.0.1:2", "list"],
        [command, "list", "--bootstrap-server", "127.0.0.1:2"],
        [command, "--bootstrap", "127.0.0.1:1", "list", "--bootstrap", "127.0.0.1:2"],
    ):
        assert main(arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("kbroker: can not connect to 127.0.0.1:2: ")
        assert err.count("\n") == 1


def test_asking_imports_neither_trio_nor_the_broker():
    code = (
        "import sys; from kbroker.cli import main; main(['txn', 'list', '--bootstrap', '127.0.0.1:2'])\n"
        "from kbroker.commands import group_command\n"
        "print(sorted({'trio', 'asyncio', 'logging', 'kbroker_storage', 'kbroker.broker'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_of_kbroker_names_the_commands_without_importing_them():
    code = (
        "import sys; from kbroker.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'kbroker.commands', 'kbroker_wire', 'socket'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "consumer groups of a broker" in done.stdout
    assert "transactions of a broker" in done.stdout
    assert done.stdout.endswith("[]\n")


SAYING = """
import sys
from kbroker.commands import options
top, actions = options.parser("x", "d")
options.action(actions, "a", "d", lambda given, cluster: options.say(sys.argv[1]) or 0)
sys.exit(options.run(top, ["a"]))
"""


def saying(text, stdout, encoding="utf-8"):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", SAYING, text]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, env=environment)


def test_a_reader_that_has_read_enough_gets_no_traceback():
    """As `kbroker group list | head -0` does: the pipe is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = saying("text", pipe)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_terminal_that_lacks_a_letter_is_shown_its_number():
    done = saying("größe", subprocess.PIPE, "ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "gr\\xf6\\xdfe\n", "")
