"""Idempotent producers: batches of several partitions in flight at a time, sent again until they are acknowledged."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import trio
from history import Partition, Write

from kbroker_wire import ErrorCode
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.produce import ProduceResponse

from .client import Actor, Lost, is_passing, name_of
from .ledger import Ledger
from .records import ProducerState, batch_of, produce_request, produced, value_of
from .world import World

IN_FLIGHT = 5  # batches of a partition; Kafka's bound for idempotent producers
MOST_RECORDS = 4  # of a batch
ABANDONED = 0.02  # chance that a producer forgets what it has in flight, as a process that ends does
PRODUCE_VERSION = 12
AGAIN = frozenset(
    {
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,  # right behind a batch that failed
    }
)


@dataclass(eq=False)
class Flight:
    """A batch on its way."""

    partition: Partition
    numbers: list[int]
    frame: bytes


class IdempotentProducer(Actor):
    def __init__(self, world: World, ledger: Ledger, name: str, partitions: list[Partition]) -> None:
        super().__init__(world, ledger, name)
        self._partitions = partitions
        self._state = ProducerState(-1, -1)
        self._sequences: Counter[Partition] = Counter()
        self._flying: deque[Flight] = deque()  # in the order in which they were made

    async def run(self) -> None:
        await self._begin()
        while not self.world.over or self._flying:
            await self._round()
            if self.draw.random() < ABANDONED and not self.world.over:
                await self._abandon()
            await trio.sleep(self.draw.expovariate(20))

    async def _begin(self) -> None:
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        answer = await self.ask_again(request, 4, is_passing)
        assert isinstance(answer, InitProducerIdResponse)
        assert answer.error_code == ErrorCode.NONE, answer
        self._state = ProducerState(answer.producer_id, answer.producer_epoch)
        self._sequences.clear()

    async def _abandon(self) -> None:
        for flight in self._flying:
            self._record(flight, None)
        self._flying.clear()
        self.hang_up()
        await trio.sleep(1.0)  # what is on its way arrives, or never does: it may not come behind what is sent next
        await self._begin()

    async def _round(self) -> None:
        """Send what is in flight, and more behind it; then take all answers."""
        if not self.world.over:
            for _ in range(self.draw.randint(1, IN_FLIGHT)):
                self._take_off()
        sent = list(self._flying)
        link = await self.link()
        try:
            for flight in sent:
                link.send(produce_request(flight.partition, flight.frame), PRODUCE_VERSION)
            failed: set[Partition] = set()
            for flight in sent:
                answer = await link.receive()
                assert isinstance(answer, ProduceResponse)
                self._landed(flight, *produced(answer), failed)
        except Lost:
            self.hang_up()
            self.world.note(self.name, f"lost {len(sent)}")

    def _take_off(self) -> None:
        partition = self.draw.choice(self._partitions)
        if sum(flight.partition == partition for flight in self._flying) >= IN_FLIGHT:
            return
        numbers = [self.ledger.next_number(self.name) for _ in range(self.draw.randint(1, MOST_RECORDS))]
        values = [value_of(self.name, number) for number in numbers]
        frame = batch_of(values, self.world.now_ms(), self._state, self._sequences[partition])
        self._sequences[partition] += len(numbers)
        self._flying.append(Flight(partition, numbers, frame))

    def _landed(self, flight: Flight, error: int, offset: int, failed: set[Partition]) -> None:
        self.world.note(self.name, f"{flight.partition} {flight.numbers[0]}: {error} at {offset}")
        if error == ErrorCode.NONE:
            if flight.partition in failed:
                self.world.anomaly(f"{self.name}: {flight.numbers} taken behind a batch that was not")
            self._flying.remove(flight)
            self._record(flight, offset)
        elif error not in AGAIN or (error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER and flight.partition not in failed):
            self.world.anomaly(f"{self.name}: {flight.numbers} refused with {name_of(error)}")
            self._flying.remove(flight)
            self._record(flight, None)
        else:
            failed.add(flight.partition)

    def _record(self, flight: Flight, offset: int | None) -> None:
        for place, number in enumerate(flight.numbers):
            at = None if offset is None or offset < 0 else offset + place
            self.ledger.writes.append(Write(flight.partition, self.name, number, offset is not None, at))
        self.ledger.progress["batches acknowledged" if offset is not None else "batches given up"] += 1
