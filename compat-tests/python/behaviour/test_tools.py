"""What tools ask of a broker as a whole: folders, the quorum, elections, reassignments, quotas, SCRAM users, ACLs."""

import pytest
from raw_kafka.batches import Record, batch
from raw_kafka.calls import NONE, create_topic, produce, unknown_topic

UNKNOWN_TOPIC_OR_PARTITION, UNSUPPORTED_VERSION, INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST = 3, 35, 39, 42
SECURITY_DISABLED, LOG_DIR_NOT_FOUND, ELECTION_NOT_NEEDED, NO_REASSIGNMENT = 54, 57, 84, 85
RESOURCE_NOT_FOUND, DUPLICATE_RESOURCE = 91, 92
PREFERRED, UNCLEAN = 0, 1
EXACT, DEFAULT, ANY = range(3)


def broker_id(connection):
    return connection.call("Metadata", 12, topics=[]).brokers[0].node_id


class TestLogDirs:
    @pytest.mark.parametrize("version", range(1, 6))
    def test_the_size_of_each_partition(self, version, connection):
        topic = create_topic(connection, partitions=3)
        records = batch([Record(b"x")])
        for _ in range(2):
            produce(connection, topic, records)
        asked = [{"topic": topic.name, "partitions": [0, 2, 0, 7]}, {"topic": unknown_topic().name, "partitions": [0]}]
        answer = connection.call("DescribeLogDirs", version, topics=asked)
        (folder,) = answer.results
        (told,) = folder.topics
        assert (folder.error_code, told.name) == (NONE, topic.name)
        sizes = {each.partition_index: each.partition_size for each in told.partitions}
        assert sizes == {0: 2 * len(records), 2: 0}
        assert {(each.offset_lag, each.is_future_key) for each in told.partitions} == {(0, False)}
        if version >= 4:
            assert folder.total_bytes == -1 or folder.total_bytes > folder.usable_bytes > 0

    def test_null_means_all_and_an_empty_list_none(self, connection, topic):
        (everything,) = connection.call("DescribeLogDirs", 5, topics=None).results
        (nothing,) = connection.call("DescribeLogDirs", 5, topics=[]).results
        assert topic.name in {each.name for each in everything.topics}
        assert (nothing.log_dir, nothing.topics) == (everything.log_dir, [])

    def test_replicas_move_to_no_folder_that_is_not_there(self, connection, topic):
        (folder,) = connection.call("DescribeLogDirs", 5, topics=[]).results
        for path, known in ((folder.log_dir, True), ("/no/such/folder", False)):
            asked = [{"path": path, "topics": [{"name": topic.name, "partitions": [0, 9]}]}]
            (told,) = connection.call("AlterReplicaLogDirs", 2, dirs=asked).results
            codes = {each.partition_index: each.error_code for each in told.partitions}
            missing = UNKNOWN_TOPIC_OR_PARTITION if known else LOG_DIR_NOT_FOUND
            assert codes == {0: NONE if known else LOG_DIR_NOT_FOUND, 9: missing}


class TestQuorum:
    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_one_voter_that_leads(self, version, connection):
        node = broker_id(connection)
        asked = [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]
        answer = connection.call("DescribeQuorum", version, topics=asked)
        (partition,) = answer.topics[0].partitions
        (voter,) = partition.current_voters
        assert (answer.error_code, partition.error_code) == (NONE, NONE)
        assert (partition.leader_id, voter.replica_id, partition.observers) == (node, node, [])
        assert voter.log_end_offset >= partition.high_watermark > 0
        if version >= 1:
            assert voter.last_caught_up_timestamp > 0
        if version >= 2:
            assert [each.node_id for each in answer.nodes] == [node]

    @pytest.mark.parametrize(
        ("name", "indexes"), [("x", [0]), ("__cluster_metadata", [1]), ("__cluster_metadata", [0, 0])]
    )
    def test_there_is_no_other(self, name, indexes, connection):
        asked = [{"topic_name": name, "partitions": [{"partition_index": index} for index in indexes]}]
        answer = connection.call("DescribeQuorum", 2, topics=asked)
        codes = [each.error_code for each in answer.topics[0].partitions]
        assert (answer.error_code, codes) == (NONE, [UNKNOWN_TOPIC_OR_PARTITION] * len(indexes))


class TestElections:
    @pytest.mark.parametrize(
        ("version", "kind"), [(0, PREFERRED), (1, PREFERRED), (2, PREFERRED), (1, UNCLEAN), (2, UNCLEAN)]
    )
    def test_none_is_needed(self, version, kind, connection, topic):
        stranger = unknown_topic().name
        asked = [{"topic": topic.name, "partitions": [0, 9]}, {"topic": stranger, "partitions": [0]}]
        more = {"election_type": kind} if version else {}
        answer = connection.call("ElectLeaders", version, topic_partitions=asked, timeout_ms=10_000, **more)
        told = {
            (result.topic, each.partition_id): (each.error_code, each.error_message)
            for result in answer.replica_election_results
            for each in result.partition_result
        }
        assert told == {
            (topic.name, 0): (ELECTION_NOT_NEEDED, "Leader election not needed for topic partition."),
            (topic.name, 9): (UNKNOWN_TOPIC_OR_PARTITION, f"No such partition as {topic.name}-9"),
            (stranger, 0): (UNKNOWN_TOPIC_OR_PARTITION, f"No such topic as {stranger}"),
        }

    def test_of_all_partitions_only_those_that_needed_one_are_told(self, connection, topic):
        answer = connection.call("ElectLeaders", 2, election_type=PREFERRED, topic_partitions=None, timeout_ms=10_000)
        told = {result.topic: result.partition_result for result in answer.replica_election_results}
        assert (answer.error_code, told[topic.name]) == (NONE, [])

    def test_an_unknown_kind(self, connection, topic):
        asked = [{"topic": topic.name, "partitions": [0]}]
        answer = connection.call("ElectLeaders", 2, election_type=2, topic_partitions=asked)
        (row,) = answer.replica_election_results[0].partition_result
        assert (answer.error_code, row.error_code) == (INVALID_REQUEST, INVALID_REQUEST)
        assert row.error_message == "Unknown election type 2"


class TestReassignments:
    def test_none_is_under_way(self, connection, topic):
        for asked in (None, [{"name": topic.name, "partition_indexes": [0]}]):
            answer = connection.call("ListPartitionReassignments", 0, topics=asked, timeout_ms=10_000)
            assert (answer.error_code, answer.topics) == (NONE, [])

    def test_a_replica_may_stay_where_it_is(self, connection, topic):
        node = broker_id(connection)
        placed = "The manual partition assignment includes"
        for replicas, expected in (
            ([node], (NONE, None)),
            (None, (NO_REASSIGNMENT, None)),
            ([], (INVALID_REPLICA_ASSIGNMENT, f"{placed} an empty replica list.")),
            ([node, node], (INVALID_REPLICA_ASSIGNMENT, f"{placed} the broker {node} more than once.")),
            ([999], (INVALID_REPLICA_ASSIGNMENT, f"{placed} broker 999, but no such broker is registered.")),
        ):
            partitions = [{"partition_index": 0, "replicas": replicas}]
            asked = [{"name": topic.name, "partitions": partitions}]
            answer = connection.call("AlterPartitionReassignments", 1, topics=asked, timeout_ms=10_000)
            (row,) = answer.responses[0].partitions
            assert (row.error_code, row.error_message) == expected


class TestSecurity:
    @pytest.mark.parametrize(
        "components", [[], [("user", ANY, None)], [("client-id", DEFAULT, None), ("user", EXACT, "x")]]
    )
    def test_nobody_has_quotas(self, components, connection):
        asked = [{"entity_type": kind, "match_type": how, "match": match} for kind, how, match in components]
        answer = connection.call("DescribeClientQuotas", 1, components=asked, strict=False)
        assert (answer.error_code, answer.entries) == (NONE, [])

    @pytest.mark.parametrize(
        ("component", "code", "message"),
        [
            (("nope", ANY, None), UNSUPPORTED_VERSION, "Unsupported entity type nope"),
            (("", ANY, None), INVALID_REQUEST, "Invalid empty entity type."),
            (("user", 3, None), INVALID_REQUEST, "Unknown match type 3"),
            (
                ("user", EXACT, None),
                INVALID_REQUEST,
                "Request specified MATCH_TYPE_EXACT, but set match string to null.",
            ),
        ],
    )
    def test_quotas_of_nobody(self, component, code, message, connection):
        asked = [dict(zip(("entity_type", "match_type", "match"), component, strict=True))]
        answer = connection.call("DescribeClientQuotas", 1, components=asked, strict=False)
        assert (answer.error_code, answer.error_message, answer.entries) == (code, message, None)

    def test_nobody_has_scram_credentials(self, connection):
        assert connection.call("DescribeUserScramCredentials", 0, users=None).results == []
        asked = [{"name": name} for name in ("bob", "eve", "bob")]
        results = connection.call("DescribeUserScramCredentials", 0, users=asked).results
        assert {each.user: each.error_code for each in results} == {
            "bob": DUPLICATE_RESOURCE,
            "eve": RESOURCE_NOT_FOUND,
        }

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_without_an_authorizer_there_are_no_acls(self, version, connection):
        names = ("resource_name_filter", "principal_filter", "host_filter")
        anything = {"resource_type_filter": 1, "pattern_type_filter": 1, "operation": 1, "permission_type": 1}
        anything |= dict.fromkeys(names)
        described = connection.call("DescribeAcls", version, **anything)
        assert (described.error_code, described.error_message, described.resources) == (
            SECURITY_DISABLED,
            "No Authorizer is configured on the broker",
            [],
        )
        acl = {"resource_type": 2, "resource_name": "x", "resource_pattern_type": 3, "principal": "User:a", "host": "*"}
        acl |= {"operation": 3, "permission_type": 3}
        (created,) = connection.call("CreateAcls", version, creations=[acl]).results
        (deleted,) = connection.call("DeleteAcls", version, filters=[anything]).filter_results
        refused = (SECURITY_DISABLED, "No Authorizer is configured.")
        assert (created.error_code, created.error_message) == refused
        assert (deleted.error_code, deleted.error_message) == refused
