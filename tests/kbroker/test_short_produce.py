"""The short way of a Produce says what the full way says, byte for byte, and is taken by what it is meant for."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import NOW_MS, Gate, batch, fetch, produce, produce_request, produced, running, values
from kbroker import short_produce
from kbroker.call import Call
from kbroker.env import Env
from kbroker.short_produce import MOST_LEARNED, ShortWay
from kbroker_wire import ProtocolError
from kbroker_wire.headers import RequestHeader, decode_request_header, encode_request_header
from kbroker_wire.messages.produce import ProducePartition, ProduceRequest, ProduceTopic
from kbroker_wire.schema import ZERO_UUID

VERSIONS = range(3, 14)


def frame_of(request, version, client_id="client"):
    return bytearray(encode_request_header(RequestHeader(0, version, 7, client_id)) + request.encode(version))


def decoded(frame, version):
    _, position = decode_request_header(frame)
    return ProduceRequest.decode(memoryview(frame), version, position)


def learned(beginnings, request, version, client_id="client"):
    frame = memoryview(frame_of(request, version, client_id))
    call = Call(version, client_id, "PLAINTEXT", ("host", 9092))
    beginnings.learn(frame, decoded(frame, version), call)
    return beginnings.recognise(frame)


@pytest.fixture
def beginnings():
    return ShortWay(None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client_id", ["client", "", None])
def test_a_request_that_begins_the_same_is_not_decoded(beginnings, version, client_id):
    one = learned(beginnings, produce_request("topic", batch()), version, client_id)
    if version < 5:
        assert one is None, "its answer has no log start offset"
        return
    other = frame_of(produce_request("topic", batch(bytes(300))), version, client_id)
    again = beginnings.recognise(memoryview(other))
    assert again.request == decoded(other, version)
    assert again.call is one.call
    assert again.call.client_id == client_id


def test_several_partitions_of_one_topic_are_known(beginnings):
    requests = [produce_request("topic", batch(), partition=index) for index in range(5)]
    for request in requests:
        assert learned(beginnings, request, 9) is not None
    for request in requests:
        assert beginnings.recognise(memoryview(frame_of(request, 9))).request == request


def test_the_same_bytes_in_another_version_are_another_request(beginnings):
    request = produce_request("topic", batch())
    assert learned(beginnings, request, 7) is not None
    assert beginnings.recognise(memoryview(frame_of(request, 8))) is None


def several_topics():
    data = [ProducePartition(index=0, records=batch())]
    return ProduceRequest(acks=1, timeout_ms=1, topic_data=[ProduceTopic(name=n, partition_data=data) for n in "ab"])


def transactional():
    request = produce_request("topic", batch())
    request.transactional_id = "transaction"
    return request


def tagged():
    request = produce_request("topic", batch())
    request.topic_data[0].unknown_tags = [(5, b"x")]
    return request


@pytest.mark.parametrize(
    "request_",
    [
        several_topics(),
        produce_request("topic", [batch(), batch()]),
        produce_request("topic", batch(), acks=0),
        transactional(),
        tagged(),
    ],
    ids=["topics", "partitions", "unanswered", "transactional", "tagged"],
)
def test_other_requests_take_the_full_way(beginnings, request_):
    assert learned(beginnings, request_, 9) is None


def test_learning_comes_to_an_end(beginnings):
    for index in range(MOST_LEARNED):
        assert learned(beginnings, produce_request("topic", batch(), partition=index), 9) is not None
    assert learned(beginnings, produce_request("topic", batch(), partition=MOST_LEARNED), 9) is None
    assert learned(beginnings, produce_request("topic", batch()), 9) is not None


def test_long_names_are_not_remembered(beginnings):
    assert learned(beginnings, produce_request("t" * 30_000, batch()), 9) is None
    assert learned(beginnings, produce_request("topic", batch()), 9, "c" * 30_000) is None
    assert learned(beginnings, produce_request("t" * 249, batch(bytes(30_000))), 9, "c" * 249) is not None


@given(
    version=st.sampled_from([5, 8, 9, 12, 13]),
    size=st.integers(0, 300),
    at=st.integers(0, 400),
    put=st.binary(max_size=4),
    cut=st.integers(0, 5),
    more=st.binary(max_size=3),
)
@example(version=9, size=0, at=400, put=b"", cut=4, more=b"\0\0\0")  # no records, and an end too near
@example(version=9, size=0, at=400, put=b"", cut=4, more=b"\0\0")
@example(version=8, size=0, at=400, put=b"", cut=4, more=b"\xff\xff\xff\xff")
def test_what_is_recognised_is_what_would_be_decoded(version, size, at, put, cut, more):
    beginnings = ShortWay(None)
    assert learned(beginnings, produce_request("topic", batch()), version) is not None
    frame = frame_of(produce_request("topic", bytes(size)), version)
    frame[at : at + len(put)] = put
    frame = frame[: len(frame) - cut] + more
    if frame[:4] != bytes([0, 0, 0, version]):
        return  # neither is asked
    try:
        one = beginnings.recognise(memoryview(frame))
    except ProtocolError:
        with pytest.raises(ProtocolError):
            decoded(frame, version)
        return
    if one is not None:
        assert one.request == decoded(frame, version)


async def test_an_acknowledgement_waits_for_its_sync(autojump_clock):
    gate = Gate()
    env = replace(Env.in_memory(), run_blocking=gate.run, now_ms=lambda: NOW_MS)
    async with running(env=env) as node:
        await node.create("topic")
        client = node.connect()
        assert (await produce(client, "topic", batch())).base_offset == 0
        gate.close()
        await client.send(produce_request("topic", batch()), 12)
        await client.send(produce_request("topic", batch(), acks=1), 12)
        await client.send(produce_request("topic", batch(), acks=1), 12)
        await wait_all_tasks_blocked()
        assert not client.has_answer()
        gate.open()
        assert [produced(await client.receive()).base_offset for _ in range(3)] == [1, 2, 3]


# -- a broker that knows the short way beside one that does not

DAMAGED = bytearray(batch())
DAMAGED[20] ^= 1

batches = st.one_of(
    st.binary(max_size=50).map(batch),
    st.sampled_from(
        [
            bytes(DAMAGED),
            b"",
            batch(timestamp=NOW_MS + 10**12),
            batch(bytes(3000)),
            *(batch(producer_id=7, producer_epoch=0, base_sequence=each) for each in range(3)),
            batch(producer_id=7, producer_epoch=0, base_sequence=0, transactional=True),
        ]
    ),
)
produces = st.tuples(
    st.sampled_from(VERSIONS),
    st.sampled_from(["plain", "stamped", "small", "unsafe", "missing"]),
    st.integers(0, 2),
    st.sampled_from([-1, 1, 2]),
    batches,
)
CONFIGS = {
    "plain": {},
    "stamped": {"message.timestamp.type": "LogAppendTime"},
    "small": {"max.message.bytes": "1000"},
    "unsafe": {"flush.messages": "1"},
}


async def answers(node, ids, sequence):
    """All requests in one go, so that runs form, and each again: what was learned is used."""
    client = node.connect()
    frames = b""
    for version, name, index, acks, records in [each for each in sequence for _ in range(2)]:
        request = produce_request(name, records, acks=acks, partition=index)
        request.topic_data[0].topic_id = ids.get(name, bytes(range(16)))
        frames += client.frame(request, version)
    await client.stream.send_all(frames)
    return [await client.receive_frame() for _ in range(2 * len(sequence))]


@settings(max_examples=25, deadline=None)
@given(sequence=st.lists(produces, min_size=1, max_size=12), durability=st.sampled_from(["relaxed", "synced"]))
def test_both_ways_answer_and_append_the_same(sequence, durability):
    said = trio.run(_both_ways, sequence, durability)
    assert said[0] == said[1]


async def _both_ways(sequence, durability):
    said = []
    for short in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(short_produce, "MOST_LEARNED", 64 if short else 0)
            async with AsyncExitStack() as stack:
                node = await stack.enter_async_context(running({"kbroker.durability": durability}))
                for name, configs in CONFIGS.items():
                    await node.create(name, partitions=2, configs=configs)
                ids = dict.fromkeys(CONFIGS, ZERO_UUID) | {
                    topic.name: topic.id for topic in node.broker.replicas.by_name.values()
                }
                found = [_without_ids(each, ids) for each in await answers(node, ids, sequence)]
                logs = [values(await fetch(node.connect(), name, partition=i)) for name in CONFIGS for i in range(2)]
                said.append((found, logs))
    return said


def _without_ids(frame, ids):
    for topic_id in ids.values():
        frame = frame.replace(topic_id, ZERO_UUID)
    return frame
