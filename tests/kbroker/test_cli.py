"""What a command line means: precedence, what `dev` changes, mistakes; and the screen that `dev` shows."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kbroker.cli import DEV_OVERRIDES, main, read_arguments
from kbroker.config import BrokerConfig, ConfigError, Listener
from kbroker.welcome import welcome

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def properties(tmp_path: Path) -> Path:
    file = tmp_path / "server.properties"
    file.write_text("node.id = 7\nlog.dir=/from/file\nnum.partitions=3\nlisteners=PLAINTEXT://0.0.0.0:19092\n")
    return file


def test_serve_is_kafka_with_a_loopback_address_and_durable_answers() -> None:
    run = read_arguments(["serve"])
    assert run.overrides is None
    assert not run.memory
    assert run.config.listeners == [Listener("PLAINTEXT", "127.0.0.1", 9092, "PLAINTEXT")]
    assert (run.config.data_dir, run.config.durability, run.config.node_id) == ("./kbroker-data", "synced", 1)
    assert run.config.int("offsets.topic.replication.factor") == 3


def test_dev_is_quick_and_says_what_it_changed() -> None:
    run = read_arguments(["dev"])
    assert run.overrides == DEV_OVERRIDES
    assert (run.config.data_dir, run.config.durability, run.config.validate) == (".kbroker", "relaxed", "records")
    assert run.config.listeners == [Listener("PLAINTEXT", "127.0.0.1", 9092, "PLAINTEXT")]
    assert run.config.warnings == []
    assert BrokerConfig.parse(DEV_OVERRIDES).listeners  # each is a value that the setting can have


def test_dev_shows_only_the_changes_that_are_in_force() -> None:
    run = read_arguments(["dev", "--set", "kbroker.durability=synced", "--set", "log.dir=/elsewhere"])
    assert run.overrides is not None
    assert {"kbroker.durability", "log.dirs"} & set(run.overrides) == set()
    assert (run.config.durability, run.config.data_dir) == ("synced", "/elsewhere")
    in_memory = read_arguments(["dev", "--memory"])
    assert in_memory.memory
    assert in_memory.overrides is not None
    assert "log.dirs" not in in_memory.overrides


def test_the_file_gives_settings(properties: Path) -> None:
    config = read_arguments(["dev", "--config", str(properties)]).config
    assert (config.node_id, config.data_dir, config.int("num.partitions")) == (7, "/from/file", 3)


def test_set_wins_over_the_file_and_options_over_both(properties: Path) -> None:
    given = ["serve", "--config", str(properties), "--set", "num.partitions=4", "--set", "node.id=8"]
    config = read_arguments(given).config
    assert (config.node_id, config.int("num.partitions")) == (8, 4)
    config = read_arguments([*given, "--node-id", "9", "--data-dir", "/from/option"]).config
    assert (config.node_id, config.data_dir) == (9, "/from/option")
    assert read_arguments([*given, "--set", "num.partitions=5"]).config.int("num.partitions") == 5


def test_an_option_wins_over_the_other_name_of_the_same_setting() -> None:
    assert read_arguments(["serve", "--set", "broker.id=5", "--node-id", "6"]).config.node_id == 6


def test_port_moves_the_listener_that_is_there(properties: Path) -> None:
    def listeners(*arguments: str) -> list[tuple[str, int]]:
        return [(each.host, each.port) for each in read_arguments(["serve", *arguments]).config.listeners]

    assert listeners("--port", "0") == [("127.0.0.1", 0)]
    assert listeners("--port", "1234", "--config", str(properties)) == [("0.0.0.0", 1234)]
    assert listeners("--port", "1234", "--listeners", "PLAINTEXT://[::1]:5") == [("::1", 1234)]
    stock = ["--set", "listeners=PLAINTEXT://:9092,CONTROLLER://:9093", "--set", "controller.listener.names=CONTROLLER"]
    assert listeners("--port", "1234", *stock) == [("", 1234)]
    with pytest.raises(ConfigError, match="--port means one listener"):
        listeners("--port", "1234", "--listeners", "PLAINTEXT://:1,OTHER://:2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "serve|dev"),
        (["sevre"], "invalid choice"),
        (["serve", "--memory"], "unrecognized arguments: --memory"),
        (["serve", "--port", "65536"], "'65536' is not a port: 0 to 65535"),
        (["serve", "--port", "x"], "'x' is not a port"),
        (["serve", "--set", "num.partitions"], "'num.partitions' is not KEY=VALUE"),
        (["serve", "--set", "=1"], "'=1' is not KEY=VALUE"),
        (["serve", "--ready-fd", "9999"], "'9999' is not an open file descriptor"),
        (["serve", "--ready-fd", "x"], "'x' is not an open file descriptor"),
    ],
)
def test_a_mistake_in_the_arguments_ends_with_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["serve", "--set", "num.partitions=0"],
            "Invalid value 0 for configuration num.partitions: Value must be at least 1 (allowed: INT, 1 or more)",
        ),
        (["dev", "--config", "/no/such/file"], "can not read /no/such/file: No such file or directory"),
        (
            ["serve", "--node-id", "-1"],
            "Invalid value -1 for configuration node.id: Value must be at least 0 (allowed: INT, 0 or more)",
        ),
    ],
)
def test_a_wrong_value_is_one_clear_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr() == ("", f"kbroker: {line}\n")


def test_an_open_descriptor_is_taken(tmp_path: Path) -> None:
    with (tmp_path / "ready").open("w") as file:
        assert read_arguments(["dev", "--ready-fd", str(file.fileno())]).ready_fd == file.fileno()


def test_reading_the_arguments_imports_neither_trio_nor_the_broker() -> None:
    code = (
        "import sys; from kbroker.cli import read_arguments; read_arguments(['dev', '--set', 'num.partitions=2'])\n"
        "print(sorted({'trio', 'logging', 'kbroker_wire', 'kbroker_storage', 'dataclasses'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_python_m_kbroker_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "kbroker", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kbroker 0.")


def test_the_screen_fits_a_terminal_and_tells_how_to_connect() -> None:
    screen = welcome(["127.0.0.1:9092", "127.0.0.1:9093"], os.path.abspath(".kbroker"), DEV_OVERRIDES)
    assert screen.count("\n") <= 32
    for words in ("kafka-python", "confluent-kafka", "kcat", "Java", "127.0.0.1:9092", "advertised.listeners"):
        assert words in screen
    for name, value in DEV_OVERRIDES.items():
        assert any(line.split() == [name, "=", value] for line in screen.splitlines())
    assert os.path.abspath(".kbroker") in screen
    assert "in memory only" in welcome(["127.0.0.1:9092"], None, {})
