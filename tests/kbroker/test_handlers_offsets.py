"""Offsets of groups through a whole broker: what is answered when, and what is left after restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from broker_in_memory import NOW_MS, Client, Gate, Node, running
from kbroker.env import Env
from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kbroker_wire.messages.end_txn import EndTxnRequest
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kbroker_wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from kbroker_wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from kbroker_wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from kbroker_wire.schema import ZERO_UUID
from offsets_world import name_of
from storage_faults import FaultyFiles

FEW = {"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1"}
RELAXED = {**FEW, "kbroker.durability": "relaxed"}


def commit_request(topic: str | bytes, offset: int, group: str = "g", partition: int = 0) -> OffsetCommitRequest:
    row = OffsetCommitRequestPartition(
        partition_index=partition, committed_offset=offset, committed_leader_epoch=-1, committed_metadata="m"
    )
    by_id = isinstance(topic, bytes)
    asked = OffsetCommitRequestTopic(
        name="" if by_id else topic, topic_id=topic if by_id else ZERO_UUID, partitions=[row]
    )
    return OffsetCommitRequest(group_id=group, topics=[asked])


async def commit(client: Client, topic: str | bytes, offset: int, version: int = 9, **more: object) -> str:
    response = await client.ask(commit_request(topic, offset, **more), version)  # type: ignore[arg-type]
    [answered] = response.topics
    [row] = answered.partitions
    assert topic in (answered.name, answered.topic_id)
    return name_of(row.error_code)


def fetch_request(topics: Mapping[str, int] | None, *groups: str, stable: bool = False) -> OffsetFetchRequest:
    asked = None
    if topics is not None:
        asked = [
            OffsetFetchRequestTopics(name=name, partition_indexes=list(range(count))) for name, count in topics.items()
        ]
    return OffsetFetchRequest(
        groups=[OffsetFetchRequestGroup(group_id=group, topics=asked) for group in groups or ("g",)],
        require_stable=stable,
    )


async def fetch(client: Client, topic: str = "t", group: str = "g", *, stable: bool = False) -> int | str:
    response = await client.ask(fetch_request({topic: 1}, group, stable=stable), 9)
    [answered] = response.groups
    if answered.error_code:
        return name_of(answered.error_code)
    row = answered.topics[0].partitions[0]
    return name_of(row.error_code) if row.error_code else row.committed_offset


async def find(client: Client, key: str = "g", key_type: int = 0) -> None:
    response = await client.ask(FindCoordinatorRequest(key_type=key_type, coordinator_keys=[key]), 4)
    assert response.coordinators[0].error_code == 0


@pytest.mark.parametrize("version", range(2, 11))
async def test_offsets_are_committed_and_fetched_in_every_version(
    autojump_clock: trio.testing.MockClock, version: int
) -> None:
    async with running(RELAXED) as node:
        topic_id, client = await node.create("t"), node.connect()
        await find(client)
        assert await commit(client, topic_id if version == 10 else "t", 5, version) == "NONE"
        unknown = ("UNKNOWN_TOPIC_ID", b"?" * 16) if version == 10 else ("UNKNOWN_TOPIC_OR_PARTITION", "nope")
        assert await commit(client, unknown[1], 5, version) == unknown[0]
        for older in range(1, 8):
            request = OffsetFetchRequest(
                group_id="g", topics=[OffsetFetchRequestTopic(name="t", partition_indexes=[0, 1])]
            )
            [topic] = (await client.ask(request, older)).topics
            assert [row.committed_offset for row in topic.partitions] == [5, -1]
        assert (await client.ask(OffsetFetchRequest(group_id="g", topics=None), 2)).topics[0].name == "t"
        for newer in (8, 9, 10):
            response = await client.ask(fetch_request(None, "g", "other", "g"), newer)
            assert [(group.group_id, len(group.topics)) for group in response.groups] == [
                ("g", 1), ("other", 0), ("g", 1)
            ]  # fmt: skip
            [topic] = response.groups[0].topics
            assert (topic.name, topic.topic_id) == (("", topic_id) if newer == 10 else ("t", ZERO_UUID))
            [row] = topic.partitions
            assert (row.committed_offset, row.metadata, row.committed_leader_epoch) == (5, "m", -1)


async def test_a_group_whose_coordinator_is_not_here(autojump_clock: trio.testing.MockClock) -> None:
    async with running(RELAXED) as node:
        await node.create("t")
        client = node.connect()
        assert await commit(client, "t", 5) == "NOT_COORDINATOR"
        assert await commit(client, "nope", 5) == "UNKNOWN_TOPIC_OR_PARTITION"
        assert await fetch(client) == "NOT_COORDINATOR"
        request = OffsetFetchRequest(group_id="g", topics=[OffsetFetchRequestTopic(name="t", partition_indexes=[0])])
        assert (await client.ask(request, 2)).error_code == ErrorCode.NOT_COORDINATOR
        [topic] = (await client.ask(request, 1)).topics
        [row] = topic.partitions
        assert (row.error_code, row.committed_offset) == (ErrorCode.NOT_COORDINATOR, -1)
        assert (await client.ask(delete_request("t"))).error_code == ErrorCode.NOT_COORDINATOR
        assert await txn_commit(client, (1, 0), 5) == "NOT_COORDINATOR"


def delete_request(topic: str) -> OffsetDeleteRequest:
    rows = [OffsetDeleteRequestPartition(partition_index=0)]
    return OffsetDeleteRequest(group_id="g", topics=[OffsetDeleteRequestTopic(name=topic, partitions=rows)])


async def test_deleted_offsets_are_gone_and_a_group_may_be_unknown(autojump_clock: trio.testing.MockClock) -> None:
    async with running(RELAXED) as node:
        await node.create("t")
        client = node.connect()
        await find(client)
        assert (await client.ask(delete_request("t"))).error_code == ErrorCode.GROUP_ID_NOT_FOUND
        await commit(client, "t", 5)
        response = await client.ask(delete_request("t"))
        assert response.error_code == 0
        assert [row.error_code for row in response.topics[0].partitions] == [0]
        assert await fetch(client) == -1


async def test_a_synced_commit_is_answered_only_after_its_sync(autojump_clock: trio.testing.MockClock) -> None:
    gate = Gate()
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)
    async with running(FEW, env) as node:
        await node.create("t")
        writer, reader = node.connect(), node.connect()
        await find(writer)
        assert await commit(writer, "t", 5) == "NONE"
        gate.close()
        await writer.send(commit_request("t", 6), 9)
        await reader.send(fetch_request({"t": 1}), 9)
        await trio.sleep(4)
        assert not writer.has_answer()
        assert not reader.has_answer(), "nobody is told what a power cut may take back"
        gate.open()
        response = await writer.receive()
        assert response.topics[0].partitions[0].error_code == 0
        response = await reader.receive()
        assert response.groups[0].topics[0].partitions[0].committed_offset == 6


async def test_offsets_survive_a_restart_with_the_transaction_that_is_open(
    autojump_clock: trio.testing.MockClock,
) -> None:
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    async with running(FEW, env) as node:
        await node.create("t")
        await node.create("u")
        client = node.connect()
        await find(client)
        await commit(client, "t", 5)
        producer = await begin(client)
        assert await txn_commit(client, producer, 8, topic="u") == "NONE"
    async with running(FEW, env) as node:
        client = node.connect()
        assert await fetch(client) == 5
        assert await fetch(client, "u") == -1
        assert await fetch(client, "u", stable=True) == "UNSTABLE_OFFSET_COMMIT"
        await end(client, producer, commit=True)
        assert await fetch(client, "u", stable=True) == 8
    async with running(FEW, env) as node:
        assert await fetch(node.connect(), "u", stable=True) == 8


@asynccontextmanager
async def loading(node: Node) -> AsyncIterator[None]:
    """The groups' partition is being read again, for as long as this lasts."""
    groups, gate = node.broker.groups, Gate()
    await groups.machines()
    groups._env, env = replace(groups._env, run_blocking=gate.run), groups._env
    gate.close()
    groups.shells[0]._fail(OSError("the disk is full"))
    await trio.sleep(2)  # it is read anew after a second
    assert gate.held
    yield
    gate.open()
    groups._env = env


async def test_who_comes_while_the_partition_is_loaded_waits_for_it(autojump_clock: trio.testing.MockClock) -> None:
    async with running(RELAXED) as node:
        await node.create("t")
        clients = [node.connect() for _ in range(4)]
        await find(clients[0])
        await commit(clients[0], "t", 5)
        async with loading(node):
            requests = [
                fetch_request({"t": 1}),
                commit_request("t", 6),
                commit_request("t", 7, partition=4),
                commit_request("t", 8),
            ]
            for client, request in zip(clients, requests, strict=True):
                await client.send(request, 9)
                await trio.sleep(1)  # so that they come in this order
            assert not any(client.has_answer() for client in clients)
            clients[3].close()
            await trio.sleep(1)
        fetched, *committed = [await client.receive() for client in clients[:3]]
        assert fetched.groups[0].topics[0].partitions[0].committed_offset == 5
        assert [answer.topics[0].partitions[0].error_code for answer in committed] == [
            0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        ]  # fmt: skip
        assert await fetch(clients[0]) == 6


async def test_topics_that_come_and_go_while_the_partition_is_loaded_are_known_to_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(RELAXED) as node:
        await node.create("old")
        client = node.connect()
        await find(client)
        await commit(client, "old", 5)
        async with loading(node):
            await delete_topic(client, "old")
            await node.create("new")
            await client.send(commit_request("new", 6), 9)
        assert (await client.receive()).topics[0].partitions[0].error_code == 0
        assert await fetch(client, "new") == 6
        await node.create("old")
        assert await fetch(client, "old") == -1


async def delete_topic(client: Client, name: str) -> None:
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name, topic_id=ZERO_UUID)], timeout_ms=10_000)
    assert (await client.ask(request)).responses[0].error_code == 0


async def test_a_topic_that_is_made_again_inherits_no_offsets(autojump_clock: trio.testing.MockClock) -> None:
    async with running(RELAXED) as node:
        old = await node.create("t")
        client = node.connect()
        await find(client)
        await commit(client, old, 5, 10)
        await delete_topic(client, "t")
        assert await fetch(client) == -1
        new = await node.create("t")
        assert await fetch(client) == -1
        assert await commit(client, old, 5, 10) == "UNKNOWN_TOPIC_ID"
        assert await commit(client, new, 6, 10) == "NONE"
        assert await fetch(client) == 6


# -- in transactions


async def begin(client: Client, transactional_id: str = "x") -> tuple[int, int]:
    await find(client, transactional_id, 1)
    request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=60_000)
    response = await client.ask(request, 4)
    assert response.error_code == 0
    return response.producer_id, response.producer_epoch


async def end(client: Client, producer: tuple[int, int], *, commit: bool) -> None:
    request = EndTxnRequest(transactional_id="x", producer_id=producer[0], producer_epoch=producer[1], committed=commit)
    assert (await client.ask(request, 4)).error_code == 0


async def txn_commit(
    client: Client,
    producer: tuple[int, int],
    offset: int,
    version: int = 5,
    *,
    topic: str | bytes = "t",
    group: str = "g",
    transactional_id: str = "x",
    **more: object,
) -> str:
    by_id = isinstance(topic, bytes)
    row = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_metadata=None)
    asked = TxnOffsetCommitRequestTopic(
        name="" if by_id else topic, topic_id=topic if by_id else ZERO_UUID, partitions=[row]
    )
    request = TxnOffsetCommitRequest(
        transactional_id=transactional_id,
        group_id=group,
        producer_id=producer[0],
        producer_epoch=producer[1],
        topics=[asked],
        **more,  # type: ignore[arg-type]
    )
    [answered] = (await client.ask(request, version)).topics
    return name_of(answered.partitions[0].error_code)


async def in_transaction(node: Node) -> tuple[Client, bytes, tuple[int, int]]:
    topic_id, client = await node.create("t"), node.connect()
    await find(client)
    return client, topic_id, await begin(client)


@pytest.mark.parametrize("version", range(7))
async def test_a_transactions_offsets_in_every_version(autojump_clock: trio.testing.MockClock, version: int) -> None:
    async with running(RELAXED) as node:
        client, topic_id, producer = await in_transaction(node)
        topic = topic_id if version == 6 else "t"
        if version < 5:
            not_added = "INVALID_TXN_STATE" if version < 4 else "TRANSACTION_ABORTABLE"
            assert await txn_commit(client, producer, 5, version, topic=topic) == not_added
            request = AddOffsetsToTxnRequest(
                transactional_id="x", producer_id=producer[0], producer_epoch=producer[1], group_id="g"
            )
            assert (await client.ask(request, 3)).error_code == 0
        assert await txn_commit(client, producer, 5, version, topic=topic) == "NONE"
        assert await txn_commit(client, producer, 6, version, topic=topic, transactional_id="y") == "NONE", "is open"
        assert await fetch(client) == -1
        await end(client, producer, commit=version % 2 == 0)
        assert await fetch(client, stable=True) == (6 if version % 2 == 0 else -1)


@pytest.mark.parametrize(
    ("version", "pid", "epoch", "more", "code"),
    [
        (3, 1000, 0, {}, "INVALID_PRODUCER_ID_MAPPING"),
        (5, 1000, 0, {}, "INVALID_PRODUCER_ID_MAPPING"),
        (4, 0, 0, {"transactional_id": "y"}, "INVALID_PRODUCER_ID_MAPPING"),
        (3, 0, 1, {}, "INVALID_PRODUCER_EPOCH"),
        (5, 0, 1, {}, "INVALID_PRODUCER_EPOCH"),
        (5, 0, -1, {}, "INVALID_PRODUCER_EPOCH"),
        (5, 0, 0, {"group": ""}, "INVALID_GROUP_ID"),
        (5, 0, 0, {"topic": "nope"}, "UNKNOWN_TOPIC_OR_PARTITION"),
        (6, 0, 0, {"topic": b"?" * 16}, "UNKNOWN_TOPIC_ID"),
        (4, 0, 0, {"generation_id_or_member_epoch": 3, "member_id": "m"}, "TRANSACTION_ABORTABLE"),
        (5, 0, 0, {"generation_id_or_member_epoch": 3, "member_id": "m"}, "ILLEGAL_GENERATION"),
    ],
)
async def test_who_may_not_commit_in_a_transaction(
    autojump_clock: trio.testing.MockClock, version: int, pid: int, epoch: int, more: dict[str, str], code: str
) -> None:
    async with running(RELAXED) as node:
        client, _, producer = await in_transaction(node)
        stranger = (producer[0] + pid, producer[1] + epoch)
        assert await txn_commit(client, stranger, 5, version, **more) == code  # type: ignore[arg-type]
        assert await fetch(client, stable=True) == -1
        assert set(node.broker.groups.shells[0].machine.context.groups) == set()


async def test_a_full_disk_holds_no_commit_longer_than_is_set(autojump_clock: trio.testing.MockClock) -> None:
    """That the transaction was aborted can not be written, so nothing behind its marker becomes durable."""
    files = FaultyFiles()
    more = {**FEW, "kbroker.durability": "synced", "offsets.commit.timeout.ms": "3000"}
    async with running(more, replace(Env.in_memory(), now_ms=lambda: NOW_MS, files=files)) as node:
        client, _, producer = await in_transaction(node)
        assert await commit(client, "t", 5) == "NONE"
        assert await txn_commit(client, producer, 6) == "NONE"
        files.fail("create", every=True)
        await end(client, producer, commit=False)
        began = trio.current_time()
        assert await commit(client, "t", 7) == "COORDINATOR_NOT_AVAILABLE"
        assert trio.current_time() == began + 3
        assert await fetch(client) == "NOT_COORDINATOR"
        files.heal()
        assert await commit(client, "t", 8) == "NONE"
        assert await fetch(client) == 8


async def test_without_verification_an_older_client_need_not_have_added_the_group(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running({**RELAXED, "transaction.partition.verification.enable": "false"}) as node:
        client, _, producer = await in_transaction(node)
        assert await txn_commit(client, producer, 5, 4) == "NONE"
        assert await fetch(client, stable=True) == "UNSTABLE_OFFSET_COMMIT"


@pytest.mark.parametrize(("version", "code"), [(1, "COORDINATOR_NOT_AVAILABLE"), (2, "COORDINATOR_NOT_AVAILABLE")])
async def test_a_transaction_without_a_coordinator(
    autojump_clock: trio.testing.MockClock, version: int, code: str
) -> None:
    async with running(RELAXED) as node:
        await node.create("t")
        client = node.connect()
        await find(client)
        assert await txn_commit(client, (1, 0), 5, version) == code


@pytest.mark.parametrize(("version", "code"), [(1, "COORDINATOR_NOT_AVAILABLE"), (2, "COORDINATOR_LOAD_IN_PROGRESS")])
async def test_a_coordinator_that_can_not_be_reached_may_be_asked_again(
    autojump_clock: trio.testing.MockClock, version: int, code: str
) -> None:
    async with running(RELAXED) as node:
        client, _, producer = await in_transaction(node)
        node.broker.transactions.leader_of = lambda key: 99  # type: ignore[method-assign]
        assert await txn_commit(client, producer, 5, version) == code


async def test_who_hangs_up_before_the_transactions_coordinator_answers_has_committed_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = Gate()
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)
    async with running(FEW, env) as node:
        client, _, producer = await in_transaction(node)
        other = node.connect()
        gate.close()  # the partition that is added to the transaction waits for its sync
        row = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=5, committed_metadata=None)
        request = TxnOffsetCommitRequest(
            transactional_id="x",
            group_id="g",
            producer_id=producer[0],
            producer_epoch=producer[1],
            topics=[TxnOffsetCommitRequestTopic(name="t", partitions=[row])],
        )
        await client.send(request, 5)
        await trio.sleep(1)
        assert not client.has_answer()
        client.close()
        await trio.sleep(1)
        gate.open()
        assert await fetch(other, stable=True) == -1
