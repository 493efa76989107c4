"""OffsetDelete: a group forgets offsets of topics that none of its members reads (KIP-496)."""

from __future__ import annotations

from kbroker_wire import ErrorCode
from kbroker_wire.messages.offset_delete import OffsetDeleteRequest

from ...errors import Refusal
from ..machine import Record, Step
from .classic import CONSUMER
from .offsets import Offsets
from .offsets_rows import Rows, delete_response, sort_delete


def delete(offsets: Offsets, request: OffsetDeleteRequest) -> Step:
    """Raises Refusal: INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP for members whose topics nobody knows."""
    group_id = request.group_id
    if not group_id:
        raise Refusal(ErrorCode.INVALID_GROUP_ID)
    group = offsets.context.groups.get(group_id)
    if group is None:
        raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND)
    if not group.is_empty and group.protocol_type != CONSUMER:
        raise Refusal(ErrorCode.NON_EMPTY_GROUP)
    asked = sort_delete(request, offsets.context.image)
    records: list[Record] = []
    answer: list[Rows] = []
    for name, topic_id, topic, partitions in asked.found:
        indexes = [partition.partition_index for partition in partitions]
        code = ErrorCode.NONE
        if group.is_subscribed_to(topic.name):
            code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
        else:
            records += offsets.forget(group_id, [(topic.name, index) for index in indexes])
        answer.append(Rows(name, topic_id, [(index, code) for index in indexes]))
    return Step(delete_response(asked.answered(answer)), records)
