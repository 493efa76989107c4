"""What tools ask of the broker as a whole: folders, the quorum, elections, reassignments, quotas, users, ACLs.

Codes and messages were taken from Apache Kafka 4.4.0.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker_in_memory import NOW_MS, batch, disk_env, produce, running
from kbroker.env import disk_volume
from kbroker_wire import ErrorCode
from kbroker_wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from kbroker_wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from kbroker_wire.messages.create_acls import AclCreation, CreateAclsRequest
from kbroker_wire.messages.delete_acls import DeleteAclsFilter, DeleteAclsRequest
from kbroker_wire.messages.describe_acls import DescribeAclsRequest
from kbroker_wire.messages.describe_client_quotas import (
    ANY,
    DEFAULT,
    EXACT,
    ComponentData,
    DescribeClientQuotasRequest,
)
from kbroker_wire.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from kbroker_wire.messages.describe_quorum import DescribeQuorumRequest, PartitionRequest, TopicRequest
from kbroker_wire.messages.describe_user_scram_credentials import DescribeUserScramCredentialsRequest, UserName
from kbroker_wire.messages.elect_leaders import PREFERRED, UNCLEAN, ElectLeadersRequest, TopicPartitions
from kbroker_wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)

UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.fixture
async def node():
    async with running() as node:
        await node.create("topic", partitions=3)
        yield node


@pytest.fixture
def client(node):
    return node.connect()


# -- folders


def log_dirs(*named):
    topics = [DescribableLogDirTopic(topic=name, partitions=list(indexes)) for name, *indexes in named]
    return DescribeLogDirsRequest(topics=topics)


def sizes(folder):
    return {
        topic.name: {each.partition_index: each.partition_size for each in topic.partitions} for topic in folder.topics
    }


async def test_the_size_of_a_partition_is_that_of_its_segments(client):
    for _ in range(2):
        await produce(client, "topic", batch(b"x"))
    [folder] = (await client.ask(log_dirs(("topic", 0, 1, 0, 7), ("nope", 0), ("topic", 2)))).results
    assert (folder.error_code, folder.log_dir, folder.is_cordoned) == (ErrorCode.NONE, "/data", False)
    assert sizes(folder) == {"topic": {0: 2 * len(batch(b"x")), 1: 0, 2: 0}}
    assert {(each.offset_lag, each.is_future_key) for each in folder.topics[0].partitions} == {(0, False)}


async def test_null_asks_for_all_and_an_empty_list_for_none(node, client):
    await node.create("other")
    [folder] = (await client.ask(DescribeLogDirsRequest(topics=None))).results
    assert sizes(folder) == {"topic": {0: 0, 1: 0, 2: 0}, "other": {0: 0}}
    [folder] = (await client.ask(DescribeLogDirsRequest(topics=[]))).results
    assert (folder.log_dir, folder.topics) == ("/data", [])


async def test_a_log_that_nobody_opened_is_measured_too_and_not_opened(tmp_path):
    env = replace(disk_env(), volume=disk_volume)
    folder = {"log.dirs": str(tmp_path / "data")}
    async with running(folder, env) as node:
        await node.create("topic")
        await produce(node.connect(), "topic", batch(b"x"))
    async with running(folder, env) as node:
        [told] = (await node.connect().ask(log_dirs(("topic", 0)))).results
        assert sizes(told) == {"topic": {0: len(batch(b"x"))}}
        assert node.broker.replicas.find("topic", 0).opened is None
        assert told.log_dir == str(tmp_path / "data")
        assert told.total_bytes > told.usable_bytes > 0


async def test_memory_has_no_size_to_tell(client):
    [folder] = (await client.ask(log_dirs())).results
    assert (folder.total_bytes, folder.usable_bytes) == (-1, -1)


@pytest.mark.parametrize(("path", "codes"), [("/data", [0, UNKNOWN]), ("/x", [57, 57]), ("", [57, 57])])
async def test_replicas_stay_in_the_one_folder_there_is(client, path, codes):
    topic = AlterReplicaLogDirTopic(name="topic", partitions=[0, 9])
    answer = await client.ask(AlterReplicaLogDirsRequest(dirs=[AlterReplicaLogDir(path=path, topics=[topic])]))
    [told] = answer.results
    assert [(each.partition_index, each.error_code) for each in told.partitions] == list(
        zip([0, 9], codes, strict=True)
    )


# -- quorum


def quorum(*named):
    topics = [
        TopicRequest(topic_name=name, partitions=[PartitionRequest(partition_index=index) for index in indexes])
        for name, *indexes in named
    ]
    return DescribeQuorumRequest(topics=topics)


async def test_this_broker_is_the_one_voter_and_leads(node, client):
    answer = await client.ask(quorum(("__cluster_metadata", 0)))
    [partition] = answer.topics[0].partitions
    assert (answer.error_code, partition.error_code, partition.leader_id) == (ErrorCode.NONE, ErrorCode.NONE, 1)
    [voter] = partition.current_voters
    end = node.broker.image.offset + 1
    assert partition.high_watermark == voter.log_end_offset == end
    assert (voter.replica_id, voter.last_fetch_timestamp, voter.last_caught_up_timestamp) == (1, NOW_MS, NOW_MS)
    assert (partition.observers, [each.node_id for each in answer.nodes]) == ([], [1])


@pytest.mark.parametrize("version", [0, 1])
async def test_older_versions_know_no_nodes(client, version):
    answer = await client.ask(quorum(("__cluster_metadata", 0)), version)
    assert (answer.topics[0].partitions[0].leader_id, answer.nodes) == (1, [])


@pytest.mark.parametrize(
    "named",
    [[("x", 0)], [("__cluster_metadata", 1)], [("__cluster_metadata", 0, 0)], [("__cluster_metadata", 0), ("x", 0)]],
)
async def test_any_other_question_about_quorums_is_about_an_unknown_partition(client, named):
    answer = await client.ask(quorum(*named))
    codes = {each.error_code for topic in answer.topics for each in topic.partitions}
    assert (answer.error_code, codes, answer.nodes) == (ErrorCode.NONE, {UNKNOWN}, [])


# -- elections and reassignments


def elect(kind, *named):
    topics = [TopicPartitions(topic=name, partitions=list(indexes)) for name, *indexes in named]
    return ElectLeadersRequest(election_type=kind, topic_partitions=topics)


@pytest.mark.parametrize("kind", [PREFERRED, UNCLEAN])
async def test_nothing_is_to_be_elected(client, kind):
    answer = await client.ask(elect(kind, ("topic", 0, 9, -1), ("nope", 0)))
    told = [
        (result.topic, each.partition_id, each.error_code, each.error_message)
        for result in answer.replica_election_results
        for each in result.partition_result
    ]
    assert answer.error_code == ErrorCode.NONE
    assert told == [
        ("topic", 0, ErrorCode.ELECTION_NOT_NEEDED, "Leader election not needed for topic partition."),
        ("topic", 9, UNKNOWN, "No such partition as topic-9"),
        ("topic", -1, UNKNOWN, "No such partition as topic--1"),
        ("nope", 0, UNKNOWN, "No such topic as nope"),
    ]
    everything = await client.ask(ElectLeadersRequest(election_type=kind, topic_partitions=None))
    [topic] = everything.replica_election_results
    assert (topic.topic, topic.partition_result) == ("topic", []), "only elections that were needed are told"


async def test_an_unknown_kind_of_election(client):
    answer = await client.ask(elect(2, ("topic", 0)))
    [row] = answer.replica_election_results[0].partition_result
    assert answer.error_code == row.error_code == ErrorCode.INVALID_REQUEST
    assert row.error_message == "Unknown election type 2"


async def test_the_first_version_elects_preferred_leaders(client):
    answer = await client.ask(elect(PREFERRED, ("topic", 0)), 0)
    assert answer.replica_election_results[0].partition_result[0].error_code == ErrorCode.ELECTION_NOT_NEEDED


@pytest.mark.parametrize("topics", [None, [ListPartitionReassignmentsTopics(name="topic", partition_indexes=[0, 9])]])
async def test_no_replica_is_on_its_way(client, topics):
    answer = await client.ask(ListPartitionReassignmentsRequest(topics=topics))
    assert (answer.error_code, answer.error_message, answer.topics) == (ErrorCode.NONE, None, [])


PLACED = "The manual partition assignment includes"


@pytest.mark.parametrize(
    ("name", "index", "replicas", "code", "message"),
    [
        ("topic", 0, [1], 0, None),
        ("topic", 0, None, 85, None),
        ("topic", 0, [], 39, f"{PLACED} an empty replica list."),
        ("topic", 0, [1, 1], 39, f"{PLACED} the broker 1 more than once."),
        ("topic", 0, [2, 2], 39, f"{PLACED} broker 2, but no such broker is registered."),
        ("topic", 0, [2, 1], 39, f"{PLACED} broker 2, but no such broker is registered."),
        ("topic", 9, [1], 3, "Unable to find partition topic:9."),
        ("topic", -1, [1], 3, "Unable to find partition topic:-1."),
        ("nope", 0, [1], 3, "Unable to find a topic named nope."),
    ],
)
async def test_replicas_may_be_assigned_to_where_they_are(client, name, index, replicas, code, message):
    topic = ReassignableTopic(name=name, partitions=[ReassignablePartition(partition_index=index, replicas=replicas)])
    answer = await client.ask(AlterPartitionReassignmentsRequest(topics=[topic], allow_replication_factor_change=False))
    [row] = answer.responses[0].partitions
    assert (answer.error_code, row.partition_index, row.error_code, row.error_message) == (0, index, code, message)
    assert answer.allow_replication_factor_change is False


# -- quotas, users, ACLs


def quotas(*components):
    asked = [ComponentData(entity_type=kind, match_type=how, match=match) for kind, how, match in components]
    return DescribeClientQuotasRequest(components=asked, strict=False)


@pytest.mark.parametrize(
    "components",
    [
        [],
        [("user", ANY, None), ("client-id", DEFAULT, None)],
        [("user", EXACT, "bob")],
        [("ip", ANY, None)],
    ],
)
@pytest.mark.parametrize("version", [0, 1])
async def test_nobody_has_quotas(client, components, version):
    answer = await client.ask(quotas(*components), version)
    assert (answer.error_code, answer.error_message, answer.entries) == (ErrorCode.NONE, "", [])


@pytest.mark.parametrize(
    ("components", "code", "message"),
    [
        ([("nope", ANY, None)], 35, "Unsupported entity type nope"),
        ([("", ANY, None)], 42, "Invalid empty entity type."),
        ([("user", 3, None)], 42, "Unknown match type 3"),
        ([("user", EXACT, None)], 42, "Request specified MATCH_TYPE_EXACT, but set match string to null."),
        ([("user", DEFAULT, "x")], 42, "Request specified MATCH_TYPE_DEFAULT, but also specified a match string."),
        ([("user", ANY, "x")], 42, "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."),
        (
            [("user", ANY, None), ("user", DEFAULT, None)],
            42,
            "Entity type user cannot appear more than once in the filter.",
        ),
        (
            [("ip", ANY, None), ("user", ANY, None)],
            42,
            (
                "Invalid entity filter component combination. IP filter component should not be used with user or "
                "clientId filter component."
            ),
        ),
    ],
)
async def test_filters_that_can_not_be(client, components, code, message):
    answer = await client.ask(quotas(*components))
    assert (answer.error_code, answer.error_message, answer.entries) == (code, message, None)


async def test_no_user_authenticates_by_scram(client):
    for everybody in (None, []):
        answer = await client.ask(DescribeUserScramCredentialsRequest(users=everybody))
        assert (answer.error_code, answer.error_message, answer.results) == (ErrorCode.NONE, "", [])
    asked = [UserName(name=name) for name in ("bob", "eve", "bob")]
    answer = await client.ask(DescribeUserScramCredentialsRequest(users=asked))
    assert [(each.user, each.error_code, each.error_message, each.credential_infos) for each in answer.results] == [
        ("bob", 92, "Cannot describe SCRAM credentials for the same user twice in a single request: bob", []),
        ("eve", 91, "Attempt to describe a user credential that does not exist: eve", []),
    ]


async def test_there_is_no_authorizer(client):
    anything = {
        "resource_type_filter": 1,
        "resource_name_filter": None,
        "pattern_type_filter": 1,
        "principal_filter": None,
        "host_filter": None,
        "operation": 1,
        "permission_type": 1,
    }
    answer = await client.ask(DescribeAclsRequest(**anything))
    assert (answer.error_code, answer.resources) == (ErrorCode.SECURITY_DISABLED, [])
    assert answer.error_message == "No Authorizer is configured on the broker"
    acl = AclCreation(resource_type=2, resource_name="x", principal="User:a", host="*", operation=3, permission_type=3)
    created = await client.ask(CreateAclsRequest(creations=[acl, acl]))
    deleted = await client.ask(DeleteAclsRequest(filters=[DeleteAclsFilter(**anything)]))
    refused = (ErrorCode.SECURITY_DISABLED, "No Authorizer is configured.")
    assert [(each.error_code, each.error_message) for each in created.results] == [refused] * 2
    assert [(each.error_code, each.error_message) for each in deleted.filter_results] == [refused]
