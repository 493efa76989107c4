"""The `kbroker` command: what was asked for.

Trio and the broker are imported once the arguments are known to be good, which keeps `--help` and mistakes fast; what
`group` and `txn` need is imported for them alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from .config import STANDING, BrokerConfig, ConfigError, StartError, merge
from .settings.listeners import with_port
from .settings.properties import load_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# What `dev` changes of Kafka's defaults: quick rather than safe, and nothing that one broker could not fulfil.
DEV_OVERRIDES = {
    "kbroker.durability": "relaxed",
    "kbroker.validate": "records",
    "log.dirs": ".kbroker",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.heartbeat.interval.ms": "200",
    "group.consumer.assignment.interval.ms": "0",
}


# Commands that ask a broker, any broker: the module, imported on use, and the line of `--help`.
ASKING = {
    "group": ("group_command", "consumer groups of a broker: list, describe, reset-offsets, delete"),
    "txn": ("txn_command", "transactions of a broker: list, describe, abort"),
}

INTERRUPTED = 130  # what shells make of a process that Ctrl-C ended


class Run(NamedTuple):
    """One run of a broker, as the command line asks for it.

    ready_fd    descriptor that gets the ready line as well, and is closed then
    overrides   None for `serve`; for `dev` the settings in force that differ from Kafka's defaults
    """

    config: BrokerConfig
    memory: bool = False
    ready_fd: int | None = None
    overrides: Mapping[str, str] | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the result is the exit status: 0 after a clean stop, 1 when the broker could not start.

    Of `group` and `txn`: 0 when all was done, else 1. A mistake in the arguments themselves ends with status 2, as
    argparse has it.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given and given[0] in ASKING:
            return _ask(given[0], given[1:])
        run = read_arguments(given)
        from .process import run_broker  # noqa: PLC0415  # Trio and the broker, once there is something to serve

        return run_broker(run)
    except (ConfigError, StartError) as error:
        print(f"kbroker: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:  # the second Ctrl-C, or one that came before there was a broker to stop
        return INTERRUPTED


def _ask(command: str, arguments: Sequence[str]) -> int:
    from importlib import import_module  # noqa: PLC0415  # as the module itself: only when there is something to ask

    main_of: Callable[[Sequence[str]], int] = import_module(f".commands.{ASKING[command][0]}", __package__).main
    return main_of(arguments)


def read_arguments(arguments: Sequence[str]) -> Run:
    """What a command line means. Raises ConfigError, or SystemExit as argparse does."""
    options = _parser().parse_args(arguments)
    if options.command == "serve":
        return Run(BrokerConfig.parse(_properties(options)), ready_fd=options.ready_fd)
    properties = _properties(options)
    config = BrokerConfig.parse(properties, DEV_OVERRIDES)
    merged = merge(DEV_OVERRIDES, properties, {"log.dirs": ""} if options.memory else {})
    in_force = {name: text for name, text in DEV_OVERRIDES.items() if merged.get(name) == text}
    return Run(config, options.memory, options.ready_fd, in_force)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kbroker", description="A broker that speaks the Apache Kafka protocol.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(["serve", "dev", *ASKING]))
    serve = commands.add_parser("serve", help="a durable server, with Kafka's defaults")
    dev = commands.add_parser("dev", help="a broker for development on this machine: quick, nothing to set up")
    for name, (_, line) in ASKING.items():
        commands.add_parser(name, help=line)
    for command in (serve, dev):
        _add_options(command)
    dev.add_argument("--memory", action="store_true", help="keep the data in memory instead of .kbroker/")
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--port", type=_port, metavar="N", help="port of the listener (default 9092; 0 picks one)")
    add("--listeners", metavar="L", help="Kafka's listeners, for example PLAINTEXT://0.0.0.0:9092")
    add("--data-dir", metavar="D", help="folder of the data (Kafka's log.dirs)")
    add("--node-id", metavar="N", help="number of this broker (Kafka's node.id; default 1)")
    add("--config", metavar="FILE", help="a server.properties file")
    add("--set", type=_assignment, action="append", default=[], metavar="KEY=VALUE", help="any setting of Kafka's")
    add("--ready-fd", type=_descriptor, metavar="N", help="descriptor that gets the ready line, too, and is closed")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415  # 20 ms that nothing else needs

        print("kbroker", version("kbroker"))  # noqa: T201
        parser.exit()


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name.strip() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return name.strip(), value


def _descriptor(text: str) -> int:
    try:
        os.fstat(int(text))
    except (ValueError, OSError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not an open file descriptor") from None
    return int(text)


def _properties(options: argparse.Namespace) -> dict[str, str]:
    """The user's settings by Kafka's names: the file, then --set, then the options that have a name of their own."""
    named = {"listeners": options.listeners, "log.dirs": options.data_dir, "node.id": options.node_id}
    given = {name: text for name, text in named.items() if text is not None}
    properties = merge({} if options.config is None else _read_file(options.config), dict(options.set), given)
    if options.port is not None:
        controllers = tuple(name.strip().upper() for name in properties.get("controller.listener.names", "").split(","))
        listeners = properties.get("listeners", STANDING["listeners"])
        properties["listeners"] = with_port(listeners, options.port, controllers)
    return properties


def _read_file(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            return load_properties(file.read())
    except OSError as error:
        raise ConfigError("config", path, f"can not read {path}: {error.strerror}") from None
