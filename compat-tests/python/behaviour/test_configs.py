"""DescribeConfigs (key 32): the settings of topics, groups and this broker."""

import pytest
from raw_kafka.calls import NONE, create_topic, unknown_topic

UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC, INVALID_REQUEST = 3, 17, 42
TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SOURCE_TOPIC, SOURCE_DEFAULT, SOURCE_LOGGER = 1, 5, 6
TOPIC_SETTINGS, GROUP_SETTINGS = 37, 21  # of Apache Kafka 4.4.0


def describe(connection, kind, name, keys=None, version=4, **options):
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    (answer,) = connection.call("DescribeConfigs", version, resources=[resource], **options).results
    assert (answer.resource_type, answer.resource_name) == (kind, name)
    return answer


def broker_id(connection):
    return str(connection.call("Metadata", 12, topics=[]).brokers[0].node_id)


class TestTopics:
    @pytest.mark.parametrize("version", range(1, 5))
    def test_null_lists_every_setting(self, version, connection, topic):
        answer = describe(connection, TOPIC, topic.name, version=version)
        assert (answer.error_code, answer.error_message) == (NONE, "")
        names = [config.name for config in answer.configs]
        assert len(names) == len(set(names)) == TOPIC_SETTINGS
        shown = {config.name: config for config in answer.configs}
        assert shown["retention.ms"].value == "604800000"
        assert shown["cleanup.policy"].value == "delete"
        assert shown["max.message.bytes"].value == "1048588"
        assert not any(config.read_only or config.is_sensitive for config in answer.configs)

    def test_an_empty_list_lists_every_setting_too(self, connection, topic):
        assert len(describe(connection, TOPIC, topic.name, []).configs) == TOPIC_SETTINGS

    def test_only_the_settings_that_are_named(self, connection, topic):
        answer = describe(connection, TOPIC, topic.name, ["segment.bytes", "retention.ms"])
        assert {config.name for config in answer.configs} == {"segment.bytes", "retention.ms"}

    def test_an_unknown_setting_is_left_out(self, connection, topic):
        answer = describe(connection, TOPIC, topic.name, ["no.such", "retention.ms"])
        assert (answer.error_code, [config.name for config in answer.configs]) == (NONE, ["retention.ms"])

    def test_where_a_value_comes_from(self, connection):
        topic = create_topic(connection, configs={"retention.ms": "1234567"})
        own, default = (
            describe(connection, TOPIC, topic.name, [name]).configs[0] for name in ("retention.ms", "segment.bytes")
        )
        assert (own.value, own.config_source) == ("1234567", SOURCE_TOPIC)
        assert (default.value, default.config_source) == ("1073741824", SOURCE_DEFAULT)

    def test_types_of_values(self, connection, topic):
        kinds = {config.name: config.config_type for config in describe(connection, TOPIC, topic.name).configs}
        expected = {
            "preallocate": 1,
            "compression.type": 2,
            "segment.bytes": 3,
            "retention.ms": 5,
            "min.cleanable.dirty.ratio": 6,
            "cleanup.policy": 7,
        }
        assert {name: kinds[name] for name in expected} == expected

    def test_synonyms_tell_where_else_a_value_could_come_from(self, connection):
        topic = create_topic(connection, configs={"segment.bytes": "2000000"})
        (config,) = describe(connection, TOPIC, topic.name, ["segment.bytes"], include_synonyms=True).configs
        listed = [(each.name, each.value, each.source) for each in config.synonyms]
        assert listed == [
            ("segment.bytes", "2000000", SOURCE_TOPIC),
            ("log.segment.bytes", "1073741824", SOURCE_DEFAULT),
        ]
        (config,) = describe(connection, TOPIC, topic.name, ["segment.bytes"]).configs
        assert config.synonyms == [], "only on demand"

    @pytest.mark.parametrize("version", [3, 4])
    def test_documentation_comes_on_demand(self, version, connection, topic):
        (config,) = describe(connection, TOPIC, topic.name, ["retention.ms"], version).configs
        assert not config.documentation
        options = {"include_documentation": True}
        (config,) = describe(connection, TOPIC, topic.name, ["retention.ms"], version, **options).configs
        assert len(config.documentation) > 20

    @pytest.mark.parametrize("version", range(1, 5))
    def test_an_unknown_topic(self, version, connection):
        answer = describe(connection, TOPIC, unknown_topic().name, version=version)
        assert (answer.error_code, answer.configs) == (UNKNOWN_TOPIC_OR_PARTITION, [])

    @pytest.mark.parametrize("name", ["", "a b", ".."])
    def test_a_name_no_topic_can_have(self, name, connection):
        answer = describe(connection, TOPIC, name)
        assert (answer.error_code, answer.configs) == (INVALID_TOPIC, [])


class TestBrokers:
    @pytest.mark.parametrize("version", range(1, 5))
    def test_this_broker(self, version, connection):
        name = broker_id(connection)
        answer = describe(connection, BROKER, name, version=version)
        assert answer.error_code == NONE
        shown = {config.name: config for config in answer.configs}
        assert shown["node.id"].value == name
        assert shown["num.partitions"].value == "1"
        assert shown["node.id"].read_only is True
        assert shown["log.retention.ms"].read_only is False

    def test_named_settings_only(self, connection):
        answer = describe(connection, BROKER, broker_id(connection), ["num.partitions", "no.such"])
        assert [config.name for config in answer.configs] == ["num.partitions"]

    def test_secrets_are_not_told(self, connection):
        shown = describe(connection, BROKER, broker_id(connection)).configs
        secrets = [config for config in shown if config.name.endswith("password")]
        assert all(config.value is None and config.is_sensitive for config in secrets)

    @pytest.mark.parametrize("name", ["not-a-number", "2147483648", "1.0"])
    def test_no_broker_can_have_that_name(self, name, connection):
        answer = describe(connection, BROKER, name)
        assert (answer.error_code, answer.configs) == (INVALID_REQUEST, [])
        assert answer.error_message == f"Broker id must be an integer, but it is: {name}"

    def test_another_way_to_write_the_number(self, connection):
        answer = describe(connection, BROKER, "+0" + broker_id(connection), ["node.id"])
        assert (answer.error_code, [config.name for config in answer.configs]) == (NONE, ["node.id"])

    def test_another_broker(self, connection):
        own = broker_id(connection)
        answer = describe(connection, BROKER, "9999")
        assert (answer.error_code, answer.configs) == (INVALID_REQUEST, [])
        assert answer.error_message == f"Unexpected broker id, expected {own} or empty string, but received 9999"

    def test_the_default_of_all_brokers(self, connection):
        """Lists what was set for the whole cluster at run time, not every setting."""
        answer = describe(connection, BROKER, "")
        assert answer.error_code == NONE
        assert "node.id" not in {config.name for config in answer.configs}


class TestLoggers:
    @pytest.mark.parametrize("version", range(1, 5))
    def test_levels_in_kafkas_words(self, version, connection):
        answer = describe(connection, BROKER_LOGGER, broker_id(connection), version=version)
        assert (answer.error_code, answer.error_message) == (NONE, "")
        assert len(answer.configs) > 1
        shown = {config.name: config for config in answer.configs}
        assert {config.value for config in answer.configs} <= {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
        assert (shown["root"].config_source, shown["root"].read_only) == (SOURCE_LOGGER, False)

    def test_named_loggers_only(self, connection):
        answer = describe(connection, BROKER_LOGGER, broker_id(connection), ["root", "no.such"])
        assert [config.name for config in answer.configs] == ["root"]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("", "Broker id must not be empty"),
            ("x", "Broker id must be an integer, but it is: x"),
            ("9999", "Unexpected broker id, expected {own} but received 9999"),
        ],
    )
    def test_of_no_broker_here(self, name, reason, connection):
        answer = describe(connection, BROKER_LOGGER, name)
        assert (answer.error_code, answer.configs) == (INVALID_REQUEST, [])
        assert answer.error_message == reason.format(own=broker_id(connection))


class TestGroupsAndClientMetrics:
    """They need not exist: the answer is what they would have."""

    def test_a_group(self, connection):
        answer = describe(connection, GROUP, "nobody", include_synonyms=True)
        assert (answer.error_code, answer.error_message) == (NONE, "")
        shown = {config.name: (config.value, config.config_source, config.config_type) for config in answer.configs}
        assert len(shown) == GROUP_SETTINGS
        assert shown["consumer.session.timeout.ms"] == ("45000", SOURCE_DEFAULT, 3)
        assert shown["share.auto.offset.reset"] == ("latest", SOURCE_DEFAULT, 2)
        assert shown["streams.assignor.name"] == ("sticky", SOURCE_DEFAULT, 2)
        synonyms = {config.name: config.synonyms[0].name for config in answer.configs}
        assert synonyms["consumer.session.timeout.ms"] == "group.consumer.session.timeout.ms"
        assert synonyms["share.auto.offset.reset"] == "share.auto.offset.reset"

    def test_a_subscription(self, connection):
        answer = describe(connection, CLIENT_METRICS, "nobody")
        assert (answer.error_code, answer.error_message) == (NONE, "")
        shown = {config.name: (config.value, config.config_source) for config in answer.configs}
        assert shown == {
            "interval.ms": ("300000", SOURCE_DEFAULT),
            "match": ("", SOURCE_DEFAULT),
            "metrics": ("", SOURCE_DEFAULT),
        }

    @pytest.mark.parametrize(
        ("kind", "what"), [(GROUP, "Group name"), (CLIENT_METRICS, "Client metrics subscription name")]
    )
    def test_without_a_name(self, kind, what, connection):
        answer = describe(connection, kind, "")
        assert (answer.error_code, answer.error_message) == (INVALID_REQUEST, f"{what} must not be empty")


class TestResources:
    @pytest.mark.parametrize("kind", [0, 99, -1])
    def test_of_an_unknown_type(self, kind, connection):
        answer = describe(connection, kind, "x")
        assert (answer.error_code, answer.configs) == (INVALID_REQUEST, [])

    def test_several_at_once(self, connection, topic):
        resources = [
            {"resource_type": TOPIC, "resource_name": topic.name, "configuration_keys": ["retention.ms"]},
            {"resource_type": TOPIC, "resource_name": unknown_topic().name, "configuration_keys": None},
            {"resource_type": BROKER, "resource_name": broker_id(connection), "configuration_keys": ["node.id"]},
        ]
        results = connection.call("DescribeConfigs", 4, resources=resources).results
        codes = {each.resource_name: each.error_code for each in results}
        assert sorted(codes.values()) == [NONE, NONE, UNKNOWN_TOPIC_OR_PARTITION]
        assert codes.keys() == {each["resource_name"] for each in resources}

    def test_none_at_all(self, connection):
        assert connection.call("DescribeConfigs", 4, resources=[]).results == []
