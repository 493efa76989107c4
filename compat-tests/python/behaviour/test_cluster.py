"""DescribeCluster (key 60) and DescribeTopicPartitions (key 75)."""

import pytest
from raw_kafka.calls import NONE, create_topic, unique_name, unknown_topic

UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC, INVALID_REQUEST = 3, 17, 42
UNSUPPORTED_ENDPOINT_TYPE, MISMATCHED_ENDPOINT_TYPE = 115, 114
NOT_ASKED = -(2**31)
ALL_TOPIC_OPERATIONS, ALL_CLUSTER_OPERATIONS = 3576, 8096
BROKERS, CONTROLLERS = 1, 2


class TestDescribeCluster:
    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_agrees_with_metadata(self, version, connection, broker):
        answer = connection.call("DescribeCluster", version)
        metadata = connection.call("Metadata", 12, topics=[])
        assert (answer.error_code, answer.error_message) == (NONE, None)
        assert (answer.cluster_id, answer.controller_id) == (metadata.cluster_id, metadata.controller_id)
        (node,) = answer.brokers
        assert (node.host, node.port, node.rack) == (broker.host, broker.port, None)
        assert node.broker_id == metadata.brokers[0].node_id
        assert answer.cluster_authorized_operations == NOT_ASKED
        if version >= 1:
            assert answer.endpoint_type == BROKERS
        if version >= 2:
            assert node.is_fenced is False

    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_authorized_operations_on_demand(self, version, connection):
        answer = connection.call("DescribeCluster", version, include_cluster_authorized_operations=True)
        assert answer.cluster_authorized_operations == ALL_CLUSTER_OPERATIONS

    def test_fenced_brokers_may_be_asked_for(self, connection):
        answer = connection.call("DescribeCluster", 2, include_fenced_brokers=True)
        assert [node.is_fenced for node in answer.brokers] == [False]

    @pytest.mark.parametrize("version", [1, 2])
    def test_a_brokers_port_has_no_controllers(self, version, connection):
        answer = connection.call("DescribeCluster", version, endpoint_type=CONTROLLERS)
        assert answer.error_code == MISMATCHED_ENDPOINT_TYPE
        assert answer.error_message == (
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
        )
        assert (answer.brokers, answer.endpoint_type) == ([], BROKERS)

    @pytest.mark.parametrize("endpoint_type", [0, 3, -1])
    def test_an_unknown_kind_of_endpoint(self, endpoint_type, connection):
        answer = connection.call("DescribeCluster", 1, endpoint_type=endpoint_type)
        assert answer.error_code == UNSUPPORTED_ENDPOINT_TYPE
        assert (answer.brokers, answer.endpoint_type) == ([], BROKERS)


class TestDescribeTopicPartitions:
    def ask(self, connection, *names, limit=2000, cursor=None):
        topics = [{"name": name} for name in names]
        return connection.call(
            "DescribeTopicPartitions", 0, topics=topics, response_partition_limit=limit, cursor=cursor
        )

    @staticmethod
    def listed(answer):
        return [(topic.name, part.partition_index) for topic in answer.topics for part in topic.partitions]

    def test_a_topic(self, connection, topic):
        answer = self.ask(connection, topic.name)
        assert answer.next_cursor is None
        (found,) = answer.topics
        assert (found.error_code, found.name, found.topic_id, found.is_internal) == (NONE, topic.name, topic.id, False)
        assert found.topic_authorized_operations == ALL_TOPIC_OPERATIONS
        (part,) = found.partitions
        assert (part.error_code, part.partition_index, part.leader_epoch) == (NONE, 0, 0)
        assert part.replica_nodes == part.isr_nodes == [part.leader_id]
        assert part.offline_replicas == []
        assert not part.eligible_leader_replicas
        assert not part.last_known_elr

    def test_topics_come_in_the_order_of_their_names(self, connection):
        names = sorted(create_topic(connection, unique_name(prefix)).name for prefix in "cab")
        assert [topic.name for topic in self.ask(connection, *reversed(names)).topics] == names

    def test_a_name_that_comes_twice_is_answered_once(self, connection, topic):
        assert len(self.ask(connection, topic.name, topic.name).topics) == 1

    def test_an_unknown_topic(self, connection):
        name = unknown_topic().name
        (found,) = self.ask(connection, name).topics
        assert (found.error_code, found.name, found.partitions) == (UNKNOWN_TOPIC_OR_PARTITION, name, [])
        assert found.topic_authorized_operations == ALL_TOPIC_OPERATIONS

    def test_a_name_no_topic_can_have(self, connection):
        (found,) = self.ask(connection, "a b").topics
        assert found.error_code == INVALID_TOPIC

    def test_an_empty_list_means_all(self, connection, topic):
        found = self.ask(connection)
        assert topic.name in {each.name for each in found.topics} or found.next_cursor is not None

    def test_a_limit_is_kept_and_the_cursor_leads_on(self, connection):
        names = sorted([unique_name("page-a"), unique_name("page-b")])
        for name in names:
            create_topic(connection, name, partitions=3)
        seen, cursor = [], None
        for _ in range(10):
            answer = self.ask(connection, *names, limit=2, cursor=cursor)
            page = self.listed(answer)
            assert len(page) <= 2
            seen += page
            if answer.next_cursor is None:
                break
            cursor = {
                "topic_name": answer.next_cursor.topic_name,
                "partition_index": answer.next_cursor.partition_index,
            }
        assert seen == [(name, index) for name in names for index in range(3)]

    def test_a_cursor_skips_what_lies_before_it(self, connection):
        topic = create_topic(connection, partitions=3)
        answer = self.ask(connection, topic.name, cursor={"topic_name": topic.name, "partition_index": 2})
        assert self.listed(answer) == [(topic.name, 2)]

    def test_a_cursor_behind_the_last_partition(self, connection, topic):
        answer = self.ask(connection, topic.name, cursor={"topic_name": topic.name, "partition_index": 5})
        assert [(each.name, each.error_code) for each in answer.topics] == [(topic.name, NONE)]
        assert (self.listed(answer), answer.next_cursor) == ([], None)

    def test_a_cursor_at_an_unknown_topic_counts_for_that_one_only(self, connection):
        topic = create_topic(connection, unique_name("z"), partitions=2)
        answer = self.ask(connection, "nobody", topic.name, cursor={"topic_name": "nobody", "partition_index": 1})
        assert [each.error_code for each in answer.topics] == [UNKNOWN_TOPIC_OR_PARTITION, NONE]
        assert self.listed(answer) == [(topic.name, 0), (topic.name, 1)]

    def test_a_full_page_ends_before_an_unknown_topic_too(self, connection):
        topic = create_topic(connection, unique_name("a"))
        answer = self.ask(connection, topic.name, "nobody", limit=1)
        assert [each.name for each in answer.topics] == [topic.name]
        assert (answer.next_cursor.topic_name, answer.next_cursor.partition_index) == ("nobody", 0)

    def test_among_all_topics_a_cursor_may_lie_between_two(self, connection):
        before, after = create_topic(connection, unique_name("y")), create_topic(connection, unique_name("zz"))
        answer = self.ask(connection, cursor={"topic_name": "z", "partition_index": 3})
        names = {each.name for each in answer.topics}
        assert after.name in names
        assert before.name not in names

    @pytest.mark.parametrize("name", ["a", "z"])
    def test_a_cursor_at_a_topic_that_is_not_asked_for(self, name, connection):
        topic = create_topic(connection, unique_name("m"))
        (found,) = self.ask(connection, topic.name, cursor={"topic_name": name, "partition_index": 0}).topics
        assert (found.error_code, found.name, found.partitions) == (INVALID_REQUEST, topic.name, [])
        assert found.topic_authorized_operations == NOT_ASKED

    def test_a_cursor_before_the_first_partition(self, connection, topic):
        answer = self.ask(connection, topic.name, cursor={"topic_name": topic.name, "partition_index": -1})
        assert [each.error_code for each in answer.topics] == [INVALID_REQUEST]
