"""What the controller decides, as a function; its messages are Apache Kafka's, word for word."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker.config import BrokerConfig
from kbroker.controller.core import (
    MAX_NAME_LENGTH,
    PRODUCER_ID_BLOCK,
    UNASSIGNED_DIRECTORY,
    Defaults,
    NewTopic,
    allocate_producer_ids,
    create_partitions,
    create_topics,
    delete_topics,
    name_error,
    place,
)
from kbroker.errors import Refusal
from kbroker.metadata.image import TOPIC_RESOURCE, Image
from kbroker_wire import ErrorCode
from kbroker_wire.messages.metadata_records import (
    BrokerEndpoint,
    ConfigRecord,
    PartitionRecord,
    RegisterBrokerRecord,
    TopicRecord,
)


def cluster(*brokers, fenced=(), directories=1):
    """An image of a cluster with these broker ids."""
    records = [
        RegisterBrokerRecord(
            broker_id=number,
            incarnation_id=bytes(16),
            broker_epoch=number,
            end_points=[BrokerEndpoint(name="PLAINTEXT", host="host", port=9092, security_protocol=0)],
            features=[],
            rack=None,
            fenced=number in fenced,
            log_dirs=[bytes([number, index]) * 8 for index in range(directories)],
        )
        for number in brokers
    ]
    return Image().replay(records, 0)[0]


ONE = cluster(1)
THREE = cluster(1, 2, 3)
DEFAULTS = Defaults(partitions=2, replication_factor=1)


def uuids():
    numbers = count(1)
    return lambda: next(numbers).to_bytes(16, "big")


def create(image, *topics, defaults=DEFAULTS):
    """The image after creating these, and what became of each."""
    records, outcome = create_topics(image, topics, defaults, uuids())
    return image.replay(records, image.offset + 1)[0], outcome


def topic(name="topic", partitions=-1, factor=-1, **more):
    return NewTopic(name, partitions, factor, **more)


def refused(image, new, defaults=DEFAULTS):
    after, outcome = create(image, new, defaults=defaults)
    refusal = outcome[new.name]
    assert isinstance(refusal, Refusal)
    assert after.topics == image.topics
    return refusal.code, refusal.message


WITH_TOPIC, _ = create(ONE, topic("a.b", 1, 1))
TOO_LONG = "t" * 250
UNREACHABLE = (
    "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only 1 "
    "broker(s) are registered or some brokers have all their log directories cordoned."
)
INCONSISTENT = (
    "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with previous "
    "partitions, which have 1 replica(s)."
)
BAD = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"


@pytest.mark.parametrize(
    ("new", "code", "message"),
    [
        (topic(""), 17, "Topic name is invalid: the empty string is not allowed"),
        (topic("."), 17, "Topic name is invalid: '.' is not allowed"),
        (topic(".."), 17, "Topic name is invalid: '..' is not allowed"),
        (topic("a b"), 17, f"Topic name is invalid: 'a b' {BAD}"),
        (topic("a/../b"), 17, f"Topic name is invalid: 'a/../b' {BAD}"),
        (topic("ä"), 17, f"Topic name is invalid: 'ä' {BAD}"),
        (topic("a\n"), 17, f"Topic name is invalid: 'a\n' {BAD}"),
        (
            topic(TOO_LONG),
            17,
            f"Topic name is invalid: the length of '{TOO_LONG}' is longer than the max allowed length 249",
        ),
        (
            topic("__cluster_metadata"),
            17,
            "Topic name is invalid: '__cluster_metadata' is the name of the metadata log",
        ),
        (topic("a.b"), 36, "Topic 'a.b' already exists."),
        (topic("a_b"), 17, "Topic 'a_b' collides with existing topic: a.b"),
        (topic(partitions=0), 37, "Number of partitions was set to an invalid non-positive value."),
        (topic(partitions=-2), 37, "Number of partitions was set to an invalid non-positive value."),
        (topic(factor=0), 38, "Replication factor must be larger than 0, or -1 to use the default value."),
        (topic(factor=-2), 38, "Replication factor must be larger than 0, or -1 to use the default value."),
        (
            topic(factor=2),
            38,
            UNREACHABLE,
        ),
        (topic(configs=[("no.such", "1")]), 40, "Unknown topic config name: no.such"),
        (topic(configs=[("retention.ms", None)]), 40, "Null value not supported for topic configs: retention.ms"),
        (
            topic(configs=[("retention.ms", "soon")]),
            40,
            "Invalid value soon for configuration retention.ms: Not a number of type LONG",
        ),
        (
            topic(factor=1, assignments=[(0, [1])]),
            42,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (
            topic(partitions=1, assignments=[(0, [1])]),
            42,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            topic(assignments=[(0, [1]), (0, [1])]),
            39,
            "Found multiple manual partition assignments for partition 0",
        ),
        (topic(assignments=[(1, [1])]), 39, "partitions should be a consecutive 0-based integer sequence"),
        (topic(assignments=[(0, [])]), 39, "The manual partition assignment includes an empty replica list."),
        (
            topic(assignments=[(0, [1, 1])]),
            39,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            topic(assignments=[(0, [9])]),
            39,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
    ],
)
def test_what_can_not_be_created_is_refused_in_kafkas_words(new, code, message):
    assert refused(WITH_TOPIC, new) == (code, message)


def test_partitions_of_one_topic_have_equally_many_replicas():
    assert refused(THREE, topic(assignments=[(0, [1, 2]), (1, [3])])) == (
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        "The manual partition assignment includes partitions with different numbers of replicas.",
    )


def test_no_replica_is_placed_where_every_broker_is_fenced():
    assert refused(cluster(1, 2, fenced=(1, 2)), topic(factor=1)) == (
        ErrorCode.INVALID_REPLICATION_FACTOR,
        "Unable to replicate the partition 1 time(s): All brokers are currently fenced.",
    )


def test_a_request_for_too_many_partitions_is_refused_as_a_whole():
    _, outcome = create(ONE, topic("small", 1, 1), topic("huge", 10_000, 1))
    assert {each.code for each in outcome.values()} == {ErrorCode.POLICY_VIOLATION}


def test_settings_that_contradict_each_other_are_refused():
    check = BrokerConfig.parse({}).check_topic
    configs = [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]
    code, message = refused(ONE, topic(configs=configs, check_configs=check))
    assert code == ErrorCode.INVALID_CONFIG
    assert "min.compaction.lag.ms (10) > max.compaction.lag.ms (5)" in message


@given(st.text(max_size=12) | st.from_regex(r"[a-zA-Z0-9._-]{1,255}", fullmatch=True))
def test_a_name_without_an_error_is_safe_as_a_folders_name(name):
    if name_error(name) is None:
        assert 0 < len(f"{name}-2147483647".encode()) <= 255 + 11
        assert len(name) <= MAX_NAME_LENGTH
        assert not set(name) & set("/\\:\0 ")
        assert name not in {".", ".."}


# -- what is created


def test_a_new_topic_is_one_batch_of_records_in_kafkas_order():
    configs = [("retention.ms", "5"), ("cleanup.policy", "compact")]
    records, outcome = create_topics(ONE, [topic(configs=configs)], DEFAULTS, uuids())
    kinds = [type(record) for record in records]
    assert kinds == [TopicRecord, ConfigRecord, ConfigRecord, PartitionRecord, PartitionRecord]
    created = outcome["topic"]
    assert (created.partitions, created.replication_factor, created.configs) == (2, 1, dict(configs))
    after, _ = ONE.replay(records, 1)
    assert after.config(TOPIC_RESOURCE, "topic") == dict(configs)
    for partition in after.topic("topic").partitions:
        assert (partition.leader, partition.leader_epoch, partition.replicas, partition.isr) == (1, 0, (1,), (1,))
        assert partition.directories == ONE.brokers[1].directories


def test_a_broker_with_several_folders_chooses_one_later():
    after, _ = create(cluster(1, directories=2), topic())
    assert after.topic("topic").partitions[0].directories == (UNASSIGNED_DIRECTORY,)


def test_the_others_of_a_request_are_created():
    after, outcome = create(ONE, topic("good"), topic("b a d"), topic("good.er"), topic("good_er"))
    assert sorted(after.topic_ids) == ["good", "good.er"]
    assert outcome["good_er"].message == "Topic 'good_er' collides with existing topic: good.er"


def test_an_assignment_by_hand_is_taken_as_it_is():
    after, _ = create(THREE, topic(assignments=[(1, [2, 1]), (0, [3, 2])]))
    assert [partition.replicas for partition in after.topic("topic").partitions] == [(3, 2), (2, 1)]
    assert [partition.leader for partition in after.topic("topic").partitions] == [3, 2]


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 100), st.data())
def test_replicas_are_spread_evenly_over_different_brokers(brokers, partitions, seed, data):
    factor = data.draw(st.integers(1, brokers))
    placed = place(cluster(*range(1, brokers + 1)), partitions, factor, seed)
    assert len(placed) == partitions
    assert all(len(set(replicas)) == factor for replicas in placed)
    leaders = [replicas[0] for replicas in placed]
    counts = [leaders.count(broker) for broker in range(1, brokers + 1)]
    assert max(counts) - min(counts) <= 1


def test_topics_of_one_partition_do_not_all_land_on_one_broker():
    after, _ = create(THREE, *[topic(f"t{i}", 1, 1) for i in range(6)])
    leaders = [each.partitions[0].leader for each in after.topics.values()]
    assert sorted(leaders) == [1, 1, 2, 2, 3, 3]


# -- names that differ only in case


APART = Defaults(2, 1, keep_case_apart=True)


def test_names_that_differ_in_case_are_two_topics_where_the_disk_tells_them_apart():
    after, _ = create(ONE, topic("Orders"), topic("orders"))
    assert sorted(after.topic_ids) == ["Orders", "orders"]


@pytest.mark.parametrize("together", [True, False])
def test_names_that_differ_in_case_are_refused_where_the_disk_mixes_them_up(together):
    if together:
        _, outcome = create(ONE, topic("Orders"), topic("orders"), defaults=APART)
    else:
        after, _ = create(ONE, topic("Orders"), defaults=APART)
        _, outcome = create(after, topic("orders"), defaults=APART)
    assert outcome["orders"].code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert outcome["orders"].message == "Topic 'orders' collides with existing topic: Orders"


def test_the_metadata_log_is_safe_from_a_name_in_other_case_where_the_disk_mixes_them_up():
    assert refused(ONE, topic("__Cluster_Metadata"), APART)[0] == ErrorCode.INVALID_TOPIC_EXCEPTION


# -- partitions, deletion, producer ids


def test_new_partitions_continue_the_turn_over_the_brokers():
    image, _ = create(THREE, topic("topic", 2, 2))
    old = image.topic("topic").partitions
    records = create_partitions(image, "topic", 5, None)
    after, _ = image.replay(records, image.offset + 1)
    new = after.topic("topic").partitions
    assert new[:2] == old
    assert all(len(set(partition.replicas)) == 2 for partition in new)
    assert {partition.leader for partition in new} == {1, 2, 3}


@pytest.mark.parametrize(
    ("count", "assignments", "code", "message"),
    [
        (1, None, 37, "The topic topic currently has 2 partition(s); 1 would not be an increase."),
        (2, None, 37, "Topic already has 2 partition(s)."),
        (
            4,
            [[1]],
            39,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (3, [[1], [2]], 39, "Attempted to add 1 additional partition(s), but only 2 assignment(s) were specified."),
        (3, [[9]], 39, "The manual partition assignment includes broker 9, but no such broker is registered."),
        (
            3,
            [[1, 2]],
            39,
            INCONSISTENT,
        ),
    ],
)
def test_partitions_that_can_not_be_added_are_refused_in_kafkas_words(count, assignments, code, message):
    image, _ = create(THREE, topic("topic", 2, 1))
    with pytest.raises(Refusal) as refusal:
        create_partitions(image, "topic", count, assignments)
    assert (refusal.value.code, refusal.value.message) == (code, message)


def test_partitions_of_an_unknown_topic_are_refused_without_a_message():
    with pytest.raises(Refusal) as refusal:
        create_partitions(ONE, "nope", 5, None)
    assert (refusal.value.code, refusal.value.message) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, None)


def test_a_deleted_topic_is_gone_and_its_name_is_free():
    image, _ = create(ONE, topic("topic"))
    after, _ = image.replay(delete_topics([image.topic("topic")]), image.offset + 1)
    assert not after.topics
    again, _ = create_topics(after, [topic("topic")], DEFAULTS, uuids())
    assert again


def test_blocks_of_producer_ids_never_overlap():
    image, seen = ONE, set()
    for _ in range(5):
        records, block = allocate_producer_ids(image, 1, 1)
        assert len(block) == PRODUCER_ID_BLOCK
        assert not seen & set(block)
        seen |= set(block)
        image, _ = image.replay(records, image.offset + 1)
