"""The three Python clients behind one face: each writes a list of records to a partition and reads it back.

Partitions are assigned by hand, so nothing here needs consumer groups. Each call opens and closes a client of its own,
and fails with `Stuck` if the broker lets it wait without progress.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiokafka
import confluent_kafka
import kafka
import kafka.codec
from brokers import PATIENCE_S

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class Stuck(AssertionError):
    """The broker gave no records, or no acknowledgements, for PATIENCE_S."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a producer chooses of a record, and a consumer must get back. `headers` are in order, names may repeat."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0


def sample_records(count: int, seed: int = 1) -> list[Record]:
    """`count` records with null, empty and long keys and values, with and without headers, over the last `count` ms."""
    draw = random.Random(seed)
    first_ms = int(time.time() * 1000) - count
    records = []
    for number in range(count):
        key = (None, b"", b"key-%d" % number, "clé ☃".encode(), draw.randbytes(40))[number % 5]
        value = (None, b"", b"value %d " % number * draw.randint(1, 60), draw.randbytes(draw.randint(1, 900)))[
            number % 4
        ]
        if key is None and value is None:
            value = b"kafka-python refuses a record of two nulls"
        headers = (
            (),
            (("trace", b"%d" % number),),
            (("a", b""), ("a", b"\x00\xff"), ("naïve", "ü".encode()), ("long", b"h" * 300)),
        )[number % 3]
        records.append(Record(key, value, headers, first_ms + number))
    return records


class Client(Protocol):
    """`produce` returns the offset of each record, in order; acks is 0, 1 or -1 (all)."""

    name: str

    def lacks(self, codec: str) -> str | None:
        """Why this client can not use `codec` here; None if it can."""
        ...

    def produce(
        self, bootstrap: str, topic: str, records: Sequence[Record], *, codec: str = "none", partition: int = 0
    ) -> list[int]: ...

    def consume(self, bootstrap: str, topic: str, count: int, *, partition: int = 0) -> list[Record]:
        """The first `count` records of the partition."""
        ...


class KafkaPython:
    """kafka-python: pure Python, by far the most used in tests; its default producer is idempotent."""

    name = "kafka-python"

    def lacks(self, codec: str) -> str | None:
        has = {"none": True, "gzip": True, "snappy": kafka.codec.has_snappy(), "lz4": kafka.codec.has_lz4()}
        return None if has.get(codec, kafka.codec.has_zstd()) else f"pip install 'kafka-python[{codec}]'"

    def produce(
        self, bootstrap: str, topic: str, records: Sequence[Record], *, codec: str = "none", partition: int = 0
    ) -> list[int]:
        compression = None if codec == "none" else codec
        producer = kafka.KafkaProducer(bootstrap_servers=bootstrap, compression_type=compression, linger_ms=5)
        try:
            futures = [
                producer.send(topic, r.value, r.key, list(r.headers), partition, r.timestamp_ms) for r in records
            ]
            return [future.get(PATIENCE_S).offset for future in futures]
        finally:
            producer.close(PATIENCE_S)

    def consume(self, bootstrap: str, topic: str, count: int, *, partition: int = 0) -> list[Record]:
        consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=500)
        try:
            where = kafka.TopicPartition(topic, partition)
            consumer.assign([where])
            consumer.seek(where, 0)
            found: list[Record] = []
            while len(found) < count:
                polled = consumer.poll(timeout_ms=int(PATIENCE_S * 1000))
                if not polled:
                    raise Stuck(f"{self.name} got {len(found)} of {count} records of {topic}")
                for batch in polled.values():
                    found += [Record(m.key, m.value, tuple(m.headers), m.timestamp) for m in batch]
            return found[:count]
        finally:
            consumer.close(autocommit=False)


class Confluent:
    """confluent-kafka: librdkafka, the client under most non-Java languages."""

    name = "confluent-kafka"

    def lacks(self, codec: str) -> str | None:
        return None

    def produce(
        self, bootstrap: str, topic: str, records: Sequence[Record], *, codec: str = "none", partition: int = 0
    ) -> list[int]:
        settings = {"compression.codec": codec, "linger.ms": 5, "enable.idempotence": True}
        producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, **settings})
        offsets: list[int] = []
        failures: list[object] = []

        def delivered(error: object, message: Any) -> None:
            if error is None:
                offsets.append(message.offset())
            else:
                failures.append(error)

        for r in records:
            producer.produce(
                topic,
                value=r.value,
                key=r.key,
                headers=list(r.headers),
                partition=partition,
                timestamp=r.timestamp_ms,
                on_delivery=delivered,
            )
            producer.poll(0)
        unsent = producer.flush(PATIENCE_S)
        if unsent or failures:
            raise Stuck(f"{self.name} could not send {unsent} records, errors: {failures[:3]}")
        return offsets

    def consume(self, bootstrap: str, topic: str, count: int, *, partition: int = 0) -> list[Record]:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "unused",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 500,
            }
        )
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0)])
            found: list[Record] = []
            while len(found) < count:
                messages: list[Any] = consumer.consume(min(1000, count - len(found)), PATIENCE_S)
                if not messages:
                    raise Stuck(f"{self.name} got {len(found)} of {count} records of {topic}")
                for m in messages:
                    if m.error() is not None:
                        raise Stuck(f"{self.name}: {m.error()}")
                    headers = tuple((name, value) for name, value in m.headers() or ())
                    found.append(Record(m.key(), m.value(), headers, m.timestamp()[1]))
            return found
        finally:
            consumer.close()


class Aiokafka:
    """aiokafka: asyncio; it speaks the oldest versions of the three."""

    name = "aiokafka"

    def lacks(self, codec: str) -> str | None:
        return None

    def produce(
        self, bootstrap: str, topic: str, records: Sequence[Record], *, codec: str = "none", partition: int = 0
    ) -> list[int]:
        return asyncio.run(self._produce(bootstrap, topic, records, None if codec == "none" else codec, partition))

    async def _produce(
        self, bootstrap: str, topic: str, records: Sequence[Record], codec: str | None, partition: int
    ) -> list[int]:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=bootstrap, compression_type=codec, linger_ms=5, enable_idempotence=True
        )
        await producer.start()
        try:
            sent = [
                await producer.send(topic, r.value, r.key, partition, r.timestamp_ms, list(r.headers)) for r in records
            ]
            return [(await asyncio.wait_for(future, PATIENCE_S)).offset for future in sent]
        finally:
            await producer.stop()

    def consume(self, bootstrap: str, topic: str, count: int, *, partition: int = 0) -> list[Record]:
        return asyncio.run(self._consume(bootstrap, topic, count, partition))

    async def _consume(self, bootstrap: str, topic: str, count: int, partition: int) -> list[Record]:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            where = aiokafka.TopicPartition(topic, partition)
            consumer.assign([where])
            consumer.seek(where, 0)
            found: list[Record] = []
            while len(found) < count:
                polled = await consumer.getmany(where, timeout_ms=int(PATIENCE_S * 1000))
                if not polled:
                    raise Stuck(f"{self.name} got {len(found)} of {count} records of {topic}")
                for batch in polled.values():
                    found += [Record(m.key, m.value, tuple(m.headers), m.timestamp) for m in batch]
            return found[:count]
        finally:
            await consumer.stop()


CLIENTS: tuple[Client, ...] = (KafkaPython(), Confluent(), Aiokafka())
