"""JoinGroup, SyncGroup, Heartbeat and LeaveGroup: groups whose members decide who gets what."""

import pytest
from raw_kafka.calls import NONE, unique_name
from raw_kafka.connection import Closed
from raw_kafka.group_calls import eventually, heartbeat, join, join_fields, joined, settled, sync, sync_fields

ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, INVALID_GROUP_ID, UNKNOWN_MEMBER_ID = 22, 23, 24, 25
INVALID_SESSION_TIMEOUT, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID = 26, 27, 79, 82
OTHER = ({"name": "sticky", "metadata": b""},)


@pytest.fixture
def group():
    return unique_name("group")


class TestJoin:
    @pytest.mark.parametrize("version", range(4, 10))
    def test_a_new_member_is_given_an_id_first(self, version, groups, group):
        first = join(groups, group, version=version)
        assert (first.error_code, first.generation_id) == (MEMBER_ID_REQUIRED, -1)
        assert first.member_id.startswith("behaviour-")
        second = join(groups, group, first.member_id, version=version)
        assert (second.error_code, second.generation_id, second.leader) == (NONE, 1, first.member_id)
        assert [member.member_id for member in second.members] == [first.member_id]

    @pytest.mark.parametrize("version", range(4))
    def test_old_versions_join_at_once(self, version, groups, group):
        answer = join(groups, group, version=version)
        assert (answer.error_code, answer.generation_id) == (NONE, 1)
        assert answer.leader == answer.member_id != ""

    def test_an_unknown_member_is_refused(self, groups, group):
        assert join(groups, group, "stranger").error_code == UNKNOWN_MEMBER_ID
        settled(groups, group)
        assert join(groups, group, "stranger").error_code == UNKNOWN_MEMBER_ID

    @pytest.mark.parametrize("timeout_ms", [-1, 0, 5_999, 1_800_001])
    @pytest.mark.parametrize("version", [0, 9])
    def test_the_session_timeout_has_bounds(self, version, timeout_ms, groups, group):
        answer = join(groups, group, version=version, session_timeout_ms=timeout_ms)
        assert answer.error_code == INVALID_SESSION_TIMEOUT

    def test_no_group_has_an_empty_id(self, groups):
        assert join(groups, "").error_code == INVALID_GROUP_ID
        assert heartbeat(groups, "", "m", 1) == INVALID_GROUP_ID
        assert sync(groups, "", "m", 1).error_code == INVALID_GROUP_ID
        assert groups.call("LeaveGroup", 5, group_id="", members=[]).error_code == INVALID_GROUP_ID

    @pytest.mark.parametrize("lacks", [{"protocols": []}, {"protocol_type": ""}])
    def test_protocols_must_be_named(self, lacks, groups, group):
        assert join(groups, group, **lacks).error_code == INCONSISTENT_PROTOCOL

    @pytest.mark.parametrize("differs", [{"protocols": OTHER}, {"protocol_type": "connect"}])
    def test_members_must_have_a_protocol_in_common(self, differs, groups, group):
        settled(groups, group)
        assert join(groups, group, **differs).error_code == INCONSISTENT_PROTOCOL

    def test_an_id_of_40_000_characters_closes_the_connection(self, groups):
        with pytest.raises(Closed):
            groups.call("JoinGroup", 9, **join_fields("g" * 40_000))


class TestMembers:
    def test_a_lone_member_lives_through_a_generation(self, groups, group):
        member = joined(groups, group).member_id
        assert heartbeat(groups, group, member, 1) == NONE
        answer = sync(groups, group, member, 1, {member: b"share"})
        assert (answer.error_code, answer.assignment) == (NONE, b"share")
        assert sync(groups, group, member, 1).assignment == b"share"
        assert heartbeat(groups, group, member, 1) == NONE

    @pytest.mark.parametrize("version", range(5))
    def test_a_heartbeat_names_group_member_and_generation(self, version, groups, group):
        member = settled(groups, group)
        for generation in (-1, 0, 2):
            assert heartbeat(groups, group, member, generation, version=version) == ILLEGAL_GENERATION
        assert heartbeat(groups, group, "stranger", 1, version=version) == UNKNOWN_MEMBER_ID
        assert heartbeat(groups, unique_name("none"), member, 1, version=version) == UNKNOWN_MEMBER_ID

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"protocol_name": "sticky"}, INCONSISTENT_PROTOCOL),
            ({"protocol_type": "connect"}, INCONSISTENT_PROTOCOL),
            ({"protocol_name": None, "protocol_type": None}, INCONSISTENT_PROTOCOL),
            ({"generation_id": 2}, ILLEGAL_GENERATION),
            ({"member_id": "stranger"}, UNKNOWN_MEMBER_ID),
        ],
    )
    def test_a_sync_names_the_protocol_as_well(self, wrong, code, groups, group):
        member = settled(groups, group)
        answer = groups.call("SyncGroup", 5, **{**sync_fields(group, member, 1), **wrong})
        assert answer.error_code == code

    def test_a_second_member_makes_the_first_join_again(self, connect_groups, group):
        one, two = connect_groups(), connect_groups()
        leader = settled(one, group)
        follower = join(two, group).member_id
        assert heartbeat(one, group, leader, 1) == NONE  # the newcomer has not joined yet
        two.send("JoinGroup", 9, **join_fields(group, follower))
        eventually(
            lambda: one.call("Heartbeat", 4, group_id=group, generation_id=1, member_id=leader),
            lambda answer: answer.error_code == REBALANCE_IN_PROGRESS,
        )
        assert sync(one, group, leader, 1).error_code == REBALANCE_IN_PROGRESS
        again = join(one, group, leader)
        assert (again.generation_id, {each.member_id for each in again.members}) == (2, {leader, follower})
        told = two.answer()
        assert (told.error_code, told.generation_id, told.leader, told.members) == (NONE, 2, leader, [])
        two.send("SyncGroup", 5, **sync_fields(group, follower, 2))
        assert sync(one, group, leader, 2, {leader: b"half", follower: b"rest"}).assignment == b"half"
        assert two.answer().assignment == b"rest"

    def test_a_member_that_leaves_is_unknown(self, groups, group):
        member = settled(groups, group)
        asked = [{"member_id": member}, {"member_id": "stranger"}]
        rows = groups.call("LeaveGroup", 5, group_id=group, members=asked).members
        assert [(row.member_id, row.error_code) for row in rows] == [(member, NONE), ("stranger", UNKNOWN_MEMBER_ID)]
        assert heartbeat(groups, group, member, 1) == UNKNOWN_MEMBER_ID

    @pytest.mark.parametrize("version", range(3))
    def test_old_versions_leave_one_by_one(self, version, groups, group):
        member = settled(groups, group)
        assert groups.call("LeaveGroup", version, group_id=group, member_id=member).error_code == NONE
        assert groups.call("LeaveGroup", version, group_id=group, member_id=member).error_code == UNKNOWN_MEMBER_ID


class TestStaticMembers:
    def test_one_joins_at_once_and_comes_back_as_itself(self, groups, group):
        first = join(groups, group, group_instance_id="i")
        assert (first.error_code, first.generation_id, first.member_id[:2]) == (NONE, 1, "i-")
        groups.call("SyncGroup", 5, **sync_fields(group, first.member_id, 1, {first.member_id: b"all"}))
        again = join(groups, group, group_instance_id="i")
        assert (again.generation_id, again.skip_assignment) == (1, True)
        assert again.member_id != first.member_id
        assert sync(groups, group, again.member_id, 1).assignment == b"all"
        assert heartbeat(groups, group, first.member_id, 1, "i") == FENCED_INSTANCE_ID
        assert heartbeat(groups, group, again.member_id, 1, "i") == NONE

    def test_an_administrator_removes_it_by_its_instance(self, groups, group):
        member = join(groups, group, group_instance_id="i").member_id
        asked = [{"member_id": "", "group_instance_id": "i"}]
        (row,) = groups.call("LeaveGroup", 5, group_id=group, members=asked).members
        assert (row.member_id, row.group_instance_id, row.error_code) == ("", "i", NONE)
        assert heartbeat(groups, group, member, 1, "i") == UNKNOWN_MEMBER_ID
