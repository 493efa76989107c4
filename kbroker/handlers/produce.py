"""Produce: batches into partitions. acks=0 hears nothing, acks=1 when they are in the log, acks=all when safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from kbroker_storage import Origin, StorageError
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
from ..call import Parked
from ..cluster import nodes
from ..errors import CloseConnection, Refusal, code_of

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call
    from ..partition import Partition

ALL = -1  # acks: every in-sync replica


async def handle(request: ProduceRequest, call: Call, broker: Broker) -> Answer:
    produce = Produce(request, call, broker)
    _keep_last(request)
    response = ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    produce.append(topic.name, topic.topic_id, data.index, data.records)
                    for data in topic.partition_data
                ],
            )
            for topic in request.topic_data
        ]
    )
    if produce.moved:
        response.node_endpoints = [
            NodeEndpoint(node_id=node.id, host=node.host, port=node.port, rack=node.rack)
            for node in nodes(broker, call)
            if node.id in produce.moved
        ]
    if request.acks == 0:
        if produce.failed:
            raise CloseConnection(f"a produce with acks=0 failed: {produce.failed}")
        return None
    if produce.unsafe:
        return ParkedProduce(response, produce.unsafe, request.timeout_ms / 1000)
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


class Produce:
    """One request on its way through its partitions.

    unsafe   what was appended but is not yet as safe as acks=all asks: the rows to answer, the offsets to wait for
    moved    leaders that the client is told of (KIP-951)
    failed   the first error
    """

    __slots__ = ("_acks", "_broker", "_now_ms", "_transactional", "_version", "failed", "moved", "unsafe")

    def __init__(self, request: ProduceRequest, call: Call, broker: Broker) -> None:
        self._broker = broker
        self._acks = request.acks
        self._transactional = request.transactional_id is not None
        self._version = call.api_version
        self._now_ms = broker.env.now_ms()
        self.unsafe: dict[Partition, list[tuple[PartitionProduceResponse, int]]] = {}
        self.moved: set[int] = set()
        self.failed: Exception | None = None

    def append(
        self, name: str, topic_id: bytes, index: int, records: memoryview | bytes | None
    ) -> PartitionProduceResponse:
        partition = None
        try:
            replicas = self._broker.replicas
            partition = replicas.find_by_id(topic_id, index) if self._version >= 13 else replicas.find(name, index)
            return self._append(partition, records)  # type: ignore[arg-type]  # decoding gives memoryviews
        except (Refusal, StorageError, OSError) as error:
            self.failed = self.failed or error
            return self._refused(partition, index, error)

    def _append(self, partition: Partition, records: memoryview | None) -> PartitionProduceResponse:
        acks, topic = self._acks, partition.config
        if not -1 <= acks <= 1:
            raise Refusal(ErrorCode.INVALID_REQUIRED_ACKS)
        entry, frame = read_produced(records, self._version, topic.max_message_bytes)
        if entry.transactional:
            raise Refusal(*self._transaction_refusal())
        partition.check_leader()
        if acks == ALL and len(partition.isr) < topic.min_insync_replicas:
            raise Refusal(ErrorCode.NOT_ENOUGH_REPLICAS)
        broker = self._broker
        entry, frame = make_storable(
            entry, frame, topic, deep=broker.deep_validation, now_ms=self._now_ms, name=partition.directory
        )
        appended = partition.append(((entry, frame),), self._now_ms, Origin.CLIENT)
        row = PartitionProduceResponse(
            index=partition.index,
            error_code=ErrorCode.NONE,
            base_offset=appended.base_offset,
            log_append_time_ms=(
                appended.timestamp if appended.duplicate else self._now_ms if topic.log_append_time else -1
            ),
            log_start_offset=appended.log_start,
        )
        if acks == ALL and partition.high_watermark <= appended.last_offset:
            self.unsafe.setdefault(partition, []).append((row, appended.last_offset + 1))
        return row

    def _transaction_refusal(self) -> tuple[ErrorCode, str | None]:
        if not self._transactional:
            return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, None
        return ErrorCode.INVALID_TXN_STATE, "Partition was not added to the transaction"

    def _refused(self, partition: Partition | None, index: int, error: Exception) -> PartitionProduceResponse:
        code = code_of(error)
        row = PartitionProduceResponse(
            index=index,
            error_code=code,
            base_offset=-1,
            error_message=error.message if isinstance(error, Refusal) else None,
        )
        if partition is None:
            return row
        if isinstance(error, Rejected):
            row.record_errors = [
                BatchIndexAndErrorMessage(batch_index=each.position, batch_index_error_message=each.message)
                for each in error.records
            ]
        reached_log = error.reached_log if isinstance(error, Rejected) else isinstance(error, StorageError)
        if reached_log and partition.opened is not None and code != ErrorCode.KAFKA_STORAGE_ERROR:
            row.log_start_offset = partition.opened.start
        elif reached_log and partition.opened is None:
            row.log_start_offset = partition.log.start
        if code == ErrorCode.NOT_LEADER_OR_FOLLOWER and self._version >= 10:
            row.current_leader = LeaderIdAndEpoch(leader_id=partition.leader, leader_epoch=partition.leader_epoch)
            self.moved.add(partition.leader)
        return row


class ParkedProduce(Parked):
    """An acks=all Produce whose records are appended and not yet safe."""

    __slots__ = ("_response", "_unsafe")

    def __init__(
        self,
        response: ProduceResponse,
        unsafe: dict[Partition, list[tuple[PartitionProduceResponse, int]]],
        timeout_s: float,
    ) -> None:
        super().__init__(trio.current_time() + timeout_s)
        self._response, self._unsafe = response, unsafe
        for partition in unsafe:
            partition.waiters[self] = None

    def progressed(self, partition: Partition) -> None:
        rows = self._unsafe[partition]
        if partition.deleted or partition.failure is not None or not partition.is_leader:
            code = _lost(partition)
            for row, _ in rows:
                row.error_code, row.base_offset, row.log_start_offset = code, -1, -1
        elif any(partition.high_watermark < needed for _, needed in rows):
            return
        del self._unsafe[partition]
        partition.waiters.pop(self, None)
        if not self._unsafe:
            self.resolve()

    def answer(self) -> ProduceResponse:
        for rows in self._unsafe.values():
            for row, _ in rows:
                row.error_code = ErrorCode.REQUEST_TIMED_OUT  # the records stay in the log
        return self._response

    def drop(self) -> None:
        for partition in self._unsafe:
            partition.waiters.pop(self, None)


def _lost(partition: Partition) -> ErrorCode:
    if partition.deleted:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return ErrorCode.KAFKA_STORAGE_ERROR if partition.failure is not None else ErrorCode.NOT_LEADER_OR_FOLLOWER


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
