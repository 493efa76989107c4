"""CreateTopics (19), DeleteTopics (20), CreatePartitions (37): what comes of them, and refusals in Kafka's words."""

import time

import pytest
from raw_kafka.batches import batch
from raw_kafka.calls import (
    NONE,
    READY_WITHIN_S,
    create_topic,
    fetch_request,
    list_offset,
    metadata_topics,
    produce,
    unique_name,
    unknown_topic,
)
from raw_kafka.codec import ZERO_UUID

UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC, TOPIC_EXISTS, INVALID_PARTITIONS = 3, 17, 36, 37
INVALID_REPLICATION_FACTOR, INVALID_ASSIGNMENT, INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_ID = 38, 39, 40, 42, 100
POLICY_VIOLATION = 44
NOT_REGISTERED_BROKER = 4242


def wanted(name, partitions=1, replicas=1, configs=(), assignments=()):
    return {
        "name": name,
        "num_partitions": partitions,
        "replication_factor": replicas,
        "configs": [{"name": key, "value": value} for key, value in configs],
        "assignments": [{"partition_index": index, "broker_ids": ids} for index, ids in assignments],
    }


def create(connection, *topics, version=7, validate_only=False):
    return connection.call(
        "CreateTopics", version, topics=list(topics), timeout_ms=30_000, validate_only=validate_only
    ).topics


def node_id(connection):
    return connection.call("Metadata", 12, topics=[]).brokers[0].node_id


def until(connection, name, error_code):
    """Metadata of a topic once it shows `error_code`: at once on a broker that answers when it is done."""
    deadline = time.monotonic() + READY_WITHIN_S
    while (found := metadata_topics(connection, [name])[0]).error_code != error_code:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def gone(connection, name, broker):
    """The topic is deleted; Apache Kafka shows it for a moment longer, a broker whose answers mean done does not."""
    if broker.kind == "apache":
        return until(connection, name, UNKNOWN_TOPIC_OR_PARTITION)
    (found,) = metadata_topics(connection, [name])
    assert found.error_code == UNKNOWN_TOPIC_OR_PARTITION
    return found


class TestCreate:
    @pytest.mark.parametrize("version", range(2, 8))
    def test_answers_what_was_created(self, version, connection):
        name = unique_name()
        (answer,) = create(connection, wanted(name, partitions=2), version=version)
        assert (answer.name, answer.error_code, answer.error_message) == (name, NONE, None)
        if version >= 5:
            assert (answer.num_partitions, answer.replication_factor) == (2, 1)
            assert answer.topic_config_error_code == NONE
            assert len(answer.configs) >= 30
        if version >= 7:
            assert answer.topic_id != ZERO_UUID
        assert len(until(connection, name, NONE).partitions) == 2

    def test_the_topic_is_ready_when_the_answer_comes(self, connection, broker):
        if broker.kind == "apache":
            pytest.skip("Apache Kafka answers before its own broker knows the topic")
        name = unique_name()
        (answer,) = create(connection, wanted(name))
        (found,) = metadata_topics(connection, [name])
        assert (found.error_code, found.topic_id) == (NONE, answer.topic_id)
        assert found.partitions[0].leader_id == node_id(connection)

    def test_minus_one_means_the_brokers_defaults(self, connection):
        (answer,) = create(connection, wanted(unique_name(), partitions=-1, replicas=-1))
        assert (answer.error_code, answer.num_partitions, answer.replication_factor) == (NONE, 1, 1)

    def test_configs_given_are_shown_as_the_topics_own(self, connection):
        (answer,) = create(connection, wanted(unique_name(), configs=[("retention.ms", "123456")]))
        shown = {config.name: config for config in answer.configs}
        assert (shown["retention.ms"].value, shown["retention.ms"].config_source) == ("123456", 1)
        assert shown["retention.bytes"].config_source == 5
        assert not any(config.is_sensitive for config in answer.configs)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("retention.ms", " 5 "), ("preallocate", "TRUE"), ("cleanup.policy", "compact, delete")],
    )
    def test_configs_given_are_answered_as_they_were_written(self, name, value, connection):
        (answer,) = create(connection, wanted(unique_name(), configs=[(name, value)]), validate_only=True)
        assert {config.name: config.value for config in answer.configs}[name] == value

    def test_the_configs_of_an_answer_are_those_that_describe_configs_lists(self, connection):
        name = unique_name()
        (answer,) = create(connection, wanted(name))
        until(connection, name, NONE)
        resource = {"resource_type": 2, "resource_name": name, "configuration_keys": None}
        (described,) = connection.call("DescribeConfigs", 4, resources=[resource]).results
        assert {c.name: c.value for c in answer.configs} == {c.name: c.value for c in described.configs}

    def test_validate_only_answers_the_same_and_creates_nothing(self, connection):
        name = unique_name("dry")
        (answer,) = create(connection, wanted(name, partitions=3), validate_only=True)
        assert (answer.error_code, answer.error_message) == (NONE, None)
        assert (answer.num_partitions, answer.replication_factor) == (3, 1)
        assert answer.configs
        (real,) = create(connection, wanted(name))
        assert real.error_code == NONE, "nothing was in the way"

    def test_replicas_may_be_placed_by_hand(self, connection):
        node = node_id(connection)
        name = unique_name("placed")
        (answer,) = create(connection, wanted(name, -1, -1, assignments=[(0, [node]), (1, [node])]))
        assert (answer.error_code, answer.num_partitions, answer.replication_factor) == (NONE, 2, 1)

    def test_an_empty_request_has_an_empty_answer(self, connection):
        assert create(connection) == []

    def test_one_bad_topic_does_not_keep_others_from_being_created(self, connection):
        good = unique_name()
        answers = {each.name: each.error_code for each in create(connection, wanted(good), wanted("a b"))}
        assert answers == {good: NONE, "a b": INVALID_TOPIC}
        until(connection, good, NONE)

    def test_a_name_may_have_249_characters(self, connection):
        name = unique_name().ljust(249, "x")
        assert create(connection, wanted(name))[0].error_code == NONE


CHARACTERS = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
POSITIVE = "Number of partitions was set to an invalid non-positive value."
TOO_MANY_REPLICAS = (
    "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because "
    "only 1 broker(s) are registered or some brokers have all their log directories cordoned."
)
BAD_TOPICS = {
    "a space in the name": (wanted("bad name"), INVALID_TOPIC, f"Topic name is invalid: 'bad name' {CHARACTERS}"),
    "no name": (wanted(""), INVALID_TOPIC, "Topic name is invalid: the empty string is not allowed"),
    "one dot": (wanted("."), INVALID_TOPIC, "Topic name is invalid: '.' is not allowed"),
    "two dots": (wanted(".."), INVALID_TOPIC, "Topic name is invalid: '..' is not allowed"),
    "250 characters": (
        wanted("y" * 250),
        INVALID_TOPIC,
        f"Topic name is invalid: the length of '{'y' * 250}' is longer than the max allowed length 249",
    ),
    "no partitions": (wanted("never", 0), INVALID_PARTITIONS, POSITIVE),
    "-2 partitions": (wanted("never", -2), INVALID_PARTITIONS, POSITIVE),
    "no replicas": (
        wanted("never", 1, 0),
        INVALID_REPLICATION_FACTOR,
        "Replication factor must be larger than 0, or -1 to use the default value.",
    ),
    "-2 replicas": (
        wanted("never", 1, -2),
        INVALID_REPLICATION_FACTOR,
        "Replication factor must be larger than 0, or -1 to use the default value.",
    ),
    "more replicas than brokers": (
        wanted("never", 1, 3),
        INVALID_REPLICATION_FACTOR,
        TOO_MANY_REPLICAS,
    ),
    "an unknown setting": (wanted("never", configs=[("nope", "1")]), INVALID_CONFIG, "Unknown topic config name: nope"),
    "a setting that is no number": (
        wanted("never", configs=[("retention.ms", "abc")]),
        INVALID_CONFIG,
        "Invalid value abc for configuration retention.ms: Not a number of type LONG",
    ),
    "a setting below its range": (
        wanted("never", configs=[("segment.bytes", "1")]),
        INVALID_CONFIG,
        "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576",
    ),
    "a setting that is none of its words": (
        wanted("never", configs=[("cleanup.policy", "shred")]),
        INVALID_CONFIG,
        "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
    ),
    "a setting without a value": (
        wanted("never", configs=[("retention.ms", None)]),
        INVALID_CONFIG,
        "Null value not supported for topic configs: retention.ms",
    ),
    "settings that contradict each other": (
        wanted("never", configs=[("min.compaction.lag.ms", "100"), ("max.compaction.lag.ms", "50")]),
        INVALID_CONFIG,
        "conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)",
    ),
    "a remote log": (
        wanted("never", configs=[("remote.storage.enable", "true")]),
        INVALID_CONFIG,
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
    ),
    "a null among bad settings": (
        wanted("never", configs=[("nope", "1"), ("retention.ms", None)]),
        INVALID_CONFIG,
        "Null value not supported for topic configs: retention.ms",
    ),
    "bad settings and bad counts": (
        wanted("never", 0, 0, configs=[("nope", "1")]),
        INVALID_CONFIG,
        "Unknown topic config name: nope",
    ),
    "partitions placed with a gap": (
        wanted("never", -1, -1, assignments=[(1, [1])]),
        INVALID_ASSIGNMENT,
        "partitions should be a consecutive 0-based integer sequence",
    ),
    "a partition placed nowhere": (
        wanted("never", -1, -1, assignments=[(0, [])]),
        INVALID_ASSIGNMENT,
        "The manual partition assignment includes an empty replica list.",
    ),
    "a partition placed on a broker that is not there": (
        wanted("never", -1, -1, assignments=[(0, [NOT_REGISTERED_BROKER])]),
        INVALID_ASSIGNMENT,
        f"The manual partition assignment includes broker {NOT_REGISTERED_BROKER}, but no such broker is registered.",
    ),
    "placed and counted replicas": (
        wanted("never", 2, 1, assignments=[(0, [1])]),
        INVALID_REQUEST,
        "A manual partition assignment was specified, but replication factor was not set to -1.",
    ),
    "placed and counted partitions": (
        wanted("never", 2, -1, assignments=[(0, [1])]),
        INVALID_REQUEST,
        "A manual partition assignment was specified, but numPartitions was not set to -1.",
    ),
}


class TestCreateRefuses:
    @pytest.mark.parametrize(("topic", "code", "message"), BAD_TOPICS.values(), ids=BAD_TOPICS.keys())
    def test_with_a_reason(self, topic, code, message, connection):
        (answer,) = create(connection, topic)
        assert (answer.name, answer.error_code, answer.error_message) == (topic["name"], code, message)
        assert (answer.num_partitions, answer.replication_factor, answer.topic_id) == (-1, -1, ZERO_UUID)
        assert answer.configs == []

    @pytest.mark.parametrize("version", range(2, 8))
    def test_in_every_version(self, version, connection):
        (answer,) = create(connection, wanted("bad name"), version=version)
        assert (answer.name, answer.error_code) == ("bad name", INVALID_TOPIC)

    @pytest.mark.parametrize("validate_only", [True, False])
    def test_a_name_that_is_taken(self, validate_only, connection, topic):
        (answer,) = create(connection, wanted(topic.name), validate_only=validate_only)
        assert (answer.error_code, answer.error_message) == (TOPIC_EXISTS, f"Topic '{topic.name}' already exists.")

    def test_a_name_that_only_differs_in_dots_and_underscores(self, connection):
        taken = create_topic(connection, unique_name("a") + ".b")
        twin = taken.name.replace(".", "_")
        (answer,) = create(connection, wanted(twin))
        assert answer.error_code == INVALID_TOPIC
        assert answer.error_message == f"Topic '{twin}' collides with existing topic: {taken.name}"

    def test_a_name_that_comes_twice(self, connection):
        name = unique_name("twice")
        (answer,) = create(connection, wanted(name), wanted(name))
        assert (answer.name, answer.error_code) == (name, INVALID_REQUEST)
        assert answer.error_message == "Duplicate topic name."
        assert metadata_topics(connection, [name])[0].error_code == UNKNOWN_TOPIC_OR_PARTITION


TOO_MANY_PARTITIONS = "Excessively large number of partitions per request."
TOO_MANY_RECORDS = "Unable to perform excessively large batch operation."
TOO_LARGE = {
    "one topic": ([wanted("huge", 10_001)], TOO_MANY_PARTITIONS),
    "two together": ([wanted("huge", 6_000), wanted("large", 6_000)], TOO_MANY_PARTITIONS),
    "placed by hand": (
        [wanted("huge", -1, -1, assignments=[(index, [1]) for index in range(10_001)])],
        TOO_MANY_PARTITIONS,
    ),
    "beside small and bad ones": ([wanted("huge", 20_000), wanted("small"), wanted("a b")], TOO_MANY_PARTITIONS),
    "with the records of the topics themselves": ([wanted("huge", 5_000), wanted("large", 5_000)], TOO_MANY_RECORDS),
}


class TestTooLarge:
    """One request creates at most 10,000 partitions, in at most 10,000 records; else it is refused as a whole."""

    @pytest.mark.parametrize(("topics", "message"), TOO_LARGE.values(), ids=TOO_LARGE.keys())
    def test_to_create(self, topics, message, connection):
        answers = create(connection, *topics, validate_only=True)
        assert sorted(each.name for each in answers) == sorted(each["name"] for each in topics)
        assert {(each.error_code, each.error_message) for each in answers} == {(POLICY_VIOLATION, message)}

    def test_as_many_as_allowed(self, connection):
        (answer,) = create(connection, wanted("large", 9_999), validate_only=True)
        assert (answer.error_code, answer.num_partitions) == (NONE, 9_999)

    @pytest.mark.parametrize("counts", [(10_002, 2), (5_002, 5_002)])
    def test_to_add(self, counts, connection):
        topics = [{"name": create_topic(connection).name, "count": count, "assignments": None} for count in counts]
        results = connection.call("CreatePartitions", 3, topics=topics, timeout_ms=30_000, validate_only=True).results
        message = "Excessively large number of additional partitions per request."
        assert [(each.error_code, each.error_message) for each in results] == [(POLICY_VIOLATION, message)] * 2

    def test_unknown_topics_do_not_count(self, connection, topic):
        topics = [
            {"name": unknown_topic().name, "count": 20_000, "assignments": None},
            {"name": topic.name, "count": 10_001, "assignments": None},
        ]
        results = connection.call("CreatePartitions", 3, topics=topics, timeout_ms=30_000, validate_only=True).results
        codes = {each.name: each.error_code for each in results}
        assert codes == {topics[0]["name"]: UNKNOWN_TOPIC_OR_PARTITION, topic.name: NONE}


class TestDelete:
    def delete(self, connection, *topics, version=6):
        names = [name for name, _ in topics]
        entries = [{"name": name, "topic_id": topic_id} for name, topic_id in topics]
        return connection.call("DeleteTopics", version, topics=entries, topic_names=names, timeout_ms=30_000).responses

    @pytest.mark.parametrize("version", range(1, 7))
    def test_by_name(self, version, connection, topic, broker):
        (answer,) = self.delete(connection, (topic.name, ZERO_UUID), version=version)
        assert (answer.name, answer.error_code) == (topic.name, NONE)
        if version >= 5:
            assert answer.error_message is None
        if version >= 6:
            assert answer.topic_id == topic.id
        gone(connection, topic.name, broker)

    def test_by_id(self, connection, topic, broker):
        (answer,) = self.delete(connection, (None, topic.id))
        assert (answer.name, answer.topic_id, answer.error_code) == (topic.name, topic.id, NONE)
        gone(connection, topic.name, broker)

    @pytest.mark.parametrize("version", range(1, 7))
    def test_an_unknown_name(self, version, connection):
        name = unknown_topic().name
        (answer,) = self.delete(connection, (name, ZERO_UUID), version=version)
        assert (answer.name, answer.error_code) == (name, UNKNOWN_TOPIC_OR_PARTITION)
        if version >= 5:
            assert answer.error_message == "This server does not host this topic-partition."

    def test_an_unknown_id(self, connection):
        stranger = unknown_topic()
        (answer,) = self.delete(connection, (None, stranger.id))
        assert (answer.name, answer.topic_id, answer.error_code) == (None, stranger.id, UNKNOWN_TOPIC_ID)
        assert answer.error_message == "This server does not host this topic ID."

    def test_by_name_and_id_at_once_is_refused(self, connection, topic):
        (answer,) = self.delete(connection, (topic.name, topic.id))
        assert answer.error_code == INVALID_REQUEST
        assert answer.error_message == "You may not specify both topic name and topic id."

    def test_by_neither_name_nor_id_is_refused(self, connection):
        (answer,) = self.delete(connection, (None, ZERO_UUID))
        assert answer.error_code == INVALID_REQUEST
        assert answer.error_message == "Neither topic name nor id were specified."

    def test_a_name_that_comes_twice_is_refused(self, connection, topic):
        (answer,) = self.delete(connection, (topic.name, ZERO_UUID), (topic.name, ZERO_UUID))
        assert (answer.error_code, answer.error_message) == (INVALID_REQUEST, "Duplicate topic name.")
        assert metadata_topics(connection, [topic.name])[0].error_code == NONE

    def test_a_topic_created_again_under_its_name_is_another_one(self, connection, topic, broker):
        produce(connection, topic, batch([b"old"]))
        self.delete(connection, (topic.name, ZERO_UUID))
        gone(connection, topic.name, broker)
        again = create_topic(connection, topic.name)
        assert again.id != topic.id
        assert list_offset(connection, again, -1).offset == 0, "its log is new as well"
        assert produce(connection, topic, batch(), version=13).error_code == UNKNOWN_TOPIC_ID
        assert produce(connection, again, batch(), version=13).error_code == NONE
        answer = connection.call("Fetch", 13, **fetch_request([(topic, 0, 0)]))
        assert answer.responses[0].partitions[0].error_code == UNKNOWN_TOPIC_ID


class TestCreatePartitions:
    def grow(self, connection, name, count, assignments=None, *, version=3, validate_only=False):
        placed = None if assignments is None else [{"broker_ids": ids} for ids in assignments]
        (answer,) = connection.call(
            "CreatePartitions",
            version,
            topics=[{"name": name, "count": count, "assignments": placed}],
            timeout_ms=30_000,
            validate_only=validate_only,
        ).results
        assert answer.name == name
        return answer.error_code, answer.error_message

    @pytest.mark.parametrize("version", range(4))
    def test_adds_partitions_that_work(self, version, connection, topic, broker):
        assert self.grow(connection, topic.name, 3, version=version) == (NONE, None)
        if broker.kind == "apache":
            deadline = time.monotonic() + READY_WITHIN_S
            while list_offset(connection, topic, -1, partition=2).error_code != NONE:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert produce(connection, topic, batch(), partition=2).error_code == NONE
        (found,) = metadata_topics(connection, [topic.name])
        assert sorted(each.partition_index for each in found.partitions) == [0, 1, 2]
        assert found.topic_id == topic.id

    def test_validate_only_changes_nothing(self, connection, topic):
        assert self.grow(connection, topic.name, 3, validate_only=True) == (NONE, None)
        assert self.grow(connection, topic.name, 2, validate_only=True) == (NONE, None), "still less than two"

    def test_as_many_as_there_are(self, connection, topic):
        assert self.grow(connection, topic.name, 1) == (INVALID_PARTITIONS, "Topic already has 1 partition(s).")

    def test_fewer_than_there_are(self, connection):
        topic = create_topic(connection, partitions=3)
        code, message = self.grow(connection, topic.name, 2)
        assert code == INVALID_PARTITIONS
        assert message == "The topic " + topic.name + " currently has 3 partition(s); 2 would not be an increase."

    @pytest.mark.parametrize("count", [0, -1])
    def test_none_at_all(self, count, connection, topic):
        code, _ = self.grow(connection, topic.name, count)
        assert code == INVALID_PARTITIONS

    @pytest.mark.parametrize("version", range(4))
    def test_of_an_unknown_topic(self, version, connection):
        found = self.grow(connection, unknown_topic().name, 3, version=version)
        assert found == (UNKNOWN_TOPIC_OR_PARTITION, None)

    def test_placed_by_hand(self, connection, topic):
        assert self.grow(connection, topic.name, 2, [[node_id(connection)]]) == (NONE, None)

    @pytest.mark.parametrize(("count", "placed"), [(3, 1), (2, 2)])
    def test_placed_for_another_count(self, count, placed, connection, topic):
        code, message = self.grow(connection, topic.name, count, [[node_id(connection)]] * placed)
        assert code == INVALID_ASSIGNMENT
        assert message == (
            f"Attempted to add {count - 1} additional partition(s), but only {placed} assignment(s) were specified."
        )

    def test_placed_on_a_broker_that_is_not_there(self, connection, topic):
        code, message = self.grow(connection, topic.name, 2, [[NOT_REGISTERED_BROKER]])
        assert code == INVALID_ASSIGNMENT
        assert message is not None
        assert str(NOT_REGISTERED_BROKER) in message

    def test_asked_twice_in_one_request(self, connection, topic):
        entry = {"name": topic.name, "count": 2, "assignments": None}
        (answer,) = connection.call("CreatePartitions", 3, topics=[entry, entry], timeout_ms=30_000).results
        assert (answer.error_code, answer.error_message) == (INVALID_REQUEST, "Duplicate topic name.")
