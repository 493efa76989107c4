"""ConsumerGroupHeartbeat and ConsumerGroupDescribe: groups that the broker assigns (KIP-848)."""

import pytest
from raw_kafka.calls import NONE, create_topic, unique_name
from raw_kafka.group_calls import beat, commit, committed, enter, eventually, heartbeat, join, joined, settled, sync

UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, INVALID_REQUEST, GROUP_ID_NOT_FOUND = 25, 27, 42, 69
FENCED_INSTANCE_ID, FENCED_MEMBER_EPOCH, UNSUPPORTED_ASSIGNOR, UNRELEASED_INSTANCE_ID = 82, 110, 112, 111
STALE_MEMBER_EPOCH, INVALID_REGULAR_EXPRESSION = 113, 128


@pytest.fixture
def group():
    return unique_name("group")


@pytest.fixture
def topic(groups):
    """A topic of which the groups' coordinator knows: Apache Kafka's hears of it some time after it was made."""
    topic = create_topic(groups, partitions=4)
    members = (f"m{number}" for number in range(10**6))
    probe = unique_name("probe")

    def ask():
        member = next(members)
        answer = enter(groups, probe, member, [topic])
        beat(groups, probe, member, -1)
        return answer

    eventually(ask, lambda answer: answer.assignment.topic_partitions)
    return topic


def parts(answer):
    """The partitions that a member of one topic is told of."""
    return sorted(index for part in answer.assignment.topic_partitions for index in part.partitions)


def owned(topic, *indexes):
    return [{"topic_id": topic.id, "partitions": list(indexes)}]


class TestMembers:
    def test_a_lone_member_has_everything_at_once(self, groups, group, topic):
        first = enter(groups, group, "m", [topic])
        assert (first.error_code, first.member_id, first.member_epoch) == (NONE, "m", 2)
        assert first.heartbeat_interval_ms == 5000
        assert parts(first) == [0, 1, 2, 3]
        again = beat(groups, group, "m", 2)
        assert (again.member_epoch, again.assignment) == (2, None)

    def test_a_request_that_says_all_is_answered_with_all(self, groups, group, topic):
        enter(groups, group, "m", [topic])
        fields = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": [topic.name]}
        assert parts(beat(groups, group, "m", 2, **fields, topic_partitions=owned(topic, 0, 1, 2, 3))) == [0, 1, 2, 3]

    def test_partitions_move_when_they_are_given_up(self, groups, group, topic):
        enter(groups, group, "a", [topic])
        newcomer = enter(groups, group, "b", [topic])
        assert parts(newcomer) == []
        revoked = eventually(
            lambda: beat(groups, group, "a", 2, topic_partitions=owned(topic, 0, 1, 2, 3)),
            lambda answer: answer.assignment is not None,
        )
        kept = parts(revoked)
        assert (len(kept), revoked.member_epoch) == (2, 2)
        moved = beat(groups, group, "a", 2, topic_partitions=owned(topic, *kept))
        assert moved.member_epoch > 2
        taken = eventually(
            lambda: beat(groups, group, "b", newcomer.member_epoch, topic_partitions=[]),
            lambda answer: answer.assignment is not None and answer.assignment.topic_partitions,
        )
        assert sorted(kept + parts(taken)) == [0, 1, 2, 3]

    @pytest.mark.parametrize("version", [0, 1])
    def test_one_that_leaves_is_told_so(self, version, groups, group, topic):
        enter(groups, group, "m", [topic])
        left = beat(groups, group, "m", -1, version=version)
        assert (left.error_code, left.member_id, left.member_epoch) == (NONE, "m", -1)
        assert beat(groups, group, "m", 2).error_code == UNKNOWN_MEMBER_ID

    def test_version_0_may_leave_the_id_to_the_broker(self, groups, group, topic):
        fields = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": [topic.name], "topic_partitions": []}
        answer = beat(groups, group, "", 0, version=0, **fields)
        assert (answer.error_code, len(answer.member_id)) == (NONE, 22)

    def test_a_regular_expression_finds_topics(self, groups, group, topic):
        fields = {"subscribed_topic_names": None, "subscribed_topic_regex": f"{topic.name[:-1]}.*"}
        epoch = enter(groups, group, "m", [], **fields).member_epoch
        full = {"rebalance_timeout_ms": 60_000, "topic_partitions": [], **fields}
        eventually(
            lambda: beat(groups, group, "m", epoch, **full),
            lambda answer: topic.id in {part.topic_id for part in answer.assignment.topic_partitions},
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"member_id": ""}, "MemberId can't be empty."),
            ({"group_id": ""}, "GroupId can't be empty."),
            ({"instance_id": ""}, "InstanceId can't be empty."),
            ({"rack_id": ""}, "RackId can't be empty."),
            ({"rebalance_timeout_ms": -1}, "RebalanceTimeoutMs must be provided in first request."),
            ({"topic_partitions": None}, "TopicPartitions must be empty when (re-)joining."),
            (
                {"subscribed_topic_names": None},
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            ),
            ({"member_epoch": -3}, "MemberEpoch is invalid."),
            ({"member_epoch": -2}, "InstanceId can't be null."),
        ],
    )
    def test_a_malformed_request(self, wrong, message, groups, group):
        fields = {"group_id": group, "member_id": "m", "member_epoch": 0, "rebalance_timeout_ms": 60_000}
        fields |= {"subscribed_topic_names": ["t"], "topic_partitions": [], **wrong}
        answer = groups.call("ConsumerGroupHeartbeat", 1, **fields)
        assert (answer.error_code, answer.error_message) == (INVALID_REQUEST, message)

    def test_an_unknown_assignor(self, groups, group, topic):
        answer = enter(groups, group, "m", [topic], server_assignor="nope")
        assert (answer.error_code, answer.error_message) == (
            UNSUPPORTED_ASSIGNOR,
            "ServerAssignor nope is not supported. Supported assignors: uniform, range.",
        )

    def test_a_bad_expression(self, groups, group):
        answer = enter(groups, group, "m", [], subscribed_topic_regex="[")
        assert (answer.error_code, answer.error_message) == (
            INVALID_REGULAR_EXPRESSION,
            "SubscribedTopicRegex `[` is not a valid regular expression: missing closing ].",
        )

    @pytest.mark.parametrize(("epoch", "than"), [(7, "greater"), (1, "smaller")])
    def test_another_epoch(self, epoch, than, groups, group, topic):
        enter(groups, group, "m", [topic])
        answer = beat(groups, group, "m", epoch)
        assert answer.error_code == FENCED_MEMBER_EPOCH
        assert answer.error_message == (
            f"The consumer group member has a {than} member epoch ({epoch}) than the one known by the group "
            "coordinator (2). The member must abandon all its partitions and rejoin."
        )
        assert (answer.member_id, answer.member_epoch, answer.heartbeat_interval_ms) == (None, 0, 0)

    def test_a_member_or_a_group_that_is_not_there(self, groups, group, topic):
        answer = beat(groups, group, "m", 1)
        assert (answer.error_code, answer.error_message) == (GROUP_ID_NOT_FOUND, f"Consumer group {group} not found.")
        enter(groups, group, "m", [topic])
        answer = beat(groups, group, "x", 1)
        assert (answer.error_code, answer.error_message) == (
            UNKNOWN_MEMBER_ID,
            f"Member x is not a member of group {group}.",
        )

    def test_an_instance_that_is_taken(self, groups, group, topic):
        enter(groups, group, "a", [topic], instance_id="i")
        assert enter(groups, group, "b", [topic], instance_id="i").error_code == UNRELEASED_INSTANCE_ID
        beat(groups, group, "a", -2, instance_id="i")
        back = enter(groups, group, "b", [topic], instance_id="i")
        assert (back.error_code, parts(back)) == (NONE, [0, 1, 2, 3])
        assert beat(groups, group, "a", 2, instance_id="i").error_code == FENCED_INSTANCE_ID


class TestOffsets:
    @pytest.mark.parametrize("version", range(9, 11))
    def test_a_member_says_its_epoch(self, version, groups, group, topic):
        enter(groups, group, "m", [topic])
        assert commit(groups, group, topic, member="m", epoch=2, version=version) == NONE
        assert commit(groups, group, topic, member="m", epoch=1, version=version) == STALE_MEMBER_EPOCH
        assert commit(groups, group, topic, member="x", epoch=2, version=version) == UNKNOWN_MEMBER_ID
        assert commit(groups, group, topic, version=version) == UNKNOWN_MEMBER_ID
        for member, epoch, code in (
            ("m", 2, NONE),
            ("m", 1, STALE_MEMBER_EPOCH),
            ("x", 2, UNKNOWN_MEMBER_ID),
            (None, -1, NONE),
        ):
            found = committed(groups, group, [(topic, [0])], version=version, member=member, epoch=epoch)
            assert found.error_code == code


class TestDescribe:
    @pytest.mark.parametrize("version", [0, 1])
    def test_a_group_with_its_members(self, version, groups, group, topic):
        enter(groups, group, "m", [topic], rack_id="r")
        (found,) = groups.call("ConsumerGroupDescribe", version, group_ids=[group]).groups
        assert (found.group_state, found.group_epoch, found.assignment_epoch) == ("Stable", 2, 2)
        assert found.assignor_name == "uniform"
        (member,) = found.members
        assert (member.member_id, member.member_epoch, member.rack_id) == ("m", 2, "r")
        assert (member.client_id, member.subscribed_topic_names) == ("behaviour", [topic.name])
        for told in (member.assignment, member.target_assignment):
            (part,) = told.topic_partitions
            assert (part.topic_id, part.topic_name, sorted(part.partitions)) == (topic.id, topic.name, [0, 1, 2, 3])
        if version == 1:
            assert member.member_type == 1


class TestMigration:
    def subscription(self, topic):
        """What consumers of the classic protocol put into their join: version 0, one topic, no user data."""
        name = topic.name.encode()
        return b"\0\0" + b"\0\0\0\1" + len(name).to_bytes(2, "big") + name + b"\xff\xff\xff\xff"

    def test_a_classic_group_that_can_not_be_read_stays_classic(self, groups, group, topic):
        settled(groups, group)
        answer = enter(groups, group, "m", [topic])
        assert answer.error_code == GROUP_ID_NOT_FOUND
        assert answer.error_message == (
            f"Cannot upgrade classic group {group} to consumer group because the embedded consumer protocol is "
            "malformed."
        )

    def test_a_classic_group_becomes_a_consumer_group_and_back(self, groups, group, topic):
        plan = [{"name": "range", "metadata": self.subscription(topic)}]
        old = joined(groups, group, protocols=plan).member_id
        sync(groups, group, old, 1, {old: b"\0\0" + bytes(4) + b"\xff\xff\xff\xff"})
        assert enter(groups, group, "m", [topic]).error_code == NONE
        (found,) = groups.call("ConsumerGroupDescribe", 1, group_ids=[group]).groups
        assert {member.member_id: member.member_type for member in found.members} == {old: 0, "m": 1}
        assert heartbeat(groups, group, old, 1) == REBALANCE_IN_PROGRESS
        again = join(groups, group, old, protocols=plan)
        assert (again.error_code, again.members) == (NONE, [])
        assert sync(groups, group, old, again.generation_id).error_code == NONE
        beat(groups, group, "m", -1)
        (found,) = groups.call("DescribeGroups", 6, groups=[group]).groups
        assert (found.error_code, found.group_state) == (NONE, "PreparingRebalance")

    def test_an_empty_group_takes_any_protocol(self, groups, group, topic):
        enter(groups, group, "m", [topic])
        beat(groups, group, "m", -1)
        member = settled(groups, group)
        groups.call("LeaveGroup", 5, group_id=group, members=[{"member_id": member}])
        assert enter(groups, group, "m", [topic]).error_code == NONE
