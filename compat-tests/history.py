"""Judges what producers were told and what consumers saw against what the log holds in the end.

Pure: no client and no broker, so a simulation and a test of real processes have the same judge. The anomalies carry
the names that Jepsen gave them where it has one:

    lost write           acknowledged, and not in the log
    inconsistent offset  acknowledged at an offset that holds another record, or at one that another has as well
    duplicate            a record of an idempotent producer that is there twice
    reordered            a producer's records not in the order it sent them in
    gap                  an offset between the first and the last that no record has
    phantom              a record in the log, or in a poll, that nobody sent
    vanished read        a consumer saw a record at an offset where the log now holds another, or none
    nonmonotonic poll    a consumer was given an offset that is not above the one before
    skipped poll         a consumer was given an offset further on than the next one that the log holds
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

Partition = tuple[str, int]


class Write(NamedTuple):
    """One record that a producer sent: the `number`-th of `producer`, which never uses a number twice.

    acknowledged   False: nobody knows whether it was written, for it failed or was never answered
    offset         None if it was not told; an idempotent producer's duplicate may be acknowledged without one
    """

    partition: Partition
    producer: str
    number: int
    acknowledged: bool
    offset: int | None


class Seen(NamedTuple):
    """One record as a consumer got it, by whom it was sent and as which."""

    offset: int
    producer: str
    number: int


@dataclass(frozen=True, slots=True)
class Anomaly:
    name: str
    partition: Partition
    about: str

    def __str__(self) -> str:
        topic, number = self.partition
        return f"{self.name} in {topic}-{number}: {self.about}"


def check(
    writes: Iterable[Write],
    log: Mapping[Partition, Sequence[Seen]],
    polls: Mapping[Partition, Sequence[Seen]] | None = None,
    idempotent: frozenset[str] = frozenset(),
) -> list[Anomaly]:
    """Every anomaly of the history, none if it is as promised.

    log          per partition what it holds in the end, read from its first record to its last, in the order read
    polls        per partition what one consumer was given meanwhile, in order, without seeking
    idempotent   the producers whose records may be there once only

    A producer that is not idempotent must have one request in flight, else its order says nothing. Partitions hold
    no control records and nothing was deleted: every offset has its record.
    """
    by_partition: dict[Partition, list[Write]] = defaultdict(list)
    for write in writes:
        by_partition[write.partition].append(write)
    found: list[Anomaly] = []
    for partition in sorted(by_partition.keys() | log.keys()):
        sent, held = by_partition[partition], log.get(partition, ())
        polled = (polls or {}).get(partition, ())
        for name, about in (
            *_offsets(held),
            *_acknowledgements(sent, held),
            *_copies_and_order(held, idempotent),
            *_phantoms(sent, held, polled),
            *check_polls(held, polled),
        ):
            found.append(Anomaly(name, partition, about))
    return found


Found = Iterator[tuple[str, str]]


def _offsets(held: Sequence[Seen]) -> Found:
    for before, after in pairwise(held):
        if after.offset != before.offset + 1:
            yield "gap", f"offset {after.offset} follows {before.offset}"


def _acknowledgements(sent: Sequence[Write], held: Sequence[Seen]) -> Found:
    at = {seen.offset: (seen.producer, seen.number) for seen in held}
    kept = set(at.values())
    told: dict[int, Write] = {}
    for write in sent:
        if not write.acknowledged:
            continue
        record = f"{write.number} of {write.producer}"
        if (write.producer, write.number) not in kept:
            yield "lost write", f"{record}, acknowledged at {write.offset}"
        elif write.offset is not None and at.get(write.offset) != (write.producer, write.number):
            yield "inconsistent offset", f"{record} was acknowledged at {write.offset}, where {at.get(write.offset)} is"
        if write.offset is not None and (other := told.setdefault(write.offset, write)) is not write:
            yield "inconsistent offset", f"{record} and {other.number} of {other.producer}, both at {write.offset}"


def _copies_and_order(held: Sequence[Seen], idempotent: frozenset[str]) -> Found:
    """A second copy of a record that was sent again says nothing about order; the first copies must be in order."""
    first_at: dict[tuple[str, int], int] = {}
    newest: dict[str, int] = {}
    for seen in held:
        key = (seen.producer, seen.number)
        if key in first_at:
            if seen.producer in idempotent:
                yield "duplicate", f"{seen.number} of {seen.producer} at {first_at[key]} and {seen.offset}"
            continue
        first_at[key] = seen.offset
        if seen.number < newest.get(seen.producer, -1):
            yield "reordered", f"{seen.number} of {seen.producer} at {seen.offset}, behind {newest[seen.producer]}"
        newest[seen.producer] = max(seen.number, newest.get(seen.producer, -1))


def _phantoms(sent: Sequence[Write], held: Sequence[Seen], polled: Sequence[Seen]) -> Found:
    known = {(write.producer, write.number) for write in sent}
    for where, records in (("the log", held), ("a poll", polled)):
        for seen in records:
            if (seen.producer, seen.number) not in known:
                yield "phantom", f"{seen.number} of {seen.producer} at {seen.offset} in {where}"


def check_polls(held: Sequence[Seen], polled: Sequence[Seen]) -> Found:
    """Names and words of what is wrong with the polls of a consumer, given what its partition holds in the end."""
    at = {seen.offset: seen for seen in held}
    previous: int | None = None
    for seen in polled:
        if at.get(seen.offset) != seen:
            yield "vanished read", f"{seen.number} of {seen.producer} was read at {seen.offset}"
        if previous is not None and seen.offset <= previous:
            yield "nonmonotonic poll", f"{seen.offset} came after {previous}"
        elif previous is not None and any(offset in at for offset in range(previous + 1, seen.offset)):
            yield "skipped poll", f"{seen.offset} came after {previous}"
        previous = seen.offset
