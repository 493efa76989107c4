"""A short way for the commonest small read: a Fetch of one partition, without a session, over and over.

From one such request to the next only the correlation id and the offset change. Once it was decoded, it is remembered
with what it asks for, and a request of the same bytes around another offset is not decoded again; nor is its answer
encoded: offsets and records are put into one that the codec made. Reading and waiting are those of any Fetch, and what
an answer says besides records is encoded in full.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from kbroker_storage import Slice
from kbroker_wire.headers import RequestHeader, encode_request_header
from kbroker_wire.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from kbroker_wire.varints import write_unsigned_varint

from .fetching import Fetch, Read, Terms
from .handlers.fetch import asked_for
from .sessions import SESSIONLESS_EPOCH, Wanted

if TYPE_CHECKING:
    from kbroker_wire.schema import Message

    from .broker import Broker
    from .call import Call

FETCH = 1
FIRST = 5  # the version that answers with the three numbers of `OFFSETS`
READ_COMMITTED = 1
MOST_LEARNED = 64  # times of one connection: learning takes as long as it saves, so it must come to an end
LONGEST_LEARNED = 1024  # bytes: a request may name its topic, its client and its rack with 32 KiB each
BEHIND_CORRELATION_ID = 8
OFFSET_BYTES = 8
EMPTY_RECORDS_BYTES = 4  # their length and, in flexible versions, three empty sections of tags: four bytes in both
NO_TAGS = b"\0\0\0"
RECORDS_SIZE = Struct(">i")
OFFSET = Struct(">q")
OFFSETS = Struct(">qqq")  # high watermark, last stable offset, log start offset
MARKS = (-2, -3, -4)  # bytes that no topic's name or id is made of

_pack_size = RECORDS_SIZE.pack
_pack_offsets = OFFSETS.pack
_unpack_offset = OFFSET.unpack_from


class Asked(NamedTuple):
    """What a request says apart from its offset, and what stands around the numbers of its answer."""

    request: FetchRequest
    call: Call
    version: int
    at: int  # where the offset stands in the frame
    terms: Terms
    wanted: Wanted
    answer_head: bytes
    answer_middle: bytes  # between the offsets and the records' length
    answer_tail: bytes


class OneFetch:
    """A request that was recognised, and its answer."""

    __slots__ = ("_asked", "_offset")

    def __init__(self, asked: Asked, offset: int) -> None:
        self._asked, self._offset = asked, offset

    @property
    def call(self) -> Call:
        return self._asked.call

    @property
    def request(self) -> FetchRequest:
        """As it would have been decoded."""
        return _at_offset(self._asked.request, self._offset)

    def open(self, broker: Broker) -> Fetch:
        topic, partition, _, *rest = self._asked.wanted
        return broker.fetches.open(self._asked.terms, [Wanted(topic, partition, self._offset, *rest)], ())

    def body(self, read: Read) -> tuple[bytes, Slice, bytes] | None:
        """The answer if it is records and nothing else."""
        records = read.records
        if records is None or read.aborted:
            return None
        asked = self._asked
        if asked.answer_tail:  # a flexible version
            size = bytearray()
            write_unsigned_varint(size, records.nbytes + 1)
        else:
            size = bytearray(_pack_size(records.nbytes))
        offsets = _pack_offsets(read.high_watermark, read.last_stable, read.log_start)
        return asked.answer_head + offsets + asked.answer_middle + size, records, asked.answer_tail


class ShortWay:
    """What one connection asked for before."""

    __slots__ = ("_asked", "_at", "_left")

    def __init__(self, _: Broker) -> None:
        self._asked: dict[bytes, Asked] = {}
        self._at = BEHIND_CORRELATION_ID  # where the offset stands in the request that was learned last
        self._left = MOST_LEARNED

    def recognise(self, frame: memoryview) -> OneFetch | None:
        at = self._at
        asked = self._asked.get(bytes(frame[BEHIND_CORRELATION_ID:at]) + frame[at + OFFSET_BYTES :])
        if asked is None or frame[2] or frame[3] != asked.version or at != asked.at:
            return None
        return OneFetch(asked, _unpack_offset(frame, at)[0])

    def learn(self, frame: memoryview, request: Message, call: Call) -> None:
        assert isinstance(request, FetchRequest)
        topics, version = request.topics, call.api_version
        if len(topics) != 1 or len(topics[0].partitions) != 1 or request.session_epoch != SESSIONLESS_EPOCH:
            return
        if (
            len(frame) > LONGEST_LEARNED
            or request.session_id
            or request.isolation_level not in (0, READ_COMMITTED)
            or version < FIRST
            or not self._left
        ):
            return
        self._left -= 1
        request = _at_offset(request, MARKS[0])
        header = encode_request_header(RequestHeader(FETCH, version, 0, call.client_id))[BEHIND_CORRELATION_ID:]
        head, mark, tail = (header + request.encode(version)).partition(OFFSET.pack(MARKS[0]))
        at = BEHIND_CORRELATION_ID + len(head)
        if not mark or bytes(frame[BEHIND_CORRELATION_ID:at]) != head or frame[at + OFFSET_BYTES :] != tail:
            return  # it says it in other bytes than we would, or says more: who copies the log, tags we do not know
        self._asked[head + tail] = _asked(request, call, at)
        self._at = at


def _at_offset(request: FetchRequest, offset: int) -> FetchRequest:
    """A consumer's request for one partition, from this offset on; what only replicas say is left out."""
    [topic] = request.topics
    [each] = topic.partitions
    partition = FetchPartition(
        partition=each.partition,
        current_leader_epoch=each.current_leader_epoch,
        fetch_offset=offset,
        last_fetched_epoch=each.last_fetched_epoch,
        log_start_offset=each.log_start_offset,
        partition_max_bytes=each.partition_max_bytes,
    )
    return FetchRequest(
        max_wait_ms=request.max_wait_ms,
        min_bytes=request.min_bytes,
        max_bytes=request.max_bytes,
        isolation_level=request.isolation_level,
        topics=[FetchTopic(topic=topic.topic, topic_id=topic.topic_id, partitions=[partition])],
        rack_id=request.rack_id,
    )


def _asked(request: FetchRequest, call: Call, at: int) -> Asked:
    terms, [wanted] = asked_for(request, call)
    base, last_stable, log_start = MARKS
    row = PartitionData(
        partition_index=wanted.partition,
        error_code=0,
        high_watermark=base,
        last_stable_offset=last_stable,
        log_start_offset=log_start,
        aborted_transactions=[] if terms.read_committed else None,
        records=b"",
    )
    [topic] = request.topics
    answer = FetchableTopicResponse(topic=topic.topic, topic_id=topic.topic_id, partitions=[row])
    body = FetchResponse(responses=[answer]).encode(call.api_version)
    head, _, middle = body[:-EMPTY_RECORDS_BYTES].partition(OFFSETS.pack(*MARKS))
    tail = NO_TAGS if call.api_version >= FetchRequest.flexible_from else b""
    return Asked(request, call, call.api_version, at, terms, wanted, head, middle, tail)
