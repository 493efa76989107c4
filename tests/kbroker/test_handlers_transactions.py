"""Requests of transactional producers at the door: what is refused before the coordinator, and how old clients hear it.

The codes are those of a live Apache Kafka 4.4.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker_in_memory import NOW_MS, Client, running
from kbroker.controller.core import name_error
from kbroker.env import Env
from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from kbroker_wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from kbroker_wire.messages.describe_producers import DescribeProducersRequest, TopicRequest
from kbroker_wire.messages.describe_transactions import DescribeTransactionsRequest
from kbroker_wire.messages.end_txn import EndTxnRequest
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest
from kbroker_wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)

NONE, INVALID, MAPPING = ErrorCode.NONE, ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_PRODUCER_ID_MAPPING
OLD_FENCED, FENCED = ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.PRODUCER_FENCED
UNKNOWN, NOT_ATTEMPTED = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.OPERATION_NOT_ATTEMPTED


@pytest.fixture
async def client():
    async with running(env=replace(Env.in_memory(), now_ms=lambda: NOW_MS)) as node:
        await node.create("topic", partitions=3)
        yield node.connect()


async def init(
    client: Client, transactional_id: str | None, version: int = 5, timeout_ms: int = 60_000, **given: int
) -> tuple[int, int, int]:
    request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=timeout_ms, **given)
    answer = await client.ask(request, version)
    return answer.error_code, answer.producer_id, answer.producer_epoch


async def add(
    client: Client, transactional_id: str, producer: tuple[int, int], version: int, **topics: list[int]
) -> list[int]:
    """Codes in the order of the request."""
    asked = [AddPartitionsToTxnTopic(name=name, partitions=partitions) for name, partitions in topics.items()]
    request = AddPartitionsToTxnRequest(
        v3_and_below_transactional_id=transactional_id,
        v3_and_below_producer_id=producer[0],
        v3_and_below_producer_epoch=producer[1],
        v3_and_below_topics=asked,
    )
    answer = await client.ask(request, version)
    rows = [row for topic in answer.results_by_topic_v3_and_below for row in topic.results_by_partition]
    return [row.partition_error_code for row in rows]


@pytest.mark.parametrize("version", range(6))
async def test_init_checks_its_request_first(client, version):
    no = (-1, -1)
    assert await init(client, "", version) == (INVALID, *no)
    for timeout_ms in (0, -1, 900_001):
        assert await init(client, "t", version, timeout_ms) == (ErrorCode.INVALID_TRANSACTION_TIMEOUT, *no)
    assert await init(client, "t", version, 900_000) == (NONE, 0, 0)
    assert await init(client, None, version, 0) == (NONE, 1, 0), "an idempotent producer's timeout says nothing"
    if version >= 3:
        assert await init(client, "t", version, producer_id=0) == (INVALID, *no)
        assert await init(client, "t", version, producer_epoch=0) == (INVALID, *no)
        fenced = FENCED if version >= 4 else OLD_FENCED
        assert await init(client, "t", version, producer_id=0, producer_epoch=7) == (fenced, *no)
        assert await init(client, "t", version, producer_id=0, producer_epoch=0) == (NONE, 0, 1)
        assert await init(client, "new", version, producer_id=-5, producer_epoch=-3) == (NONE, 2, 0)
    else:
        assert await init(client, "t", version) == (NONE, 0, 1)


@pytest.mark.parametrize("version", range(4))
async def test_partitions_are_added_all_or_none(client, version):
    _, *producer = await init(client, "t")
    fenced = FENCED if version >= 2 else OLD_FENCED
    assert await add(client, "t", producer, version, topic=[0, 3, -1], nope=[0]) == [NOT_ATTEMPTED, *[UNKNOWN] * 3]
    assert await add(client, "nobody", producer, version, nope=[0]) == [UNKNOWN]
    assert await add(client, "", producer, version, topic=[0]) == [INVALID]
    assert await add(client, "nobody", producer, version, topic=[0]) == [MAPPING]
    assert await add(client, "t", (9, 0), version, topic=[0]) == [MAPPING]
    assert await add(client, "t", (0, 1), version, topic=[0, 1]) == [fenced, fenced]
    assert await add(client, "t", producer, version) == []
    assert await add(client, "t", producer, version, topic=[0, 0, 2]) == [NONE, NONE, NONE]
    [state] = (await client.ask(DescribeTransactionsRequest(transactional_ids=["t"]))).transaction_states
    assert [(topic.topic, topic.partitions) for topic in state.topics] == [("topic", [0, 2])]


@pytest.mark.parametrize("version", [4, 5])
async def test_brokers_add_and_verify_for_many_at_once(client, version):
    producers = {}
    for name in ("one", "two"):
        _, *producers[name] = await init(client, name)

    def asked(name: str, producer: list[int], *, verify: bool, **topics: list[int]) -> AddPartitionsToTxnTransaction:
        return AddPartitionsToTxnTransaction(
            transactional_id=name,
            producer_id=producer[0],
            producer_epoch=producer[1],
            verify_only=verify,
            topics=[AddPartitionsToTxnTopic(name=topic, partitions=each) for topic, each in topics.items()],
        )

    one, two = producers["one"], producers["two"]
    transactions = [
        asked("one", one, verify=False, topic=[1]),
        asked("one", one, verify=True, topic=[1, 2]),
        asked("two", two, verify=True, topic=[1]),
        asked("two", [two[0], 1], verify=True, topic=[1]),
        asked("two", two, verify=True, topic=[1], nope=[1]),
        asked("", two, verify=True, topic=[1]),
        asked("nobody", two, verify=False, topic=[1]),
        asked("two", two, verify=True),
    ]
    answer = await client.ask(AddPartitionsToTxnRequest(transactions=transactions), version)
    assert answer.error_code == NONE
    assert [each.transactional_id for each in answer.results_by_transaction] == [
        each.transactional_id for each in transactions
    ]
    abortable = ErrorCode.TRANSACTION_ABORTABLE
    assert [
        [row.partition_error_code for topic in each.topic_results for row in topic.results_by_partition]
        for each in answer.results_by_transaction
    ] == [[NONE], [NONE, abortable], [abortable], [FENCED], [NOT_ATTEMPTED, UNKNOWN], [INVALID], [MAPPING], []]


@pytest.mark.parametrize("version", range(5))
async def test_a_group_is_added_as_partitions_are(client, version):
    _, *producer = await init(client, "t")
    fenced = FENCED if version >= 2 else OLD_FENCED

    async def offsets(transactional_id: str, producer_id: int, epoch: int, group: str = "g") -> int:
        request = AddOffsetsToTxnRequest(
            transactional_id=transactional_id, producer_id=producer_id, producer_epoch=epoch, group_id=group
        )
        return (await client.ask(request, version)).error_code

    assert await offsets("", 0, 0) == INVALID
    assert await offsets("nobody", 0, 0) == MAPPING
    assert await offsets("t", 9, 0) == MAPPING
    assert await offsets("t", 0, 1) == fenced
    assert [await offsets("t", *producer), await offsets("t", *producer, "")] == [NONE, NONE]


@pytest.mark.parametrize("version", range(6))
async def test_an_end_is_refused_in_the_words_of_its_version(client, version):
    _, *producer = await init(client, "t")
    fenced = FENCED if version >= 2 else OLD_FENCED

    async def end(transactional_id: str, producer_id: int, epoch: int, *, commit: bool) -> tuple[int, int, int]:
        request = EndTxnRequest(
            transactional_id=transactional_id, producer_id=producer_id, producer_epoch=epoch, committed=commit
        )
        answer = await client.ask(request, version)
        return answer.error_code, answer.producer_id, answer.producer_epoch

    no = (-1, -1)
    for commit in (True, False):
        assert await end("", 0, 0, commit=commit) == (INVALID, *no)
        assert await end("nobody", 0, 0, commit=commit) == (MAPPING, *no)
        assert await end("t", 9, 0, commit=commit) == (MAPPING, *no)
        assert await end("t", 0, 1, commit=commit) == (fenced, *no)
    assert await end("t", *producer, commit=True) == (ErrorCode.INVALID_TXN_STATE, *no)
    assert await add(client, "t", producer, 3, topic=[0]) == [NONE]
    assert await end("t", *producer, commit=True) == ((NONE, 0, 1) if version >= 5 else (NONE, *no))


async def test_ids_are_described_in_the_order_they_are_asked_for(client):
    await init(client, "t", timeout_ms=1234)
    request = DescribeTransactionsRequest(transactional_ids=["nobody", "t", "", "t"])
    rows = (await client.ask(request)).transaction_states
    assert [(row.transactional_id, row.error_code) for row in rows] == [
        ("nobody", ErrorCode.TRANSACTIONAL_ID_NOT_FOUND),
        ("t", NONE),
        ("", INVALID),
        ("t", NONE),
    ]
    assert rows[0].transaction_state == ""
    assert (rows[1].transaction_state, rows[1].transaction_timeout_ms, rows[1].producer_id) == ("Empty", 1234, 0)
    assert (rows[1].transaction_start_time_ms, rows[1].topics) == (-1, [])
    assert (await client.ask(DescribeTransactionsRequest(transactional_ids=[]))).transaction_states == []


async def test_without_the_topic_of_transactions_nobody_coordinates():
    """Until somebody asks for a coordinator or a producer id there is none."""
    async with running(env=replace(Env.in_memory(), now_ms=lambda: NOW_MS)) as node:
        client = node.connect()
        request = EndTxnRequest(transactional_id="t", producer_id=0, producer_epoch=0, committed=True)
        assert (await client.ask(request)).error_code == ErrorCode.NOT_COORDINATOR
        request = AddPartitionsToTxnRequest(v3_and_below_transactional_id="t")
        assert (await client.ask(request, 3)).results_by_topic_v3_and_below == []
        assert await init(client, "t") == (NONE, 0, 0)


async def test_producers_of_what_is_not_there_are_refused_in_words(client: Client) -> None:
    wanted = [("topic", 9), ("nowhere", 0), ("a b", 0)]
    asked = [TopicRequest(name=name, partition_indexes=[index]) for name, index in wanted]
    answer = await client.ask(DescribeProducersRequest(topics=asked), 0)
    rows = [(row.error_code, row.error_message) for topic in answer.topics for row in topic.partitions]
    assert rows == [
        (UNKNOWN, None),
        (UNKNOWN, "This server does not host this topic-partition."),
        (
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"Topic name is invalid: {name_error('a b')}",
        ),
    ]


async def test_a_marker_for_no_topics_is_not_answered_for(client: Client) -> None:
    markers = [
        WritableTxnMarker(
            producer_id=7,
            producer_epoch=0,
            transaction_result=True,
            topics=topics,
            coordinator_epoch=0,
            transaction_version=0,
        )
        for topics in ([], [WritableTxnMarkerTopic(name="topic", partition_indexes=[0])])
    ]
    answer = await client.ask(WriteTxnMarkersRequest(markers=markers), 2)
    (marker,) = answer.markers
    assert [(topic.name, [row.error_code for row in topic.partitions]) for topic in marker.topics] == [("topic", [0])]
