"""Classic groups through a whole broker: what each version of each request is answered, and who waits.

Codes, states and messages were taken from Apache Kafka 4.4.0.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from broker_in_memory import NOW_MS, disk_env, running
from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_groups import DeleteGroupsRequest
from kbroker_wire.messages.describe_groups import NOT_ASKED, DescribeGroupsRequest
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.heartbeat import HeartbeatRequest
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kbroker_wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kbroker_wire.messages.list_groups import ListGroupsRequest
from kbroker_wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

NO_DELAY = {"group.initial.rebalance.delay.ms": "0", "offsets.topic.replication.factor": "1"}
UNKNOWN = ErrorCode.UNKNOWN_MEMBER_ID


@asynccontextmanager
async def coordinating(more=None, env=None):
    """A broker whose `__consumer_offsets` is there."""
    async with running({**NO_DELAY, **(more or {})}, env) as node:
        found = await node.connect().ask(FindCoordinatorRequest(coordinator_keys=["g"], key_type=0))
        assert found.coordinators[0].error_code == 0
        yield node


def join(member_id="", group_id="g", *, instance_id=None, protocols=("range",)):
    return JoinGroupRequest(
        group_id=group_id,
        session_timeout_ms=10_000,
        rebalance_timeout_ms=60_000,
        member_id=member_id,
        group_instance_id=instance_id,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name=name, metadata=b"m") for name in protocols],
    )


def sync(member_id, generation, group_id="g", *, protocol_type="consumer", protocol="range", **assigned):
    return SyncGroupRequest(
        group_id=group_id,
        generation_id=generation,
        member_id=member_id,
        protocol_type=protocol_type,
        protocol_name=protocol,
        assignments=[SyncGroupRequestAssignment(member_id=who, assignment=what) for who, what in assigned.items()],
    )


def heartbeat(member_id, generation, group_id="g"):
    return HeartbeatRequest(group_id=group_id, generation_id=generation, member_id=member_id)


async def alone(client, group_id="g"):
    """The id of a member that is alone in a stable group."""
    answer = await client.ask(join(group_id=group_id), 3)
    synced = await client.ask(sync(answer.member_id, 1, group_id, **{answer.member_id: b"all"}))
    assert (answer.error_code, synced.error_code, synced.assignment) == (0, 0, b"all")
    return answer.member_id


# -- members


async def test_two_members_join_wait_for_each_other_and_get_what_the_leader_says(autojump_clock):
    async with coordinating() as node:
        first, second = node.connect(), node.connect()
        leader = await alone(first)
        follower = (await second.ask(join())).member_id
        assert follower.startswith("test-")
        await second.send(join(follower), 9)
        await trio.sleep(1)
        assert not second.has_answer()
        assert (await first.ask(heartbeat(leader, 1))).error_code == ErrorCode.REBALANCE_IN_PROGRESS
        led, followed = await first.ask(join(leader)), await second.receive()
        assert (led.generation_id, led.leader, led.protocol_name, led.protocol_type) == (2, leader, "range", "consumer")
        assert [member.member_id for member in led.members] == [leader, follower]
        assert (followed.generation_id, followed.leader, followed.members) == (2, leader, [])
        await second.send(sync(follower, 2), 5)
        await trio.sleep(1)
        assert not second.has_answer()
        assert (await first.ask(sync(leader, 2, **{leader: b"1", follower: b"2"}))).assignment == b"1"
        assert (await second.receive()).assignment == b"2"


async def test_a_member_that_sends_nothing_is_expelled_and_another_one_that_waits_hears_of_it(autojump_clock):
    async with coordinating() as node:
        silent, waiting = node.connect(), node.connect()
        await alone(silent)
        started = trio.current_time()
        answer = await waiting.ask(join(), 3)
        assert (answer.generation_id, len(answer.members)) == (2, 1)
        assert 9.9 < trio.current_time() - started < 10.1


async def test_a_group_is_there_after_a_restart_of_the_broker(tmp_path, autojump_clock):
    env = disk_env()
    settings = {"log.dirs": str(tmp_path)}
    async with coordinating(settings, env) as node:
        member = await alone(node.connect())
    async with coordinating(settings, replace(env, now_ms=lambda: NOW_MS + 1000)) as node:
        client = node.connect()
        assert (await client.ask(heartbeat(member, 1))).error_code == 0
        assert (await client.ask(sync(member, 1))).assignment == b"all"


@pytest.mark.parametrize("version", range(10))
async def test_a_refused_join_names_the_member_and_no_protocol(version):
    async with coordinating() as node:
        client = node.connect()
        answer = await client.ask(join("ghost"), version)
        assert (answer.error_code, answer.member_id, answer.generation_id) == (UNKNOWN, "ghost", -1)
        assert answer.protocol_name == (None if version >= 7 else "")
        assert (await client.ask(join(group_id=""), version)).error_code == ErrorCode.INVALID_GROUP_ID


async def test_a_sync_must_name_its_protocol_from_version_5_on():
    async with coordinating() as node:
        client = node.connect()
        member = await alone(client)
        for request in (
            sync(member, 1, protocol_type=None),
            sync(member, 1, protocol=None),
            sync("", 1, "", protocol=None),
        ):
            assert (await client.ask(request, 5)).error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        assert (await client.ask(sync(member, 1), 4)).assignment == b"all"
        assert (await client.ask(sync(member, 1, ""), 5)).error_code == ErrorCode.INVALID_GROUP_ID


async def test_a_leave_is_answered_member_by_member_as_soon_as_it_may_name_several():
    async with coordinating() as node:
        client = node.connect()
        who = [MemberIdentity(member_id="ghost"), MemberIdentity(member_id="", group_instance_id="i")]
        answer = await client.ask(LeaveGroupRequest(group_id="nowhere", members=who))
        assert answer.error_code == 0
        assert [(row.member_id, row.group_instance_id, row.error_code) for row in answer.members] == [
            ("ghost", None, UNKNOWN),
            ("", "i", UNKNOWN),
        ]
        assert (await client.ask(LeaveGroupRequest(group_id="nowhere", member_id="ghost"), 2)).error_code == UNKNOWN
        answer = await client.ask(LeaveGroupRequest(group_id="", members=who))
        assert (answer.error_code, answer.members) == (ErrorCode.INVALID_GROUP_ID, [])
        member = await alone(client)
        assert (await client.ask(LeaveGroupRequest(group_id="g", member_id=member), 0)).error_code == 0
        assert (await client.ask(heartbeat(member, 1))).error_code == UNKNOWN


# -- administrators


async def test_groups_are_described_in_the_order_in_which_they_were_asked_for():
    async with coordinating() as node:
        client = node.connect()
        member = await alone(client)
        await alone(client, "other")
        names = ["nowhere", "g", "", "other", "g"]
        groups = (await client.ask(DescribeGroupsRequest(groups=names, include_authorized_operations=True))).groups
        assert [group.group_id for group in groups] == names
        missing = ErrorCode.GROUP_ID_NOT_FOUND
        assert [group.error_code for group in groups] == [missing, 0, missing, 0, 0]
        assert [group.group_state for group in groups] == ["Dead", "Stable", "Dead", "Stable", "Stable"]
        assert [group.error_message for group in groups][:3] == ["Group nowhere not found.", None, "Group  not found."]
        assert [group.authorized_operations for group in groups] == [NOT_ASKED, 3400, NOT_ASKED, 3400, 3400]
        (described,) = groups[1].members
        assert (described.member_id, described.client_id, described.client_host) == (member, "test", "/10.0.0.1")
        assert (described.member_metadata, described.member_assignment) == (b"m", b"all")


async def test_before_version_6_a_group_that_is_not_there_is_dead_and_no_error():
    async with coordinating() as node:
        request = DescribeGroupsRequest(groups=["nowhere"], include_authorized_operations=True)
        (group,) = (await node.connect().ask(request, 5)).groups
        assert (group.error_code, group.group_state, group.authorized_operations) == (0, "Dead", 3400)


async def test_groups_are_listed_by_state_and_type_whatever_their_case():
    async with coordinating() as node:
        client = node.connect()
        await alone(client)
        await client.ask(join(group_id="pending"))

        async def listed(states=(), types=(), version=5):
            request = ListGroupsRequest(states_filter=list(states), types_filter=list(types))
            return {group.group_id for group in (await client.ask(request, version)).groups}

        assert await listed() == await listed(version=0) == await listed(types=["CLASSIC"]) == {"g", "pending"}
        assert await listed([" STABLE "]) == await listed(["stable", "bogus"]) == {"g"}
        assert await listed(["bogus"]) == await listed(types=["bogus"]) == await listed(types=[" classic "]) == set()


async def test_each_group_is_deleted_once_and_answered_for_itself():
    async with coordinating() as node:
        client = node.connect()
        member = await alone(client)
        await client.ask(join(group_id="pending"))
        names = ["g", "nowhere", "pending", "nowhere", ""]
        results = (await client.ask(DeleteGroupsRequest(groups_names=names))).results
        missing = ErrorCode.GROUP_ID_NOT_FOUND
        assert [(row.group_id, row.error_code, row.error_message) for row in results] == [
            ("g", ErrorCode.NON_EMPTY_GROUP, None),
            ("nowhere", missing, None),
            ("pending", 0, None),
            ("", missing, None),
        ]
        await client.ask(LeaveGroupRequest(group_id="g", member_id=member), 2)
        assert [row.error_code for row in (await client.ask(DeleteGroupsRequest(groups_names=["g"]))).results] == [0]
        assert (await client.ask(ListGroupsRequest())).groups == []


async def test_without_the_internal_topic_nobody_coordinates_a_group():
    async with running(NO_DELAY) as node:
        client, code = node.connect(), ErrorCode.NOT_COORDINATOR
        assert (await client.ask(join("m"))).error_code == code
        assert (await client.ask(sync("m", 1))).error_code == code
        assert (await client.ask(heartbeat("m", 1))).error_code == code
        assert (await client.ask(LeaveGroupRequest(group_id="g", members=[]))).error_code == code
        (group,) = (await client.ask(DescribeGroupsRequest(groups=["g"]))).groups
        assert (group.error_code, group.group_state) == (code, "")
        (result,) = (await client.ask(DeleteGroupsRequest(groups_names=["g"]))).results
        assert result.error_code == code
        assert (await client.ask(ListGroupsRequest())).groups == []
