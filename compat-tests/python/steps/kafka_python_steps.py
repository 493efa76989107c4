"""kafka-python's calls for the steps of scenarios.py."""

import logging
import sys
from collections.abc import Mapping, Sequence

import kafka
from kafka.structs import OffsetAndMetadata, TopicPartition

import scenarios
from scenarios import PATIENCE_S, Read

HEARTBEAT_MS = 200  # so that a member hears of a rebalance soon


class Consumer:
    def __init__(self, consumer: kafka.KafkaConsumer, topic: str) -> None:
        self.consumer, self.topic = consumer, topic

    def poll(self, timeout_s: float) -> list[Read]:
        polled = self.consumer.poll(timeout_ms=int(timeout_s * 1000))
        return [Read(m.partition, m.offset, m.value.decode()) for batch in polled.values() for m in batch]

    def owned(self) -> list[int]:
        return [each.partition for each in self.consumer.assignment()]

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.consumer.commit(self.offsets(offsets))

    def offsets(self, offsets: Mapping[int, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {TopicPartition(self.topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}

    def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        return {p: self.consumer.committed(TopicPartition(self.topic, p)) for p in partitions}

    def close(self) -> None:
        self.consumer.close(autocommit=False)


class Producer:
    def __init__(self, producer: kafka.KafkaProducer) -> None:
        self.producer = producer
        self.sent: list[object] = []

    def send(self, topic: str, partition: int, value: str) -> None:
        self.sent.append(self.producer.send(topic, value.encode(), partition=partition))

    def flush(self) -> None:
        self.producer.flush(PATIENCE_S)
        for future in self.sent:
            future.get(PATIENCE_S)  # type: ignore[attr-defined]
        self.sent.clear()

    def init_transactions(self) -> None:
        self.producer.init_transactions()

    def begin(self) -> None:
        self.producer.begin_transaction()

    def send_offsets(self, consumer: scenarios.Consumer, offsets: Mapping[int, int]) -> None:
        assert isinstance(consumer, Consumer)
        self.producer.send_offsets_to_transaction(consumer.offsets(offsets), consumer.consumer.group_metadata())

    def commit(self) -> None:
        self.producer.commit_transaction()

    def abort(self) -> None:
        self.producer.abort_transaction()

    def close(self) -> None:
        self.producer.close(PATIENCE_S)


class KafkaPython:
    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topic(self, topic: str, partitions: int) -> None:
        admin = kafka.KafkaAdminClient(bootstrap_servers=self.bootstrap)
        admin.create_topics({topic: {"num_partitions": partitions}}, wait_for_metadata=True)
        admin.close()

    def producer(self, transactional_id: str | None = None) -> Producer:
        return Producer(kafka.KafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=transactional_id))

    def member(self, topic: str, group: str, protocol: str = "classic") -> Consumer:
        assert protocol == "classic"
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        # kafka-python 3.0.12 stops for good now and then, with any broker, when a topic turns up while it joins
        consumer.partitions_for_topic(topic)
        consumer.subscribe([topic])
        return Consumer(consumer, topic)

    def reader(self, topic: str, partitions: int, isolation: str) -> Consumer:
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation,
        )
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        return Consumer(consumer, topic)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(scenarios.main(KafkaPython))
