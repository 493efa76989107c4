"""What `kbroker group` and `kbroker txn` have in common: options, output for machines, the exit status."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, NamedTuple

from .cluster import Cluster, TopicPartition
from .connection import Address
from .failures import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # there is no public name for it

DEFAULT_BOOTSTRAP = "localhost:9092"
DEFAULT_PORT = 9092
DEFAULT_TIMEOUT_S = 10.0

Json = str | int | float | bool | list["Json"] | dict[str, "Json"] | None


class Selection(NamedTuple):
    """A topic, and which of its partitions; None for all."""

    topic: str
    partitions: tuple[int, ...] | None


def parser(command: str, description: str) -> tuple[argparse.ArgumentParser, Actions]:
    top = argparse.ArgumentParser(prog=f"kbroker {command}", description=description, allow_abbrev=False)
    _add_common(top)
    return top, top.add_subparsers(dest="action", required=True, metavar="ACTION")


def action(
    actions: Actions, name: str, description: str, run: Callable[[argparse.Namespace, Cluster], int]
) -> argparse.ArgumentParser:
    """A new action; `run` gives the exit status."""
    added = actions.add_parser(name, help=description, description=description, allow_abbrev=False)
    added.set_defaults(run=run)
    _add_common(added, again=True)
    return added


def _add_common(to: argparse.ArgumentParser, *, again: bool = False) -> None:
    """`again`: behind the action as well; what is not given there leaves what was given before."""

    def default(value: object) -> object:
        return argparse.SUPPRESS if again else value

    to.add_argument(
        "--bootstrap",
        "--bootstrap-server",
        type=addresses,
        default=default(addresses(DEFAULT_BOOTSTRAP)),
        metavar="HOST:PORT",
        help=f"a broker, or several with commas between (default {DEFAULT_BOOTSTRAP})",
    )
    to.add_argument(
        "--timeout",
        type=_seconds,
        default=default(DEFAULT_TIMEOUT_S),
        metavar="S",
        help=f"seconds to try for (default {DEFAULT_TIMEOUT_S:.0f})",
    )
    to.add_argument("--json", action="store_true", default=default(False), help="print JSON instead of tables")


def run(top: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """The exit status: 1 when something could not be done, which is said in one line on stderr."""
    options = top.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal's encoding does not have
    try:
        with Cluster(options.bootstrap, options.timeout) as cluster:
            status: int = options.run(options, cluster)
        sys.stdout.flush()
    except Failure as failure:
        complain(str(failure))
        return 1
    except BrokenPipeError:  # `| head` has read enough; nothing more may be flushed into the pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    sys.stderr.write(f"kbroker: {text}\n")


def say_json(value: object) -> None:
    say(json.dumps(plain(value), indent=2))


def plain(value: object) -> Json:
    """Dataclasses and partitions as objects, by the names of their fields."""
    if isinstance(value, TopicPartition):
        return {"topic": value.topic, "partition": value.partition}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    assert value is None or isinstance(value, str | int | float), value
    return value


def addresses(text: str) -> list[Address]:
    """ "a:1,[::1]:2,b": 9092 where there is no port."""
    found = []
    for each in text.split(","):
        host, colon, port = each.strip().rpartition(":")
        if not colon or port.endswith("]"):
            host, port = each.strip(), str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise argparse.ArgumentTypeError(f"{each!r} is not HOST:PORT")
        found.append(Address(host, int(port)))
    return found


def selection(text: str) -> Selection:
    """ "orders" or "orders:0,1"."""
    topic, colon, listed = text.partition(":")
    try:
        partitions = tuple(partition(each) for each in listed.split(",")) if colon else None
    except argparse.ArgumentTypeError:
        partitions = ()
    if not topic or partitions == ():
        raise argparse.ArgumentTypeError(f"{text!r} is not TOPIC or TOPIC:0,1")
    return Selection(topic, partitions)


def partition(text: str) -> int:
    return _number(text, 0, (1 << 31) - 1, "the number of a partition")


def offset(text: str) -> int:
    return _number(text, 0, (1 << 63) - 1, "an offset")


def shift(text: str) -> int:
    return _number(text, -(1 << 63), (1 << 63) - 1, "a number of records, such as 10 or -10")


def one_of(names: Sequence[str], kind: str) -> Callable[[str], str]:
    """The name as Kafka writes it, whatever the case."""

    def parse(text: str) -> str:
        for name in names:
            if name.lower() == text.lower():
                return name
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}: {', '.join(names)}")

    return parse


def _number(text: str, least: int, most: int, kind: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
