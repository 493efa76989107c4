"""ApiVersions (key 18): the first question on every connection."""

import pytest
from raw_kafka.calls import NONE

INVALID_REQUEST, UNSUPPORTED_VERSION, REBOOTSTRAP_REQUIRED = 42, 35, 129
CLIENT = {"client_software_name": "behaviour", "client_software_version": "1.0"}

# (key, oldest, newest) as Apache Kafka 4.4.0 advertises them
RANGES = {
    "Produce": (0, 0, 13),
    "Fetch": (1, 4, 18),
    "ListOffsets": (2, 1, 11),
    "Metadata": (3, 0, 13),
    "FindCoordinator": (10, 0, 6),
    "ApiVersions": (18, 0, 5),
    "CreateTopics": (19, 2, 7),
    "DeleteTopics": (20, 1, 6),
    "InitProducerId": (22, 0, 5),
    "OffsetForLeaderEpoch": (23, 2, 4),
    "DescribeConfigs": (32, 1, 4),
    "CreatePartitions": (37, 0, 3),
    "DescribeCluster": (60, 0, 2),
    "DescribeTopicPartitions": (75, 0, 0),
}
FOR_CONTROLLERS_ONLY = {52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 82}


def advertised(answer):
    return {api.api_key: (api.min_version, api.max_version) for api in answer.api_keys}


@pytest.mark.parametrize("name", RANGES)
def test_advertises_the_versions_of_apache_kafka(name, connection):
    key, oldest, newest = RANGES[name]
    assert advertised(connection.call("ApiVersions", 0))[key] == (oldest, newest)


def test_lists_each_key_once_and_none_that_only_controllers_serve(connection):
    keys = [api.api_key for api in connection.call("ApiVersions", 0).api_keys]
    assert len(keys) == len(set(keys))
    assert not FOR_CONTROLLERS_ONLY & set(keys)


def test_every_version_lists_the_same_apis(connection):
    lists = [advertised(connection.call("ApiVersions", version, **CLIENT)) for version in range(6)]
    assert all(each == lists[0] for each in lists)


@pytest.mark.parametrize("version", [6, 99, 32767, -1])
def test_an_unknown_version_is_answered_in_version_0_and_the_client_may_retry(version, connection):
    answer = connection.call("ApiVersions", version, **CLIENT)
    assert answer.error_code == UNSUPPORTED_VERSION
    assert advertised(answer) == {18: (0, 5)}
    assert not hasattr(answer, "throttle_time_ms")
    assert connection.call("ApiVersions", 3, **CLIENT).error_code == NONE


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("field", ["client_software_name", "client_software_version"])
@pytest.mark.parametrize("word", ["", " ", "two words", "-dash-first", "dash-last-", ".", "under_score", "größe"])
def test_a_malformed_client_name_or_version_is_refused(version, field, word, connection):
    answer = connection.call("ApiVersions", version, **{**CLIENT, field: word})
    assert (answer.error_code, answer.api_keys) == (INVALID_REQUEST, [])
    assert connection.call("ApiVersions", version, **CLIENT).error_code == NONE


@pytest.mark.parametrize("word", ["a", "7", "ok-1.2", "A.b-C.d", "x--y..z"])
def test_a_well_formed_client_name_and_version_is_accepted(word, connection):
    answer = connection.call("ApiVersions", 3, client_software_name=word, client_software_version=word)
    assert answer.error_code == NONE


class TestIntendedBroker:
    """Version 5 (KIP-1242): a client names the cluster and the node it believes to be talking to, or neither."""

    @pytest.fixture
    def identity(self, connection):
        metadata = connection.call("Metadata", 12, topics=[])
        return metadata.cluster_id, metadata.brokers[0].node_id

    def ask(self, connection, cluster_id, node_id):
        return connection.call("ApiVersions", 5, **CLIENT, cluster_id=cluster_id, node_id=node_id)

    def test_neither(self, connection):
        assert self.ask(connection, None, -1).error_code == NONE

    def test_both_right(self, connection, identity):
        assert self.ask(connection, *identity).error_code == NONE

    def test_a_node_without_a_cluster_is_refused(self, connection, identity):
        answer = self.ask(connection, None, identity[1])
        assert (answer.error_code, answer.api_keys) == (INVALID_REQUEST, [])

    def test_a_cluster_without_a_node_is_refused(self, connection, identity):
        answer = self.ask(connection, identity[0], -1)
        assert (answer.error_code, answer.api_keys) == (INVALID_REQUEST, [])

    def test_another_node_of_this_cluster_means_bootstrap_again(self, connection, identity):
        answer = self.ask(connection, identity[0], identity[1] + 1000)
        assert (answer.error_code, answer.api_keys) == (REBOOTSTRAP_REQUIRED, [])
        assert connection.call("ApiVersions", 5, **CLIENT).error_code == NONE

    def test_another_cluster_means_bootstrap_again(self, connection, identity):
        answer = self.ask(connection, "b" * 22, identity[1])
        assert (answer.error_code, answer.api_keys) == (REBOOTSTRAP_REQUIRED, [])


class TestFeatures:
    def test_metadata_version_is_supported_and_finalized_within_its_range(self, connection):
        answer = connection.call("ApiVersions", 4, **CLIENT)
        supported = {each.name: range(each.min_version, each.max_version + 1) for each in answer.supported_features}
        assert "metadata.version" in supported
        assert answer.finalized_features_epoch >= 0
        assert answer.finalized_features
        for each in answer.finalized_features:
            assert each.max_version_level in supported[each.name]
            assert each.min_version_level in supported[each.name]

    def test_version_3_leaves_out_features_that_may_be_zero(self, connection):
        """Clients of version 3 take a minimum of 0 for an error (KAFKA-17011)."""
        old = {each.name for each in connection.call("ApiVersions", 3, **CLIENT).supported_features}
        new = {each.name: each.min_version for each in connection.call("ApiVersions", 4, **CLIENT).supported_features}
        assert old == {name for name, minimum in new.items() if minimum > 0}

    def test_old_versions_have_no_room_for_features(self, connection):
        assert not hasattr(connection.call("ApiVersions", 2), "supported_features")

    def test_transactions_of_the_second_kind_are_finalized_only_with_all_they_need(self, connection):
        answer = connection.call("ApiVersions", 4, **CLIENT)
        levels = {each.name: each.max_version_level for each in answer.finalized_features}
        if levels.get("transaction.version", 0) >= 2:
            newest = {key: span[1] for key, span in advertised(answer).items()}
            assert newest.get(0, -1) >= 12, "Produce"
            assert newest.get(28, -1) >= 5, "TxnOffsetCommit"
            assert newest.get(26, -1) >= 5, "EndTxn"

    def test_the_new_group_protocol_comes_only_with_topic_ids(self, connection):
        newest = {key: span[1] for key, span in advertised(connection.call("ApiVersions", 0)).items()}
        if 68 in newest:  # ConsumerGroupHeartbeat
            assert newest[3] >= 12, "Metadata"
            assert newest.get(8, -1) >= 9, "OffsetCommit"
            assert newest.get(9, -1) >= 9, "OffsetFetch"
