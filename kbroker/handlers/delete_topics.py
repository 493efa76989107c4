"""DeleteTopics: by name or by id; a deletion is complete, folders included, when it is answered."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_topics import DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse
from kbroker_wire.schema import ZERO_UUID

from ..errors import Refusal
from ..metadata.image import TopicImage

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

Asked = tuple[str | None, bytes]


async def handle(request: DeleteTopicsRequest, call: Call, broker: Broker) -> Answer:
    asked = _asked(request, call.api_version)
    if not broker.config.bool("delete.topic.enable"):
        return DeleteTopicsResponse(responses=[_row(each, ErrorCode.TOPIC_DELETION_DISABLED) for each in asked])
    found: dict[bytes, TopicImage] = {}
    rows = []
    for each, times in Counter(asked).items():
        try:
            if times > 1:
                raise Refusal(ErrorCode.INVALID_REQUEST, "Duplicate topic name." if each[0] else "Duplicate topic id.")
            topic = _find(each, broker)
            if topic.id in found:
                raise Refusal(
                    ErrorCode.INVALID_REQUEST, "The provided topic name maps to an ID that was already supplied."
                )
            found[topic.id] = topic
            rows.append(_row((topic.name, topic.id), ErrorCode.NONE, None))
        except Refusal as refusal:
            rows.append(_row(each, refusal.code, refusal.message))
    await broker.controller.delete_topics(list(found.values()))
    return DeleteTopicsResponse(responses=rows)


def _asked(request: DeleteTopicsRequest, version: int) -> list[Asked]:
    if version < 6:
        return [(name, ZERO_UUID) for name in request.topic_names]
    return [(topic.name, topic.topic_id) for topic in request.topics]


def _find(asked: Asked, broker: Broker) -> TopicImage:
    """In the controller's newest image. Raises Refusal."""
    name, topic_id = asked
    image = broker.controller.image
    if name is not None:
        if topic_id != ZERO_UUID:
            raise Refusal(ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id.")
        topic = image.topic(name)
        if topic is None:
            raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION.message)
        return topic
    if topic_id == ZERO_UUID:
        raise Refusal(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
    found = image.topics.get(topic_id)
    if found is None:
        raise Refusal(ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.UNKNOWN_TOPIC_ID.message)
    return found


def _row(asked: Asked, code: ErrorCode, message: str | None = None) -> DeletableTopicResult:
    name, topic_id = asked
    return DeletableTopicResult(name=name, topic_id=topic_id, error_code=code, error_message=message)


def refuse(request: DeleteTopicsRequest, code: ErrorCode) -> DeleteTopicsResponse:
    asked = _asked(request, 5 if request.topic_names else 6)
    return DeleteTopicsResponse(responses=[_row(each, code, code.message) for each in asked])
