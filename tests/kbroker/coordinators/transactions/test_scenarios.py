"""Longer histories of transactional ids, as text files: tests/scenarios/transactions-*.txt.

A command begins with the second it happens at. `NAME init [own] [timeout=MS] [tid=ID]` and so on are requests of
producers: each remembers the id and epoch it was told last, and uses those unless `epoch=` says otherwise. `v1` is a
client without version 2 of transactions. Of the outcome, lines of answers begin with the producer's name; a request
that is missing there waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kbroker.coordinators.transactions.transaction import Markers, TransactionState
from kbroker_wire import ErrorCode
from kbroker_wire.messages.coordinator_records import TRANSACTION_RECORDS, decode_record
from kbroker_wire.messages.transaction_records import TransactionLogKey, TransactionLogValue
from scenario_files import check_scenario, scenarios
from transaction_stories import TV1, TV2, Outcome, Producer, Story, Waits


class Play:
    """Commands to a `Story`, and what came of each as lines."""

    def __init__(self) -> None:
        self.story = Story(s=0.0, ms=0)
        self.producers: dict[str, Producer] = {}
        self.waiting: list[tuple[str, Waits]] = []
        self.seen = 0
        self.orders: list[Markers] = []

    def __call__(self, line: str) -> list[str]:
        second, *words = line.split()
        before = list(self._pass_to(float(second)))
        return before + list(self._do(words))

    def _pass_to(self, second: float) -> Iterator[str]:
        self.story.pass_s(second - self.story.s)
        yield from self._news()

    def _do(self, words: list[str]) -> Iterator[str]:
        match words:
            case ["restart"]:
                self.story.restart()
                self.waiting.clear()
                self.orders.clear()
            case ["epochs", epoch]:
                self._spend_epochs(int(epoch))
            case ["ids", state]:
                self.story.ids_at_hand = state == "there"
            case ["written", *places]:
                self._written(places)
            case ["state", *_]:
                yield from self._states()
            case [name, request, *options]:
                yield from self._request(name, request, options)
        yield from self._news()

    def _request(self, name: str, request: str, words: list[str]) -> Iterator[str]:
        options = dict(word.partition("=")[::2] for word in words)
        producer = self.producers.get(name, Producer(-1, -1))
        if "epoch" in options:
            producer = producer.at(int(options["epoch"]))
        version = TV1 if "v1" in options else TV2
        partitions: dict[str, list[int]] = {}
        for word in options:
            topic, colon, indexes = word.partition(":")
            if colon:
                partitions[topic] = [int(index) for index in indexes.split(",")]
        transactional_id = options.get("tid", "t")
        story, answer = self.story, None
        if request == "init":
            expected = producer if "own" in options else None
            answer = story.init(transactional_id, expected, int(options.get("timeout", 60_000)))
        elif request in {"add", "verify"}:
            answer = story.add(transactional_id, producer, partitions, version, verify_only=request == "verify")
        else:
            answer = story.end(transactional_id, producer, version, commit=request == "commit")
        if isinstance(answer, Waits):
            self.waiting.append((name, answer))
        else:
            yield self._answered(name, answer)

    def _answered(self, name: str, answer: Outcome) -> str:
        if isinstance(answer, Producer):
            self.producers[name] = answer
            return f"{name}: {answer.id}/{answer.epoch}"
        if isinstance(answer, ErrorCode):
            return f"{name}: {answer.name}"
        return f"{name}: " + " ".join(f"{topic}:{index}={code.name}" for (topic, index), code in answer.items())

    def _written(self, places: list[str]) -> None:
        """Of the oldest order."""
        order = self.orders[0]
        wanted = [(topic, int(index)) for topic, _, index in (place.partition(":") for place in places)]
        self.story.wrote(order, wanted or order.partitions)
        if self.story.machine.transactions[order.transactional_id].markers is not order:
            self.orders.pop(0)

    def _spend_epochs(self, epoch: int) -> None:
        """As if so many producers had come and gone; the last one is nobody that a command names."""
        transaction = self.story["t"]
        transaction.producer_epoch, transaction.last_producer_epoch = epoch, -1

    def _news(self) -> Iterator[str]:
        """Records, orders, and answers of those who waited."""
        for key, value in self.story.log[self.seen :]:
            yield f"record: {_record(key, value)}"
        self.seen = len(self.story.log)
        for order in self.story.markers:
            places = " ".join(f"{topic}:{index}" for topic, index in order.partitions)
            ends = "commit" if order.commit else "abort"
            yield f"markers: {ends} {order.producer_id}/{order.producer_epoch} by {order.coordinator_epoch} to {places}"
        self.orders += self.story.markers
        self.story.markers.clear()
        for name, waits in list(self.waiting):
            if waits.answer is not None:
                self.waiting.remove((name, waits))
                yield self._answered(name, waits.answer)

    def _states(self) -> Iterator[str]:
        for each in self.story.machine.transactions.values():
            yield f"{each.id} {each.state.title} {each.producer_id}/{each.producer_epoch}"


def _record(key: bytes, value: bytes | None) -> str:
    decoded_key, decoded = decode_record(TRANSACTION_RECORDS, key, value)
    assert isinstance(decoded_key, TransactionLogKey)
    if decoded is None:
        return f"{decoded_key.transactional_id} forgotten"
    assert isinstance(decoded, TransactionLogValue)
    state = TransactionState(decoded.transaction_status).title
    line = f"{decoded_key.transactional_id} {state} {decoded.producer_id}/{decoded.producer_epoch}"
    if decoded.next_producer_id >= 0:
        line += f", next {decoded.next_producer_id}"
    if decoded.transaction_partitions:
        line += ", " + " ".join(
            f"{each.topic}:{','.join(map(str, each.partition_ids))}" for each in decoded.transaction_partitions
        )
    return line


@pytest.mark.parametrize("path", scenarios("transactions-"), ids=lambda path: path.stem)
def test_a_history_comes_to_what_its_file_says(path: Path, pytestconfig: pytest.Config) -> None:
    check_scenario(path, Play(), pytestconfig)
