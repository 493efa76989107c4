"""`kbroker txn`: list, describe, abort."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import options
from .cluster import Cluster, TopicPartition
from .failures import Failure
from .options import complain, say, say_json
from .table import Cell, compact, shown, table
from .transactions import (
    OPEN,
    STATES,
    Producer,
    Transaction,
    abort_hanging,
    abort_transaction,
    describe_transaction,
    list_transactions,
    producers_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION = "Transactions of any broker that speaks Kafka's protocol: which are open, since when, and an end to them."


def main(arguments: Sequence[str]) -> int:
    """The arguments behind `kbroker txn`; the result is the exit status."""
    return options.run(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    top, actions = options.parser("txn", DESCRIPTION)
    listing = options.action(actions, "list", "transactional ids, with the state of their transactions", _list)
    listing.add_argument(
        "--state", nargs="+", action="extend", default=[], type=options.one_of(STATES, "a state"), metavar="STATE"
    )
    describe = options.action(
        actions, "describe", "a transactional id; or what a partition knows of its producers", _describe
    )
    abort = options.action(
        actions,
        "abort",
        "abort the transaction of an id, whose producer is fenced; or one that hangs in a partition",
        _abort,
    )
    for either in (describe, abort):
        either.add_argument("transactional_id", nargs="?", metavar="ID")
        either.add_argument("--topic", metavar="T")
        either.add_argument("--partition", type=options.partition, metavar="P")
    abort.add_argument(
        "--start-offset", type=options.offset, metavar="N", help="where the transaction begins, as `describe` shows it"
    )
    abort.add_argument("--force", action="store_true", help="even if the transaction's coordinator knows of it")
    return top


def _partition(given: argparse.Namespace) -> TopicPartition:
    """Raises Failure if neither an id nor a partition was named, or both were."""
    if given.topic is None or given.partition is None:
        raise Failure("name a transactional id, or --topic and --partition")
    return TopicPartition(given.topic, given.partition)


def _by_id(given: argparse.Namespace) -> bool:
    if given.transactional_id is None:
        return False
    if given.topic is not None or given.partition is not None:
        raise Failure("name a transactional id, or --topic and --partition, not both")
    return True


# -- list


def _list(given: argparse.Namespace, cluster: Cluster) -> int:
    found = list_transactions(cluster, given.state)
    if given.json:
        say_json(found)
    elif found:
        rows = [(each.transactional_id, each.state, each.producer_id, each.coordinator) for each in found]
        say(table(("TRANSACTIONAL-ID", "STATE", "PRODUCER-ID", "COORDINATOR"), rows))
    else:
        complain("there are no transactional ids" + " in that state" * bool(given.state))
    return 0


# -- describe


def _describe(given: argparse.Namespace, cluster: Cluster) -> int:
    if _by_id(given):
        transaction = describe_transaction(cluster, given.transactional_id)
        if given.json:
            say_json(transaction)
        else:
            say(_transaction_text(cluster, transaction))
        return 0
    partition = _partition(given)
    producers = producers_of(cluster, partition)
    if given.json:
        say_json(producers)
    elif producers:
        say(_producers_table(producers))
    else:
        complain(f"no producer wrote to {partition} that is still remembered")
    return 0


def _transaction_text(cluster: Cluster, transaction: Transaction) -> str:
    lines = [
        ("transactional id", transaction.transactional_id),
        ("state", transaction.state),
        ("producer", f"{transaction.producer_id}, epoch {transaction.producer_epoch}"),
        ("timeout", f"{transaction.timeout_ms / 1000:g} s"),
        ("coordinator", f"{cluster.address(transaction.coordinator)} (node {transaction.coordinator})"),
    ]
    if transaction.started_ms is not None and transaction.state in OPEN:  # an ended one may still have its start
        open_s = max(0.0, time.time() - transaction.started_ms / 1000)
        lines.insert(4, ("started", f"{_iso(transaction.started_ms)}, {open_s:.1f} s ago"))
    lines.append(("partitions", compact(transaction.partitions) or "-"))
    return "\n".join(f"{name + ':':<18}{shown(value)}" for name, value in lines)


def _producers_table(producers: list[Producer]) -> str:
    headers = ("PRODUCER-ID", "EPOCH", "COORDINATOR-EPOCH", "LAST-SEQUENCE", "LAST-TIMESTAMP", "TXN-START-OFFSET")
    rows: list[tuple[Cell, ...]] = [
        (
            each.producer_id,
            each.producer_epoch,
            each.coordinator_epoch,
            each.last_sequence,
            _iso(each.last_timestamp),
            each.start_offset,
        )
        for each in producers
    ]
    return table(headers, rows)


def _iso(timestamp_ms: int) -> str:
    """Producers choose their records' timestamps: what no calendar has is shown as the number."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(timestamp_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- abort


def _abort(given: argparse.Namespace, cluster: Cluster) -> int:
    return _abort_id(given, cluster) if _by_id(given) else _abort_in_partition(given, cluster)


def _abort_id(given: argparse.Namespace, cluster: Cluster) -> int:
    was = abort_transaction(cluster, given.transactional_id)
    if given.json:
        say_json({"aborted": options.plain(was)})
        return 0
    where = compact(was.partitions) or "no partition"
    say(f"aborted the transaction of {shown(was.transactional_id)} in {where}")
    say(f"its producer {was.producer_id} of epoch {was.producer_epoch} is fenced")
    return 0


def _abort_in_partition(given: argparse.Namespace, cluster: Cluster) -> int:
    partition = _partition(given)
    if given.start_offset is None:
        where = f"`kbroker txn describe --topic {partition.topic} --partition {partition.partition}`"
        raise Failure(f"name the --start-offset: {where} shows those of open transactions")
    producer = abort_hanging(cluster, partition, given.start_offset, force=given.force)
    if given.json:
        say_json({"aborted": options.plain(producer), "partition": options.plain(partition)})
    else:
        who = f"producer {producer.producer_id} of epoch {producer.producer_epoch}"
        say(f"aborted the transaction of {who} in {partition}")
    return 0
