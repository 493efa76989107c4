"""CreateTopics: any broker takes it; the controller decides, all topics of a request in one atomic batch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

from ..controller.core import CreatedTopic, NewTopic
from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: CreateTopicsRequest, call: Call, broker: Broker) -> Answer:
    del call
    times = Counter(topic.name for topic in request.topics)
    wanted = [_wanted(topic, broker) for topic in request.topics if times[topic.name] == 1]
    outcome = await broker.controller.create_topics(wanted, validate_only=request.validate_only)
    return CreateTopicsResponse(
        topics=[
            _row(name, outcome[name], broker)
            if count == 1
            else _refused(name, Refusal(ErrorCode.INVALID_REQUEST, "Duplicate topic name."))
            for name, count in times.items()
        ]
    )


def _wanted(topic: CreatableTopic, broker: Broker) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        [(each.partition_index, each.broker_ids) for each in topic.assignments],
        [(each.name, each.value) for each in topic.configs],
        broker.config.check_topic,
    )


def _row(name: str, outcome: CreatedTopic | Refusal, broker: Broker) -> CreatableTopicResult:
    if isinstance(outcome, Refusal):
        return _refused(name, outcome)
    return CreatableTopicResult(
        name=name,
        topic_id=outcome.topic_id,
        error_code=ErrorCode.NONE,
        error_message=None,
        num_partitions=outcome.partitions,
        replication_factor=outcome.replication_factor,
        configs=[
            CreatableTopicConfigs(
                name=row.name,
                value=row.value,
                read_only=row.read_only,
                config_source=row.config_source,
                is_sensitive=row.is_sensitive,
            )
            for row in broker.config.describe_created_topic(outcome.configs)
        ],
    )


def _refused(name: str, refusal: Refusal) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=refusal.code, error_message=refusal.message, configs=[])


def refuse(request: CreateTopicsRequest, code: ErrorCode) -> CreateTopicsResponse:
    return CreateTopicsResponse(topics=[_refused(topic.name, Refusal(code, code.message)) for topic in request.topics])
