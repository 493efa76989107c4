"""A `kbroker` command that asks a broker, run in a thread beside the broker's loop; and groups for it to ask about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import trio

from broker_in_memory import Client, Node, batch, produce, running
from kbroker.cli import main
from kbroker_wire.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kbroker_wire.messages.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
    encode_assignment,
    encode_subscription,
)
from kbroker_wire.messages.find_coordinator import GROUP, TRANSACTION, FindCoordinatorRequest
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kbroker_wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kbroker_wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

ALONE = {
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.assignment.interval.ms": "0",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}


class Said(NamedTuple):
    status: int
    out: str
    err: str


class Asker:
    """Runs commands with --bootstrap behind them."""

    def __init__(self, bootstrap: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.bootstrap, self._capsys = bootstrap, capsys

    async def __call__(self, *arguments: str) -> Said:
        status = await trio.to_thread.run_sync(main, [*arguments, "--bootstrap", self.bootstrap, "--timeout", "60"])
        return Said(status, *self._capsys.readouterr())

    async def refused(self, *arguments: str) -> str:
        """The one line of a command that could not do it."""
        said = await self(*arguments)
        assert (said.status, said.out) == (1, ""), said
        [line] = said.err.splitlines()
        return line.removeprefix("kbroker: ")


@asynccontextmanager
async def coordinating(more: dict[str, str] | None = None) -> AsyncIterator[Node]:
    """A broker whose internal topics are there."""
    async with running({**ALONE, **(more or {})}) as node:
        client = node.connect()
        for kind in (GROUP, TRANSACTION):
            found = await client.ask(FindCoordinatorRequest(coordinator_keys=["x"], key_type=kind))
            assert found.coordinators[0].error_code == 0
        yield node


async def filled(node: Node, topic: str, *counts: int) -> None:
    """A new topic; so many records in each of its partitions."""
    await node.create(topic, len(counts))
    client = node.connect()
    for partition, count in enumerate(counts):
        if count:
            row = await produce(client, topic, batch(*[b"v"] * count), partition=partition)
            assert row.error_code == 0


async def classic_member(client: Client, group_id: str, topic: str, *partitions: int, kind: str = "consumer") -> str:
    """The id of the only member of a stable classic group, which has these partitions.

    kind  the protocol type, which says whose bytes subscription and assignment are
    """
    subscription = encode_subscription(ConsumerProtocolSubscription(topics=[topic]))
    joined = await client.ask(
        JoinGroupRequest(
            group_id=group_id,
            session_timeout_ms=60_000,
            rebalance_timeout_ms=60_000,
            member_id="",
            protocol_type=kind,
            protocols=[JoinGroupRequestProtocol(name="range", metadata=subscription)],
        ),
        3,
    )
    owned = ConsumerProtocolAssignment(assigned_partitions=[TopicPartition(topic=topic, partitions=list(partitions))])
    assignment = SyncGroupRequestAssignment(member_id=joined.member_id, assignment=encode_assignment(owned))
    synced = await client.ask(
        SyncGroupRequest(
            group_id=group_id,
            generation_id=joined.generation_id,
            member_id=joined.member_id,
            protocol_type=kind,
            protocol_name="range",
            assignments=[assignment],
        )
    )
    assert (joined.error_code, synced.error_code) == (0, 0)
    return joined.member_id


async def leave(client: Client, group_id: str, member_id: str) -> None:
    answer = await client.ask(LeaveGroupRequest(group_id=group_id, members=[MemberIdentity(member_id=member_id)]))
    assert answer.error_code == 0


async def consumer_member(client: Client, group_id: str, member_id: str, topic: str, epoch: int = 0) -> None:
    """Joins with the consumer protocol; leaves with epoch -1."""
    answer = await client.ask(
        ConsumerGroupHeartbeatRequest(
            group_id=group_id,
            member_id=member_id,
            member_epoch=epoch,
            rebalance_timeout_ms=60_000,
            subscribed_topic_names=[topic],
            topic_partitions=[],
        )
    )
    assert answer.error_code == 0, answer


async def commit(client: Client, group_id: str, topic: str, offsets: dict[int, int]) -> None:
    """For a group without members."""
    rows = [
        OffsetCommitRequestPartition(partition_index=index, committed_offset=offset, committed_metadata="")
        for index, offset in offsets.items()
    ]
    request = OffsetCommitRequest(group_id=group_id, topics=[OffsetCommitRequestTopic(name=topic, partitions=rows)])
    answer = await client.ask(request, 9)
    assert {row.error_code for each in answer.topics for row in each.partitions} == {0}
