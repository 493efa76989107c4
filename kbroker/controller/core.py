"""What the controller decides: (image, request, now) -> (records, response). Pure; nothing here waits or writes.

The records of one decision are one atomic batch of the metadata log. Messages are Apache Kafka's, word for word:
clients match on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kbroker_wire import ErrorCode
from kbroker_wire.messages.metadata_records import (
    ConfigRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RemoveTopicRecord,
    TopicRecord,
)
from kbroker_wire.schema import Message

from ..config import ConfigError, validate_topic_configs
from ..errors import Refusal
from ..metadata.image import TOPIC_RESOURCE, Image, TopicImage

MAX_NAME_LENGTH = 249  # a folder's name adds a dash and a partition number; Kafka's Topic.MAX_NAME_LENGTH
LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)
INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})
METADATA_TOPIC = "__cluster_metadata"
PRODUCER_ID_BLOCK = 1000  # ids a broker is given at a time; Kafka's ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE
MAX_PARTITIONS_PER_REQUEST = 10_000  # new ones; Kafka's ReplicationControlManager refuses more in one request
MAX_RECORDS_PER_REQUEST = 10_000  # as much for the batch of records that they become

UNASSIGNED_DIRECTORY = bytes(16)  # of a replica whose broker has several folders or none registered (KIP-858)


def name_error(name: str) -> str | None:
    """What is wrong with a topic's name, in Kafka's words; None if nothing is."""
    if not name:
        return "the empty string is not allowed"
    if name in {".", ".."}:
        return f"'{name}' is not allowed"
    if len(name) > MAX_NAME_LENGTH:
        return f"the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}"
    if not LEGAL_NAME.fullmatch(name):
        return f"'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    return None


def collision_key(name: str) -> str:
    """Metric names fold '.' into '_', so Kafka lets only one of `a.b` and `a_b` exist."""
    return name.replace(".", "_")


@dataclass(frozen=True, slots=True)
class NewTopic:
    """One topic of a CreateTopics request; -1 stands for the broker's default.

    assignments     partition index -> broker ids, empty if the controller is to place the replicas
    configs         in the order of the request; a name may come with None, which is refused
    check_configs   raises ConfigError for what they may not be, together with the broker's settings
    """

    name: str
    partitions: int
    replication_factor: int
    assignments: Sequence[tuple[int, Sequence[int]]] = ()
    configs: Sequence[tuple[str, str | None]] = ()
    check_configs: Callable[[Mapping[str, str | None]], object] = validate_topic_configs


class CreatedTopic(NamedTuple):
    topic_id: bytes
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Defaults:
    """The controller's configuration, as far as decisions need it.

    keep_case_apart   refuse names that differ only in case: the data folder is on a disk that would mix them up
    """

    partitions: int
    replication_factor: int
    keep_case_apart: bool = False


Decision = tuple[list[Message], dict[str, CreatedTopic | Refusal]]


def create_topics(
    image: Image, topics: Sequence[NewTopic], defaults: Defaults, new_uuid: Callable[[], bytes]
) -> Decision:
    """Records for every topic that can be created, and for each name what became of it.

    A request that is too large is refused for all its topics.
    """
    if sum(_size(topic, defaults) for topic in topics) > MAX_PARTITIONS_PER_REQUEST:
        return _too_large(topics, "Excessively large number of partitions per request.")
    records: list[Message] = []
    outcome: dict[str, CreatedTopic | Refusal] = {}
    taken = _TakenNames(image, defaults.keep_case_apart)
    for topic in topics:
        try:
            taken.check(topic.name)
            configs = _configs(topic)
            replicas = _placement(image, topic, defaults, len(image.topics) + len(outcome))
        except Refusal as refusal:
            outcome[topic.name] = refusal
            continue
        taken.add(topic.name)
        topic_id = new_uuid()
        records.append(TopicRecord(name=topic.name, topic_id=topic_id))
        records += [
            ConfigRecord(resource_type=TOPIC_RESOURCE, resource_name=topic.name, name=name, value=value)
            for name, value in configs.items()
        ]
        records += [_partition_record(image, topic_id, index, each) for index, each in enumerate(replicas)]
        outcome[topic.name] = CreatedTopic(topic_id, len(replicas), len(replicas[0]), configs)
    if len(records) > MAX_RECORDS_PER_REQUEST:
        return _too_large(topics, "Unable to perform excessively large batch operation.")
    return records, outcome


def _size(topic: NewTopic, defaults: Defaults) -> int:
    """How many partitions it asks for."""
    if topic.assignments:
        return len(topic.assignments)
    return defaults.partitions if topic.partitions == -1 else max(0, topic.partitions)


def _too_large(topics: Iterable[NewTopic], message: str) -> Decision:
    return [], {topic.name: Refusal(ErrorCode.POLICY_VIOLATION, message) for topic in topics}


class _TakenNames:
    """Names a new topic may not have, those of this request included. Collisions are looked for only when possible."""

    def __init__(self, image: Image, keep_case_apart: bool) -> None:
        self._image = image
        self._keep_case_apart = keep_case_apart
        self._new: dict[str, str] = {}

    def _fold(self, name: str) -> str:
        folded = collision_key(name)
        return folded.lower() if self._keep_case_apart else folded

    def add(self, name: str) -> None:
        self._new[self._fold(name)] = name

    def check(self, name: str) -> None:
        reason = name_error(name)
        if reason is not None:
            raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")
        if name in self._image.topic_ids or self._new.get(self._fold(name)) == name:
            raise Refusal(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        if name == METADATA_TOPIC or (self._keep_case_apart and name.lower() == METADATA_TOPIC):
            raise Refusal(
                ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: '{name}' is the name of the metadata log"
            )
        other = self._collision(name)
        if other is not None:
            raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with existing topic: {other}")

    def _collision(self, name: str) -> str | None:
        folded = self._fold(name)
        if folded in self._new:
            return self._new[folded]
        if not self._keep_case_apart and "_" not in folded:
            return None
        return next((other for other in self._image.topic_ids if self._fold(other) == folded), None)


def _configs(topic: NewTopic) -> dict[str, str]:
    configs = dict(topic.configs)
    try:
        topic.check_configs(configs)
    except ConfigError as error:
        raise Refusal(ErrorCode.INVALID_CONFIG, error.message) from None
    return {name: value for name, value in configs.items() if value is not None}


def _placement(image: Image, topic: NewTopic, defaults: Defaults, seed: int) -> list[tuple[int, ...]]:
    if topic.assignments:
        return _manual_placement(image, topic)
    if topic.replication_factor < -1 or topic.replication_factor == 0:
        raise Refusal(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if topic.partitions < -1 or topic.partitions == 0:
        raise Refusal(ErrorCode.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value.")
    factor = defaults.replication_factor if topic.replication_factor == -1 else topic.replication_factor
    return place(image, _size(topic, defaults), factor, seed)


def place(image: Image, partitions: int, factor: int, seed: int, first: int = 0) -> list[tuple[int, ...]]:
    """Replicas of `partitions` new partitions, in turn over the brokers that are not fenced; leaders first.

    seed    where the turn begins, so that one-partition topics spread too
    """
    usable = [broker.id for broker in image.brokers.values() if not broker.fenced]
    if factor > len(image.brokers):
        raise Refusal(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be "
            f"reached because only {len(image.brokers)} broker(s) are registered or some brokers have all their log "
            "directories cordoned.",
        )
    if not usable:
        raise Refusal(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {factor} time(s): All brokers are currently fenced.",
        )
    usable.sort()
    usable += sorted(broker.id for broker in image.brokers.values() if broker.fenced)  # followers may catch up later
    count = len(usable)
    return [
        tuple(usable[(seed + first + index + replica) % count] for replica in range(factor))
        for index in range(partitions)
    ]


def _manual_placement(image: Image, topic: NewTopic) -> list[tuple[int, ...]]:
    if topic.replication_factor != -1:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        )
    if topic.partitions != -1:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        )
    placed: dict[int, tuple[int, ...]] = {}
    for index, brokers in topic.assignments:
        if index in placed:
            raise Refusal(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Found multiple manual partition assignments for partition {index}",
            )
        placed[index] = check_assignment(image, brokers)
    if sorted(placed) != list(range(len(placed))):
        raise Refusal(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive 0-based integer sequence"
        )
    if len({len(brokers) for brokers in placed.values()}) > 1:
        raise Refusal(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes partitions with different numbers of replicas.",
        )
    return [placed[index] for index in range(len(placed))]


def check_assignment(image: Image, brokers: Sequence[int]) -> tuple[int, ...]:
    """One partition's replicas as the client wants them, refused as Kafka does."""
    if not brokers:
        raise Refusal(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment includes an empty replica list."
        )
    before = None
    for broker in sorted(brokers):
        if broker == before:
            raise Refusal(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"The manual partition assignment includes the broker {broker} more than once.",
            )
        before = broker
        if broker not in image.brokers:
            raise Refusal(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"The manual partition assignment includes broker {broker}, but no such broker is registered.",
            )
    return tuple(brokers)


def _partition_record(image: Image, topic_id: bytes, index: int, replicas: tuple[int, ...]) -> PartitionRecord:
    return PartitionRecord(
        partition_id=index,
        topic_id=topic_id,
        replicas=list(replicas),
        isr=list(replicas),
        removing_replicas=[],
        adding_replicas=[],
        leader=replicas[0],
        leader_epoch=0,
        partition_epoch=0,
        directories=[_directory(image, broker) for broker in replicas],
    )


def _directory(image: Image, broker: int) -> bytes:
    """The one folder of that broker, if it has one (Kafka's `ClusterControlManager.defaultDir`)."""
    directories = image.brokers[broker].directories
    return directories[0] if len(directories) == 1 else UNASSIGNED_DIRECTORY


def delete_topics(topics: Iterable[TopicImage]) -> list[Message]:
    return [RemoveTopicRecord(topic_id=topic.id) for topic in topics]


def check_added_partitions(image: Image, wanted: Iterable[tuple[str, int]]) -> None:
    """Whether one request may bring these topics to so many partitions each, as far as their number goes.

    Raises Refusal.
    """
    added = 0
    for name, count in wanted:
        topic = image.topic(name)
        added += 0 if topic is None else max(0, count - len(topic.partitions))
    if added > MAX_PARTITIONS_PER_REQUEST:
        raise Refusal(ErrorCode.POLICY_VIOLATION, "Excessively large number of additional partitions per request.")


def create_partitions(
    image: Image, name: str, count: int, assignments: Sequence[Sequence[int]] | None
) -> list[Message]:
    """Records that bring topic `name` to `count` partitions; `assignments`: the replicas of each new one, in order.

    `check_added_partitions` bounds how many a request may add; here nothing does.
    Raises Refusal.
    """
    topic = image.topic(name)
    if topic is None:
        raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    have = len(topic.partitions)
    if count == have:
        raise Refusal(ErrorCode.INVALID_PARTITIONS, f"Topic already has {have} partition(s).")
    if count < have:
        raise Refusal(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {name} currently has {have} partition(s); {count} would not be an increase.",
        )
    factor = len(topic.partitions[0].replicas)
    if assignments is None:
        placed = place(image, count - have, factor, seed=topic.partitions[0].leader, first=have)
    else:
        placed = _placed_partitions(image, assignments, count - have, factor)
    return [_partition_record(image, topic.id, have + index, replicas) for index, replicas in enumerate(placed)]


def _placed_partitions(
    image: Image, assignments: Sequence[Sequence[int]], wanted: int, factor: int
) -> list[tuple[int, ...]]:
    if len(assignments) != wanted:
        raise Refusal(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"Attempted to add {wanted} additional partition(s), but only {len(assignments)} assignment(s) "
            "were specified.",
        )
    placed = [check_assignment(image, brokers) for brokers in assignments]
    for replicas in placed:
        if len(replicas) != factor:
            raise Refusal(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"The manual partition assignment includes a partition with {len(replicas)} replica(s), but this is "
                f"not consistent with previous partitions, which have {factor} replica(s).",
            )
    return placed


def allocate_producer_ids(image: Image, broker_id: int, broker_epoch: int) -> tuple[list[Message], range]:
    """The next block of producer ids for a broker, which never come again, whatever happens to the broker."""
    first = image.next_producer_id
    block = range(first, first + PRODUCER_ID_BLOCK)
    record = ProducerIdsRecord(broker_id=broker_id, broker_epoch=broker_epoch, next_producer_id=block.stop)
    return [record], block
