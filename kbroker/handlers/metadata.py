"""Metadata: the brokers, the controller and topics. A topic may be created here, and is there in this very answer."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.metadata import (
    NO_AUTHORIZED_OPERATIONS,
    MetadataBroker,
    MetadataPartition,
    MetadataRequest,
    MetadataResponse,
    MetadataTopic,
)
from kbroker_wire.schema import ZERO_UUID

from ..cluster import ALL_CLUSTER_OPERATIONS, ALL_TOPIC_OPERATIONS, leader_error, nodes, offline_replicas
from ..controller.core import INTERNAL_TOPICS, NewTopic, name_error
from ..errors import Refusal
from ..metadata.image import Image, TopicImage

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: MetadataRequest, call: Call, broker: Broker) -> Answer:
    if _is_malformed(request, call.api_version):
        return refuse(request, ErrorCode.INVALID_REQUEST)
    question = _question(request, call)
    ready = broker.ready.get(broker.image, question)
    if ready is not None:
        return ready
    topics = await _topics(request, call, broker)
    response = _response(request, topics, call, broker)
    if any(topic.error_code for topic in topics) or len(topics) < len(request.topics or ()):
        return response  # next time a topic may be created; and who asks twice for one has too long a question
    return broker.ready.keep(broker.image, question, response.encode(call.api_version))


def _question(request: MetadataRequest, call: Call) -> Hashable:
    """What decides the answer, besides the image."""
    topics = request.topics
    return (
        call.api_version,
        call.listener,
        call.told,
        None if topics is None else tuple([(topic.name, topic.topic_id) for topic in topics]),
        request.include_topic_authorized_operations,
        request.include_cluster_authorized_operations,
    )


def _response(request: MetadataRequest, topics: list[MetadataTopic], call: Call, broker: Broker) -> MetadataResponse:
    if request.include_topic_authorized_operations:
        for topic in topics:
            topic.topic_authorized_operations = ALL_TOPIC_OPERATIONS
    return MetadataResponse(
        brokers=[
            MetadataBroker(node_id=node.id, host=node.host, port=node.port, rack=node.rack)
            for node in nodes(broker, call)
        ],
        cluster_id=broker.cluster_id,
        controller_id=broker.controller_id,
        topics=topics,
        cluster_authorized_operations=(
            ALL_CLUSTER_OPERATIONS if request.include_cluster_authorized_operations else NO_AUTHORIZED_OPERATIONS
        ),
    )


def _is_malformed(request: MetadataRequest, version: int) -> bool:
    """Whether topics are named in a way that this version does not have, or not at all.

    v10 and v11 have room for ids, but take only names; later on a request with an id in it asks by id alone.
    """
    topics = request.topics or ()
    if all(topic.name is not None and topic.topic_id == ZERO_UUID for topic in topics):
        return False
    return version < 12 or all(topic.topic_id == ZERO_UUID for topic in topics)


async def _topics(request: MetadataRequest, call: Call, broker: Broker) -> list[MetadataTopic]:
    if request.topics is None or (call.api_version == 0 and not request.topics):
        image = broker.image
        return [_describe(image, topic) for topic in image.topics.values()]
    asked = request.topics
    ids = dict.fromkeys(topic.topic_id for topic in asked if topic.topic_id != ZERO_UUID)
    if ids:
        return [_by_id(broker.image, topic_id) for topic_id in ids]
    names = dict.fromkeys(topic.name for topic in asked if topic.name is not None)
    return await _by_name(list(names), request.allow_auto_topic_creation, broker)


def _by_id(image: Image, topic_id: bytes) -> MetadataTopic:
    topic = image.topics.get(topic_id)
    if topic is None:
        return _failed(None, topic_id, ErrorCode.UNKNOWN_TOPIC_ID)
    return _describe(image, topic)


async def _by_name(names: list[str], may_create: bool, broker: Broker) -> list[MetadataTopic]:
    errors: dict[str, ErrorCode] = {}
    missing = [name for name in names if name not in broker.image.topic_ids]
    if missing and may_create and broker.config.bool("auto.create.topics.enable"):
        wanted = []
        for name in missing:
            if name_error(name):
                errors[name] = ErrorCode.INVALID_TOPIC_EXCEPTION
            elif name not in INTERNAL_TOPICS:  # those are made by their coordinators
                wanted.append(NewTopic(name, -1, -1))
        errors |= await _create(wanted, broker)
    answers = []
    for name in names:
        topic = broker.image.topic(name)
        if topic is not None:
            answers.append(_describe(broker.image, topic))
        else:
            error = errors.get(name) or (
                ErrorCode.INVALID_TOPIC_EXCEPTION if name_error(name) else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            )
            answers.append(_failed(name, ZERO_UUID, error))
    return answers


async def _create(wanted: list[NewTopic], broker: Broker) -> dict[str, ErrorCode]:
    """Errors of the topics that could not be created; somebody else creating one meanwhile is none."""
    if not wanted:
        return {}
    try:
        outcome = await broker.controller.create_topics(wanted)
    except Refusal as refusal:
        return {topic.name: refusal.code for topic in wanted}
    await broker.controller.settled()  # what somebody else is just creating is there, too
    return {name: result.code for name, result in outcome.items() if isinstance(result, Refusal)}


def _describe(image: Image, topic: TopicImage) -> MetadataTopic:
    return MetadataTopic(
        error_code=ErrorCode.NONE,
        name=topic.name,
        topic_id=topic.id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=[
            MetadataPartition(
                error_code=leader_error(image, partition),
                partition_index=index,
                leader_id=partition.leader,
                leader_epoch=partition.leader_epoch,
                replica_nodes=list(partition.replicas),
                isr_nodes=list(partition.isr),
                offline_replicas=offline_replicas(image, partition),
            )
            for index, partition in enumerate(topic.partitions)
        ],
    )


def _failed(name: str | None, topic_id: bytes, error: ErrorCode) -> MetadataTopic:
    return MetadataTopic(
        error_code=error, name=name, topic_id=topic_id, is_internal=name in INTERNAL_TOPICS, partitions=[]
    )


def refuse(request: MetadataRequest, code: ErrorCode) -> MetadataResponse:
    """Before v13 only the topics can say that a request failed; that no broker is named says it too."""
    topics = request.topics or ()
    return MetadataResponse(
        brokers=[],
        topics=[_failed(topic.name or "", topic.topic_id, code) for topic in topics],
        error_code=code,
    )
