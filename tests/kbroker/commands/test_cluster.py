"""Old brokers, brokers that refuse for now, brokers that go away: what a command does about them."""

from __future__ import annotations

import pytest
import trio

from asking import Asker, classic_member, commit, coordinating, filled, leave
from kbroker.commands.cluster import Cluster, TopicPartition
from kbroker.commands.connection import Address
from kbroker.commands.failures import Failure, Refused, Unreachable
from kbroker.commands.groups import delete_groups, describe_groups, list_groups
from kbroker.commands.offsets import commit_offsets, committed_offsets
from kbroker.commands.transactions import abort_transaction, list_transactions
from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_groups import DeletableGroupResult, DeleteGroupsResponse
from kbroker_wire.messages.describe_transactions import DescribeTransactionsResponse, TransactionState
from kbroker_wire.messages.find_coordinator import Coordinator, FindCoordinatorResponse
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.list_groups import ListedGroup, ListGroupsResponse
from kbroker_wire.messages.list_transactions import ListTransactionsResponse
from kbroker_wire.messages.metadata import MetadataBroker, MetadataPartition, MetadataResponse, MetadataTopic
from kbroker_wire.messages.offset_commit import (
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from meddling import HANG_UP, meddling

# What an Apache Kafka 2.3 serves of what is needed, and one of 3.0: newest versions by API key.
KAFKA_2_3 = {2: 5, 3: 8, 8: 7, 9: 5, 10: 2, 15: 4, 16: 2, 18: 2, 42: 1, 69: -1}
KAFKA_3_0 = {2: 7, 3: 11, 8: 8, 9: 8, 10: 4, 15: 5, 16: 4, 18: 3, 42: 2, 69: -1, 66: 0}
METADATA, INIT_PRODUCER_ID, DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS = 3, 22, 65, 66
FIND_COORDINATOR, LIST_GROUPS, DELETE_GROUPS, OFFSET_COMMIT, API_VERSIONS = 10, 16, 42, 8, 18


@pytest.fixture
async def between():
    """A broker that clients only reach through who meddles."""
    addresses = []
    async with meddling(lambda: addresses[0]) as meddler:
        told = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{meddler.port}"}
        async with coordinating(told) as node:
            addresses.append(("127.0.0.1", int(node.broker.addresses[0].rpartition(":")[2])))
            await filled(node, "orders", 10)
            await commit(node.connect(), "g", "orders", {0: 4})
            yield meddler, node


async def patient(meddler, work, *arguments):
    """The outcome of `work(cluster, *arguments)`, and how long it would have slept before each further attempt."""
    pauses = []

    def run():
        def clock():
            return float(sum(pauses))

        with Cluster([Address("127.0.0.1", meddler.port)], 3.0, clock, pauses.append) as cluster:
            return work(cluster, *arguments)

    try:
        return await trio.to_thread.run_sync(run), pauses
    except Failure as failure:
        return failure, pauses


@pytest.mark.parametrize("newest", [{}, KAFKA_3_0, KAFKA_2_3])
async def test_old_brokers_are_asked_in_their_versions(between, capsys, newest):
    meddler, node = between
    meddler.newest = newest
    ask = Asker(meddler.address, capsys)
    member = await classic_member(node.connect(), "g", "orders", 0)
    text = (await ask("group", "describe", "g")).out
    assert text.splitlines()[-1] == "total lag 6"
    assert await ask.refused("group", "describe", "nope") == "group nope does not exist"
    listed = (await ask("group", "list")).out.splitlines()[1].split()
    assert listed == ["g", "classic" if not newest else "-", "-" if newest is KAFKA_2_3 else "Stable", "consumer", "1"]
    await leave(node.connect(), "g", member)
    assert (await ask("group", "reset-offsets", "g", "--topic", "orders", "--to-earliest", "--execute")).status == 0
    assert (await ask("group", "delete-offsets", "g", "--topic", "orders")).status == 0
    assert (await ask("group", "delete", "g")).out == "deleted g\n"
    assert all(version <= newest.get(key, version) for key, version in meddler.asked if key != API_VERSIONS)


async def test_what_an_old_broker_can_not_express_or_does_not_serve_is_said(between, capsys):
    meddler, _ = between
    meddler.newest = {**KAFKA_2_3, 65: -1}
    ask = Asker(meddler.address, capsys)
    line = await ask.refused("group", "list", "--state", "Empty")
    assert line.startswith(
        f"can not ask broker 1 at {meddler.address} for this: ListGroupsRequest v2, field states_filter"
    )
    line = await ask.refused("txn", "describe", "t")
    assert line == f"broker 1 at {meddler.address} can not do this: it does not serve DescribeTransactions"
    meddler.newest[15] = -1
    assert await ask.refused("group", "describe", "g") == (
        f"broker 1 at {meddler.address} can not do this: it does not serve DescribeGroups"
    )


def elsewhere(code=ErrorCode.NONE):
    row = Coordinator(key="g", node_id=-1, host="", port=-1, error_code=code, error_message=None)
    return FindCoordinatorResponse(coordinators=[row])


async def test_what_passes_is_tried_again_with_growing_pauses(between):
    meddler, _ = between
    meddler.instead[FIND_COORDINATOR] += [elsewhere(ErrorCode.COORDINATOR_NOT_AVAILABLE)] * 3
    meddler.instead[LIST_GROUPS] += [ListGroupsResponse(error_code=ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, groups=[])]
    (found, pauses) = await patient(meddler, describe_groups, ["g"])
    assert found["g"].state == "Empty"
    assert pauses == [0.05, 0.1, 0.2]
    (listed, pauses) = await patient(meddler, list_groups)
    assert [group.group_id for group in listed] == ["g"]
    assert pauses == [0.05]


async def test_trying_again_ends_with_the_time_and_what_was_said_last(between):
    meddler, _ = between
    meddler.instead[FIND_COORDINATOR] += [elsewhere(ErrorCode.COORDINATOR_NOT_AVAILABLE)] * 100
    failure, pauses = await patient(meddler, describe_groups, ["g"])
    assert str(failure) == "the coordinator of g: The coordinator is not available. (COORDINATOR_NOT_AVAILABLE)"
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]


async def test_a_coordinator_that_moved_is_looked_for_again(between):
    meddler, _ = between
    row = OffsetCommitResponsePartition(partition_index=0, error_code=ErrorCode.NOT_COORDINATOR)
    moved = OffsetCommitResponse(topics=[OffsetCommitResponseTopic(name="orders", partitions=[row])])
    meddler.instead[OFFSET_COMMIT] += [moved]
    _, pauses = await patient(meddler, commit_offsets, "g", {TopicPartition("orders", 0): 2})
    assert len(pauses) == 1
    assert [key for key, _ in meddler.asked if key == FIND_COORDINATOR] == [FIND_COORDINATOR] * 2
    (offsets, _) = await patient(meddler, committed_offsets, ["g"])
    assert {str(each): committed.offset for each, committed in offsets["g"].items()} == {"orders:0": 2}


async def test_what_does_not_exist_is_not_waited_for(between):
    meddler, _ = between
    failure, pauses = await patient(meddler, commit_offsets, "g", {TopicPartition("orders", 7): 2})
    assert str(failure).startswith("the commit of orders:7: This server does not host this topic-partition.")
    assert pauses == []


async def test_a_deletion_that_is_tried_again_does_not_repeat_what_is_done(between):
    meddler, _ = between
    rows = [("a", ErrorCode.NONE), ("g", ErrorCode.NOT_COORDINATOR), ("b", ErrorCode.NON_EMPTY_GROUP)]
    results = [DeletableGroupResult(group_id=group_id, error_code=code) for group_id, code in rows]
    meddler.instead[DELETE_GROUPS] += [DeleteGroupsResponse(results=results)]
    done, _ = await patient(meddler, delete_groups, ["a", "b", "g"])
    assert {group_id: failure and str(failure) for group_id, failure in done.items()} == {
        "a": None,
        "g": None,
        "b": "group b has members: stop them first",
    }


async def test_a_broker_that_hangs_up_is_connected_to_again(between):
    meddler, _ = between
    meddler.instead[LIST_GROUPS] += [HANG_UP]
    listed, pauses = await patient(meddler, list_groups)
    assert ([group.group_id for group in listed], pauses) == (["g"], [0.05])
    meddler.instead[LIST_GROUPS] += [HANG_UP] * 100
    failure, _ = await patient(meddler, list_groups)
    assert isinstance(failure, Unreachable)
    assert str(failure) == f"broker 1 at {meddler.address} closed the connection instead of answering ListGroups"


async def test_an_error_that_kafka_does_not_have_yet_is_not_tried_again(between):
    meddler, _ = between
    meddler.instead[LIST_GROUPS] += [ListGroupsResponse(error_code=9999, groups=[])]
    failure, pauses = await patient(meddler, list_groups)
    assert isinstance(failure, Refused)
    assert str(failure).endswith("an error that this version of kbroker does not know (error 9999)")
    assert pauses == []


async def test_the_first_bootstrap_address_that_answers_is_enough(between, capsys):
    meddler, _ = between
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        dead = taken.getsockname()[1]
        both = Asker(f"127.0.0.1:{dead},{meddler.address}", capsys)
        assert (await both("group", "describe", "g")).status == 0
        neither = Asker(f"127.0.0.1:{dead}", capsys)
        assert await neither.refused("group", "list") == f"can not connect to 127.0.0.1:{dead}: Connection refused"


async def test_a_broker_that_was_heard_of_is_asked_when_the_first_one_went(between):
    meddler, _ = between
    async with meddling(lambda: ("127.0.0.1", meddler.port)) as gone:
        gone.instead[FIND_COORDINATOR] += [HANG_UP]

        def twice(cluster):
            first = cluster.brokers()
            gone.instead[API_VERSIONS] += [HANG_UP] * 100
            return first, describe_groups(cluster, ["g"])

        (brokers, described), pauses = await patient(gone, twice)
    assert (brokers, described["g"].state, pauses) == ([1], "Empty", [0.05])
    assert (FIND_COORDINATOR, 6) in meddler.asked


@pytest.mark.parametrize(("host", "patient_for"), [("x" * 70, 0), ("127.0.0.1", 6)])
async def test_an_advertised_address_that_leads_nowhere_is_named(between, host, patient_for):
    meddler, _ = between
    broker = MetadataBroker(node_id=1, host=host, port=1)
    meddler.instead[METADATA] += [MetadataResponse(brokers=[broker], topics=[])] * 10
    failure, pauses = await patient(meddler, list_groups)
    assert str(failure).startswith(f"can not connect to broker 1 at {host}:1: ")
    assert str(failure).endswith(" (the address that it advertises)")
    assert len(pauses) == patient_for


async def test_a_group_of_another_kind_is_called_what_it_is(between, capsys):
    meddler, _ = between
    row = ListedGroup(group_id="s", protocol_type="share", group_state="Stable", group_type="share")
    meddler.instead[LIST_GROUPS] += [ListGroupsResponse(error_code=0, groups=[row])] * 2
    ask = Asker(meddler.address, capsys)
    words = "s is a share group, not one of consumers"
    assert await ask.refused("group", "describe", "s") == words
    assert await ask.refused("group", "reset-offsets", "s", "--topic", "orders", "--to-latest", "--execute") == words


async def test_a_partition_without_leader_has_no_end_and_can_not_be_reset(between, capsys):
    meddler, _ = between
    partition = MetadataPartition(error_code=5, partition_index=0, leader_id=-1, replica_nodes=[1], isr_nodes=[])
    topic = MetadataTopic(error_code=0, name="orders", partitions=[partition])
    broker = MetadataBroker(node_id=1, host="127.0.0.1", port=meddler.port)
    meddler.instead[METADATA] += [MetadataResponse(brokers=[broker], topics=[topic])] * 4
    ask = Asker(meddler.address, capsys)
    lines = (await ask("group", "describe", "g")).out.splitlines()
    assert lines[2].split() == ["orders", "0", "4", "-", "-", "-", "-", "-"]
    assert lines[3] == "total lag 0, unknown for 1 partition"
    line = await ask.refused("group", "reset-offsets", "g", "--topic", "orders", "--to-latest", "--execute")
    assert line == "orders:0 has no leader now: its log can not be looked at"


async def test_a_transaction_that_is_ending_is_waited_for(between):
    meddler, node = between
    client = node.connect()
    await client.ask(InitProducerIdRequest(transactional_id="t", transaction_timeout_ms=60_000))

    def described(state):
        row = TransactionState(
            error_code=0,
            transactional_id="t",
            transaction_state=state,
            transaction_timeout_ms=60_000,
            transaction_start_time_ms=0,
            producer_id=0,
            producer_epoch=0,
            topics=[],
        )
        return DescribeTransactionsResponse(transaction_states=[row])

    meddler.instead[DESCRIBE_TRANSACTIONS] += [described("PrepareAbort"), described("PrepareCommit")]
    concurrent = InitProducerIdResponse(error_code=ErrorCode.CONCURRENT_TRANSACTIONS, producer_epoch=-1)
    meddler.instead[INIT_PRODUCER_ID] += [concurrent] * 2
    was, pauses = await patient(meddler, abort_transaction, "t")
    assert (was.state, pauses) == ("PrepareAbort", [0.05, 0.1])
    failure, _ = await patient(meddler, abort_transaction, "t")
    assert str(failure) == "the transaction of t is being committed: it can not be aborted any more"


async def test_a_state_that_the_broker_does_not_know_is_said(between):
    meddler, _ = between
    answer = ListTransactionsResponse(error_code=0, unknown_state_filters=["Dead"], transaction_states=[])
    meddler.instead[LIST_TRANSACTIONS] += [answer]
    failure, _ = await patient(meddler, list_transactions, ["Dead"])
    assert str(failure) == "broker 1 does not know the state Dead"
