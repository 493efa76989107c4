"""Consumer groups (KIP-848) through a whole broker: heartbeats, descriptions, a restart.

Codes and messages were taken from Apache Kafka 4.4.0.
"""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio

from broker_in_memory import disk_env, running
from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_describe import NOT_ASKED, ConsumerGroupDescribeRequest
from kbroker_wire.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kbroker_wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.list_groups import ListGroupsRequest

SETTINGS = {"group.consumer.assignment.interval.ms": "0", "offsets.topic.replication.factor": "1"}
ALL_OPERATIONS = 3400


@asynccontextmanager
async def coordinating(more=None, env=None):
    """A broker whose `__consumer_offsets` is there, and a client of its."""
    async with running({**SETTINGS, **(more or {})}, env) as node:
        client = node.connect()
        found = await client.ask(FindCoordinatorRequest(coordinator_keys=["g"], key_type=0))
        assert found.coordinators[0].error_code == 0
        yield node, client


async def topic(client, name, partitions):
    wanted = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, assignments=[], configs=[])
    answer = await client.ask(CreateTopicsRequest(topics=[wanted], timeout_ms=1000))
    return answer.topics[0].topic_id


def beat(member_id, epoch, **more):
    return ConsumerGroupHeartbeatRequest(group_id="g", member_id=member_id, member_epoch=epoch, **more)


def join(member_id, *topics):
    return beat(member_id, 0, rebalance_timeout_ms=1000, subscribed_topic_names=list(topics), topic_partitions=[])


async def test_members_have_partitions_until_they_leave(autojump_clock):
    async with coordinating() as (node, client):
        topic_id = await topic(client, "t", 2)
        joined = await client.ask(join("a", "t"))
        assert (joined.error_code, joined.member_id, joined.member_epoch) == (0, "a", 2)
        assert joined.heartbeat_interval_ms == 5000
        assert [(row.topic_id, row.partitions) for row in joined.assignment.topic_partitions] == [(topic_id, [0, 1])]
        assert (await client.ask(beat("a", 2))).assignment is None
        assert (await node.connect().ask(join("b", "t"))).assignment.topic_partitions == []
        assert (await client.ask(beat("a", -1))).member_epoch == -1
        took = await client.ask(beat("b", 3))
        assert (took.member_epoch, took.assignment.topic_partitions[0].partitions) == (4, [0, 1])


async def test_what_is_refused_is_said_in_words(autojump_clock):
    async with coordinating() as (_, client):
        refused = await client.ask(beat("a", 5))
        assert (refused.error_code, refused.error_message) == (69, "Consumer group g not found.")
        assert (refused.member_id, refused.member_epoch, refused.heartbeat_interval_ms) == (None, 0, 0)
        refused = await client.ask(join("", "t"), 1)
        assert (refused.error_code, refused.error_message) == (42, "MemberId can't be empty.")
        assert (await client.ask(join("", "t"), 0)).error_code == ErrorCode.NONE


async def test_a_silent_member_is_expelled_while_the_broker_runs(autojump_clock):
    async with coordinating() as (_, client):
        await topic(client, "t", 1)
        await client.ask(join("a", "t"))
        await trio.sleep(44.9)
        assert (await client.ask(beat("a", 2))).error_code == ErrorCode.NONE
        await trio.sleep(45.1)
        assert (await client.ask(beat("a", 2))).error_code == ErrorCode.UNKNOWN_MEMBER_ID


async def test_groups_are_described_in_the_order_of_the_request(autojump_clock):
    async with coordinating() as (_, client):
        await topic(client, "t", 1)
        await client.ask(join("a", "t"))
        wanted = ConsumerGroupDescribeRequest(group_ids=["x", "g"], include_authorized_operations=True)
        missing, group = (await client.ask(wanted)).groups
        assert (missing.group_id, missing.error_code, missing.error_message) == ("x", 69, "Group x not found.")
        assert missing.authorized_operations == NOT_ASKED
        assert (group.group_id, group.group_state, group.authorized_operations) == ("g", "Stable", ALL_OPERATIONS)
        assert [(member.member_id, member.client_host) for member in group.members] == [("a", "/10.0.0.1")]
        listed = await client.ask(ListGroupsRequest(states_filter=[], types_filter=["Consumer"]))
        assert [(row.group_id, row.group_type) for row in listed.groups] == [("g", "consumer")]


async def test_no_group_has_an_empty_id(autojump_clock):
    async with coordinating() as (_, client):
        asked = ConsumerGroupDescribeRequest(group_ids=[""], include_authorized_operations=False)
        (nameless,) = (await client.ask(asked)).groups
        assert (nameless.error_code, nameless.error_message) == (ErrorCode.INVALID_GROUP_ID, None)


async def test_a_group_goes_on_after_the_broker_was_restarted(autojump_clock, tmp_path):
    folder, env = {"log.dirs": str(tmp_path)}, disk_env()
    async with coordinating(folder, env) as (_, client):
        await topic(client, "t", 2)
        assert (await client.ask(join("a", "t"))).member_epoch == 2
    async with coordinating(folder, env) as (_, client):
        again = await client.ask(beat("a", 2))
        assert (again.error_code, again.member_epoch, again.assignment) == (0, 2, None)


async def test_partitions_that_come_later_are_noticed_by_the_group(autojump_clock):
    async with coordinating() as (_, client):
        assert (await client.ask(join("a", "t"))).assignment.topic_partitions == []
        await topic(client, "t", 3)
        assert (await client.ask(beat("a", 2))).assignment.topic_partitions[0].partitions == [0, 1, 2]
