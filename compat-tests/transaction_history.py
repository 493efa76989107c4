"""Judges transactions and committed offsets: what clients were told against what the log and the groups hold.

Pure, as history.py is, whose names of anomalies go on here:

    lost write         a record of a transaction whose commit was acknowledged that is not in the log
    aborted read       a record, in the log as read_committed shows it, of a transaction that nobody asked to commit
    torn transaction   some records of a transaction are visible, and some are not
    precommitted read  a consumer was given a record before anybody had asked to commit its transaction
    misplaced          a record in another partition than it was sent to
    lost output        consume-transform-produce: offsets are committed that are past an input without an output
    doubled output     an input has more than one output
    early output       an output is visible, and the committed offset is not past its input
    lost commit        a group's committed offset is behind one whose commit had been acknowledged before
    phantom commit     a group's committed offset is one that no member asked to commit
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from history import Anomaly, Partition, Seen, check_polls


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction: the `number`-th of its transactional id, whose producers follow each other with growing numbers.

    records    the partition of each record, in the order sent; a Seen calls them by `name` and their place here
    asked_at   when commit was first asked for, in seconds of any one clock: infinite if nobody ever did, -infinite if
               it is not known when
    committed  the commit was acknowledged; neither this nor `aborted`: nobody knows how it ended, if it was asked for
    """

    transactional_id: str
    number: int
    records: list[Partition] = field(default_factory=list)
    asked_at: float = math.inf
    committed: bool = False
    aborted: bool = False

    @property
    def name(self) -> str:
        return f"{self.transactional_id}/{self.number}"

    @property
    def must_be_absent(self) -> bool:
        return self.aborted or self.asked_at == math.inf


def check_transactions(
    transactions: Iterable[Transaction],
    visible: Mapping[Partition, Sequence[Seen]],
    polls: Mapping[Partition, Sequence[Seen]] | None = None,
    polled_at: Mapping[str, float] | None = None,
) -> list[Anomaly]:
    """Every anomaly of transactions, and of the consumer that read along with read_committed.

    visible    per partition what read_committed shows in the end, from its first record to its last
    polls      per partition what one consumer with read_committed was given meanwhile, in order, without seeking
    polled_at  by name of a transaction when that consumer was first given a record of it, by the clock of `asked_at`
    """
    known = {each.name: each for each in transactions}
    places = _places(visible)
    found = [anomaly for each in known.values() for anomaly in _whole(each, places.get(each.name, {}))]
    for name, at in (polled_at or {}).items():
        if name in known and at < known[name].asked_at < math.inf:
            late_s = known[name].asked_at - at
            found.append(Anomaly("precommitted read", known[name].records[0], f"{name}, {late_s:.3f} s before"))
    for partition in sorted(visible):
        polled = (polls or {}).get(partition, ())
        for name, about in (
            *_strangers_and_order(known, visible[partition]),
            *_unasked(known, polled),
            *check_polls(visible[partition], polled),
        ):
            found.append(Anomaly(name, partition, about))
    return found


Found = Iterator[tuple[str, str]]
_Places = dict[int, list[tuple[Partition, int]]]  # of the records of a transaction: where each is, and at which offset


def _places(visible: Mapping[Partition, Sequence[Seen]]) -> Mapping[str, _Places]:
    places: dict[str, _Places] = defaultdict(lambda: defaultdict(list))
    for partition, held in visible.items():
        for seen in held:
            places[seen.producer][seen.number].append((partition, seen.offset))
    return places


def _whole(transaction: Transaction, places: _Places) -> Iterator[Anomaly]:
    name, sent = transaction.name, transaction.records
    missing = [place for place in range(len(sent)) if place not in places]
    if transaction.must_be_absent:
        for place, where in places.items():
            yield Anomaly("aborted read", where[0][0], f"{place} of {name} at {where[0][1]}")
    elif transaction.committed:
        yield from (Anomaly("lost write", sent[place], f"{place} of {name}, {len(sent)} records") for place in missing)
    elif places and missing:
        yield Anomaly("torn transaction", sent[missing[0]], f"{name} lacks {missing} of {len(sent)} records")
    for place, where in places.items():
        if len(where) > 1:
            yield Anomaly("duplicate", where[1][0], f"{place} of {name} at {where}")
        if place < len(sent) and any(partition != sent[place] for partition, _ in where):
            yield Anomaly("misplaced", sent[place], f"{place} of {name} at {where}")


def _strangers_and_order(known: Mapping[str, Transaction], held: Sequence[Seen]) -> Found:
    newest: dict[str, tuple[int, int]] = {}
    for seen in held:
        transaction = known.get(seen.producer)
        if transaction is None or seen.number >= len(transaction.records):
            yield "phantom", f"{seen.number} of {seen.producer} at {seen.offset}"
            continue
        at, before = (transaction.number, seen.number), newest.get(transaction.transactional_id, (-1, -1))
        if at < before:
            yield "reordered", f"{seen.number} of {seen.producer} at {seen.offset}, behind {before}"
        newest[transaction.transactional_id] = max(at, before)


def _unasked(known: Mapping[str, Transaction], polled: Sequence[Seen]) -> Found:
    for seen in polled:
        if seen.producer in known and known[seen.producer].must_be_absent:
            yield "aborted read", f"{seen.number} of {seen.producer} at {seen.offset}, by the consumer that read along"


class Source(NamedTuple):
    """The input that an output was made of."""

    partition: Partition
    offset: int


def check_outputs(
    inputs: Mapping[Partition, Sequence[Seen]], outputs: Iterable[Source], committed: Mapping[Partition, int]
) -> list[Anomaly]:
    """Every anomaly of a consume-transform-produce that makes one output of each input.

    inputs, outputs   what read_committed shows of them in the end
    committed         the group's offset for each partition of the input; 0 if it has none
    """
    made = Counter(outputs)
    found = [
        Anomaly("doubled output", source.partition, f"{count} of the input at {source.offset}")
        for source, count in made.items()
        if count > 1
    ]
    for partition, held in inputs.items():
        there = {seen.offset for seen in held}
        done = {source.offset for source in made if source.partition == partition}
        end = committed.get(partition, 0)
        for name, offsets in (
            ("lost output", {offset for offset in there if offset < end} - done),
            ("early output", {offset for offset in done if offset >= end}),
            ("phantom", done - there),
        ):
            found += [Anomaly(name, partition, f"input {offset}, committed {end}") for offset in sorted(offsets)]
    return found


class Look(NamedTuple):
    """A question for a group's committed offset. `at_least` was acknowledged before it was asked; 0 stands for none."""

    group: str
    partition: Partition
    at_least: int
    found: int


def check_commits(asked: Mapping[tuple[str, Partition], AbstractSet[int]], looks: Iterable[Look]) -> list[Anomaly]:
    """Every anomaly of committed offsets. Members go forward only; `asked` is all that any of them asked to commit."""
    found = []
    newest: dict[tuple[str, Partition], int] = {}
    for look in looks:
        key = (look.group, look.partition)
        due = max(look.at_least, newest.get(key, 0))
        if look.found < due:
            found.append(Anomaly("lost commit", look.partition, f"{look.group} is at {look.found}, was at {due}"))
        elif look.found and look.found not in asked.get(key, ()):
            found.append(Anomaly("phantom commit", look.partition, f"{look.group} is at {look.found}"))
        newest[key] = max(look.found, newest.get(key, 0))
    return found
