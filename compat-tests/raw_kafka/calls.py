"""The calls most tests need, in one line each: a topic that is ready, one batch in, one partition out."""

import itertools
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from .codec import ZERO_UUID, Struct
from .connection import Connection

READY_WITHIN_S = 15.0  # Apache Kafka makes a topic known to its own broker some time after it answered
NONE = 0
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    id: UUID
    partitions: int = 1


def unique_name(prefix: str = "t") -> str:
    """A topic name that no earlier run against the same broker has used."""
    return f"{prefix}-{os.getpid():x}-{time.time_ns() // 1_000_000 % 10**9:x}-{next(_numbers)}"


def create_topic(
    connection: Connection,
    name: str | None = None,
    *,
    partitions: int = 1,
    configs: Mapping[str, str] | None = None,
) -> Topic:
    """A new topic that can be written and read as soon as this returns."""
    name = name or unique_name()
    wanted = {
        "name": name,
        "num_partitions": partitions,
        "replication_factor": 1,
        "configs": [{"name": key, "value": value} for key, value in (configs or {}).items()],
    }
    (answer,) = connection.call("CreateTopics", 7, topics=[wanted], timeout_ms=30_000).topics
    assert answer.error_code == NONE, f"{name}: {answer.error_code} {answer.error_message}"
    topic = Topic(name, answer.topic_id, partitions)
    wait_until_ready(connection, topic)
    return topic


def wait_until_ready(connection: Connection, topic: Topic) -> None:
    """Until every partition answers ListOffsets; at once where the broker means what it answers."""
    asked = [{"partition_index": index, "timestamp": -1} for index in range(topic.partitions)]
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        answer = connection.call("ListOffsets", 5, replica_id=-1, topics=[{"name": topic.name, "partitions": asked}])
        errors = [partition.error_code for partition in answer.topics[0].partitions]
        if not any(errors):
            return
        assert time.monotonic() < deadline, f"{topic.name} is not ready: {errors}"
        time.sleep(0.01)


def produce_request(
    target: Topic | Iterable[tuple[Topic, int, bytes | None]],
    records: bytes | None = b"",
    *,
    partition: int = 0,
    acks: int = -1,
    timeout_ms: int = 30_000,
    transactional_id: str | None = None,
) -> dict[str, object]:
    """The fields of a Produce request, to one partition or to several (topic, partition, records)."""
    parts = [(target, partition, records)] if isinstance(target, Topic) else list(target)
    data = [
        {"name": topic.name, "topic_id": topic.id, "partition_data": [{"index": index, "records": batch}]}
        for topic, index, batch in parts
    ]
    return {"transactional_id": transactional_id, "acks": acks, "timeout_ms": timeout_ms, "topic_data": data}


def produce(connection: Connection, topic: Topic, records: bytes | None, *, version: int = 9, **options: int) -> Struct:
    """Write to one partition; the partition's part of the answer."""
    answer = connection.call("Produce", version, **produce_request(topic, records, **options))  # type: ignore[arg-type]
    (response,) = answer.responses
    result: Struct
    (result,) = response.partition_responses
    return result


def fetch_request(
    wanted: Iterable[tuple[Topic, int, int]],
    *,
    max_wait_ms: int = 0,
    min_bytes: int = 0,
    max_bytes: int = 0x7FFFFFFF,
    partition_max_bytes: int = 1 << 20,
    leader_epoch: int = -1,
    isolation_level: int = 0,
    session_id: int = 0,
    session_epoch: int = -1,
    forgotten: Iterable[tuple[Topic, int]] = (),
) -> dict[str, object]:
    """The fields of a Fetch request for (topic, partition, offset); sessionless unless a session epoch is given."""
    topics = [
        {
            "topic": topic.name,
            "topic_id": topic.id,
            "partitions": [
                {
                    "partition": partition,
                    "fetch_offset": offset,
                    "current_leader_epoch": leader_epoch,
                    "partition_max_bytes": partition_max_bytes,
                }
            ],
        }
        for topic, partition, offset in wanted
    ]
    return {
        "max_wait_ms": max_wait_ms,
        "min_bytes": min_bytes,
        "max_bytes": max_bytes,
        "isolation_level": isolation_level,
        "session_id": session_id,
        "session_epoch": session_epoch,
        "topics": topics,
        "forgotten_topics_data": [
            {"topic": topic.name, "topic_id": topic.id, "partitions": [partition]} for topic, partition in forgotten
        ],
    }


def fetch(
    connection: Connection, topic: Topic, offset: int, *, partition: int = 0, version: int = 12, **options: int
) -> Struct:
    """Read one partition; the partition's part of the answer."""
    request = fetch_request([(topic, partition, offset)], **options)  # type: ignore[arg-type]
    answer = connection.call("Fetch", version, **request)
    assert answer.error_code == NONE if version >= 7 else True, answer
    (response,) = answer.responses
    result: Struct
    (result,) = response.partitions
    return result


def list_offset(
    connection: Connection, topic: Topic, timestamp: int, *, partition: int = 0, version: int = 5, epoch: int = -1
) -> Struct:
    asked = [{"partition_index": partition, "current_leader_epoch": epoch, "timestamp": timestamp}]
    answer = connection.call(
        "ListOffsets", version, replica_id=-1, topics=[{"name": topic.name, "partitions": asked}], timeout_ms=30_000
    )
    (response,) = answer.topics
    result: Struct
    (result,) = response.partitions
    return result


def unknown_topic() -> Topic:
    """A topic that no broker has, by name and by id."""
    return Topic(unique_name("no-such"), UUID(int=0x5EED_0000_0000_4000_8000_000000000000 | next(_numbers)))


def metadata_topics(
    connection: Connection, names: Iterable[str | None] | None, version: int = 12, *, create: bool = False
) -> list[Struct]:
    """Metadata of topics by name (null: of all), without creating any unless told to."""
    asked = None if names is None else [{"name": name, "topic_id": ZERO_UUID} for name in names]
    found: list[Struct] = connection.call("Metadata", version, topics=asked, allow_auto_topic_creation=create).topics
    return found
