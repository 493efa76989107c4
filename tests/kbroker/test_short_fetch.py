"""The short way of a Fetch says what the full way says, byte for byte, and is taken by what it is meant for."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import batch, fetch_request, fetched, produce, running, values
from kbroker import short_fetch
from kbroker.call import Call
from kbroker.fetching import Read
from kbroker.sessions import Wanted
from kbroker.short_fetch import MOST_LEARNED, ShortWay
from kbroker_storage.files import EMPTY
from kbroker_wire.headers import RequestHeader, decode_request_header, encode_request_header
from kbroker_wire.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from kbroker_wire.messages.fetch import FetchRequest
from kbroker_wire.schema import ZERO_UUID

VERSIONS = range(4, 19)


def frame_of(request, version, client_id="client"):
    return bytearray(encode_request_header(RequestHeader(1, version, 7, client_id)) + request.encode(version))


def decoded(frame, version):
    _, position = decode_request_header(frame)
    return FetchRequest.decode(memoryview(frame), version, position)


def learned(way, request, version, client_id="client"):
    frame = memoryview(frame_of(request, version, client_id))
    way.learn(frame, decoded(frame, version), Call(version, client_id, "PLAINTEXT", ("host", 9092)))
    return way.recognise(frame)


@pytest.fixture
def way():
    return ShortWay(None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client_id", ["client", "", None])
def test_a_request_from_another_offset_is_not_decoded(way, version, client_id):
    one = learned(way, fetch_request("topic", 5, max_bytes=1000), version, client_id)
    if version < 5:
        assert one is None, "its answer has no log start offset"
        return
    for offset in (0, 6, -1, 2**63 - 1):
        other = frame_of(fetch_request("topic", offset, max_bytes=1000), version, client_id)
        again = way.recognise(memoryview(other))
        assert again.request == decoded(other, version)
        assert again.call is one.call


def test_requests_of_several_partitions_are_known(way):
    requests = [fetch_request("topic", 3, partition=index) for index in range(5)]
    for request in requests:
        assert learned(way, request, 12) is not None
    for request in requests:
        assert way.recognise(memoryview(frame_of(request, 12))).request == request


def test_the_same_bytes_in_another_version_are_another_request(way):
    assert learned(way, fetch_request("topic"), 7) is not None
    assert way.recognise(memoryview(frame_of(fetch_request("topic"), 8))) is None


def several():
    request = fetch_request("topic")
    request.topics[0].partitions *= 2
    return request


def tagged(**more):
    request = fetch_request("topic")
    for name, value in more.items():
        setattr(request, name, value)
    return request


@pytest.mark.parametrize(
    "request_",
    [
        several(),
        fetch_request("topic", session_epoch=0),
        fetch_request("topic", session_id=5),
        fetch_request("topic", isolation_level=2),
        fetch_request("topic", replica_id=1),
        tagged(cluster_id="cluster"),
        tagged(unknown_tags=[(9, b"x")]),
    ],
    ids=["partitions", "new session", "end of a session", "isolation", "replica", "cluster", "tag"],
)
def test_other_requests_take_the_full_way(way, request_):
    assert learned(way, request_, 12) is None


def test_learning_comes_to_an_end(way):
    for index in range(MOST_LEARNED):
        assert learned(way, fetch_request("topic", partition=index), 12) is not None
    assert learned(way, fetch_request("topic", partition=MOST_LEARNED), 12) is None
    assert learned(way, fetch_request("topic"), 12) is not None


def test_long_names_are_not_remembered(way):
    assert learned(way, fetch_request("t" * 30_000), 12) is None
    assert learned(way, fetch_request("topic", rack_id="r" * 30_000), 12) is None
    assert learned(way, fetch_request("t" * 249, rack_id="r" * 249), 12) is not None


@given(
    version=st.sampled_from([5, 11, 12, 13, 18]),
    at=st.integers(0, 120),
    put=st.binary(max_size=12),
    cut=st.integers(0, 5),
    more=st.binary(max_size=3),
)
def test_what_is_recognised_is_what_would_be_decoded(version, at, put, cut, more):
    way = ShortWay(None)
    assert learned(way, fetch_request("topic", 5), version) is not None
    frame = frame_of(fetch_request("topic", 77), version)
    frame[at : at + len(put)] = put
    frame = frame[: len(frame) - cut] + more
    if frame[:4] != bytes([0, 1, 0, version]):
        return  # it is not asked
    one = way.recognise(memoryview(frame))
    if one is not None:
        assert one.request == decoded(frame, version)


def test_what_says_more_than_records_is_encoded_in_full(way):
    one = learned(way, fetch_request("topic", isolation_level=1), 12)
    read = Read(Wanted("topic", 0, 0, 100), None, records=EMPTY)
    assert one.body(read)[1] is EMPTY
    assert one.body(read._replace(aborted=[(7, 0)])) is None
    assert one.body(read._replace(records=None)) is None


async def test_a_long_poll_is_answered_when_records_come(autojump_clock):
    async with running() as node:
        await node.create("topic")
        reader, writer = node.connect(), node.connect()
        for offset in range(3):
            await reader.send(fetch_request("topic", offset, wait_ms=10_000), 12)
            await wait_all_tasks_blocked()
            assert not reader.has_answer()
            await produce(writer, "topic", batch(b"%d" % offset))
            assert values(fetched(await reader.receive())) == [b"%d" % offset]


# -- a broker that knows the short way beside one that does not

fetches = st.tuples(
    st.sampled_from(VERSIONS),
    st.sampled_from(["topic", "missing"]),
    st.integers(0, 2),  # partition
    st.sampled_from([-1, 0, 1, 2, 3, 5, 6, 7, 8, 9]),
    st.sampled_from([0, 1, 100, 40_000, 1 << 20]),  # most bytes
    st.sampled_from([0, 1]),  # isolation level
    st.sampled_from([-1, 0, 1]),  # leader epoch
)


@settings(max_examples=25, deadline=None)
@given(sequence=st.lists(fetches, min_size=1, max_size=12))
def test_both_ways_answer_the_same(sequence):
    said = trio.run(_both_ways, sequence)
    assert said[0] == said[1]


async def _both_ways(sequence):
    said = []
    for learning in (MOST_LEARNED, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(short_fetch, "MOST_LEARNED", learning)
            async with AsyncExitStack() as stack:
                node = await stack.enter_async_context(running())
                topic_id = await node.create("topic", partitions=2)
                client = node.connect()
                for size in (10, 10, 20_000, 50_000, 10, 10, 200, 10):
                    await produce(client, "topic", batch(bytes(size)))
                gone = DeleteRecordsTopic(
                    name="topic", partitions=[DeleteRecordsPartition(partition_index=0, offset=2)]
                )
                await client.ask(DeleteRecordsRequest(topics=[gone], timeout_ms=1000))
                said.append([_without_id(each, topic_id) for each in await _answers(client, topic_id, sequence)])
    return said


async def _answers(client, topic_id, sequence):
    """Each request twice: what was learned is used."""
    answers = []
    for version, name, partition, offset, most, isolation, epoch in [each for each in sequence for _ in range(2)]:
        known = epoch if version >= 9 else -1
        request = fetch_request(name, offset, partition=partition, max_bytes=most, current_leader_epoch=known)
        request.isolation_level = isolation
        request.topics[0].topic_id = topic_id if name == "topic" else bytes(range(16))
        await client.stream.send_all(client.frame(request, version))
        answers.append(await client.receive_frame())
    return answers


def _without_id(frame, topic_id):
    return frame.replace(topic_id, ZERO_UUID)
