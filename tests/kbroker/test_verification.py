"""Transactional records: what of a Produce is appended, in which order, and what a late one is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker_in_memory import (
    NOW_MS,
    Client,
    Gate,
    Node,
    batch,
    fetch,
    produce,
    produce_request,
    produced,
    running,
    values,
)
from kbroker.env import Env
from kbroker.partition import Partition
from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_partitions_to_txn import AddPartitionsToTxnRequest, AddPartitionsToTxnTopic
from kbroker_wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.produce import ProduceRequest

OLD, NEW = 11, 12  # versions of Produce: before and since it adds partitions itself


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def node(gate: Gate) -> AsyncIterator[Node]:
    """A broker whose disk obeys `gate`."""
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)
    async with running({"kbroker.durability": "synced"}, env) as running_node:
        await running_node.create("topic", 2)
        yield running_node


async def begin(client: Client, transactional_id: str = "id") -> InitProducerIdResponse:
    response = await client.ask(
        InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=60_000), 5
    )
    assert isinstance(response, InitProducerIdResponse)
    assert response.error_code == ErrorCode.NONE
    return response


def request(producer: InitProducerIdResponse, *texts: bytes, sequence: int = 0, partition: int = 0) -> ProduceRequest:
    records = batch(
        *texts,
        producer_id=producer.producer_id,
        producer_epoch=producer.producer_epoch,
        base_sequence=sequence,
        transactional=True,
    )
    made = produce_request("topic", records, partition=partition)
    made.transactional_id = "id"
    return made


async def end(client: Client, producer: InitProducerIdResponse, *, commit: bool) -> EndTxnResponse:
    response = await client.ask(
        EndTxnRequest(
            transactional_id="id",
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            committed=commit,
        ),
        5,
    )
    assert isinstance(response, EndTxnResponse)
    return response


async def test_requests_behind_one_that_is_verified_are_appended_after_it_and_whole(node: Node, gate: Gate) -> None:
    client = node.connect()
    producer = await begin(client)
    gate.close()
    texts = [bytes([65 + number]) * 3000 for number in range(8)]
    for number, text in enumerate(texts):  # much more than fits into the connection's buffer at first
        await client.send(request(producer, text, sequence=number), NEW)
    await wait_all_tasks_blocked()
    assert node.broker.replicas.find("topic", 0).log.end == 0
    gate.open()
    rows = [produced(await client.receive()) for _ in texts]
    assert [(row.error_code, row.base_offset) for row in rows] == [(0, number) for number in range(8)]
    assert values(await fetch(client, "topic")) == texts


async def test_records_without_a_transactional_id_are_of_nobodys_transaction(node: Node) -> None:
    client = node.connect()
    made = request(await begin(client), b"x")
    made.transactional_id = None
    row = produced(await client.ask(made, NEW))
    assert row.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


async def test_an_old_client_must_have_added_the_partition(node: Node) -> None:
    client = node.connect()
    producer = await begin(client)
    row = produced(await client.ask(request(producer, b"x"), OLD))
    assert (row.error_code, row.error_message) == (ErrorCode.TRANSACTION_ABORTABLE, None)
    await client.ask(
        AddPartitionsToTxnRequest(
            v3_and_below_transactional_id="id",
            v3_and_below_producer_id=producer.producer_id,
            v3_and_below_producer_epoch=producer.producer_epoch,
            v3_and_below_topics=[AddPartitionsToTxnTopic(name="topic", partitions=[0])],
        ),
        3,
    )
    assert produced(await client.ask(request(producer, b"x"), OLD)).error_code == ErrorCode.NONE


async def test_a_late_request_of_an_ended_transaction_is_refused(node: Node) -> None:
    client = node.connect()
    producer = await begin(client)
    assert produced(await client.ask(request(producer, b"x"), NEW)).error_code == ErrorCode.NONE
    ended = await end(client, producer, commit=True)
    assert (ended.error_code, ended.producer_epoch) == (ErrorCode.NONE, producer.producer_epoch + 1)
    late = produced(await client.ask(request(producer, b"late", sequence=1), NEW))
    assert late.error_code == ErrorCode.INVALID_PRODUCER_EPOCH
    assert node.broker.replicas.find("topic", 0).last_stable_offset == 2


async def test_a_request_whose_client_has_left_appends_nothing(
    node: Node, gate: Gate, autojump_clock: MockClock
) -> None:
    client = node.connect()
    producer = await begin(client)
    gate.close()
    await client.send(request(producer, b"x"), NEW)
    await wait_all_tasks_blocked()
    client.close()
    await wait_all_tasks_blocked()
    gate.open()
    await trio.sleep(1)
    assert node.broker.replicas.find("topic", 0).log.end == 0


async def test_a_coordinator_that_does_not_answer_is_waited_for_as_long_as_the_client_says(
    node: Node, gate: Gate, autojump_clock: MockClock
) -> None:
    client = node.connect()
    producer = await begin(client)
    gate.close()
    made, started = request(producer, b"x"), trio.current_time()
    made.timeout_ms = 5_000
    row = produced(await client.ask(made, NEW))
    assert (row.error_code, row.base_offset) == (ErrorCode.REQUEST_TIMED_OUT, -1)
    assert trio.current_time() == started + 5
    gate.open()


async def test_other_producers_requests_do_not_wait(node: Node, gate: Gate) -> None:
    client, other = node.connect(), node.connect()
    producer = await begin(client)
    gate.close()
    await client.send(request(producer, b"x"), NEW)
    await wait_all_tasks_blocked()
    row = await produce(other, "topic", batch(b"plain"), acks=1)
    assert row.error_code == ErrorCode.NONE
    gate.open()
    assert produced(await client.receive()).base_offset == 1


@pytest.mark.parametrize("waits", [True, False])
async def test_what_fails_behind_the_coordinators_answer_fails_its_request_alone(
    node: Node, gate: Gate, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    client, other = node.connect(), node.connect()
    producer = await begin(client)
    broken = node.broker.replicas.find("topic", 0)
    append = Partition.append

    def fail(partition: Partition, *args: object, **more: object) -> object:
        if partition is broken:
            raise MemoryError
        return append(partition, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Partition, "append", fail)
    if waits:
        gate.close()
    await client.send(request(producer, b"a"), NEW)
    await wait_all_tasks_blocked()
    gate.open()
    assert produced(await client.receive()).error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert (await produce(other, "topic", batch(b"b"), partition=1)).error_code == ErrorCode.NONE
