"""What a broker makes of the settings it was given: layers, listeners, warnings, topics, and DescribeConfigs."""

from __future__ import annotations

import pytest

from kbroker.config import BrokerConfig, ConfigError, ConfigSource, ConfigSynonym, Listener
from kbroker.coordinators.topics import consumer_offsets, transaction_state
from kbroker.settings.properties import load_properties

# The settings of the server.properties that Apache Kafka 4.x comes with.
STOCK = b"""
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
num.network.threads=3
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
offsets.topic.replication.factor=1
log.retention.hours=168
log.segment.bytes=1073741824
"""


def refusal(**properties: str) -> str:
    with pytest.raises(ConfigError) as caught:
        BrokerConfig.parse({name.replace("_", "."): text for name, text in properties.items()})
    return str(caught.value)


def test_nothing_given_is_a_safe_broker_on_this_machine_only() -> None:
    config = BrokerConfig.parse({})
    assert config.listeners == [Listener("PLAINTEXT", "127.0.0.1", 9092, "PLAINTEXT")]
    assert (config.node_id, config.data_dir, config.durability, config.validate) == (
        1,
        "./kbroker-data",
        "synced",
        "header",
    )
    assert config.bool("auto.create.topics.enable")
    assert (config.advertised, config.warnings) == ({}, [])


def test_what_the_user_gave_goes_before_the_overrides_and_those_before_the_defaults() -> None:
    config = BrokerConfig.parse({"num.partitions": "7"}, {"num.partitions": "3", "log.segment.bytes": "2000000"})
    assert (config.int("num.partitions"), config.int("log.segment.bytes")) == (7, 2_000_000)
    assert config.int("log.index.interval.bytes") == 4096


@pytest.mark.parametrize("name", ["log.dir", "log.dirs"])
def test_either_name_of_the_folder_replaces_an_override(name: str) -> None:
    assert BrokerConfig.parse({name: "/data"}, {"log.dirs": ".kbroker"}).data_dir == "/data"


def test_more_than_one_folder_is_refused() -> None:
    assert "kbroker keeps its logs in one folder (allowed: one folder)" in refusal(log_dirs="/a,/b")
    assert "one folder" in refusal(log_dirs="")


@pytest.mark.parametrize("given", [{"node.id": "5"}, {"broker.id": "5"}, {"node.id": "5", "broker.id": "5"}])
def test_node_id_and_broker_id_are_one_number(given: dict[str, str]) -> None:
    config = BrokerConfig.parse(given)
    assert (config.node_id, config.int("broker.id")) == (5, 5)


def test_node_id_is_a_number_and_only_one() -> None:
    assert "broker.id says 6, and both name this node" in refusal(node_id="5", broker_id="6")
    assert "configuration node.id: Value must be at least 0" in refusal(node_id="-5")
    assert "configuration node.id: Value must be at least 0" in refusal(broker_id="-5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PLAINTEXT://:9092", [Listener("PLAINTEXT", "", 9092, "PLAINTEXT")]),
        ("plaintext://localhost:0", [Listener("PLAINTEXT", "localhost", 0, "PLAINTEXT")]),
        ("PLAINTEXT://[::1]:9092", [Listener("PLAINTEXT", "::1", 9092, "PLAINTEXT")]),
        (
            "PLAINTEXT://0.0.0.0:9092 , INSIDE://my-host.example:9094",
            [
                Listener("PLAINTEXT", "0.0.0.0", 9092, "PLAINTEXT"),
                Listener("INSIDE", "my-host.example", 9094, "PLAINTEXT"),
            ],
        ),
        ("PLAINTEXT://127.0.0.1:0,INSIDE://127.0.0.1:0", None),
        ("PLAINTEXT://127.0.0.1:9092,INSIDE://[::1]:9092", None),
    ],
)
def test_listeners_are_parsed(text: str, expected: list[Listener] | None) -> None:
    protocols = "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT"
    config = BrokerConfig.parse({"listeners": text, "listener.security.protocol.map": protocols})
    assert len(config.listeners) == text.count("://")
    assert expected is None or config.listeners == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "There must be at least one listener for clients"),
        ("9092", "Unable to parse a listener"),
        ("PLAINTEXT://:x", "Unable to parse a listener"),
        ("PLAINTEXT://:65536", "port 0 to 65535"),
        ("PLAINTEXT://::1:9092", "IPv6 in []"),
        ("PLAINTEXT://:9092,", "must not be empty"),
        ("PLAINTEXT://:9092,PLAINTEXT://:9093", "PLAINTEXT comes twice"),
        ("PLAINTEXT://:9092,SSL://:9092", "9092 comes twice"),
        ("SSL://:9093", "the security protocol SSL, which kbroker does not speak yet (allowed: PLAINTEXT)"),
        ("NOPE://:9093", "No security protocol is given for listener NOPE"),
    ],
)
def test_a_listener_that_can_not_be_is_refused(text: str, reason: str) -> None:
    assert reason in refusal(listeners=text)


def test_an_unknown_security_protocol_is_refused() -> None:
    assert "Unable to parse a listener's protocol" in refusal(listener_security_protocol_map="PLAINTEXT:PLAIN")


def test_advertised_listeners_are_told_by_name() -> None:
    config = BrokerConfig.parse({"advertised.listeners": "PLAINTEXT://broker.example:19092"})
    assert config.advertised == {"PLAINTEXT": ("broker.example", 19092)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("PLAINTEXT://0.0.0.0:9092", "must advertise a host that clients can reach, not 0.0.0.0"),
        ("PLAINTEXT://:9092", "not all interfaces"),
        ("OUTSIDE://x:9092", "OUTSIDE is not one of the listeners (allowed: PLAINTEXT)"),
        ("PLAINTEXT://x:1,PLAINTEXT://y:2", "PLAINTEXT comes twice"),
    ],
)
def test_an_address_that_nobody_could_use_is_not_advertised(text: str, reason: str) -> None:
    assert reason in refusal(advertised_listeners=text)


def test_kafkas_own_server_properties_work_without_the_controller_listener() -> None:
    config = BrokerConfig.parse(load_properties(STOCK))
    assert config.listeners == [Listener("PLAINTEXT", "", 9092, "PLAINTEXT")]
    assert config.advertised == {"PLAINTEXT": ("localhost", 9092)}
    assert config.data_dir == "/tmp/kraft-combined-logs"
    assert "listener CONTROLLER is not opened: the controller is a part of this broker" in config.warnings


def test_unknown_settings_and_those_without_effect_are_warned_of_once_each() -> None:
    config = BrokerConfig.parse(
        {"log.segmnt.bytes": "4", "zz": "1", "num.io.threads": "8"}, {"num.network.threads": "3"}
    )
    assert config.warnings == [
        "unknown setting 'log.segmnt.bytes' is ignored; did you mean 'log.segment.bytes'?",
        "unknown setting 'zz' is ignored",
        "setting 'num.io.threads' is accepted, but kbroker does not act on it",
    ]


def test_a_wrong_value_names_the_key_the_value_and_the_allowed_range() -> None:
    assert refusal(log_segment_bytes="100") == (
        "Invalid value 100 for configuration log.segment.bytes: Value must be at least 1048576"
        " (allowed: INT, 1048576 or more)"
    )
    assert "Value must be -1 (for ever), or 1 or more" in refusal(log_retention_hours="0")


@pytest.mark.parametrize("name", ["offsets_topic_segment_bytes", "transaction_state_log_segment_bytes"])
def test_the_segments_of_internal_topics_are_as_large_as_topics_demand(name: str) -> None:
    assert "Value must be at least 1048576" in refusal(**{name: "1048575"})
    given = BrokerConfig.parse({name.replace("_", "."): "1048576"})
    for topic in (consumer_offsets(given), transaction_state(given)):
        given.check_topic(topic.configs)


def test_kbroker_is_always_a_broker() -> None:
    assert BrokerConfig.parse({"process.roles": "broker"}).listeners
    assert "kbroker is always a broker (allowed: broker,controller)" in refusal(process_roles="controller")


def test_look_ups_are_typed_and_know_every_name() -> None:
    config = BrokerConfig.parse({"sasl.enabled.mechanisms": "PLAIN, SCRAM-SHA-256"})
    assert config.list("sasl.enabled.mechanisms") == ("PLAIN", "SCRAM-SHA-256")
    assert config.list("early.start.listeners") == ()
    assert config.float("log.cleaner.min.cleanable.ratio") == 0.5
    assert config.optional_int("log.retention.ms") is None
    assert config.optional_str("broker.rack") is None
    assert config["min.insync.replicas"] == 1
    with pytest.raises(KeyError):
        config.int("no.such.setting")
    with pytest.raises(AssertionError):
        config.int("broker.rack")


def test_a_topic_takes_the_brokers_settings_where_it_has_none_of_its_own() -> None:
    config = BrokerConfig.parse(
        {"log.segment.bytes": "2000000", "message.max.bytes": "5000", "log.cleanup.policy": "compact"}
    )
    topic = config.topic({"max.message.bytes": "70", "cleanup.policy": ""})
    assert (topic.segment_bytes, topic.max_message_bytes, topic.cleanup_policy) == (2_000_000, 70, ())
    assert not topic.compact
    assert not topic.delete
    assert config.topic({}).compact
    assert not config.topic({}).log_append_time
    assert config.topic({"message.timestamp.type": "LogAppendTime"}).log_append_time


@pytest.mark.parametrize(
    ("given", "retention_ms"),
    [
        ({}, 604_800_000),
        ({"log.retention.hours": "2"}, 7_200_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3"}, 180_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3", "log.retention.ms": "4"}, 4),
        ({"log.retention.hours": "-1"}, -1),
    ],
)
def test_the_finest_unit_that_was_given_counts(given: dict[str, str], retention_ms: int) -> None:
    assert BrokerConfig.parse(given).topic({}).retention_ms == retention_ms


def test_rolling_jitter_and_flushing_have_coarser_units_as_well() -> None:
    given = {"log.roll.hours": "50", "log.roll.jitter.hours": "2", "log.flush.scheduler.interval.ms": "7777"}
    topic = BrokerConfig.parse(given).topic({})
    assert (topic.segment_ms, topic.segment_jitter_ms, topic.flush_ms) == (180_000_000, 7_200_000, 7777)


def test_small_segments_are_for_tests() -> None:
    assert BrokerConfig.parse({}).topic({"internal.segment.bytes": "100"}).segment_bytes == 100


def test_equal_overrides_give_the_same_object_and_wrong_ones_an_error() -> None:
    config = BrokerConfig.parse({})
    given = {"retention.ms": "5", "segment.ms": "6"}
    assert config.topic(given) is config.topic(dict(reversed(given.items())))
    assert config.topic(given) is not config.topic({})
    with pytest.raises(ConfigError, match="Unknown topic config name: nope"):
        config.topic({"nope": "1"})


def test_the_memory_for_topic_configurations_is_bounded() -> None:
    config = BrokerConfig.parse({})
    for number in range(2500):
        assert config.topic({"retention.ms": str(number)}).retention_ms == number
    assert len(config._topics) <= 1000


def test_settings_of_a_topic_are_checked_together() -> None:
    config = BrokerConfig.parse({"log.cleaner.max.compaction.lag.ms": "5"})
    with pytest.raises(ConfigError) as caught:
        config.check_topic({"min.compaction.lag.ms": "10"})
    assert (
        caught.value.message == "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    )
    with pytest.raises(ConfigError, match="Tiered Storage functionality is disabled in the broker"):
        config.check_topic({"remote.storage.enable": "true"})
    with pytest.raises(ConfigError, match="Null value not supported"):
        config.check_topic({"retention.ms": None})
    assert config.check_topic({"retention.ms": "9"}).retention_ms == 9


def test_describe_broker_lists_every_setting_with_where_it_comes_from() -> None:
    rows = BrokerConfig.parse(
        {"log.cleanup.policy": "compact, delete", "sasl.jaas.config": "secret", "foo.bar": "1"}
    ).describe_broker()
    found = {row.name: row for row in rows}
    assert len(rows) == len(found) == 350 + 3 + 1
    policy = found["log.cleanup.policy"]
    assert (policy.value, policy.config_source, policy.read_only) == (
        "compact,delete",
        ConfigSource.STATIC_BROKER,
        False,
    )
    assert policy.synonyms == (
        ConfigSynonym("log.cleanup.policy", "compact,delete", ConfigSource.STATIC_BROKER),
        ConfigSynonym("log.cleanup.policy", "delete", ConfigSource.DEFAULT),
    )
    unset = found["log.retention.ms"]
    assert (unset.value, unset.config_source, unset.synonyms) == (None, ConfigSource.DEFAULT, ())
    for name in ("sasl.jaas.config", "foo.bar"):  # a setting that nobody knows may be a secret
        assert (found[name].value, found[name].is_sensitive) == (None, True)
        assert found[name].synonyms == (ConfigSynonym(name, None, ConfigSource.STATIC_BROKER),)
    assert found["node.id"].config_source == ConfigSource.STATIC_BROKER


def test_describe_topic_shows_what_apache_kafka_shows() -> None:
    config = BrokerConfig.parse({"log.retention.hours": "100", "log.segment.bytes": "2000000"})
    rows = config.describe_topic({"min.cleanable.dirty.ratio": "1e-4", "segment.bytes": "3000000"})
    found = {row.name: row for row in rows}
    assert list(found) == sorted(found)
    assert len(rows) == 37
    assert found["min.cleanable.dirty.ratio"].value == "1.0E-4"
    assert found["segment.bytes"][:4] == ("segment.bytes", "3000000", False, ConfigSource.DYNAMIC_TOPIC)
    assert found["segment.bytes"].synonyms == (
        ConfigSynonym("segment.bytes", "3000000", ConfigSource.DYNAMIC_TOPIC),
        ConfigSynonym("log.segment.bytes", "2000000", ConfigSource.STATIC_BROKER),
        ConfigSynonym("log.segment.bytes", "1073741824", ConfigSource.DEFAULT),
    )
    retention = found["retention.ms"]
    assert (retention.value, retention.config_source, retention.synonyms) == ("360000000", ConfigSource.DEFAULT, ())
    assert len(config.describe_topic({"internal.segment.bytes": "100"})) == 38


def test_create_topics_shows_values_as_written_and_the_source_behind_other_units() -> None:
    config = BrokerConfig.parse({"log.retention.hours": "100"})
    found = {row.name: row for row in config.describe_created_topic({"preallocate": "TRUE", "retention.bytes": " 5 "})}
    assert (found["preallocate"].value, found["retention.bytes"].value) == ("TRUE", " 5 ")
    assert found["retention.ms"][1:4] == ("360000000", False, ConfigSource.STATIC_BROKER)
    assert found["segment.ms"][1:4] == ("604800000", False, ConfigSource.DEFAULT)


def test_a_group_takes_the_brokers_settings_for_all_groups() -> None:
    given = {"group.consumer.session.timeout.ms": "50000", "group.streams.assignors": "mine,sticky"}
    rows = {row.name: row for row in BrokerConfig.parse(given).describe_group({})}
    own, first, default = (
        rows[name] for name in ("consumer.session.timeout.ms", "streams.assignor.name", "share.auto.offset.reset")
    )
    assert (own.value, own.config_source) == ("50000", ConfigSource.STATIC_BROKER)
    assert own.synonyms == (
        ConfigSynonym("group.consumer.session.timeout.ms", "50000", ConfigSource.STATIC_BROKER),
        ConfigSynonym("group.consumer.session.timeout.ms", "45000", ConfigSource.DEFAULT),
    )
    assert first.value == "mine", "the first assignor is the default of a group"
    assert (default.value, default.config_source) == ("latest", ConfigSource.DEFAULT)
    assert default.synonyms == (ConfigSynonym("share.auto.offset.reset", "latest", ConfigSource.DEFAULT),)


def test_a_subscription_to_client_metrics_has_defaults_only() -> None:
    rows = BrokerConfig.parse({}).describe_client_metrics({})
    assert {row.name: row.value for row in rows} == {"interval.ms": "300000", "match": "", "metrics": ""}
    assert {row.config_source for row in rows} == {ConfigSource.DEFAULT}


# -- changed while the broker runs


def test_what_was_set_at_run_time_counts_in_the_very_next_look_up() -> None:
    config = BrokerConfig.parse({"log.segment.bytes": "5000000"})
    before = config.topic({})
    assert config.change({"log.segment.bytes": "3000000"}, {"log.segment.bytes": "4000000"}) == []
    assert (config.int("log.segment.bytes"), config.topic({}).segment_bytes) == (3_000_000, 3_000_000)
    assert config.change({}, {"log.segment.bytes": "4000000"}) == []
    assert config.int("log.segment.bytes") == 4_000_000
    assert config.change({}, {}) == []
    assert config.topic({}).segment_bytes == before.segment_bytes == 5_000_000


def test_what_can_not_be_read_or_changed_is_left_out() -> None:
    config = BrokerConfig.parse({})
    own = {"log.segment.bytes": "x", "node.id": "9", "plug.in": "x", "message.max.bytes": "70"}
    [sentence] = config.change(own, {"log.segment.bytes": "4000000"})
    assert sentence.startswith("the dynamic setting log.segment.bytes is ignored: Invalid value x")
    assert (config.node_id, config.int("log.segment.bytes"), config.int("message.max.bytes")) == (1, 4_000_000, 70)
    rows = {row.name: row.config_source for row in config.describe_broker()}
    assert (rows["node.id"], rows["message.max.bytes"]) == (ConfigSource.STATIC_BROKER, ConfigSource.DYNAMIC_BROKER)


def test_describe_broker_tells_where_each_value_could_come_from() -> None:
    config = BrokerConfig.parse({"log.roll.hours": "24"})
    config.change({"log.roll.ms": " 5000 ", "plug.in": "hush"}, {"log.roll.ms": "6000", "plug.in": "hush"})
    rows = {row.name: row for row in config.describe_broker()}
    hours = [("log.roll.hours", "24", ConfigSource.STATIC_BROKER), ("log.roll.hours", "168", ConfigSource.DEFAULT)]
    assert (rows["log.roll.ms"].value, rows["log.roll.ms"].read_only) == ("5000", False)
    assert list(rows["log.roll.ms"].synonyms) == [
        ("log.roll.ms", " 5000 ", ConfigSource.DYNAMIC_BROKER),
        ("log.roll.ms", "6000", ConfigSource.DYNAMIC_DEFAULT_BROKER),
        *hours,
    ]
    assert list(rows["log.roll.hours"].synonyms) == hours
    assert (rows["plug.in"].value, rows["plug.in"].is_sensitive, rows["plug.in"].read_only) == (None, True, True)
    assert [row.name for row in config.describe_all_brokers()] == ["log.roll.ms", "plug.in"]
    assert config.describe_all_brokers()[0].synonyms == (("log.roll.ms", "6000", ConfigSource.DYNAMIC_DEFAULT_BROKER),)


def test_a_secret_that_was_set_at_run_time_is_not_told() -> None:
    config = BrokerConfig.parse({})
    name = "listener.name.inside.ssl.key.password"
    config.change({name: "hush"}, {})
    [row] = [row for row in config.describe_broker() if row.name == name]
    assert (row.value, row.is_sensitive) == (None, True)
    assert "hush" not in repr(config.describe_broker())
