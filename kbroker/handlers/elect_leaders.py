"""ElectLeaders: every partition is led by its only replica, which is its preferred one: there is nothing to elect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.elect_leaders import (
    PREFERRED,
    UNCLEAN,
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

from ..errors import Refusal
from ..metadata.image import NO_LEADER, Image, PartitionImage

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: ElectLeadersRequest, call: Call, broker: Broker) -> Answer:
    if request.election_type not in (PREFERRED, UNCLEAN):
        refusal = Refusal(ErrorCode.INVALID_REQUEST, f"Unknown election type {request.election_type}")
        return _refused(request, refusal, call.api_version)
    image = broker.controller.image
    if request.topic_partitions is None:
        results = [_needed(request.election_type, name, image) for name in image.topic_ids]
    else:
        results = [
            ReplicaElectionResult(
                topic=topic.topic,
                partition_result=[
                    _row(index, _outcome(request.election_type, topic.topic, index, image))
                    for index in topic.partitions
                ],
            )
            for topic in request.topic_partitions
        ]
    return ElectLeadersResponse(replica_election_results=results)


def _needed(election_type: int, name: str, image: Image) -> ReplicaElectionResult:
    """Of all partitions only those are told that needed a leader."""
    topic = image.topic(name)
    assert topic is not None
    rows = ((index, _elect(election_type, partition)) for index, partition in enumerate(topic.partitions))
    return ReplicaElectionResult(
        topic=name,
        partition_result=[
            _row(index, refusal) for index, refusal in rows if refusal.code is not ErrorCode.ELECTION_NOT_NEEDED
        ],
    )


def _outcome(election_type: int, name: str, index: int, image: Image) -> Refusal:
    topic = image.topic(name)
    if topic is None:
        return Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such topic as {name}")
    if not 0 <= index < len(topic.partitions):
        return Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such partition as {name}-{index}")
    return _elect(election_type, topic.partitions[index])


def _elect(election_type: int, partition: PartitionImage) -> Refusal:
    right = partition.replicas[0] if election_type == PREFERRED else partition.leader
    if partition.leader == right != NO_LEADER:
        return Refusal(ErrorCode.ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.")
    if election_type == PREFERRED:
        return Refusal(ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE.message)
    return Refusal(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE.message)


def _row(index: int, refusal: Refusal) -> PartitionResult:
    return PartitionResult(partition_id=index, error_code=refusal.code, error_message=refusal.message)


def _refused(request: ElectLeadersRequest, refusal: Refusal, version: int) -> ElectLeadersResponse:
    return ElectLeadersResponse(
        error_code=refusal.code if version >= 1 and request.topic_partitions != [] else ErrorCode.NONE,
        replica_election_results=[
            ReplicaElectionResult(
                topic=topic.topic, partition_result=[_row(index, refusal) for index in topic.partitions]
            )
            for topic in request.topic_partitions or []
        ],
    )


def refuse(request: ElectLeadersRequest, code: ErrorCode) -> ElectLeadersResponse:
    return _refused(request, Refusal(code, code.message), 0)
