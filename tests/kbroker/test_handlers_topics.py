"""Topics as clients see them: metadata, auto-creation, pages, offsets, deletions - several APIs side by side."""

from __future__ import annotations

import pytest

from broker_in_memory import NOW_MS, batch, produce, running
from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kbroker_wire.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kbroker_wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from kbroker_wire.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)


@pytest.fixture
async def node():
    async with running() as node:
        await node.create("topic", partitions=3)
        yield node


def named(*names, create=False):
    return MetadataRequest(topics=[MetadataRequestTopic(name=name) for name in names], allow_auto_topic_creation=create)


# -- metadata


async def test_a_topic_that_metadata_creates_is_whole_in_that_very_answer(node):
    client = node.connect()
    [topic] = (await client.ask(named("new", create=True))).topics
    assert (topic.error_code, topic.name, len(topic.partitions)) == (ErrorCode.NONE, "new", 1)
    assert (await produce(client, "new", batch())).error_code == ErrorCode.NONE


async def test_without_leave_nothing_is_created(node):
    [topic] = (await node.connect().ask(named("new"))).topics
    assert topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    async with running({"auto.create.topics.enable": "false"}) as other:
        [topic] = (await other.connect().ask(named("new", create=True))).topics
        assert topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


async def test_names_that_can_not_be_are_an_error_each_and_doubles_are_told_once(node):
    answer = await node.connect().ask(named("topic", "b a d", "..", "x" * 250, "topic", create=True))
    codes = [topic.error_code for topic in answer.topics]
    assert sorted(codes) == [ErrorCode.NONE] + [ErrorCode.INVALID_TOPIC_EXCEPTION] * 3


async def test_an_unknown_id_has_no_name(node):
    request = MetadataRequest(topics=[MetadataRequestTopic(topic_id=bytes(range(16)), name=None)])
    [topic] = (await node.connect().ask(request)).topics
    assert (topic.error_code, topic.name) == (ErrorCode.UNKNOWN_TOPIC_ID, None)


@pytest.mark.parametrize(("version", "topics", "all_of_them"), [(0, [], True), (1, [], False), (13, None, True)])
async def test_who_asks_for_all_topics(node, version, topics, all_of_them):
    answer = await node.connect().ask(MetadataRequest(topics=topics), version)
    assert [topic.name for topic in answer.topics] == (["topic"] if all_of_them else [])


async def test_an_answer_that_is_ready_made_is_made_anew_when_something_changed(node):
    client = node.connect()
    for request in (MetadataRequest(topics=None), named("topic", "later")):
        before = [await client.ask(request) for _ in range(2)]
        assert before[0] == before[1]
    await node.create("later")
    for request in (MetadataRequest(topics=None), named("topic", "later")):
        topics = (await client.ask(request)).topics
        assert {topic.name: topic.error_code for topic in topics} == {"topic": 0, "later": 0}
    await client.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name="later")], timeout_ms=0))
    assert [topic.name for topic in (await client.ask(MetadataRequest(topics=None))).topics] == ["topic"]


async def test_a_ready_made_answer_is_not_given_to_a_client_that_came_by_another_address(node, monkeypatch):
    first = node.connect()
    monkeypatch.setattr("broker_in_memory.TOLD", ("other.example", 1))
    second = node.connect()
    for version in (4, 13):
        for request in (MetadataRequest(topics=None), named("topic")):
            hosts = [(await client.ask(request, version)).brokers[0].host for client in (first, second, first)]
            assert hosts == ["told.example", "other.example", "told.example"]


async def test_a_ready_made_answer_is_not_given_to_who_asked_for_more(node):
    client = node.connect()
    plain, more = named("topic"), named("topic")
    more.include_topic_authorized_operations = True
    for request, expected in ((plain, -(2**31)), (more, 3576), (plain, -(2**31))):
        assert (await client.ask(request)).topics[0].topic_authorized_operations == expected


# -- pages


async def test_partitions_come_in_pages_and_none_twice(node):
    await node.create("another", partitions=4)
    client, seen, cursor = node.connect(), [], None
    for _ in range(10):
        request = DescribeTopicPartitionsRequest(topics=[], response_partition_limit=3, cursor=cursor)
        answer = await client.ask(request)
        page = [(topic.name, each.partition_index) for topic in answer.topics for each in topic.partitions]
        assert len(page) <= 3
        seen += page
        cursor = answer.next_cursor
        if cursor is None:
            break
    assert seen == [("another", index) for index in range(4)] + [("topic", index) for index in range(3)]


async def test_a_page_of_an_unknown_topic_says_so(node):
    request = DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name="nope")], response_partition_limit=10, cursor=None
    )
    [topic] = (await node.connect().ask(request)).topics
    assert topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    request.cursor = Cursor(topic_name="topic", partition_index=-1)
    assert {each.error_code for each in (await node.connect().ask(request)).topics} <= {ErrorCode.INVALID_REQUEST}


# -- offsets


async def offset_of(client, timestamp, version=11, partition=0):
    asked = ListOffsetsPartition(partition_index=partition, timestamp=timestamp)
    request = ListOffsetsRequest(
        replica_id=-1, isolation_level=0, topics=[ListOffsetsTopic(name="topic", partitions=[asked])], timeout_ms=0
    )
    [row] = (await client.ask(request, version)).topics[0].partitions
    return row.error_code, row.offset, row.timestamp


async def test_offsets_are_found_by_time_and_by_name(node):
    client = node.connect()
    for i in range(3):
        await produce(client, "topic", batch(b"v", timestamp=NOW_MS + 10 * i))
    assert await offset_of(client, -1) == (0, 3, -1)
    assert await offset_of(client, -2) == (0, 0, -1)
    assert await offset_of(client, -3) == (0, 2, NOW_MS + 20)
    assert await offset_of(client, -4) == (0, 0, -1)
    assert await offset_of(client, -5) == (0, -1, -1)
    assert await offset_of(client, NOW_MS + 1) == (0, 1, NOW_MS + 10)
    assert await offset_of(client, NOW_MS + 21) == (0, -1, -1)
    assert await offset_of(client, -7) == (ErrorCode.UNSUPPORTED_VERSION, -1, -1)
    assert await offset_of(client, -3, version=6) == (ErrorCode.UNSUPPORTED_VERSION, -1, -1)
    assert await offset_of(client, -1, partition=9) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1)


@pytest.mark.parametrize(("epoch", "expected"), [(0, (0, 2)), (5, (-1, -1)), (-1, (-1, -1))])
async def test_an_epoch_ends_where_the_next_begins_or_the_log_does(node, epoch, expected):
    client = node.connect()
    await produce(client, "topic", batch(b"a", b"b"))
    asked = OffsetForLeaderPartition(partition=0, current_leader_epoch=0, leader_epoch=epoch)
    request = OffsetForLeaderEpochRequest(
        replica_id=-1, topics=[OffsetForLeaderTopic(topic="topic", partitions=[asked])]
    )
    [row] = (await client.ask(request)).topics[0].partitions
    assert (row.error_code, (row.leader_epoch, row.end_offset)) == (ErrorCode.NONE, expected)


# -- the rest


@pytest.mark.parametrize(
    ("key_type", "key", "code"),
    [
        (0, "group", ErrorCode.NONE),
        (1, "transaction", ErrorCode.NONE),
        (9, "x", ErrorCode.INVALID_REQUEST),
        (2, "no-share-key", ErrorCode.INVALID_REQUEST),
        (2, "group:AAAAAAAAAAAAAAAAAAAAAQ:0", ErrorCode.COORDINATOR_NOT_AVAILABLE),
    ],
)
async def test_who_coordinates(node, key_type, key, code):
    [row] = (await node.connect().ask(FindCoordinatorRequest(key_type=key_type, coordinator_keys=[key]))).coordinators
    assert (row.key, row.error_code, row.node_id) == (key, code, 1 if code == ErrorCode.NONE else -1)
    assert ("__consumer_offsets" in node.broker.image.topic_ids) == (key_type == 0)


async def test_the_topic_of_groups_is_made_once_by_all_who_need_it_first(node):
    clients = [node.connect() for _ in range(3)]
    for client in clients:
        await client.send(FindCoordinatorRequest(key_type=0, coordinator_keys=["group"]), 6)
    rows = [(await client.receive()).coordinators[0] for client in clients]
    assert [(row.error_code, row.node_id) for row in rows] == [(ErrorCode.NONE, 1)] * 3
    topic = node.broker.image.topic("__consumer_offsets")
    assert (len(topic.partitions), len(topic.partitions[0].replicas)) == (50, 1)


async def test_what_can_not_be_deleted_is_an_error_each(node):
    topic_id = node.broker.image.topic_ids["topic"]
    states = [
        DeleteTopicState(name="nope"),
        DeleteTopicState(name=None, topic_id=bytes(range(16))),
        DeleteTopicState(name="topic", topic_id=topic_id),
        DeleteTopicState(name=None),
    ]
    rows = (await node.connect().ask(DeleteTopicsRequest(topics=states, timeout_ms=0))).responses
    assert sorted(row.error_code for row in rows) == sorted(
        [
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.UNKNOWN_TOPIC_ID,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_REQUEST,
        ]
    )
    assert "topic" in node.broker.image.topic_ids
