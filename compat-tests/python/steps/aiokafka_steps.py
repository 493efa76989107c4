"""aiokafka's calls for the steps of scenarios.py: its event loop is in a thread, each call waits for its coroutine."""

import asyncio
import logging
import sys
import threading
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import scenarios
from scenarios import PATIENCE_S, Read

HEARTBEAT_MS = 200  # so that a member hears of a rebalance soon
LOOP = asyncio.new_event_loop()
T = TypeVar("T")


def call(awaitable: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await asyncio.wait_for(awaitable, PATIENCE_S)

    return asyncio.run_coroutine_threadsafe(awaited(), LOOP).result()


class Consumer:
    def __init__(self, consumer: aiokafka.AIOKafkaConsumer, topic: str, group: str | None) -> None:
        self.consumer, self.topic, self.group = consumer, topic, group

    def poll(self, timeout_s: float) -> list[Read]:
        polled = call(self.consumer.getmany(timeout_ms=int(timeout_s * 1000)))
        return [Read(m.partition, m.offset, m.value.decode()) for batch in polled.values() for m in batch]

    def owned(self) -> list[int]:
        return [each.partition for each in self.consumer.assignment()]

    def commit(self, offsets: Mapping[int, int]) -> None:
        call(self.consumer.commit(self.offsets(offsets)))

    def offsets(self, offsets: Mapping[int, int]) -> dict[aiokafka.TopicPartition, int]:
        return {aiokafka.TopicPartition(self.topic, partition): offset for partition, offset in offsets.items()}

    def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        return {p: call(self.consumer.committed(aiokafka.TopicPartition(self.topic, p))) for p in partitions}

    def close(self) -> None:
        call(self.consumer.stop())


class Producer:
    def __init__(self, producer: aiokafka.AIOKafkaProducer) -> None:
        self.producer = producer
        self.sent: list[Awaitable[object]] = []
        self._started = False

    def _start(self) -> None:
        """A transactional producer asks for its id when it starts, which then is `init_transactions`."""
        if not self._started:
            call(self.producer.start())
            self._started = True

    def send(self, topic: str, partition: int, value: str) -> None:
        self._start()
        self.sent.append(call(self.producer.send(topic, value.encode(), partition=partition)))

    def flush(self) -> None:
        for future in self.sent:
            call(future)
        self.sent.clear()

    def init_transactions(self) -> None:
        self._start()

    def begin(self) -> None:
        call(self.producer.begin_transaction())

    def send_offsets(self, consumer: scenarios.Consumer, offsets: Mapping[int, int]) -> None:
        assert isinstance(consumer, Consumer)
        call(self.producer.send_offsets_to_transaction(consumer.offsets(offsets), consumer.group))

    def commit(self) -> None:
        call(self.producer.commit_transaction())

    def abort(self) -> None:
        call(self.producer.abort_transaction())

    def close(self) -> None:
        call(self.producer.stop())


class Aiokafka:
    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topic(self, topic: str, partitions: int) -> None:
        async def create() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            await admin.create_topics([NewTopic(topic, partitions, 1)])
            await admin.close()

        call(create())

    def producer(self, transactional_id: str | None = None) -> Producer:
        async def make() -> aiokafka.AIOKafkaProducer:
            return aiokafka.AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, enable_idempotence=True, transactional_id=transactional_id
            )

        return Producer(call(make()))

    def member(self, topic: str, group: str, protocol: str = "classic") -> Consumer:
        assert protocol == "classic"
        return Consumer(call(self._consumer([topic], group_id=group, heartbeat_interval_ms=HEARTBEAT_MS)), topic, group)

    def reader(self, topic: str, partitions: int, isolation: str) -> Consumer:
        async def assigned() -> aiokafka.AIOKafkaConsumer:
            consumer = await self._consumer([], isolation_level=isolation)
            consumer.assign([aiokafka.TopicPartition(topic, partition) for partition in range(partitions)])
            return consumer

        return Consumer(call(assigned()), topic, None)

    async def _consumer(self, topics: list[str], **own: object) -> aiokafka.AIOKafkaConsumer:
        consumer = aiokafka.AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **own,
        )
        await consumer.start()
        return consumer


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    threading.Thread(target=LOOP.run_forever, daemon=True).start()
    sys.exit(scenarios.main(Aiokafka))
