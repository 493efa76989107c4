"""How far behind, by partition and in all."""

from kbroker.commands.cluster import TopicPartition
from kbroker.commands.groups import Group, Member
from kbroker.commands.lag import partitions_of, rows, total
from kbroker.commands.offsets import Committed


def member(name, *partitions):
    owned = [TopicPartition("t", each) for each in partitions]
    return Member(name, None, f"client-{name}", "/h", 1, owned, None)


def group(*members):
    return Group("g", "consumer", "Reconciling", "consumer", "uniform", 1, 1, list(members))


def at(**offsets):
    return {TopicPartition(name[0], int(name[1:])): Committed(offset, -1, "") for name, offset in offsets.items()}


def ends(**offsets):
    return {TopicPartition(name[0], int(name[1:])): offset for name, offset in offsets.items()}


def test_each_partition_that_is_owned_or_committed_has_a_row():
    committed = at(t0=4, u1=2)
    of = group(member("b", 1), member("a", 0))
    assert {str(each) for each in partitions_of(of, committed)} == {"t:0", "t:1", "u:1"}
    found = rows(of, committed, ends(t0=10, t1=5, u1=2))
    assert [
        (row.topic, row.partition, row.current_offset, row.log_end_offset, row.lag, row.member_id) for row in found
    ] == [
        ("t", 0, 4, 10, 6, "a"),
        ("t", 1, None, 5, None, "b"),
        ("u", 1, 2, 2, 0, None),
    ]
    assert total(found) == 6


def test_a_partition_that_two_members_have_counts_once():
    found = rows(group(member("a", 0), member("b", 0)), at(t0=4), ends(t0=10))
    assert [row.member_id for row in found] == ["a", "b"]
    assert total(found) == 6


def test_a_log_that_was_cut_or_is_gone_makes_up_for_no_other():
    found = rows(group(), at(t0=4, t1=9, t2=1), ends(t0=10, t1=5))
    assert [row.lag for row in found] == [6, -4, None]
    assert total(found) == 6
