"""CreatePartitions: more partitions for a topic; never fewer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopicResult,
)

from ..controller.core import check_added_partitions
from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: CreatePartitionsRequest, call: Call, broker: Broker) -> Answer:
    del call
    times = Counter(topic.name for topic in request.topics)
    wanted = [
        (
            topic.name,
            topic.count,
            None if topic.assignments is None else [each.broker_ids for each in topic.assignments],
        )
        for topic in request.topics
        if times[topic.name] == 1
    ]
    outcome: dict[str, Refusal | None]
    try:
        check_added_partitions(broker.controller.image, [(name, count) for name, count, _ in wanted])
    except Refusal as refusal:
        outcome = dict.fromkeys(times, refusal)
    else:
        outcome = await broker.controller.create_partitions(wanted, validate_only=request.validate_only)
    return CreatePartitionsResponse(
        results=[
            _row(name, outcome[name] if count == 1 else Refusal(ErrorCode.INVALID_REQUEST, "Duplicate topic name."))
            for name, count in times.items()
        ]
    )


def _row(name: str, refusal: Refusal | None) -> CreatePartitionsTopicResult:
    if refusal is None:
        return CreatePartitionsTopicResult(name=name, error_code=ErrorCode.NONE)
    return CreatePartitionsTopicResult(name=name, error_code=refusal.code, error_message=refusal.message)


def refuse(request: CreatePartitionsRequest, code: ErrorCode) -> CreatePartitionsResponse:
    return CreatePartitionsResponse(results=[_row(topic.name, Refusal(code, code.message)) for topic in request.topics])
