"""Topics made and deleted around a measurement, through a client that shares no code with the broker."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from raw_kafka.codec import Struct
from raw_kafka.connection import Connection, request_frame

LATEST = -1
READY_S = 60.0  # a topic that is not usable by then counts as a failure
POLL_S = 0.01


class AdminFailed(RuntimeError):
    """The broker refused, or did not get ready in time."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def connect(self) -> Connection:
        return Connection(self.host, self.port)


def create_topic(address: Address, name: str, partitions: int, config: Mapping[str, str] | None = None) -> float:
    """Creates a topic and waits until every partition answers; returns the seconds until CreateTopics was answered."""
    wanted = {
        "name": name,
        "num_partitions": partitions,
        "replication_factor": 1,
        "assignments": [],
        "configs": [{"name": key, "value": value} for key, value in (config or {}).items()],
    }
    with address.connect() as connection:
        connection.call("ApiVersions", 0)  # the connection is accepted and served before the clock starts
        started = time.monotonic()
        answer = connection.call("CreateTopics", 5, topics=[wanted], timeout_ms=30_000, validate_only=False)
        took_s = time.monotonic() - started
    _no_error("CreateTopics", answer.topics[0])
    wait_for_offsets(address, name, partitions)
    return took_s


def delete_topic(address: Address, name: str) -> None:
    with address.connect() as connection:
        answer = connection.call("DeleteTopics", 5, topic_names=[name], timeout_ms=30_000)
    _no_error("DeleteTopics", answer.responses[0])


def end_offsets(address: Address, name: str, partitions: int) -> dict[int, int]:
    """The end offset of each partition that answers without an error."""
    asked = [{"partition_index": i, "current_leader_epoch": -1, "timestamp": LATEST} for i in range(partitions)]
    with address.connect() as connection:
        answer = connection.call(
            "ListOffsets", 4, replica_id=-1, isolation_level=0, topics=[{"name": name, "partitions": asked}]
        )
    found = answer.topics[0].partitions
    return {each.partition_index: each.offset for each in found if each.error_code == 0}


def wait_for_offsets(address: Address, name: str, partitions: int) -> dict[int, int]:
    """The end offsets once every partition answers. Raises AdminFailed after READY_S."""
    deadline = time.monotonic() + READY_S
    while len(ends := end_offsets(address, name, partitions)) < partitions:
        if time.monotonic() > deadline:
            raise AdminFailed(f"after {READY_S:.0f} s {len(ends)} of {partitions} partitions of {name} answer")
        time.sleep(POLL_S)
    return ends


def wait_for_group(address: Address, group: str) -> None:
    """Until the group's coordinator answers, which may first have to make and read its topic.

    Raises AdminFailed after READY_S.
    """
    deadline, codes = time.monotonic() + READY_S, (-1, -1)
    while time.monotonic() < deadline:
        with address.connect() as connection:
            found = connection.call("FindCoordinator", 2, key=group, key_type=0)
            fetched = connection.call("OffsetFetch", 5, group_id=group, topics=[])
        codes = (found.error_code, fetched.error_code)
        if not any(codes):
            return
        time.sleep(POLL_S)
    raise AdminFailed(f"the coordinator of {group} answers with error codes {codes} for {READY_S:.0f} s")


def topic_ready(address: Address, name: str, partitions: int) -> bool:
    """Does Metadata show the topic with all its partitions led?"""
    with address.connect() as connection:
        answer = connection.call("Metadata", 4, topics=[{"name": name}], allow_auto_topic_creation=False)
    (topic,) = answer.topics
    led = [each for each in topic.partitions if each.error_code == 0 and each.leader_id >= 0]
    return topic.error_code == 0 and len(led) == partitions


def answers_metadata(address: Address) -> bool:
    """Is there a Metadata answer that names a broker?"""
    try:
        with address.connect() as connection:
            return bool(connection.call("Metadata", 4, topics=[], allow_auto_topic_creation=False).brokers)
    except OSError:
        return False


def ping_ms(connection: Connection) -> float:
    """From an ApiVersions request to its answer."""
    frame = request_frame("ApiVersions", 0, 1, {})
    started = time.monotonic()
    connection.send_raw(frame)
    connection.read_frame()
    return (time.monotonic() - started) * 1e3


def _no_error(api: str, result: Struct) -> None:
    if result.error_code != 0:
        raise AdminFailed(f"{api} of {result['name']} was answered with error code {result['error_code']}")
