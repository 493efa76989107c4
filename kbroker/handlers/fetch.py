"""Fetch: batches out of partitions, from the one that holds the offset; waits for more if asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)
from kbroker_wire.schema import ZERO_UUID

from ..cluster import current_leader, endpoints
from ..errors import Refusal
from ..fetching import Fetch, ParkedFetch, Read, Terms, close_all
from ..sessions import UNKNOWN_EPOCH, Key, Wanted

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Body, Call
    from ..short_fetch import OneFetch

READ_UNCOMMITTED, READ_COMMITTED = 0, 1
BY_ID = 13  # from this version on topics are named by their ids
MOVED = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)


async def handle(request: FetchRequest | OneFetch, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def answer(request: FetchRequest | OneFetch, call: Call, broker: Broker) -> Answer:
    """Nothing here waits; a fetch that has to is parked."""
    short = None
    if not isinstance(request, FetchRequest):
        short, fetch = request, request.open(broker)
    elif request.isolation_level not in (READ_UNCOMMITTED, READ_COMMITTED):
        return refuse(request, ErrorCode.INVALID_REQUEST)
    else:
        terms, wanted = asked_for(request, call)
        try:
            fetch = broker.fetches.open(terms, wanted, _forgotten(request, call))
        except Refusal as refusal:
            return FetchResponse(error_code=refusal.code, responses=[])
    reads = fetch.read()
    try:
        if not fetch.must_wait(reads):
            return _respond(fetch, reads, call, broker, short)
        parked = ParkedFetch(fetch, reads, lambda fetch: _respond(fetch, fetch.read(), call, broker, short))
    except BaseException:
        close_all(reads)
        raise
    close_all(reads)
    return parked


def asked_for(request: FetchRequest, call: Call) -> tuple[Terms, list[Wanted]]:
    by_id = call.api_version >= BY_ID
    terms = Terms(
        session_id=request.session_id,
        session_epoch=request.session_epoch,
        max_wait_s=request.max_wait_ms / 1000,
        min_bytes=request.min_bytes,
        max_bytes=request.max_bytes,
        read_committed=request.isolation_level == READ_COMMITTED,
        replica_id=request.replica_state.replica_id if call.api_version >= 15 else request.replica_id,
        uses_ids=by_id,
    )
    wanted = [
        Wanted(
            topic.topic_id if by_id else topic.topic,
            each.partition,
            each.fetch_offset,
            each.partition_max_bytes,
            max(each.current_leader_epoch, UNKNOWN_EPOCH),  # any negative one says that it is not known
            each.last_fetched_epoch,
            each.log_start_offset,
        )
        for topic in request.topics
        for each in topic.partitions
    ]
    return terms, wanted


def _forgotten(request: FetchRequest, call: Call) -> list[Key]:
    by_id = call.api_version >= BY_ID
    return [
        (topic.topic_id if by_id else topic.topic, index)
        for topic in request.forgotten_topics_data
        for index in topic.partitions
    ]


def _respond(
    fetch: Fetch, reads: list[Read], call: Call, broker: Broker, short: OneFetch | None
) -> FetchResponse | Body:
    try:
        if short is not None and (body := short.body(reads[0])) is not None:
            return body
        return _in_full(fetch, reads, call, broker)
    except BaseException:
        close_all(reads)
        raise


def _in_full(fetch: Fetch, reads: list[Read], call: Call, broker: Broker) -> FetchResponse:
    topics: dict[str | bytes, FetchableTopicResponse] = {}
    moved: set[int] = set()
    for read in fetch.to_tell(reads):
        topic = topics.get(read.wanted.topic)
        if topic is None:
            topic = topics[read.wanted.topic] = (
                FetchableTopicResponse(topic_id=read.wanted.topic, partitions=[])
                if isinstance(read.wanted.topic, bytes)
                else FetchableTopicResponse(topic=read.wanted.topic, partitions=[])
            )
        topic.partitions.append(_row(read, fetch.terms.read_committed, call.api_version, moved))
    response = FetchResponse(session_id=fetch.session_id, responses=list(topics.values()))
    if moved:
        response.node_endpoints = endpoints(NodeEndpoint, moved, broker, call)
    return response


def _row(read: Read, read_committed: bool, version: int, moved: set[int]) -> PartitionData:
    row = PartitionData(
        partition_index=read.wanted.partition,
        error_code=read.error,
        high_watermark=read.high_watermark,
        last_stable_offset=read.last_stable,
        log_start_offset=read.log_start,
        aborted_transactions=_aborted(read, read_committed),
        records=b"" if read.records is None else read.records,
    )
    if read.diverging is not None:
        row.diverging_epoch = EpochEndOffset(epoch=read.diverging[0], end_offset=read.diverging[1])
    if read.error in MOVED and version >= 16 and read.partition is not None:
        row.current_leader = current_leader(LeaderIdAndEpoch, read.partition, moved)
    return row


def _aborted(read: Read, read_committed: bool) -> list[AbortedTransaction] | None:
    """None for who reads everything, and, as in Kafka, for a partition that is there and can not be read."""
    if read.partition is not None and (read.error or not read_committed):
        return None
    return [AbortedTransaction(producer_id=producer, first_offset=offset) for producer, offset in read.aborted]


def refuse(request: FetchRequest, code: ErrorCode) -> FetchResponse:
    """Before v7 there is no place for the request's own error, so every partition says it; with ids none is listed."""
    return FetchResponse(
        error_code=code,
        responses=[
            FetchableTopicResponse(
                topic=topic.topic,
                partitions=[
                    PartitionData(partition_index=each.partition, error_code=code, high_watermark=-1, records=b"")
                    for each in topic.partitions
                ],
            )
            for topic in request.topics
            if topic.topic_id == ZERO_UUID
        ],
    )
