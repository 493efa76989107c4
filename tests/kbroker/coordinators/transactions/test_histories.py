"""Any history of transactional ids: all or nothing, whoever is followed is shut out, everybody gets one answer.

Producers of two transactional ids, of both versions of transactions, write to partitions that get markers late, in
part, twice, from a coordinator that is none any more, or not at all until the next one sends them; EndTxns of former
transactions come late; the broker restarts, and time passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kbroker.coordinators.transactions.transaction import LAST_EPOCH, Markers, Transaction, TransactionState
from kbroker_wire import ErrorCode
from kbroker_wire.messages.coordinator_records import TRANSACTION_RECORDS, decode_record
from kbroker_wire.messages.transaction_records import TransactionLogKey, TransactionLogValue
from transaction_stories import TV1, TV2, Outcome, Producer, Story, Waits

NAMES = st.sampled_from("abcd")
IDS = {"a": "t", "b": "t", "c": "t", "d": "u"}  # producer -> transactional id
VERSIONS = {"a": TV2, "b": TV2, "c": TV1, "d": TV2}
PLACES = [("x", 0), ("x", 1), ("y", 0)]
PREPARED = {TransactionState.PREPARE_COMMIT: True, TransactionState.PREPARE_ABORT: False}
Truth = tuple[str, int]  # transactional id, how many of its transactions had an end before


@dataclass
class Data:
    """A record in a partition; `committed` is None while nobody knows."""

    truth: Truth
    producer_id: int
    committed: bool | None = None


@dataclass
class Partition:
    """What a leader knows of producers, as far as transactions need it."""

    records: list[Data] = field(default_factory=list)
    epochs: dict[int, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    coordinator_epochs: dict[int, int] = field(default_factory=dict)

    def append(self, truth: Truth, producer: Producer) -> Data | None:
        if producer.epoch < self.epochs.get(producer.id, -1):
            return None
        self.epochs[producer.id] = producer.epoch
        self.open.add(producer.id)
        self.records.append(Data(truth, producer.id))
        return self.records[-1]

    def mark(self, order: Markers) -> bool:
        """Whether this is done now, or was before; a coordinator that has been followed is not listened to."""
        known = self.epochs.get(order.producer_id, -1)
        if order.coordinator_epoch < self.coordinator_epochs.get(order.producer_id, -1):
            return False
        if order.producer_epoch < known or (order.transaction_version >= TV2 and order.producer_epoch == known):
            return True
        self.epochs[order.producer_id] = order.producer_epoch
        self.coordinator_epochs[order.producer_id] = order.coordinator_epoch
        self.open.discard(order.producer_id)
        for data in self.records:
            if data.producer_id == order.producer_id and data.committed is None:
                data.committed = order.commit
        return True


@dataclass
class Client:
    """One producer instance; `written` belongs to its present transaction."""

    identity: Producer | None = None
    before: list[Producer] = field(default_factory=list)
    written: list[Data] = field(default_factory=list)
    ends: bool | None = None  # what it has asked for and not been answered

    def told(self, identity: Producer) -> None:
        if self.identity is not None and identity != self.identity:
            self.before.append(self.identity)
        self.identity = identity


class TransactionHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.partitions = {place: Partition() for place in PLACES}
        self.clients = {name: Client() for name in IDS}
        self.owners: dict[str, str] = {}  # transactional id -> who was the last to be given it
        self.pending: list[tuple[str, str, Waits]] = []
        self.orders: list[Markers] = []
        self.promised: list[tuple[Data, bool]] = []

    # -- producers

    @rule(name=NAMES, own=st.booleans())
    def init(self, name: str, own: bool) -> None:
        client = self.clients[name]
        expected = client.identity if own else None
        answer = self.story.init(IDS[name], expected, timeout_ms=5000)
        self.answered(name, "init own" if expected else "init", answer)

    @precondition(lambda self: self.story.machine.transactions)
    @rule(transactional_id=st.sampled_from("tu"))
    def spend_epochs(self, transactional_id: str) -> None:
        """As if so many producers had come and gone since."""
        transaction = self.story.machine.transactions.get(transactional_id)
        if transaction is not None and transaction.state is TransactionState.EMPTY:
            transaction.producer_epoch, transaction.last_producer_epoch = LAST_EPOCH - 1, -1
            self.owners.pop(transactional_id, None)
            self.answered("", "init", self.story.init(transactional_id, timeout_ms=5000))

    @rule(name=NAMES, place=st.sampled_from(PLACES))
    def write(self, name: str, place: tuple[str, int]) -> None:
        """Records get in when the partition is part of the transaction: added, or verified, at this moment."""
        client, partition = self.clients[name], self.partitions[place]
        if client.identity is None:
            self.init(name, own=False)
        if client.identity is None or client.ends is not None:
            return
        partitions = {place[0]: [place[1]]}
        answer = self.story.add(IDS[name], client.identity, partitions, VERSIONS[name])
        if answer == {place: ErrorCode.NONE}:
            assert self.owners.get(IDS[name]) == name, "it has been followed by another one"
            verified = self.story.add(IDS[name], client.identity, partitions, TV2, verify_only=True)
            assert verified == answer
            data = partition.append(self.truth(IDS[name]), client.identity)
            assert data is not None, "the coordinator lets it in and the partition does not"
            client.written.append(data)

    @rule(name=NAMES, commit=st.booleans())
    def end(self, name: str, commit: bool) -> None:
        client = self.clients[name]
        if client.identity is not None and client.ends is None:
            client.ends = commit
            self.answered(name, "end", self.story.end(IDS[name], client.identity, VERSIONS[name], commit=commit))

    @rule(name=NAMES, commit=st.booleans(), version=st.sampled_from([TV1, TV2]))
    def end_late(self, name: str, commit: bool, version: int) -> None:
        """A request of a time when the producer had another epoch: it must not touch what is open now."""
        client = self.clients[name]
        if client.before:
            transaction = self.story.machine.transactions[IDS[name]]
            before = transaction.state
            answer = self.story.end(IDS[name], client.before[-1], version, commit=commit)
            if isinstance(answer, Waits):
                self.pending.append((name, "late", answer))
            assert transaction.state is before

    @rule(name=NAMES)
    def end_again(self, name: str) -> None:
        """The answer was not there in time, and the client asks once more."""
        client = self.clients[name]
        if client.identity is not None and client.ends is not None:
            answer = self.story.end(IDS[name], client.identity, VERSIONS[name], commit=client.ends)
            self.answered(name, "end", answer)

    def answered(self, name: str, request: str, answer: Outcome | Waits) -> None:
        if isinstance(answer, Waits):
            self.pending.append((name, request, answer))
        elif name:
            self.take(name, request, answer)

    def take(self, name: str, request: str, answer: Outcome) -> None:
        client = self.clients[name]
        if request == "end" and isinstance(answer, Producer) and client.ends is not None:
            self.promised += [(data, client.ends) for data in client.written]
            client.written, client.ends = [], None
            if VERSIONS[name] == TV2:
                client.told(answer)
        elif request == "end" and answer is not ErrorCode.CONCURRENT_TRANSACTIONS:
            client.written, client.ends = [], None
        elif isinstance(answer, Producer) and request.startswith("init"):
            assert request == "init" or self.owners.get(IDS[name]) == name, "it has been followed by another one"
            self.owners[IDS[name]] = name
            client.told(answer)
            client.written, client.ends = [], None

    # -- markers, time, restarts

    @rule(data=st.data(), reported=st.sampled_from(["all", "all", "lost", "twice"]))
    def write_markers(self, data: st.DataObject, reported: str) -> None:
        if not self.orders:
            return
        order = data.draw(st.sampled_from(self.orders))
        if order.transaction_version < TV2 and not self.story.machine.awaits(order):
            return  # the shell does not: nothing tells old markers from those of the next end
        places = data.draw(st.lists(st.sampled_from(order.partitions), unique=True))
        done = [place for place in places if self.partitions[place].mark(order)]
        for _ in range({"all": 1, "lost": 0, "twice": 2}[reported]):
            self.story.wrote(order, done)
        self.news()

    @rule(name=NAMES)
    def write_all_markers(self, name: str) -> None:
        transaction = self.story.machine.transactions.get(IDS[name])
        if transaction is not None and transaction.markers is not None:
            order = transaction.markers
            self.story.wrote(order, [place for place in order.partitions if self.partitions[place].mark(order)])
            self.news()

    @rule(seconds=st.sampled_from([0.1, 0.9, 1.0, 4.5]))
    def pass_time(self, seconds: float) -> None:
        self.story.pass_s(seconds)
        self.news()

    @rule()
    def restart(self) -> None:
        before = {key: durable(each) for key, each in self.story.machine.transactions.items()}
        self.pending.clear()
        for client in self.clients.values():
            if client.ends is not None:
                client.ends, client.written = None, []  # it has to find out, and does not in this story
                client.identity = None
        self.story.restart()
        after = {key: durable(each) for key, each in self.story.machine.transactions.items()}
        if not any(each.producer_epoch >= LAST_EPOCH - 1 for each in self.story.machine.transactions.values()):
            assert after == before
        self.news()

    @invariant()
    def news(self) -> None:
        """Who waited and has an answer now takes it, in the order in which the answers were given."""
        self.orders += self.story.markers
        self.story.markers.clear()
        answered = [each for each in self.pending if each[2].answer is not None]
        self.pending = [each for each in self.pending if each[2].answer is None]
        for name, request, waits in answered:
            if name and waits.answer is not None:
                self.take(name, request, waits.answer)

    # -- what must hold

    def truth(self, transactional_id: str) -> Truth:
        return transactional_id, len(self.ends(transactional_id))

    def ends(self, transactional_id: str) -> list[bool]:
        """How each transaction of the id ends, by what is written."""
        ends = []
        for key, value in self.story.log:
            decoded_key, decoded = decode_record(TRANSACTION_RECORDS, key, value)
            assert isinstance(decoded_key, TransactionLogKey)
            assert isinstance(decoded, TransactionLogValue)
            if decoded_key.transactional_id == transactional_id:
                state = TransactionState(decoded.transaction_status)
                if state in PREPARED:
                    ends.append(PREPARED[state])
        return ends

    @invariant()
    def nothing_but_what_is_written_ends_a_transaction(self) -> None:
        ends = {transactional_id: self.ends(transactional_id) for transactional_id in "tu"}
        for partition in self.partitions.values():
            for data in partition.records:
                if data.committed is not None:
                    assert data.committed is ends[data.truth[0]][data.truth[1]]

    def teardown(self) -> None:
        """Left alone, everything ends: open transactions by their timeout, waiting requests by their answer."""
        for _ in range(3):
            self.story.pass_s(6.0)
            self.news()
            for transactional_id in "tu":
                transaction = self.story.machine.transactions.get(transactional_id)
                if transaction is not None and transaction.markers is not None:
                    order = transaction.markers
                    for place in order.partitions:
                        assert self.partitions[place].mark(order)
                    self.story.wrote(order, order.partitions)
                    self.news()
        assert self.story.open == {}
        assert self.pending == []
        self.nothing_but_what_is_written_ends_a_transaction()
        for partition in self.partitions.values():
            assert not partition.open
            assert all(data.committed is not None for data in partition.records)
        for data, commit in self.promised:
            assert data.committed is commit


def durable(transaction: Transaction) -> dict[str, object]:
    ending = transaction.is_ending
    names = ["id", "producer_id", "producer_epoch", "timeout_ms", "state", "previous_producer_id", "next_producer_id"]
    names += ["client_version", "started_ms", "updated_ms"] + ([] if ending else ["partitions"])
    return {name: getattr(transaction, name) for name in names}


TestTransactionHistory = TransactionHistory.TestCase
TestTransactionHistory.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
