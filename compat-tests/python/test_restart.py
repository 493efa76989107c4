"""Clients that live through a stop, or a crash, and a new start of their broker on the same port and folder."""

import time
from collections.abc import Callable

import confluent_kafka
import kafka
import kafka.admin
import pytest
from brokers import PATIENCE_S, OwnBroker
from fixture_types import StartBroker
from python_clients import Confluent, KafkaPython, Record

# Apache Kafka fences a crashed broker's successor until the old session ends; the default is 9 s.
SETTINGS: dict[str, object] = {"broker.session.timeout.ms": 1000, "broker.heartbeat.interval.ms": 200}
ENDINGS: dict[str, Callable[[OwnBroker], None]] = {
    "after a clean stop": lambda broker: broker.stop(),
    "after SIGKILL": lambda broker: broker.kill(),
}

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets_are_collected"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_open_clients_go_on_and_nothing_is_lost_or_doubled(start_broker: StartBroker, ending: str) -> None:
    broker = start_broker(SETTINGS)
    topic = f"lives-{time.monotonic_ns()}"
    where = kafka.TopicPartition(topic, 0)
    idempotent = kafka.KafkaProducer(bootstrap_servers=broker.bootstrap, reconnect_backoff_max_ms=200)
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=broker.bootstrap, enable_auto_commit=False, reconnect_backoff_max_ms=200
    )
    other = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap, "reconnect.backoff.max.ms": 200, "log_level": 0}
    )
    offsets: list[int | None] = []
    try:
        assert idempotent.send(topic, b"0", partition=0).get(PATIENCE_S).offset == 0
        consumer.assign([where])
        consumer.seek(where, 0)
        assert [m.value for m in consumer.poll(timeout_ms=int(PATIENCE_S * 1000))[where]] == [b"0"]
        for life in range(1, 3):
            ENDINGS[ending](broker)
            waiting = idempotent.send(topic, b"%d" % (2 * life - 1), partition=0)
            broker.start()
            assert waiting.get(PATIENCE_S).offset == 2 * life - 1
            other.produce(topic, b"%d" % (2 * life), partition=0, on_delivery=lambda _, m: offsets.append(m.offset()))
            assert other.flush(PATIENCE_S) == 0
        read: list[bytes] = []
        while len(read) < 4:
            polled = consumer.poll(timeout_ms=int(PATIENCE_S * 1000))
            assert polled, f"only {read}"
            read += [m.value for m in polled[where]]
    finally:
        idempotent.close(PATIENCE_S)
        consumer.close(autocommit=False)
    assert read == [b"1", b"2", b"3", b"4"]
    assert offsets == [2, 4]


@pytest.mark.parametrize("ending", ENDINGS)
def test_topics_come_back_with_their_ids_configs_and_records(start_broker: StartBroker, ending: str) -> None:
    broker = start_broker(SETTINGS)

    def describe() -> tuple[object, object, object]:
        admin = kafka.KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        try:
            admin.wait_for_topics(["kept", "plain"])
            topics = sorted((t["name"], t["topic_id"], len(t["partitions"])) for t in admin.describe_topics())
            asked = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, "kept")
            return topics, admin.describe_configs([asked])["topic"]["kept"], admin.describe_cluster()["cluster_id"]
        finally:
            admin.close()

    admin = kafka.KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics({"kept": {"num_partitions": 3, "configs": {"retention.ms": "99999999"}}, "gone": {}})
    admin.create_topics(["plain"], wait_for_metadata=True)
    admin.delete_topics(["gone"])
    admin.close()
    records = [Record(b"k", b"%d" % number, (("h", b"v"),), 1_700_000_000_000) for number in range(50)]
    plain = [Record(None, b"first", (), int(time.time() * 1000))]
    Confluent().produce(broker.bootstrap, "plain", plain)
    before = describe()

    ENDINGS[ending](broker)
    broker.start()
    assert describe() == before
    assert [name for name, *_ in before[0]] == ["kept", "plain"]  # type: ignore[attr-defined]
    assert KafkaPython().consume(broker.bootstrap, "plain", 1) == plain
    assert Confluent().produce(broker.bootstrap, "kept", records, partition=2) == list(range(50))
    assert KafkaPython().consume(broker.bootstrap, "kept", 50, partition=2) == records
