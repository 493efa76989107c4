"""Write one record and read it back with kafka-python: `roundtrip.py [HOST:PORT]`, by default localhost:9092."""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"

producer = KafkaProducer(bootstrap_servers=bootstrap)
written = producer.send("greetings", key=b"world", value=b"hello").get(timeout=10)
producer.close()

consumer = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=10_000)
partition = TopicPartition(written.topic, written.partition)
consumer.assign([partition])
consumer.seek(partition, written.offset)
record = next(consumer)
consumer.close()

print(f"offset {record.offset} of {record.topic}-{record.partition}: {record.key!r} -> {record.value!r}")
