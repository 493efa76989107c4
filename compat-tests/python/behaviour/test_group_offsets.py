"""OffsetCommit, OffsetFetch, OffsetDelete; listing, describing and deleting groups."""

import pytest
from raw_kafka.calls import NONE, create_topic, unique_name, unknown_topic
from raw_kafka.group_calls import commit, committed, enter, eventually, join, joined, settled

UNKNOWN_TOPIC_OR_PARTITION, METADATA_TOO_LARGE, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID = 3, 12, 22, 25
INVALID_GROUP_ID, NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, UNKNOWN_TOPIC_ID = 24, 68, 69, 100
SUBSCRIBED = 86
VERSIONS = range(2, 11)


@pytest.fixture
def group():
    return unique_name("group")


@pytest.fixture
def topic(groups):
    return create_topic(groups, partitions=2)


def rows(part):
    """(partition, offset, metadata, error code) of the only topic."""
    (topic,) = part.topics
    return [(each.partition_index, each.committed_offset, each.metadata, each.error_code) for each in topic.partitions]


class TestCommit:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_without_a_member_only_where_there_is_none(self, version, groups, group, topic):
        assert commit(groups, group, topic, version=version) == NONE
        assert commit(groups, "", topic, version=version) == NONE
        busy = unique_name("busy")
        settled(groups, busy)
        assert commit(groups, busy, topic, version=version) == UNKNOWN_MEMBER_ID

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_member_says_its_generation(self, version, groups, group, topic):
        member = settled(groups, group)
        assert commit(groups, group, topic, member=member, epoch=1, version=version) == NONE
        assert commit(groups, group, topic, member=member, epoch=2, version=version) == ILLEGAL_GENERATION
        assert commit(groups, group, topic, member="stranger", epoch=1, version=version) == UNKNOWN_MEMBER_ID

    @pytest.mark.parametrize("version", VERSIONS)
    def test_metadata_have_a_limit(self, version, groups, group, topic):
        assert commit(groups, group, topic, metadata="x" * 4096, version=version) == NONE
        assert commit(groups, group, topic, metadata="x" * 4097, version=version) == METADATA_TOO_LARGE

    @pytest.mark.parametrize("version", VERSIONS)
    def test_of_a_topic_that_is_not_there(self, version, groups, group, topic):
        unknown = UNKNOWN_TOPIC_OR_PARTITION if version < 10 else UNKNOWN_TOPIC_ID
        assert commit(groups, group, unknown_topic(), version=version) == unknown
        assert commit(groups, group, topic, partition=9, version=version) == UNKNOWN_TOPIC_OR_PARTITION

    def test_negative_offsets_are_kept(self, groups, group, topic):
        assert commit(groups, group, topic, -5) == NONE
        assert rows(committed(groups, group, [(topic, [0])])) == [(0, -5, "", NONE)]


class TestFetch:
    @pytest.mark.parametrize("version", range(1, 11))
    def test_what_was_committed_and_what_was_not(self, version, groups, group, topic):
        commit(groups, group, topic, 7, metadata="m")
        assert rows(committed(groups, group, [(topic, [0, 1])], version=version)) == [
            (0, 7, "m", NONE),
            (1, -1, "", NONE),
        ]

    @pytest.mark.parametrize("version", range(1, 10))
    def test_of_unknown_groups_and_topics_there_is_nothing(self, version, groups, group):
        assert rows(committed(groups, group, [(unknown_topic(), [0])], version=version)) == [(0, -1, "", NONE)]

    @pytest.mark.parametrize("version", range(2, 11))
    def test_null_means_all(self, version, groups, group, topic):
        assert committed(groups, group, None, version=version).topics == []
        commit(groups, group, topic, 7)
        commit(groups, group, topic, 8, partition=1)
        assert sorted(rows(committed(groups, group, None, version=version))) == [(0, 7, "", NONE), (1, 8, "", NONE)]

    def test_a_deleted_topic_takes_its_offsets_along(self, groups, group, topic):
        commit(groups, group, topic)
        groups.call("DeleteTopics", 5, topic_names=[topic.name], timeout_ms=30_000)
        eventually(lambda: committed(groups, group, None), lambda answer: not answer.topics)


class TestDelete:
    def delete(self, connection, group, topic, *partitions):
        asked = [{"name": topic.name, "partitions": [{"partition_index": index} for index in partitions]}]
        return connection.call("OffsetDelete", 0, group_id=group, topics=asked)

    def test_of_a_group_without_members(self, groups, group, topic):
        commit(groups, group, topic)
        answer = self.delete(groups, group, topic, 0, 1)
        assert (answer.error_code, [each.error_code for each in answer.topics[0].partitions]) == (NONE, [NONE, NONE])
        assert committed(groups, group, None).topics == []

    def test_of_an_unknown_group(self, groups, group, topic):
        assert self.delete(groups, group, topic, 0).error_code == GROUP_ID_NOT_FOUND
        assert self.delete(groups, "", topic, 0).error_code == INVALID_GROUP_ID

    def test_not_of_what_members_read(self, groups, group, topic):
        enter(groups, group, "m", [topic])
        answer = self.delete(groups, group, topic, 0)
        assert (answer.error_code, answer.topics[0].partitions[0].error_code) == (NONE, SUBSCRIBED)


class TestAdministration:
    @pytest.mark.parametrize("version", range(7))
    def test_unknown_groups_are_dead(self, version, groups, group):
        (found,) = groups.call("DescribeGroups", version, groups=[group]).groups
        assert (found.group_state, found.members) == ("Dead", [])
        assert found.error_code == (NONE if version < 6 else GROUP_ID_NOT_FOUND)
        if version >= 6:
            assert found.error_message == f"Group {group} not found."

    def test_the_states_of_a_group(self, groups, group):
        def state():
            return groups.call("DescribeGroups", 6, groups=[group]).groups[0].group_state

        member = joined(groups, group).member_id
        assert state() == "CompletingRebalance"
        other = settled(groups, unique_name("other"))
        assert other != member
        groups.call("LeaveGroup", 5, group_id=group, members=[{"member_id": member}])
        assert state() == "Empty"

    def test_a_stable_group_shows_its_members(self, groups, group):
        member = settled(groups, group)
        (found,) = groups.call("DescribeGroups", 6, groups=[group]).groups
        assert (found.group_state, found.protocol_type, found.protocol_data) == ("Stable", "consumer", "range")
        (told,) = found.members
        assert (told.member_id, told.client_id, told.member_metadata, told.member_assignment) == (
            member,
            "behaviour",
            b"\0\1",
            b"all",
        )

    @pytest.mark.parametrize("version", range(3))
    def test_only_empty_groups_can_be_deleted(self, version, groups, topic):
        unknown, simple, busy = (unique_name(each) for each in ("unknown", "simple", "busy"))
        commit(groups, simple, topic)
        settled(groups, busy)
        answer = groups.call("DeleteGroups", version, groups_names=[unknown, simple, busy])
        codes = {each.group_id: each.error_code for each in answer.results}
        assert codes == {unknown: GROUP_ID_NOT_FOUND, simple: NONE, busy: NON_EMPTY_GROUP}
        assert committed(groups, simple, None).topics == []

    def test_groups_are_listed_by_state_and_type(self, groups, topic):
        empty, stable, new = (unique_name(each) for each in ("empty", "stable", "new"))
        commit(groups, empty, topic)
        settled(groups, stable)
        enter(groups, new, "m", [topic])

        def listed(**filters):
            return {each.group_id for each in groups.call("ListGroups", 5, **filters).groups} & {empty, stable, new}

        assert listed() == {empty, stable, new}
        assert listed(states_filter=["empty"]) == {empty}
        assert listed(states_filter=["Stable"], types_filter=["Classic"]) == {stable}
        assert listed(types_filter=["consumer"]) == {new}
        assert listed(states_filter=["nonsense"]) == set()

    def test_a_group_of_the_other_protocol_is_not_found(self, groups, group, topic):
        join(groups, group)
        (found,) = groups.call("ConsumerGroupDescribe", 1, group_ids=[group]).groups
        assert (found.error_code, found.error_message) == (
            GROUP_ID_NOT_FOUND,
            f"Group {group} is not a consumer group.",
        )
        new = unique_name("new")
        enter(groups, new, "m", [topic])
        (found,) = groups.call("DescribeGroups", 6, groups=[new]).groups
        assert (found.error_code, found.error_message) == (GROUP_ID_NOT_FOUND, f"Group {new} is not a classic group.")
        (found,) = groups.call("ConsumerGroupDescribe", 1, group_ids=[""]).groups
        assert (found.error_code, found.error_message) == (INVALID_GROUP_ID, None)
