"""What the controller decides about configurations; codes and messages were taken from Apache Kafka 4.4.0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker.config import BrokerConfig
from kbroker.controller.configs import ConfigChange, Operation, alter_configs
from kbroker.metadata.image import BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE, Image
from kbroker_wire.messages.metadata_records import TopicRecord

SET, DELETE, APPEND, SUBTRACT = Operation
TOPIC, BROKER, METRICS, GROUP = TOPIC_RESOURCE, BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE
CONFIG = BrokerConfig.parse({})
WITH_TOPIC, _ = Image().replay([TopicRecord(name="topic", topic_id=bytes(16))], 0)


def change(image, *changes, config=CONFIG):
    """The image after these, and (code, message) of each; None for what was granted."""
    records, outcome = alter_configs(image, config, [ConfigChange(*each) for each in changes])
    told = [refusal and (refusal.code, refusal.message) for refusal in outcome]
    return image.replay(records, image.offset + 1)[0], told


def topic(*operations, image=WITH_TOPIC):
    """The topic's configuration after one change; it must be granted."""
    after, told = change(image, (TOPIC, "topic", operations))
    assert told == [None]
    return after.config(TOPIC, "topic")


def refused(kind, name, *operations, image=WITH_TOPIC, config=CONFIG):
    after, [told] = change(image, (kind, name, operations), config=config)
    assert after is image or after.configs == image.configs
    assert told is not None
    return told


def test_single_settings_change_and_the_others_stay():
    first, _ = change(WITH_TOPIC, (TOPIC, "topic", [("retention.ms", SET, "5000"), ("flush.ms", SET, "9")]))
    assert first.config(TOPIC, "topic") == {"retention.ms": "5000", "flush.ms": "9"}
    second, _ = change(first, (TOPIC, "topic", [("retention.ms", SET, "6000"), ("flush.ms", DELETE, None)]))
    assert second.config(TOPIC, "topic") == {"retention.ms": "6000"}
    third, _ = change(second, (TOPIC, "topic", [("retention.ms", DELETE, "ignored")]))
    assert third.configs == {}, "nothing is left of a resource without settings"


def test_a_replacement_deletes_what_it_does_not_name():
    first, _ = change(WITH_TOPIC, (TOPIC, "topic", [("retention.ms", SET, "5000"), ("flush.ms", SET, "9")]))
    second, told = change(first, (TOPIC, "topic", [("retention.ms", SET, "5000")], True))
    assert (second.config(TOPIC, "topic"), told) == ({"retention.ms": "5000"}, [None])
    assert change(second, (TOPIC, "topic", [], True))[0].configs == {}


def test_what_is_as_it_was_needs_no_record():
    first, _ = change(WITH_TOPIC, (TOPIC, "topic", [("retention.ms", SET, "5000")]))
    for operations in ([("retention.ms", SET, "5000")], [("flush.ms", DELETE, None)], []):
        assert alter_configs(first, CONFIG, [ConfigChange(TOPIC, "topic", operations)]) == ([], [None])


def test_lists_grow_and_shrink_from_kafkas_default():
    both = topic(("cleanup.policy", APPEND, "compact"))
    assert both == {"cleanup.policy": "delete,compact"}
    image, _ = change(WITH_TOPIC, (TOPIC, "topic", [("cleanup.policy", SET, "delete,compact")]))
    assert topic(("cleanup.policy", APPEND, "compact,delete"), image=image) == both
    assert topic(("cleanup.policy", SUBTRACT, "delete,nothing"), image=image) == {"cleanup.policy": "compact"}
    assert topic(("cleanup.policy", SUBTRACT, "compact,delete"), image=image) == {"cleanup.policy": ""}


NOT_A_LIST = "Can't {} to key {} because its type is not LIST."


@pytest.mark.parametrize(
    ("kind", "name", "operations", "code", "message"),
    [
        (TOPIC, "topic", [("retention.ms", SET, "x")], 40,
         "Invalid value x for configuration retention.ms: Not a number of type LONG"),
        (TOPIC, "topic", [("zzz", SET, "x")], 40, "Unknown topic config name: zzz"),
        (TOPIC, "topic", [("zzz", APPEND, "x")], 40, NOT_A_LIST.format("APPEND", "zzz")),
        (TOPIC, "topic", [("retention.ms", SUBTRACT, "1")], 40, NOT_A_LIST.format("SUBTRACT", "retention.ms")),
        (TOPIC, "topic", [("cleanup.policy", APPEND, "")], 40,
         "Configuration 'cleanup.policy' values must not be empty."),
        (TOPIC, "topic", [("retention.ms", SET, None), ("flush.ms", APPEND, None)], 42,
         "Null value not supported for : retention.ms, flush.ms"),
        (TOPIC, "topic", [("retention.ms", SET, "1"), ("retention.ms", DELETE, None)], 42,
         "Error due to duplicate config keys"),
        (TOPIC, "topic", [("retention.ms", 9, "1")], 42, "Unknown operations type 9"),
        (TOPIC, "topic", [("min.compaction.lag.ms", SET, "78"), ("max.compaction.lag.ms", SET, "7")], 40,
         "conflict topic config setting min.compaction.lag.ms (78) > max.compaction.lag.ms (7)"),
        (TOPIC, "nope", [("retention.ms", SET, "1")], 3, "The topic 'nope' does not exist."),
        (TOPIC, "nope", [], 3, "The topic 'nope' does not exist."),
        (TOPIC, "nope", [("retention.ms", SET, "x")], 40,
         "Invalid value x for configuration retention.ms: Not a number of type LONG"),
        (TOPIC, "", [("retention.ms", SET, "1")], 42, "Default topic resources are not allowed."),
        (TOPIC, "..", [("retention.ms", SET, "1")], 17, "Topic name is invalid: '..' is not allowed"),
        (BROKER, "1", [("log.dirs", SET, "/x"), ("num.partitions", SET, "3")], 42,
         "Cannot update these configs dynamically: [log.dirs, num.partitions]"),
        (BROKER, "1", [("log.retention.ms", SET, "y"), ("log.dirs", SET, "/x")], 42,
         "Cannot update these configs dynamically: [log.dirs]"),
        (BROKER, "1", [("log.segment.bytes", SET, "1")], 42,
         "Invalid value 1 for configuration log.segment.bytes: Value must be at least 1048576"),
        (BROKER, "1", [("log.retention.ms", SET, "0")], 42,
         "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1"),
        (BROKER, "", [("listeners", SET, "PLAINTEXT://:1")], 42,
         "Cannot update these configs at default cluster level, broker id must be specified: [listeners]"),
        (BROKER, "1", [("ssl.keystore.location", SET, "/x")], 42,
         ("These security configs can be dynamically updated only per-listener using the listener prefix: "
         "[ssl.keystore.location]")),
        (BROKER, "", [("listener.name.plaintext.zzz", SET, "7")], 42,
         ("Cannot update these configs at default cluster level, broker id must be specified: "
         "[listener.name.plaintext.zzz]")),
        (BROKER, "", [("max.connections.per.ip", SET, "0")], 42,
         ("requirement failed: max.connections.per.ip can be set to zero only if "
         "max.connections.per.ip.overrides property is set.")),
        (BROKER, "1", [("leader.replication.throttled.rate", SET, "x")], 42,
         "Invalid value x for configuration leader.replication.throttled.rate: Not a number of type LONG"),
        (BROKER, "1", [("log.retention.ms", APPEND, "5")], 40,
         "Config value append is not allowed for config key: log.retention.ms"),
        (BROKER, "1", [("zzz", APPEND, "5")], 40, "Unknown config name: zzz"),
        (BROKER, "9", [("log.retention.ms", SET, "5")], 42, "Unexpected broker id, expected 1, but received 9"),
        (BROKER, "x", [("log.retention.ms", SET, "5")], 42, "Node id must be an integer, but it is: x"),
        (GROUP, "g", [("zzz", SET, "5")], 40, "Unknown group config name: zzz"),
        (GROUP, "", [], 42, "Default group resources are not allowed."),
        (GROUP, "g", [("consumer.session.timeout.ms", SET, "5")], 40,
         "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive."),
        (GROUP, "g", [("streams.rack.aware.assignment.tags", APPEND, "a")], 40,
         NOT_A_LIST.format("APPEND", "streams.rack.aware.assignment.tags")),
        (METRICS, "", [], 42, "Subscription name can't be empty"),
        (METRICS, "m", [("zzz", SET, "5")], 42, "Unknown client metrics configuration: zzz"),
        (METRICS, "m", [("interval.ms", SET, "5")], 42,
         "Invalid value 5 for interval.ms, interval must be between 100 and 3600000 (1 hour)"),
        (METRICS, "m", [("interval.ms", SET, "x")], 40,
         "Invalid value x for configuration interval.ms: Not a number of type INT"),
        (METRICS, "m", [("match", SET, "nope=x")], 40, "Illegal client matching pattern: nope=x"),
        (METRICS, "m", [("match", SET, "client_id")], 40, "Illegal client matching pattern: client_id"),
        (METRICS, "m", [("match", SET, "client_id=[")], 40, "Illegal client matching pattern: client_id=["),
        (METRICS, "m", [("match", SET, "client_id=" + "(" * 5000)], 40,
         "Illegal client matching pattern: client_id=" + "(" * 5000),
        (8, "1", [("root", SET, "INFO")], 42, "Unknown resource type 8"),
        (99, "x", [], 42, "Unknown resource type 99"),
    ],
)  # fmt: skip
def test_kafkas_refusals(kind, name, operations, code, message):
    assert refused(kind, name, *operations) == (code, message)


@pytest.mark.parametrize(
    ("kind", "name", "operation"),
    [
        (BROKER, "1", ("zzz", SET, "of a plug-in")),
        (BROKER, "", ("max.connections.per.ip.overrides", SET, "127.0.0.1:5")),
        (BROKER, "", ("listener.name.plaintext.max.connections", SET, "77")),
        (BROKER, "1", ("listener.name.plaintext.ssl.keystore.location", SET, "/x")),
        (BROKER, "", ("leader.replication.throttled.rate", SET, "5000")),
        (METRICS, "m", ("match", SET, "client_id=app-.*, client_source_port = 9.")),
        (GROUP, "g", ("share.auto.offset.reset", SET, "by_duration:PT1H")),
    ],
)
def test_what_is_kept_as_it_was_written(kind, name, operation):
    after, told = change(WITH_TOPIC, (kind, name, [operation]))
    assert told == [None]
    assert after.config(kind, name) == {operation[0]: operation[2]}


def test_a_brokers_number_may_be_written_in_other_ways():
    after, told = change(WITH_TOPIC, (BROKER, "+01", [("log.retention.ms", SET, "5")]))
    assert (told, after.config(BROKER, "1")) == ([None], {"log.retention.ms": "5"})


def test_each_resource_stands_for_itself():
    after, told = change(
        WITH_TOPIC,
        (TOPIC, "nope", []),
        (TOPIC, "topic", [("flush.ms", SET, "77")]),
        (GROUP, "g", [("consumer.session.timeout.ms", SET, "50000"), ("zzz", SET, "1")]),
    )
    assert [each and each[0] for each in told] == [3, None, 40]
    assert after.configs == {(TOPIC, "topic"): {"flush.ms": "77"}}


def test_a_resource_that_is_named_twice_is_not_changed():
    twice = [(TOPIC, "topic", [("flush.ms", SET, "1")]), (TOPIC, "topic", [("retention.ms", SET, "1")])]
    after, told = change(WITH_TOPIC, *twice, (GROUP, "topic", []))
    assert told == [(42, "Each resource must appear at most once.")] * 2 + [None]
    assert after.configs == {}


def test_a_request_of_too_many_settings_changes_nothing():
    changes = [(BROKER, "", [(f"plug.in.{n}", SET, "1") for n in range(10_001)]), (TOPIC, "topic", [])]
    after, told = change(WITH_TOPIC, *changes)
    assert told == [(44, "Unable to perform excessively large batch operation.")] * 2
    assert after.configs == {}


ITEMS = st.lists(st.sampled_from(["0:1", "1:1", "2:1", "3:2"]), min_size=1, max_size=4, unique=True)


@given(steps=st.lists(st.tuples(st.sampled_from([SET, APPEND, SUBTRACT]), ITEMS), max_size=8))
def test_a_list_is_what_a_list_without_doubles_would_be(steps):
    name, image, model = "leader.replication.throttled.replicas", WITH_TOPIC, []
    for operation, items in steps:
        image, told = change(image, (TOPIC, "topic", [(name, operation, ",".join(items))]))
        assert told == [None]
        if operation is SET:
            model = items
        elif operation is APPEND:
            model = model + [item for item in items if item not in model]
        else:
            model = [item for item in model if item not in items]
        assert list(filter(None, image.config(TOPIC, "topic").get(name, "").split(","))) == model
