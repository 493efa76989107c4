"""Metadata (key 3): brokers, topics by name or id, and topics that come into being by being asked for."""

import time
from uuid import UUID

import pytest
from raw_kafka.calls import NONE, READY_WITHIN_S, create_topic, metadata_topics, unique_name, unknown_topic
from raw_kafka.codec import ZERO_UUID

SERVER_ERROR, UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC, INVALID_REQUEST, UNKNOWN_TOPIC_ID = -1, 3, 17, 42, 100
NOT_ASKED = -(2**31)
ALL_TOPIC_OPERATIONS, ALL_CLUSTER_OPERATIONS = 3576, 8096  # bit sets by AclOperation code
VERSIONS = range(14)
BAD_NAMES = {
    "empty": "",
    "dot": ".",
    "two dots": "..",
    "space": "a b",
    "slash": "a/b",
    "letter beyond ASCII": "größe",
    "250 characters": "x" * 250,
}


def existing(name, connection):
    """Does the broker list the topic? Asks without creating."""
    (found,) = metadata_topics(connection, [name])
    return found.error_code == NONE


class TestBrokers:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_names_this_broker_with_the_address_it_was_reached_at(self, version, connection, broker):
        answer = connection.call("Metadata", version, topics=[])
        (node,) = answer.brokers
        assert (node.host, node.port) == (broker.host, broker.port)
        if version >= 1:
            assert answer.controller_id == node.node_id
            assert node.rack is None
        if version >= 2:
            assert answer.cluster_id

    def test_version_13_has_an_error_code_of_its_own(self, connection):
        assert connection.call("Metadata", 13, topics=[]).error_code == NONE


class TestWhichTopics:
    def test_an_empty_list_means_all_in_version_0(self, connection, topic):
        assert topic.name in {each.name for each in connection.call("Metadata", 0, topics=[]).topics}

    @pytest.mark.parametrize("version", VERSIONS[1:])
    def test_null_means_all_and_an_empty_list_none(self, version, connection, topic):
        assert topic.name in {each.name for each in connection.call("Metadata", version, topics=None).topics}
        assert connection.call("Metadata", version, topics=[]).topics == []

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_topic_is_described_in_every_version(self, version, connection, topic):
        (found,) = connection.call("Metadata", version, topics=[{"name": topic.name}]).topics
        assert (found.error_code, found.name) == (NONE, topic.name)
        (partition,) = found.partitions
        assert (partition.error_code, partition.partition_index) == (NONE, 0)
        leader = partition.leader_id
        assert partition.replica_nodes == partition.isr_nodes == [leader]
        if version >= 1:
            assert found.is_internal is False
        if version >= 5:
            assert partition.offline_replicas == []
        if version >= 7:
            assert partition.leader_epoch == 0
        if version >= 10:
            assert found.topic_id == topic.id

    def test_partitions_are_all_there(self, connection):
        topic = create_topic(connection, partitions=7)
        (found,) = metadata_topics(connection, [topic.name])
        assert sorted(each.partition_index for each in found.partitions) == list(range(7))

    @pytest.mark.parametrize("version", [12, 13])
    def test_a_topic_can_be_asked_for_by_id(self, version, connection, topic):
        (found,) = connection.call("Metadata", version, topics=[{"topic_id": topic.id, "name": None}]).topics
        assert (found.error_code, found.name, found.topic_id) == (NONE, topic.name, topic.id)

    @pytest.mark.parametrize("version", [12, 13])
    def test_an_unknown_id_has_no_name(self, version, connection):
        stranger = unknown_topic()
        (found,) = connection.call("Metadata", version, topics=[{"topic_id": stranger.id, "name": None}]).topics
        assert (found.error_code, found.name, found.topic_id) == (UNKNOWN_TOPIC_ID, None, stranger.id)
        assert found.partitions == []

    def test_a_name_asked_twice_is_answered_once(self, connection, topic):
        assert [each.name for each in metadata_topics(connection, [topic.name, topic.name])] == [topic.name]

    def test_neither_name_nor_id_is_an_error_of_that_entry(self, connection, broker):
        answer = connection.call("Metadata", 12, topics=[{"name": None, "topic_id": ZERO_UUID}])
        (found,) = answer.topics
        if broker.kind == "apache":
            assert (found.error_code, found.name) == (-1, "")
        assert found.error_code != NONE
        assert found.partitions == []


class TestUnknownNames:
    @pytest.mark.parametrize("version", VERSIONS[4:])
    def test_are_not_created_when_the_client_forbids_it(self, version, connection):
        name = unique_name("absent")
        (found,) = metadata_topics(connection, [name], version, create=False)
        assert (found.error_code, found.name) == (UNKNOWN_TOPIC_OR_PARTITION, name)
        assert (found.is_internal, found.partitions) == (False, [])
        assert getattr(found, "topic_id", ZERO_UUID) == ZERO_UUID
        assert not existing(name, connection)

    @pytest.mark.parametrize("version", [0, 1, 3, 4, 7, 9, 12, 13])
    def test_are_created_by_asking(self, version, connection, broker):
        """Versions 0-3 always allow it. Apache Kafka answers before the topic is there, and clients ask again."""
        name = unique_name("auto")
        (found,) = metadata_topics(connection, [name], version, create=True)
        if broker.kind == "apache":
            assert found.error_code == UNKNOWN_TOPIC_OR_PARTITION
            found = self.ask_until_there(connection, name, version)
        assert found.error_code == NONE
        (partition,) = found.partitions
        assert partition.error_code == NONE
        assert partition.leader_id >= 0
        if version >= 10:
            assert found.topic_id != ZERO_UUID
        assert existing(name, connection)

    @staticmethod
    def ask_until_there(connection, name, version):
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            (found,) = metadata_topics(connection, [name], version, create=True)
            if found.error_code == NONE and all(each.error_code == NONE for each in found.partitions):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.01)

    @pytest.mark.parametrize("create", [True, False])
    @pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
    def test_that_could_never_exist_are_invalid(self, name, create, connection):
        (found,) = metadata_topics(connection, [name], create=create)
        assert (found.error_code, found.name, found.partitions) == (INVALID_TOPIC, name, [])

    def test_that_clash_with_a_topic_are_not_created(self, connection):
        taken = create_topic(connection, unique_name("clash") + ".x")
        twin = taken.name.replace(".", "_")
        (found,) = metadata_topics(connection, [twin], create=True)
        assert found.error_code in (UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC)  # Apache Kafka: the first
        assert not existing(twin, connection)

    def test_beside_known_ones_spoil_nothing(self, connection, topic):
        stranger = unknown_topic().name
        found = {each.name: each.error_code for each in metadata_topics(connection, [stranger, topic.name, "a b"])}
        assert found == {stranger: UNKNOWN_TOPIC_OR_PARTITION, topic.name: NONE, "a b": INVALID_TOPIC}

    @pytest.mark.parametrize("name", ["__consumer_offsets", "__transaction_state"])
    def test_internal_topics_are_marked_before_they_exist(self, name, connection):
        (found,) = metadata_topics(connection, [name])
        assert found.is_internal is True
        assert found.error_code in (NONE, UNKNOWN_TOPIC_OR_PARTITION)


class TestMalformed:
    """Such a request is refused as a whole: every topic says so, and no broker is named."""

    def refused(self, connection, version, *topics):
        asked = [{"name": name, "topic_id": topic_id} for name, topic_id in topics]
        answer = connection.call("Metadata", version, topics=asked, allow_auto_topic_creation=False)
        assert (answer.brokers, answer.cluster_id, answer.controller_id) == ([], None, -1)
        assert [each.name for each in answer.topics] == [name or "" for name, _ in topics]
        assert not any(each.partitions for each in answer.topics)
        (code,) = {each.error_code for each in answer.topics}
        assert version < 13 or answer.error_code == code
        return code

    @pytest.mark.parametrize("version", [10, 11])
    @pytest.mark.parametrize("named", [True, False])
    def test_an_id_before_version_12(self, named, version, connection, topic):
        asked = (topic.name if named else None, topic.id)
        assert self.refused(connection, version, asked, (topic.name, ZERO_UUID)) == INVALID_REQUEST

    @pytest.mark.parametrize("version", [10, 11])
    def test_neither_name_nor_id_before_version_12(self, version, connection, topic):
        assert self.refused(connection, version, (topic.name, ZERO_UUID), (None, ZERO_UUID)) == INVALID_REQUEST

    @pytest.mark.parametrize("version", [12, 13])
    def test_neither_name_nor_id(self, version, connection, topic, broker):
        code = self.refused(connection, version, (topic.name, ZERO_UUID), (None, ZERO_UUID))
        assert code == (SERVER_ERROR if broker.kind == "apache" else INVALID_REQUEST)

    def test_where_one_id_is_given_only_ids_count(self, connection, topic):
        asked = [{"name": "a b", "topic_id": ZERO_UUID}, {"name": None, "topic_id": topic.id}]
        (found,) = connection.call("Metadata", 13, topics=asked).topics
        assert (found.error_code, found.name) == (NONE, topic.name)


class TestAuthorizedOperations:
    """Bit sets, filled only on demand; without an authorizer everything is allowed."""

    @pytest.mark.parametrize("version", VERSIONS[8:])
    def test_are_left_out_unless_asked_for(self, version, connection, topic):
        answer = connection.call("Metadata", version, topics=[{"name": topic.name}])
        assert answer.topics[0].topic_authorized_operations == NOT_ASKED
        if version <= 10:
            assert answer.cluster_authorized_operations == NOT_ASKED

    @pytest.mark.parametrize("version", VERSIONS[8:])
    def test_of_a_topic(self, version, connection, topic):
        answer = connection.call(
            "Metadata", version, topics=[{"name": topic.name}], include_topic_authorized_operations=True
        )
        assert answer.topics[0].topic_authorized_operations == ALL_TOPIC_OPERATIONS

    @pytest.mark.parametrize("version", [8, 9, 10])
    def test_of_the_cluster(self, version, connection):
        answer = connection.call("Metadata", version, topics=[], include_cluster_authorized_operations=True)
        assert answer.cluster_authorized_operations == ALL_CLUSTER_OPERATIONS


def test_a_topic_id_is_a_random_uuid(topic):
    assert isinstance(topic.id, UUID)
    assert topic.id.int > 1
