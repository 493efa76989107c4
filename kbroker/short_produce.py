"""A short way for the commonest request: a Produce of one batch for one partition, like others on its connection.

What a client writes before the records of such a request is the same each time. Once it was decoded, it is remembered
with what it says, and a request that begins with the same bytes is not decoded again; nor is its answer encoded: the
offsets are put into one that the codec made. That is a third of the time of a small request.

Only success is short. What is refused, or must wait before it is answered, goes on as the request decoded in full.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from kbroker_storage import StorageError
from kbroker_wire.headers import RequestHeader, encode_request_header
from kbroker_wire.messages.produce import (
    PartitionProduceResponse,
    ProducePartition,
    ProduceRequest,
    ProduceResponse,
    ProduceTopic,
    TopicProduceResponse,
)
from kbroker_wire.varints import read_unsigned_varint

from .errors import Refusal
from .handlers.produce import ALL, BY_ID, Batch, Produce, storable

if TYPE_CHECKING:
    from kbroker_wire.schema import Message

    from .broker import Broker
    from .call import Answer, Call
    from .handlers.produce import Writes
    from .partition import Partition

FIRST = 5  # the version that answers with the three numbers of `OFFSETS`
MOST_LEARNED = 64  # times of one connection: learning takes as long as it saves, so it must come to an end
LONGEST_LEARNED = 1024  # bytes: a request may name its topic and its client with 32 KiB each
BEHIND_CORRELATION_ID = 8
EMPTY_RECORDS_BYTES = 4  # their length and, in flexible versions, three empty sections of tags: four bytes in both
NO_TAGS = b"\0\0\0"
RECORDS_SIZE = Struct(">i")
OFFSETS = Struct(">qqq")  # base offset, log append time, log start offset
NO_TIME_MS = -1
MARKS = (-2, -3, -4)  # bytes that no topic's name or id is made of

_pack_offsets = OFFSETS.pack
_unpack_size = RECORDS_SIZE.unpack_from


class Beginning(NamedTuple):
    """What stands before the records, and around the offsets of the answer's body."""

    request: ProduceRequest  # without records
    call: Call
    version: int
    flexible: bool
    answer_head: bytes
    answer_tail: bytes


class ShortWay:
    """Those of one connection."""

    __slots__ = ("_broker", "_end", "_known", "_left")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._known: dict[bytes, Beginning] = {}
        self._end = 0  # of the beginning that was learned last, in a frame
        self._left = MOST_LEARNED

    def recognise(self, frame: memoryview) -> OneBatch | None:
        at = self._end
        known = self._known.get(bytes(frame[BEHIND_CORRELATION_ID:at]))
        end = len(frame)
        if known is None or frame[2] or frame[3] != known.version or end < at + EMPTY_RECORDS_BYTES:
            return None
        if known.flexible:
            size, at = read_unsigned_varint(frame, at)
            size -= 1
            end -= len(NO_TAGS)
            if frame[end:] != NO_TAGS:
                return None
        else:
            (size,) = _unpack_size(frame, at)
            at += RECORDS_SIZE.size
        return OneBatch(known, frame[at:end], self._broker) if at + size == end else None

    def learn(self, frame: memoryview, request: Message, call: Call) -> None:
        assert isinstance(request, ProduceRequest)
        topics, version = request.topic_data, call.api_version
        if len(topics) != 1 or len(topics[0].partition_data) != 1 or request.acks == 0 or version < FIRST:
            return
        if request.transactional_id is not None or not self._left:
            return
        self._left -= 1
        request = _with_records(request, b"")
        header = encode_request_header(RequestHeader(ProduceRequest.key or 0, version, 0, call.client_id))
        start = header[BEHIND_CORRELATION_ID:] + request.encode(version)[:-EMPTY_RECORDS_BYTES]
        end = BEHIND_CORRELATION_ID + len(start)
        if end > LONGEST_LEARNED:
            return
        if frame[BEHIND_CORRELATION_ID:end] == start:  # else it says it in other bytes than we would, tags for instance
            head, tail = _around_offsets(request, version)
            self._known[start] = Beginning(request, call, version, version >= ProduceRequest.flexible_from, head, tail)
            self._end = end


def _with_records(request: ProduceRequest, records: bytes | memoryview) -> ProduceRequest:
    """A request for one partition, with these records."""
    [topic] = request.topic_data
    [data] = topic.partition_data
    data = ProducePartition(index=data.index, records=records)
    topic = ProduceTopic(name=topic.name, topic_id=topic.topic_id, partition_data=[data])
    return ProduceRequest(acks=request.acks, timeout_ms=request.timeout_ms, topic_data=[topic])


def _around_offsets(request: ProduceRequest, version: int) -> tuple[bytes, bytes]:
    """What comes before and behind the offsets in the answer to a request that succeeds."""
    [topic] = request.topic_data
    base_offset, time_ms, log_start = MARKS
    row = PartitionProduceResponse(
        index=topic.partition_data[0].index,
        error_code=0,
        base_offset=base_offset,
        log_append_time_ms=time_ms,
        log_start_offset=log_start,
    )
    of_topic = TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=[row])
    head, _, tail = ProduceResponse(responses=[of_topic]).encode(version).partition(OFFSETS.pack(*MARKS))
    return head, tail


class OneBatch(Batch):
    """A request that was recognised, on its way into its partition, and its answer."""

    __slots__ = ("_body", "_broker", "_known", "_produce", "_records", "_time_ms")

    def __init__(self, known: Beginning, records: memoryview, broker: Broker) -> None:
        self._known, self._records, self._broker = known, records, broker
        self._produce: Produce | None = None  # once it goes the full way

    @property
    def call(self) -> Call:
        return self._known.call

    @property
    def request(self) -> ProduceRequest:
        """As it would have been decoded."""
        return _with_records(self._known.request, self._records)

    def check(self, now_ms: int, writes: Writes) -> None:
        request, call, _, _, _, _ = self._known
        topic, broker = request.topic_data[0], self._broker
        index = topic.partition_data[0].index
        try:
            if call.api_version >= BY_ID:
                partition = broker.replicas.find_by_id(topic.topic_id, index)
            else:
                partition = broker.replicas.find(topic.name, index)
            self.entry, self.frame = storable(partition, self._records, request, call, broker, now_ms)
        except (Refusal, StorageError, OSError):
            self._in_full().check(now_ms, writes)
            return
        self._time_ms = now_ms if partition.config.log_append_time else NO_TIME_MS
        if partition in writes:
            writes[partition].append(self)
        else:
            writes[partition] = [self]

    def _in_full(self) -> Produce:
        self._produce = produce = Produce(self.request, self.call, self._broker)
        return produce

    def appended(self, partition: Partition, first: int, last: int, log_start: int, original_ms: int | None) -> None:
        known = self._known
        time_ms = self._time_ms if original_ms is None else original_ms
        if known.request.acks == ALL and partition.high_watermark <= last:
            produce = self._in_full()
            produce.appended(produce.only_row(time_ms), partition, first, last, log_start)
        else:
            self._body = known.answer_head + _pack_offsets(first, time_ms, log_start) + known.answer_tail

    def refused(self, partition: Partition, error: Exception) -> None:
        produce = self._in_full()
        produce.refused(produce.only_row(), partition, error)

    def answer(self) -> Answer:
        return self._body if self._produce is None else self._produce.answer()
