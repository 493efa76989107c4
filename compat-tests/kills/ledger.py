"""What the clients of a load asked for and were told, transactions and commits; threads write it, a judge reads."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from history import Partition
from transaction_history import Look, Transaction


@dataclass
class Ledger:
    """acknowledged, in_flight, commits: by worker; errors: how often clients met which, for people to read."""

    transactions: list[Transaction] = field(default_factory=list)
    acknowledged: Counter[str] = field(default_factory=Counter)
    in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    commits: Counter[str] = field(default_factory=Counter)
    commits_in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    asked: dict[tuple[str, Partition], set[int]] = field(default_factory=lambda: defaultdict(set))
    looks: list[Look] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _numbers: Counter[str] = field(default_factory=Counter)
    _committed: Counter[tuple[str, Partition]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # -- transactions -------------------------------------------------------------------------------------------------

    def begin(self, transactional_id: str, records: Iterable[Partition], number: int | None = None) -> Transaction:
        """The next transaction of the id, with its records; `number` is the program's own, growing too."""
        with self._lock:
            if number is None:
                number = self._numbers[transactional_id]
            self._numbers[transactional_id] = number + 1
            transaction = Transaction(transactional_id, number, list(records))
            self.transactions.append(transaction)
            self.in_flight[transactional_id] += 1
        return transaction

    def next_number(self, transactional_id: str) -> int:
        return self._numbers[transactional_id]

    def ask(self, transaction: Transaction, at: float | None = None) -> None:
        """Commit is asked for from now on, or from `at`: -inf if it is not known when."""
        transaction.asked_at = time.monotonic() if at is None else at

    def end(self, transaction: Transaction, told: str | None) -> None:
        """told: "committed", "aborted", or None if nobody was told how it ended."""
        transaction.committed, transaction.aborted = told == "committed", told == "aborted"
        with self._lock:
            self.in_flight[transaction.transactional_id] -= 1
            if told:
                self.acknowledged[transaction.transactional_id] += 1

    def met(self, who: str, error: object) -> None:
        """An error that a broker which is killed may well give; the report counts them."""
        with self._lock:
            self.errors[f"{who.partition('-')[0]}: {error}"[:160]] += 1

    # -- commits ------------------------------------------------------------------------------------------------------

    def ask_commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        with self._lock:
            self.commits_in_flight[group] += 1
            for partition, offset in offsets.items():
                self.asked[group, partition].add(offset)

    def end_commit(self, group: str, offsets: Mapping[Partition, int], *, count: bool = True) -> None:
        """Those in `offsets` were acknowledged; empty if nobody was told."""
        with self._lock:
            self.commits_in_flight[group] -= 1
            self.commits[group] += bool(offsets) and count
            for partition, offset in offsets.items():
                self._committed[group, partition] = max(offset, self._committed[group, partition])

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The newest offset of each partition whose commit was acknowledged, 0 if none was."""
        with self._lock:
            return {partition: self._committed[group, partition] for partition in partitions}
