"""Fetching through a broker: budgets, long polls, sessions, and leaders that are elsewhere."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import (
    FETCH_VERSION,
    batch,
    disk_env,
    fetch,
    fetch_request,
    fetched,
    produce,
    produce_request,
    running,
    values,
)
from kbroker.env import Env
from kbroker_wire import ErrorCode
from kbroker_wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic
from kbroker_wire.messages.metadata_records import BrokerEndpoint, PartitionChangeRecord, RegisterBrokerRecord
from storage_faults import FaultyFiles


@pytest.fixture
async def node():
    async with running() as node:
        await node.create("topic", partitions=3)
        yield node


def several(offsets, *, max_bytes=1 << 20, partition_max=1 << 20, wait_ms=0, topic="topic", **more):
    partitions = [
        FetchPartition(partition=index, fetch_offset=offset, partition_max_bytes=partition_max)
        for index, offset in offsets.items()
    ]
    topics = [FetchTopic(topic=topic, partitions=partitions)] if offsets else []
    more.setdefault("min_bytes", 1)
    return FetchRequest(max_wait_ms=wait_ms, max_bytes=max_bytes, topics=topics, **more)


def rows(response):
    return {row.partition_index: row for topic in response.responses for row in topic.partitions}


def sizes(response):
    return {index: len(row.records) for index, row in rows(response).items()}


@pytest.mark.parametrize("wait_ms", [0, 1000])
@pytest.mark.parametrize("broken", ["handlers.fetch._row", "fetching.Fetch.must_wait", "fetching.Fetch.find"])
async def test_a_fetch_that_fails_gives_back_what_it_has_leased(tmp_path, wait_ms, broken, monkeypatch, autojump_clock):
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env()) as node:
        await node.create("topic", partitions=3)
        client, calls = node.connect(), []
        await client.ask(produce_request("topic", [batch()] * 3), 12)
        await client.ask(several({0: 0, 1: 0, 2: 0}), FETCH_VERSION)

        def fails(*_):
            calls.append(None)
            if len(calls) == 3 or broken != "fetching.Fetch.find":
                raise RuntimeError("a mistake of ours")
            return node.broker.replicas.find("topic", 0)

        monkeypatch.setattr(f"kbroker.{broken}", fails)
        await client.send(several({0: 0, 1: 0, 2: 0}, wait_ms=wait_ms, min_bytes=10**6), FETCH_VERSION)
        await trio.sleep(2)
        assert calls
        for index in range(3):
            assert not node.broker.replicas.find("topic", index).log.segments[0].store.file.leased()


# -- how much


async def test_the_first_batch_comes_whole_even_beyond_every_limit(node):
    client = node.connect()
    data = batch(b"v" * 5000)
    for index in range(3):
        await produce(client, "topic", data, partition=index)
    for limits in ({"max_bytes": 0}, {"max_bytes": 10}, {"partition_max": 10}, {"partition_max": 0}):
        answer = await client.ask(several({0: 0, 1: 0, 2: 0}, **limits), FETCH_VERSION)
        assert sizes(answer) == {0: len(data), 1: 0, 2: 0}, limits
    answer = await client.ask(several({0: 1, 1: 0, 2: 0}, max_bytes=10), FETCH_VERSION)
    assert sizes(answer) == {0: 0, 1: len(data), 2: 0}, "the first that has something"
    answer = await client.ask(several({0: 0, 1: 0, 2: 0}, max_bytes=2 * len(data)), FETCH_VERSION)
    assert sizes(answer) == {0: len(data), 1: len(data), 2: 0}


async def test_a_later_batch_of_a_partition_comes_cut_at_its_limit(node):
    client = node.connect()
    data = batch(b"v" * 100)
    for _ in range(3):
        await produce(client, "topic", data)
    row = await fetch(client, "topic", max_bytes=len(data) + 1)
    assert len(row.records) == len(data) + 1
    assert values(row) == [b"v" * 100]


async def test_the_batch_that_holds_the_offset_comes_whole(node):
    client = node.connect()
    await produce(client, "topic", batch(b"a", b"b", b"c"))
    assert values(await fetch(client, "topic", 2)) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("offset", [-1, 4, 2**60])
async def test_an_offset_that_is_not_there_is_out_of_range_at_once(node, offset, autojump_clock):
    client = node.connect()
    await produce(client, "topic", batch(b"a", b"b", b"c"))
    row = await fetch(client, "topic", offset, wait_ms=10_000)
    assert (row.error_code, row.high_watermark, row.log_start_offset) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1, -1)
    assert row.records == b""
    assert trio.current_time() < 10
    row = await fetch(client, "topic", offset, isolation_level=1)
    assert (row.error_code, row.aborted_transactions) == (ErrorCode.OFFSET_OUT_OF_RANGE, None)


@pytest.mark.parametrize(("isolation", "aborted"), [(0, None), (1, [])])
async def test_aborted_transactions_are_a_list_for_read_committed_only(node, isolation, aborted):
    client = node.connect()
    await produce(client, "topic", batch(b"a"))
    row = await fetch(client, "topic", isolation_level=isolation)
    assert (row.aborted_transactions, row.last_stable_offset, values(row)) == (aborted, 1, [b"a"])


# -- waiting


async def test_a_long_poll_ends_when_all_its_partitions_together_have_enough(node, autojump_clock):
    reader, writer = node.connect(), node.connect()
    data = batch(b"v" * 100)
    await reader.send(several({0: 0, 1: 0}, wait_ms=60_000, min_bytes=2 * len(data)), FETCH_VERSION)
    await produce(writer, "topic", data)
    await wait_all_tasks_blocked()
    assert not reader.has_answer()
    await produce(writer, "topic", data, partition=2)
    await wait_all_tasks_blocked()
    assert not reader.has_answer(), "nobody asked for that partition"
    await produce(writer, "topic", data, partition=1)
    assert sizes(await reader.receive()) == {0: len(data), 1: len(data)}
    assert trio.current_time() < 60


async def test_a_long_poll_counts_no_more_of_a_partition_than_it_may_give(node, autojump_clock):
    reader, writer = node.connect(), node.connect()
    await reader.send(several({0: 0}, wait_ms=3000, min_bytes=1000, partition_max=500), FETCH_VERSION)
    for _ in range(20):
        await produce(writer, "topic", batch(b"v" * 100))
    answer = await reader.receive()
    assert trio.current_time() == pytest.approx(3)
    assert sizes(answer) == {0: 500}


async def test_without_a_minimum_nobody_waits(node, autojump_clock):
    assert (await fetch(node.connect(), "topic", wait_ms=60_000, min_bytes=0)).records == b""
    assert trio.current_time() < 60


async def test_an_unknown_topic_alone_is_answered_at_once_and_beside_known_ones_ends_no_wait(node, autojump_clock):
    client = node.connect()
    row = fetched(await client.ask(fetch_request("nowhere", wait_ms=60_000), FETCH_VERSION))
    assert row.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert trio.current_time() < 60
    began = trio.current_time()
    request = several({0: 0}, wait_ms=2000)
    request.topics += several({0: 0}, topic="nowhere").topics
    answer = await client.ask(request, FETCH_VERSION)
    assert trio.current_time() == pytest.approx(began + 2)
    codes = {topic.topic: topic.partitions[0].error_code for topic in answer.responses}
    assert codes == {"topic": ErrorCode.NONE, "nowhere": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}


async def test_a_waiting_fetch_whose_place_can_not_be_found_fails_alone(autojump_clock):
    """The look-up for the reader happens in the middle of somebody else's produce."""
    files = FaultyFiles()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        await node.create("topic")
        reader, client = node.connect(), node.connect()
        for _ in range(600):
            await produce(client, "topic", batch(b"x" * 100))
        node.broker.replicas.find("topic", 0).log.segments[-1].indexes.save()
        await reader.send(fetch_request("topic", 5, wait_ms=60_000, min_bytes=1 << 20), 12)
        await wait_all_tasks_blocked()
        files.fail("read", number=errno.EMFILE, every=True)
        assert (await produce(client, "topic", batch())).base_offset == 600
        assert fetched(await reader.receive()).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        files.heal()
        assert (await fetch(reader, "topic", 600)).high_watermark == 601


async def test_many_readers_of_one_partition_are_all_woken(node, autojump_clock):
    readers = [node.connect() for _ in range(50)]
    for reader in readers:
        await reader.send(fetch_request("topic", wait_ms=600_000), FETCH_VERSION)
    await wait_all_tasks_blocked()
    partition = node.broker.replicas.find("topic", 0)
    assert len(partition.waiters) == 50
    await produce(node.connect(), "topic", batch(b"news"))
    for reader in readers:
        assert values(fetched(await reader.receive())) == [b"news"]
    assert not partition.waiters


async def test_a_log_that_rolls_under_a_long_poll_is_read_from_both_segments(node, autojump_clock):
    reader, writer = node.connect(), node.connect()
    await reader.send(fetch_request("topic", wait_ms=60_000, min_bytes=5000), FETCH_VERSION)
    await produce(writer, "topic", batch(b"old"))
    node.broker.replicas.find("topic", 0).log.roll(now_ms=0)
    await produce(writer, "topic", batch(b"new"))
    assert values(fetched(await reader.receive())) == [b"old"], "an offset on an older segment is read at once"
    assert trio.current_time() < 60


# -- sessions


async def session_of(client, offsets, **more):
    answer = await client.ask(several(offsets, session_id=0, session_epoch=0, **more), FETCH_VERSION)
    assert answer.session_id
    return answer.session_id, answer


async def test_an_incremental_fetch_tells_only_what_is_new(node):
    client = node.connect()
    await produce(client, "topic", batch(b"a"))
    session, answer = await session_of(client, {0: 0, 1: 0, 2: 0})
    assert set(rows(answer)) == {0, 1, 2}
    answer = await client.ask(several({0: 1}, session_id=session, session_epoch=1), FETCH_VERSION)
    assert set(rows(answer)) == set()
    await produce(client, "topic", batch(b"b"), partition=1)
    answer = await client.ask(several({}, session_id=session, session_epoch=2), FETCH_VERSION)
    assert {index: values(row) for index, row in rows(answer).items()} == {1: [b"b"]}
    answer = await client.ask(several({}, session_id=session, session_epoch=3), FETCH_VERSION)
    assert {index: values(row) for index, row in rows(answer).items()} == {1: [b"b"]}, "asked again, told again"


async def test_a_partition_with_much_data_does_not_starve_the_others_of_a_session(node):
    client = node.connect()
    data = batch(b"v" * 1000)
    for index in range(3):
        for _ in range(3):
            await produce(client, "topic", data, partition=index)
    session, answer = await session_of(client, {0: 0, 1: 0, 2: 0}, max_bytes=len(data))
    served = [index for index, size in sizes(answer).items() if size]
    for epoch in (1, 2):
        answer = await client.ask(several({}, session_id=session, session_epoch=epoch, max_bytes=100), FETCH_VERSION)
        served += [index for index, size in sizes(answer).items() if size]
    assert sorted(served) == [0, 1, 2]


async def test_a_forgotten_partition_is_not_told_and_leaves_no_lease_behind(tmp_path, autojump_clock):
    """Another connection may forget a partition for which a fetch of the same session still waits."""
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env()) as node:
        await node.create("topic", partitions=2)
        waiting, other = node.connect(), node.connect()
        session, _ = await session_of(waiting, {0: 0, 1: 0})
        await waiting.send(several({}, session_id=session, session_epoch=1, wait_ms=60_000), FETCH_VERSION)
        await wait_all_tasks_blocked()
        forget = several({}, session_id=session, session_epoch=2)
        forget.forgotten_topics_data = [ForgottenTopic(topic="topic", partitions=[0])]
        assert rows(await other.ask(forget, FETCH_VERSION)) == {}
        await produce(other, "topic", batch(b"unwanted"))
        assert rows(await waiting.receive()) == {}
        assert not node.broker.replicas.find("topic", 0).log.segments[0].store.file.leased()


async def test_a_session_that_forgets_everything_is_closed(node):
    client = node.connect()
    session, _ = await session_of(client, {0: 0})
    forget = several({}, session_id=session, session_epoch=1)
    forget.forgotten_topics_data = [ForgottenTopic(topic="topic", partitions=[0])]
    assert (await client.ask(forget, FETCH_VERSION)).session_id == 0
    answer = await client.ask(several({}, session_id=session, session_epoch=2), FETCH_VERSION)
    assert answer.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


async def test_beyond_the_slots_a_client_goes_on_without_a_session():
    async with running({"max.incremental.fetch.session.cache.slots": "2"}) as node:
        await node.create("topic")
        client = node.connect()
        ids = [
            (await client.ask(several({0: 0}, session_id=0, session_epoch=0), FETCH_VERSION)).session_id
            for _ in range(4)
        ]
        assert [bool(each) for each in ids] == [True, True, False, False]


# -- leaders elsewhere (KIP-951)


async def publish(node, records):
    """As if another controller had decided this: the broker hears of it, and no log of its own has it."""
    image = node.broker.image
    await node.broker._publish(*image.replay(records, image.offset + 1))


@pytest.fixture
async def moved(node):
    """Broker 2 joins, and leads partition 0."""
    records = [
        RegisterBrokerRecord(
            broker_id=2,
            incarnation_id=bytes(16),
            broker_epoch=99,
            end_points=[BrokerEndpoint(name="PLAINTEXT", host="two.example", port=9192, security_protocol=0)],
            features=[],
            rack="r2",
            fenced=False,
            log_dirs=[],
        ),
        PartitionChangeRecord(
            partition_id=0, topic_id=node.broker.image.topic_ids["topic"], leader=2, replicas=[2, 1], isr=[2, 1]
        ),
    ]
    await publish(node, records)
    return node


@pytest.mark.parametrize(("version", "told"), [(9, False), (10, True), (12, True)])
async def test_a_produce_to_another_brokers_partition_tells_who_leads(moved, version, told):
    answer = await moved.connect().ask(produce_request("topic", batch()), version)
    [row] = answer.responses[0].partition_responses
    assert (row.error_code, row.base_offset) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)
    leader = (row.current_leader.leader_id, row.current_leader.leader_epoch)
    assert leader == ((2, 1) if told else (-1, -1))
    endpoints = [(each.node_id, each.host, each.port, each.rack) for each in answer.node_endpoints]
    assert endpoints == ([(2, "two.example", 9192, "r2")] if told else [])


@pytest.mark.parametrize("by_id", [False, True])
async def test_a_fetch_from_another_brokers_partition_tells_who_leads(moved, by_id):
    request = several({0: 0, 1: 0})
    if by_id:
        request.topics[0].topic_id = moved.broker.image.topic_ids["topic"]
    answer = await moved.connect().ask(request, 16 if by_id else 12)
    row = rows(answer)[0]
    assert row.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    endpoints = [(each.node_id, each.host, each.port) for each in answer.node_endpoints]
    assert endpoints == ([(2, "two.example", 9192)] if by_id else [])
    assert rows(answer)[1].error_code == ErrorCode.NONE
    assert (rows(answer)[1].current_leader.leader_id, row.current_leader.leader_id) == (-1, 2 if by_id else -1)


async def test_a_leader_that_changes_wakes_who_waits_at_the_old_one(node, autojump_clock):
    reader = node.connect()
    await reader.send(fetch_request("topic", wait_ms=600_000), FETCH_VERSION)
    await wait_all_tasks_blocked()
    change = PartitionChangeRecord(partition_id=0, topic_id=node.broker.image.topic_ids["topic"], leader=-1)
    await publish(node, [change])
    assert fetched(await reader.receive()).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert trio.current_time() < 600
