"""Produce: batches into partitions. acks=0 hears nothing, acks=1 when they are in the log, acks=all when safe.

Requests that a client has pipelined come as one run: what they bring for one partition goes into its log in one write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from kbroker_storage import Entry, Origin, StorageError, VerificationToken
from kbroker_wire import ErrorCode
from kbroker_wire.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceResponse,
    ProducePartition,
    ProduceRequest,
    ProduceResponse,
    ProduceTopic,
    TopicProduceResponse,
)

from ..batches import Rejected, make_storable, read_produced
from ..cluster import current_leader, endpoints
from ..committing import Committing
from ..controller.core import INTERNAL_TOPICS
from ..errors import CloseConnection, Refusal, code_of
from ..verification import verified

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..partition import Partition
    from ..short_produce import OneBatch
    from ..verification import Verdicts

    Writes = dict[Partition, list["Batch"]]

BY_ID = 13  # from this version on topics are named by their ids
ALL = -1  # acks: every in-sync replica
ADMIN_CLIENT_ID = "__admin_client"  # Kafka's own tools: only they may write to internal topics
OWN_SYNC_S = 5.0  # the request's timeout is for other replicas: our own disk has at least this long


async def handle(request: ProduceRequest, call: Call, broker: Broker) -> Answer:
    return handle_run([(request, call)], broker)[0]


def handle_run(run: Sequence[tuple[ProduceRequest | OneBatch, Call]], broker: Broker) -> list[Answer]:
    """The answer to each request of a run, in order. Nothing here waits.

    The answer to an acks=0 request that failed is CloseConnection, to be raised when its turn has come. A request of a
    transactional producer is a run of its own: it may have to wait before it is appended.
    """
    request, call = run[0]
    if isinstance(request, ProduceRequest) and request.transactional_id is not None:
        assert len(run) == 1
        return [_in_transaction(request, call, broker)]
    produces = [Produce(each, call, broker) if isinstance(each, ProduceRequest) else each for each, call in run]
    return _append_all(produces, broker)


def _in_transaction(request: ProduceRequest, call: Call, broker: Broker) -> Answer:
    def append(verdicts: Verdicts) -> Answer:
        return _append_all([Produce(request, call, broker, verdicts)], broker)[0]

    try:
        return verified(request, call, broker, append)
    except Refusal as refusal:
        return refuse(request, refusal.code)


def _append_all(produces: Sequence[Produce | OneBatch], broker: Broker) -> list[Answer]:
    now_ms = broker.env.now_ms()
    writes: Writes = {}
    for produce in produces:
        produce.check(now_ms, writes)
    for partition, wanted in writes.items():
        _append(partition, wanted, now_ms, broker)
    return [produce.answer() for produce in produces]


class Batch(ABC):
    """One batch on its way into a log; it is told once what became of it.

    verified   see `Partition.append`
    """

    __slots__ = ("entry", "frame")

    entry: Entry
    frame: memoryview

    @property
    def verified(self) -> VerificationToken | None:
        return None

    @abstractmethod
    def appended(self, partition: Partition, first: int, last: int, log_start: int, original_ms: int | None) -> None:
        """It has the offsets from `first` to `last`.

        original_ms  newest timestamp of the batch that this one repeats; None if it is none that was sent again
        """

    @abstractmethod
    def refused(self, partition: Partition, error: Exception) -> None: ...


class Write(Batch):
    """A batch of any request, and the row that answers for it."""

    __slots__ = ("_produce", "_row", "_verified")

    def __init__(
        self,
        entry: Entry,
        frame: memoryview,
        produce: Produce,
        row: PartitionProduceResponse,
        verified: VerificationToken | None,
    ) -> None:
        self.entry, self.frame, self._produce, self._row, self._verified = entry, frame, produce, row, verified

    @property
    def verified(self) -> VerificationToken | None:
        return self._verified

    def appended(self, partition: Partition, first: int, last: int, log_start: int, original_ms: int | None) -> None:
        if original_ms is not None:
            self._row.log_append_time_ms = original_ms
        self._produce.appended(self._row, partition, first, last, log_start)

    def refused(self, partition: Partition, error: Exception) -> None:
        self._produce.refused(self._row, partition, error)


def _append(partition: Partition, writes: list[Batch], now_ms: int, broker: Broker) -> None:
    """Append what a run brings for one partition: at once if no producer's sequence is involved, else one by one."""
    if len(writes) > 1 and all(write.entry.producer_id < 0 for write in writes):
        try:
            appended = partition.append([(write.entry, write.frame) for write in writes], now_ms, Origin.CLIENT)
        except (StorageError, OSError):
            pass  # nothing was written; each for itself says what is wrong with it
        else:
            offset = appended.base_offset
            for write in writes:
                last = offset + write.entry.last_offset
                write.appended(partition, offset, last, appended.log_start, None)
                offset = last + 1
            return
    for write in writes:
        try:
            frames = ((write.entry, write.frame),)
            appended = partition.append(frames, now_ms, Origin.CLIENT, verified=write.verified)
        except (StorageError, OSError) as error:
            if code_of(error) == ErrorCode.KAFKA_STORAGE_ERROR:
                broker.replicas.complain(partition, error)
            write.refused(partition, error)
            continue
        original_ms = appended.timestamp if appended.duplicate else None
        write.appended(partition, appended.base_offset, appended.last_offset, appended.log_start, original_ms)


def storable(  # noqa: PLR0917  # called for every batch
    partition: Partition,
    records: memoryview | None,
    request: ProduceRequest,
    call: Call,
    broker: Broker,
    now_ms: int,
) -> tuple[Entry, memoryview]:
    """The batch in `records` as the partition's log takes it. Raises Refusal."""
    acks, topic = request.acks, partition.config
    if not -1 <= acks <= 1:
        raise Refusal(ErrorCode.INVALID_REQUIRED_ACKS)
    if partition.name in INTERNAL_TOPICS and call.client_id != ADMIN_CLIENT_ID:
        raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION)
    entry, frame = read_produced(records, call.api_version, topic.max_message_bytes)
    if entry.transactional and request.transactional_id is None:
        raise Refusal(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    partition.check_leader()
    if acks == ALL and len(partition.isr) < topic.min_insync_replicas:
        raise Refusal(ErrorCode.NOT_ENOUGH_REPLICAS)
    return make_storable(entry, frame, topic, deep=broker.deep_validation, now_ms=now_ms, name=partition.directory)


class Produce:
    """One request on its way through its partitions.

    unsafe   what was appended but is not yet as safe as acks=all asks: the rows to answer, the offsets to wait for
    moved    leaders that the client is told of (KIP-951)
    failed   the first error
    """

    __slots__ = ("_acks", "_broker", "_call", "_request", "_response", "_verdicts", "failed", "moved", "unsafe")

    def __init__(self, request: ProduceRequest, call: Call, broker: Broker, verdicts: Verdicts | None = None) -> None:
        """`verdicts`: what is known of the partitions whose transaction had to be verified."""
        self._broker, self._request, self._call, self._verdicts = broker, request, call, verdicts or {}
        self._acks = request.acks
        self.unsafe: dict[Partition, list[tuple[PartitionProduceResponse, int]]] | None = None
        self.moved: set[int] | None = None
        self.failed: Exception | None = None
        self._response = ProduceResponse(responses=[])

    def check(self, now_ms: int, writes: Writes) -> None:
        """Check every batch; what may be appended is added to `writes`."""
        _keep_last(self._request)
        self._response.responses = [
            TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[self._check(topic, data, now_ms, writes) for data in topic.partition_data],
            )
            for topic in self._request.topic_data
        ]

    def only_row(self, log_append_time_ms: int = -1) -> PartitionProduceResponse:
        """The answer's row for the one batch of a request that was checked elsewhere."""
        [topic] = self._request.topic_data
        row = PartitionProduceResponse(
            index=topic.partition_data[0].index, error_code=0, base_offset=-1, log_append_time_ms=log_append_time_ms
        )
        self._response.responses = [
            TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=[row])
        ]
        return row

    def _check(
        self, topic: ProduceTopic, data: ProducePartition, now_ms: int, writes: Writes
    ) -> PartitionProduceResponse:
        row = PartitionProduceResponse(index=data.index, error_code=0, base_offset=-1)
        partition = None
        try:
            replicas = self._broker.replicas
            if self._call.api_version >= BY_ID:
                partition = replicas.find_by_id(topic.topic_id, data.index)
            else:
                partition = replicas.find(topic.name, data.index)
            records = cast("memoryview | None", data.records)  # it was decoded
            entry, frame = storable(partition, records, self._request, self._call, self._broker, now_ms)
            verdict = self._verdicts.get(partition)
            if isinstance(verdict, Refusal):
                raise verdict
        except (Refusal, StorageError, OSError) as error:
            self.refused(row, partition, error)
            return row
        if partition.config.log_append_time:
            row.log_append_time_ms = now_ms
        write = Write(entry, frame, self, row, verdict)
        if partition in writes:
            writes[partition].append(write)
        else:
            writes[partition] = [write]
        return row

    def appended(
        self, row: PartitionProduceResponse, partition: Partition, first: int, last: int, log_start: int
    ) -> None:
        row.base_offset = first
        row.log_start_offset = log_start
        if self._acks == ALL and partition.high_watermark <= last:
            if self.unsafe is None:
                self.unsafe = {}
            self.unsafe.setdefault(partition, []).append((row, last + 1))

    def refused(self, row: PartitionProduceResponse, partition: Partition | None, error: Exception) -> None:
        code = code_of(error)
        self.failed = self.failed or error
        row.error_code, row.log_append_time_ms = code, -1
        if isinstance(error, Refusal):
            row.error_message = error.message
        if partition is None:
            return
        reached_log = isinstance(error, StorageError) and code != ErrorCode.KAFKA_STORAGE_ERROR
        if isinstance(error, Rejected):
            reached_log = error.reached_log
            row.record_errors = [
                BatchIndexAndErrorMessage(batch_index=each.position, batch_index_error_message=each.message)
                for each in error.records
            ]
        if reached_log:
            row.log_start_offset = partition.log.start
        if code == ErrorCode.NOT_LEADER_OR_FOLLOWER and self._call.api_version >= 10:
            if self.moved is None:
                self.moved = set()
            row.current_leader = current_leader(LeaderIdAndEpoch, partition, self.moved)

    def answer(self) -> Answer:
        response = self._response
        if self.moved is not None:
            response.node_endpoints = endpoints(NodeEndpoint, self.moved, self._broker, self._call)
        if self._acks == 0:
            if self.failed is not None:
                return CloseConnection(f"a produce with acks=0 failed: {self.failed}")
            return None
        if self.unsafe:
            timeout_s = self._request.timeout_ms / 1000
            if all(len(partition.isr) == 1 for partition in self.unsafe):
                timeout_s = max(timeout_s, OWN_SYNC_S)
            return ParkedProduce(response, self.unsafe, timeout_s)
        return response


def _keep_last(request: ProduceRequest) -> None:
    """Of a partition that comes twice the last counts, as in Kafka, which keeps them in a map."""
    topics = request.topic_data
    if len(topics) == 1 and len(topics[0].partition_data) == 1:
        return
    merged: dict[tuple[str, bytes], dict[int, ProducePartition]] = {}
    for topic in topics:
        merged.setdefault((topic.name, topic.topic_id), {}).update({each.index: each for each in topic.partition_data})
    request.topic_data = [
        ProduceTopic(name=name, topic_id=topic_id, partition_data=list(partitions.values()))
        for (name, topic_id), partitions in merged.items()
    ]


class ParkedProduce(Committing[PartitionProduceResponse]):
    """An acks=all Produce whose records are appended and not yet safe."""

    __slots__ = ()

    def lost(self, row: PartitionProduceResponse, code: ErrorCode) -> None:
        row.error_code, row.base_offset, row.log_start_offset = code, -1, -1


def refuse(request: ProduceRequest, code: ErrorCode) -> ProduceResponse:
    if request.acks == 0:
        raise CloseConnection(f"a produce with acks=0 failed: {code.name}")
    return ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    PartitionProduceResponse(index=data.index, error_code=code, base_offset=-1)
                    for data in topic.partition_data
                ],
            )
            for topic in request.topic_data
        ]
    )
