"""The hash of a group's topics, against values that Apache Kafka 4.4.0 wrote into its log."""

from __future__ import annotations

from kbroker.coordinators.groups.metadata_hash import TopicHashes
from kbroker.metadata.image import BrokerImage, Image, PartitionImage, TopicImage

KAFKAS_TOPIC = bytes.fromhex("a498e0f2acfb48d9bcc7bab0f3686ee7")


def image(name: str, topic_id: bytes, partitions: int, *, rack: str | None = None) -> Image:
    partition = PartitionImage((1,), (1,), 1, 0, 0, ())
    return Image(
        topics={topic_id: TopicImage(name, topic_id, (partition,) * partitions)},
        topic_ids={name: topic_id},
        brokers={1: BrokerImage(1, 1, b"", (), rack, False, ())},
    )


def test_the_hash_is_apache_kafkas() -> None:
    assert TopicHashes().of(["tp1"], image("tp1", KAFKAS_TOPIC, 4)) == -7376841177561495052


def test_topics_that_are_not_there_do_not_count() -> None:
    cluster = image("tp1", KAFKAS_TOPIC, 4)
    hashes = TopicHashes()
    assert hashes.of(["tp1", "x"], cluster) == hashes.of(["tp1"], cluster)
    assert hashes.of(["x"], cluster) == hashes.of([], cluster) == 0


def test_everything_that_an_assignor_may_look_at_changes_the_hash() -> None:
    clusters = [
        image("t", KAFKAS_TOPIC, 4),
        image("t", KAFKAS_TOPIC, 5),
        image("t", KAFKAS_TOPIC[::-1], 4),
        image("t", KAFKAS_TOPIC, 4, rack="r"),
        image("t", KAFKAS_TOPIC, 4, rack="s"),
    ]
    assert len({TopicHashes().of(["t"], cluster) for cluster in clusters}) == len(clusters)


def test_a_topic_is_hashed_anew_once_it_is_forgotten() -> None:
    hashes = TopicHashes()
    before = hashes.of(["t"], image("t", KAFKAS_TOPIC, 4))
    larger = image("t", KAFKAS_TOPIC, 5)
    assert hashes.of(["t"], larger) == before
    hashes.forget(["t", "x"])
    assert hashes.of(["t"], larger) == TopicHashes().of(["t"], larger)
