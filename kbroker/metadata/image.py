"""The cluster as the metadata log tells it: pure state, replaced and never changed.

`Image.replay(records)` gives the next image and a `Delta` that names what differs, so that the parts of the broker can
follow without comparing two images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from kbroker_wire.messages.metadata_records import (
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    FeatureLevelRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnregisterBrokerRecord,
)
from kbroker_wire.schema import Message

K = TypeVar("K")
V = TypeVar("V")

NO_LEADER = -1
NO_CHANGE = -2  # PartitionChangeRecord.leader when the leader stays

# ConfigResource types of the protocol. A broker's configuration is under its id, that of all brokers under "";
# levels of loggers are not in the metadata log.
TOPIC_RESOURCE, BROKER_RESOURCE, BROKER_LOGGER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE = 2, 4, 8, 16, 32


class PartitionImage(NamedTuple):
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int
    directories: tuple[bytes, ...]


class TopicImage(NamedTuple):
    name: str
    id: bytes
    partitions: tuple[PartitionImage, ...]


class Endpoint(NamedTuple):
    listener: str
    host: str
    port: int


class BrokerImage(NamedTuple):
    id: int
    epoch: int
    incarnation: bytes
    endpoints: tuple[Endpoint, ...]
    rack: str | None
    fenced: bool
    directories: tuple[bytes, ...]

    def address(self, listener: str) -> tuple[str, int] | None:
        """(host, port) of the endpoint with that listener name, None if it has no such listener."""
        for endpoint in self.endpoints:
            if endpoint.listener == listener:
                return endpoint.host, endpoint.port
        return None


@dataclass(slots=True)
class Delta:
    """What one replay changed: ids of topics that are new or differ, topics that are gone, whose configs changed."""

    topics: set[bytes] = field(default_factory=set)
    removed: dict[bytes, TopicImage] = field(default_factory=dict)
    brokers: set[int] = field(default_factory=set)
    configs: set[tuple[int, str]] = field(default_factory=set)
    features: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """State after the record at `offset` (-1: before the first).

    Mappings are not to be changed; each replay makes new ones for what differs.
    """

    offset: int = -1
    topics: Mapping[bytes, TopicImage] = field(default_factory=dict)
    topic_ids: Mapping[str, bytes] = field(default_factory=dict)
    brokers: Mapping[int, BrokerImage] = field(default_factory=dict)
    configs: Mapping[tuple[int, str], Mapping[str, str]] = field(default_factory=dict)
    features: Mapping[str, int] = field(default_factory=dict)
    features_offset: int = -1  # where they last changed: what clients see as the features' epoch
    next_producer_id: int = 0

    def topic(self, name: str) -> TopicImage | None:
        topic_id = self.topic_ids.get(name)
        return None if topic_id is None else self.topics[topic_id]

    def config(self, resource_type: int, name: str) -> Mapping[str, str]:
        return self.configs.get((resource_type, name), {})

    def replay(self, records: Iterable[Message], first_offset: int) -> tuple[Image, Delta]:
        """The image after `records`, of which the first stands at `first_offset` in the metadata log."""
        replay = _Replay(self)
        offset = first_offset - 1
        for record in records:
            offset += 1
            replay.apply(record, offset)
        return replay.image(offset), replay.delta


class _Replay:
    """Copies of the mappings, made on the first write to each, and the delta beside them."""

    def __init__(self, base: Image) -> None:
        self._base = base
        self._changed: dict[str, object] = {}
        self._partitions: dict[bytes, list[PartitionImage]] = {}
        self.delta = Delta()

    def image(self, offset: int) -> Image:
        if self._partitions:
            topics = self._topics()
            for topic_id, partitions in self._partitions.items():
                topics[topic_id] = topics[topic_id]._replace(partitions=tuple(partitions))
        return replace(self._base, offset=offset, **self._changed)  # type: ignore[arg-type]  # names are Image's own

    def apply(self, record: Message, offset: int) -> None:  # noqa: PLR0912  # one branch for each kind of record
        match record:
            case TopicRecord():
                self._topics()[record.topic_id] = TopicImage(record.name, record.topic_id, ())
                self._topic_ids()[record.name] = record.topic_id
                self.delta.topics.add(record.topic_id)
            case PartitionRecord():
                self._partition(record)
            case PartitionChangeRecord():
                self._partition_change(record)
            case RemoveTopicRecord():
                self._remove_topic(record.topic_id)
            case ConfigRecord():
                self._config(record)
            case RegisterBrokerRecord():
                self._register(record)
            case UnregisterBrokerRecord():
                self._brokers().pop(record.broker_id, None)
                self.delta.brokers.add(record.broker_id)
            case BrokerRegistrationChangeRecord():
                self._registration_change(record)
            case ProducerIdsRecord():
                self._changed["next_producer_id"] = record.next_producer_id
            case FeatureLevelRecord():
                features = self._copy("features", self._base.features)
                if record.feature_level:
                    features[record.name] = record.feature_level
                else:
                    features.pop(record.name, None)
                self._changed["features_offset"] = offset
                self.delta.features = True
            case NoOpRecord():
                pass
            case _:
                raise ValueError(f"a metadata record that this version does not know: {type(record).__name__}")

    def _copy(self, name: str, base: Mapping[K, V]) -> dict[K, V]:
        copy = self._changed.get(name)
        if copy is None:
            copy = self._changed[name] = dict(base)
        return copy  # type: ignore[return-value]  # always the dict that was made from `base`

    def _topics(self) -> dict[bytes, TopicImage]:
        return self._copy("topics", self._base.topics)

    def _topic_ids(self) -> dict[str, bytes]:
        return self._copy("topic_ids", self._base.topic_ids)

    def _brokers(self) -> dict[int, BrokerImage]:
        return self._copy("brokers", self._base.brokers)

    def _partitions_of(self, topic_id: bytes) -> list[PartitionImage]:
        partitions = self._partitions.get(topic_id)
        if partitions is None:
            topics = self._changed.get("topics", self._base.topics)
            partitions = self._partitions[topic_id] = list(topics[topic_id].partitions)  # type: ignore[index]
        return partitions

    def _partition(self, record: PartitionRecord) -> None:
        partitions = self._partitions_of(record.topic_id)
        if record.partition_id != len(partitions):
            raise ValueError(
                f"partition {record.partition_id} follows {len(partitions)} partitions in the metadata log"
            )
        partitions.append(
            PartitionImage(
                replicas=tuple(record.replicas),
                isr=tuple(record.isr),
                leader=record.leader,
                leader_epoch=record.leader_epoch,
                partition_epoch=record.partition_epoch,
                directories=tuple(record.directories),
            )
        )
        self.delta.topics.add(record.topic_id)

    def _partition_change(self, record: PartitionChangeRecord) -> None:
        partitions = self._partitions_of(record.topic_id)
        old = partitions[record.partition_id]
        leader = old.leader if record.leader == NO_CHANGE else record.leader
        partitions[record.partition_id] = PartitionImage(
            replicas=old.replicas if record.replicas is None else tuple(record.replicas),
            isr=old.isr if record.isr is None else tuple(record.isr),
            leader=leader,
            leader_epoch=old.leader_epoch + (record.leader != NO_CHANGE),
            partition_epoch=old.partition_epoch + 1,
            directories=old.directories if record.directories is None else tuple(record.directories),
        )
        self.delta.topics.add(record.topic_id)

    def _remove_topic(self, topic_id: bytes) -> None:
        self._partitions.pop(topic_id, None)
        topic = self._topics().pop(topic_id)
        self._topic_ids().pop(topic.name)
        self.delta.topics.discard(topic_id)
        self.delta.removed[topic_id] = topic
        if (TOPIC_RESOURCE, topic.name) in self._changed.get("configs", self._base.configs):  # type: ignore[operator]
            self._copy("configs", self._base.configs).pop((TOPIC_RESOURCE, topic.name))

    def _config(self, record: ConfigRecord) -> None:
        resource = (record.resource_type, record.resource_name)
        configs = self._copy("configs", self._base.configs)
        values = dict(configs.get(resource, {}))
        if record.value is None:
            values.pop(record.name, None)
        else:
            values[record.name] = record.value
        if values:
            configs[resource] = values
        else:
            configs.pop(resource, None)
        self.delta.configs.add(resource)

    def _register(self, record: RegisterBrokerRecord) -> None:
        self._brokers()[record.broker_id] = BrokerImage(
            id=record.broker_id,
            epoch=record.broker_epoch,
            incarnation=record.incarnation_id,
            endpoints=tuple(Endpoint(each.name, each.host, each.port) for each in record.end_points),
            rack=record.rack,
            fenced=record.fenced,
            directories=tuple(record.log_dirs),
        )
        self.delta.brokers.add(record.broker_id)

    def _registration_change(self, record: BrokerRegistrationChangeRecord) -> None:
        brokers = self._brokers()
        if record.fenced:  # 1: fence, -1: unfence, 0: as it was
            brokers[record.broker_id] = brokers[record.broker_id]._replace(fenced=record.fenced > 0)
        self.delta.brokers.add(record.broker_id)
