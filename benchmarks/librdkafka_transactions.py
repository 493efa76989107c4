"""One transactional producer of confluent-kafka (librdkafka), a record in each transaction, one after the other.

    python librdkafka_transactions.py --broker 127.0.0.1:9092 --topic TOPIC [--transactions 100]

The topic exists and is empty; its name is the transactional id. Prints a line of JSON, once a read_committed consumer
found as many records as there were transactions; else ends with status 1.
"""

import argparse
import json
import sys
import time

import confluent_kafka

PATIENCE_S = 60.0
POLL_S = 0.05  # `consume` waits for this long, or for all it may return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--broker", default="127.0.0.1:9092")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--transactions", type=int, default=100)
    parser.add_argument("--warm", type=int, default=5, help="before the clock starts")
    wanted = parser.parse_args()
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": wanted.broker, "transactional.id": wanted.topic, "linger.ms": 0, "log_level": 0}
    )
    producer.init_transactions(PATIENCE_S)
    transact(producer, wanted.topic, wanted.warm)
    started = time.monotonic()
    transact(producer, wanted.topic, wanted.transactions)
    seconds = time.monotonic() - started
    found, due = committed(wanted.broker, wanted.topic), wanted.warm + wanted.transactions
    if found != due:
        print(f"{found} records are committed, {due} should be", file=sys.stderr)
        return 1
    print(json.dumps({"seconds": seconds, "transactions": wanted.transactions}))
    return 0


def transact(producer: confluent_kafka.Producer, topic: str, count: int) -> None:
    for _ in range(count):
        producer.begin_transaction()
        producer.produce(topic, bytes(100), partition=0)
        producer.commit_transaction(PATIENCE_S)  # flushes first


def committed(broker: str, topic: str) -> int:
    """How many committed records there are up to the end of the partition."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found, deadline = 0, time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline:
            for message in consumer.consume(1000, POLL_S):
                if (error := message.error()) is None:
                    found += 1
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:  # noqa: SLF001 - so it is called
                    return found
                else:
                    raise SystemExit(str(error))
        raise SystemExit(f"no end of the partition after {found} records")
    finally:
        consumer.close()


if __name__ == "__main__":
    sys.exit(main())
