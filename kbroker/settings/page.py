"""docs/configuration.md, made from the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .broker_own import ROWS as OWN
from .setting import CLUSTER_WIDE, PER_BROKER, READ_ONLY
from .tables import BROKER, TOPIC, client_metrics, group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .setting import Setting

_START = """\
# Settings

kbroker takes Apache Kafka's settings, by Kafka's names and with Kafka's defaults: from a `server.properties` file
(`--config FILE`), from `--set key=value`, and from the options of the command, the later ones winning. An unknown name
is warned of and ignored. A setting that is known but not acted on is accepted, shown by DescribeConfigs, and warned of.
A value that is not allowed ends the command with a message that says what is.

Other than in Kafka, `listeners` is `PLAINTEXT://127.0.0.1:9092` when not given, `node.id` is 1 and `log.dirs` is
`./kbroker-data`. `kbroker dev` changes some more, and prints which.

This page is made by `python3 run.py docs`.
"""
_TABLE = "| name | type | default | meaning |\n|---|---|---|---|\n"
_BROKER_TABLE = "| name | type | default | may change | meaning |\n|---|---|---|---|---|\n"
_CHANGES = {READ_ONLY: "at a start", PER_BROKER: "for this broker", CLUSTER_WIDE: "while it runs"}
_WHILE_IT_RUNS = """\
"while it runs": IncrementalAlterConfigs changes it for this broker, or for all of them, and it counts at once; "for
this broker": for one broker only. `listeners` and `listener.security.protocol.map` can be set so, too, but those that
the broker was started with go on to count."""


def configuration_page() -> str:
    """The whole page as Markdown."""
    kafka = [row for row in BROKER.values() if row not in OWN]
    return "\n".join([
        _START,
        _section("kbroker's own settings", "", OWN),
        _section("Settings of a broker that kbroker acts on", _WHILE_IT_RUNS, (row for row in kafka if row.acts)),
        _section("Settings of a topic", "Those in italics are accepted, but not acted on.", TOPIC.values()),
        _section("Settings of a group", "Those in italics are accepted, but not acted on.", group().values()),
        _section("Settings of a client-metrics subscription", "Accepted, but not acted on.", client_metrics().values()),
        _section("Settings of a broker that are accepted only", "", (row for row in kafka if not row.acts)),
    ])  # fmt: skip


def _section(title: str, note: str, rows: Iterable[Setting]) -> str:
    head = f"## {title}\n\n" + (f"{note}\n\n" if note else "")
    listed = list(rows)
    of_broker = listed[0].name in BROKER
    return head + (_BROKER_TABLE if of_broker else _TABLE) + "".join(_line(row, of_broker) for row in listed)


def _line(row: Setting, of_broker: bool) -> str:
    name = f"`{row.name}`" if row.acts or row.name in client_metrics() else f"*`{row.name}`*"
    default = "" if row.default is None else f"`{row.default}`" if row.default else "empty"
    change = f"{_CHANGES[row.update]} | " if of_broker else ""
    return f"| {name} | {_cell(row.allowed())} | {default} | {change}{_cell(row.doc)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
