"""confluent-kafka's calls (librdkafka) for the steps of scenarios.py."""

import sys
from collections.abc import Mapping, Sequence

import confluent_kafka
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import scenarios
from scenarios import PATIENCE_S, Read, Stuck

HEARTBEAT_MS = 200  # so that a member hears of a rebalance soon
BATCH = 500


class Consumer:
    def __init__(self, consumer: confluent_kafka.Consumer, topic: str) -> None:
        self.consumer, self.topic = consumer, topic

    def poll(self, timeout_s: float) -> list[Read]:
        found: list[Read] = []
        for message in self.consumer.consume(BATCH, timeout_s):
            if (error := message.error()) is not None:
                if error.retriable():
                    continue
                raise confluent_kafka.KafkaException(error)
            value = message.value()
            assert isinstance(value, bytes)
            found.append(Read(message.partition() or 0, message.offset() or 0, value.decode()))
        return found

    def owned(self) -> list[int]:
        return [each.partition for each in self.consumer.assignment()]

    def commit(self, offsets: Mapping[int, int]) -> None:
        for each in self.consumer.commit(offsets=self.offsets(offsets), asynchronous=False) or []:
            if each.error is not None:
                raise confluent_kafka.KafkaException(each.error)

    def offsets(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self.topic, partition, offset) for partition, offset in offsets.items()]

    def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        asked = [TopicPartition(self.topic, partition) for partition in partitions]
        return {each.partition: each.offset for each in self.consumer.committed(asked, PATIENCE_S)}

    def close(self) -> None:
        self.consumer.close()


class Producer:
    def __init__(self, settings: Mapping[str, str | int]) -> None:
        self.producer = confluent_kafka.Producer(dict(settings))
        self.failures: list[object] = []

    def send(self, topic: str, partition: int, value: str) -> None:
        self.producer.produce(topic, value.encode(), partition=partition, on_delivery=self._delivered)
        self.producer.poll(0)

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self.failures.append(error)

    def flush(self) -> None:
        if self.producer.flush(PATIENCE_S) or self.failures:
            raise Stuck(f"not delivered: {self.failures[:3]}")

    def init_transactions(self) -> None:
        self.producer.init_transactions(PATIENCE_S)

    def begin(self) -> None:
        self.producer.begin_transaction()

    def send_offsets(self, consumer: scenarios.Consumer, offsets: Mapping[int, int]) -> None:
        assert isinstance(consumer, Consumer)
        member = consumer.consumer.consumer_group_metadata()
        self.producer.send_offsets_to_transaction(consumer.offsets(offsets), member, PATIENCE_S)

    def commit(self) -> None:
        self.producer.commit_transaction(PATIENCE_S)

    def abort(self) -> None:
        self.producer.abort_transaction(PATIENCE_S)

    def close(self) -> None:
        self.producer.flush(PATIENCE_S)


class Confluent:
    def __init__(self, bootstrap: str) -> None:
        self.common: dict[str, str | int] = {"bootstrap.servers": bootstrap, "log_level": 0}

    def create_topic(self, topic: str, partitions: int) -> None:
        admin = AdminClient(dict(self.common))
        for created in admin.create_topics([NewTopic(topic, partitions)]).values():
            created.result(PATIENCE_S)

    def producer(self, transactional_id: str | None = None) -> Producer:
        own: dict[str, str | int] = {} if transactional_id is None else {"transactional.id": transactional_id}
        return Producer({**self.common, "enable.idempotence": "true", **own})

    def member(self, topic: str, group: str, protocol: str = "classic") -> Consumer:
        timing = {"heartbeat.interval.ms": HEARTBEAT_MS} if protocol == "classic" else {}
        consumer = self._consumer({"group.id": group, "group.protocol": protocol, **timing})
        consumer.subscribe([topic])
        return Consumer(consumer, topic)

    def reader(self, topic: str, partitions: int, isolation: str) -> Consumer:
        consumer = self._consumer({"group.id": "unused", "isolation.level": isolation})
        start = confluent_kafka.OFFSET_BEGINNING
        consumer.assign([TopicPartition(topic, partition, start) for partition in range(partitions)])
        return Consumer(consumer, topic)

    def _consumer(self, own: Mapping[str, str | int]) -> confluent_kafka.Consumer:
        return confluent_kafka.Consumer(
            {
                **self.common,
                "enable.auto.commit": "false",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "topic.metadata.refresh.fast.interval.ms": 50,
                **own,
            }
        )


if __name__ == "__main__":
    sys.exit(scenarios.main(Confluent))
