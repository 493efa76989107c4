"""What the clients of a simulation sent, were told, and saw; the judge reads it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import trio
from history import Partition, Seen, Write
from transaction_history import Look, Source, Transaction


@dataclass
class Ledger:
    """Numbers of records are given by `next_number`, transactions are numbered per transactional id.

    polls      per reader and partition what it was given, in order
    polled_at  when a reader was first given a record of a transaction, by its name
    asked      per group and partition the offsets that somebody asked to commit
    owners     per group, generation (or member epoch) and partition: the members that were told to own it
    progress   how much of what was done, for people to read
    """

    writes: list[Write] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    polls: dict[str, dict[Partition, list[Seen]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    polled_at: dict[str, float] = field(default_factory=dict)
    asked: dict[tuple[str, Partition], set[int]] = field(default_factory=lambda: defaultdict(set))
    looks: list[Look] = field(default_factory=list)
    owners: dict[tuple[str, int, Partition], set[str]] = field(default_factory=lambda: defaultdict(set))
    progress: Counter[str] = field(default_factory=Counter)
    _numbers: Counter[str] = field(default_factory=Counter)
    _at_least: Counter[tuple[str, Partition]] = field(default_factory=Counter)

    def next_number(self, who: str) -> int:
        self._numbers[who] += 1
        return self._numbers[who] - 1

    # -- transactions

    def begin(self, transactional_id: str) -> Transaction:
        transaction = Transaction(transactional_id, self.next_number(transactional_id))
        self.transactions.append(transaction)
        return transaction

    def asks_to_commit(self, transaction: Transaction) -> None:
        transaction.asked_at = min(transaction.asked_at, trio.current_time())

    def saw(self, reader: str, partition: Partition, seen: Seen) -> None:
        self.polls[reader][partition].append(seen)
        self.polled_at.setdefault(seen.producer, trio.current_time())

    # -- committed offsets

    def asks(self, group: str, offsets: dict[Partition, int]) -> None:
        for partition, offset in offsets.items():
            self.asked[group, partition].add(offset)

    def acknowledged(self, group: str, partition: Partition, offset: int) -> None:
        key = (group, partition)
        self._at_least[key] = max(self._at_least[key], offset)
        self.progress[f"commits of {group}"] += 1

    def at_least(self, group: str, partition: Partition) -> int:
        """What a group's offset may not be below, for whoever asks from now on."""
        return self._at_least[group, partition]

    def forget(self, group: str, partition: Partition) -> None:
        """The topic is another one now, though of the same name."""
        self._at_least[group, partition] = 0

    def looked(self, group: str, partition: Partition, at_least: int, found: int) -> None:
        """`at_least` as it was before the question; `found` is -1 for none."""
        self.looks.append(Look(group, partition, at_least, max(0, found)))
        key = (group, partition)
        self._at_least[key] = max(self._at_least[key], found)

    # -- members

    def owns(self, group: str, generation: int, member: str, partitions: list[Partition]) -> None:
        for partition in partitions:
            self.owners[group, generation, partition].add(member)


def source_of(value: bytes) -> Source:
    """The input that an output of the transformers was made of."""
    _, _, topic, partition, offset = value.decode().split()
    return Source((topic, int(partition)), int(offset))
