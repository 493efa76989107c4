"""IncrementalAlterConfigs (key 44), AlterConfigs (33), ListConfigResources (74): what may change, and what shows."""

import time

import pytest
from raw_kafka.batches import Record, batch
from raw_kafka.calls import NONE, READY_WITHIN_S, create_topic, produce, unique_name, unknown_topic
from raw_kafka.connection import Connection

UNKNOWN_TOPIC_OR_PARTITION, MESSAGE_TOO_LARGE, INVALID_TOPIC = 3, 10, 17
UNKNOWN_SERVER_ERROR, UNSUPPORTED_VERSION, INVALID_CONFIG, INVALID_REQUEST = -1, 35, 40, 42
TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
OF_TOPIC, OF_BROKER, OF_BROKERS, DEFAULT, OF_LOGGER, OF_METRICS, OF_GROUP = 1, 2, 3, 5, 6, 7, 8


def resource(kind, name, *operations):
    configs = [{"name": key, "config_operation": how, "value": value} for key, how, value in operations]
    return {"resource_type": kind, "resource_name": name, "configs": configs}


def alter(connection, *resources, version=1, validate_only=False):
    """(code, message) of each resource."""
    answer = connection.call("IncrementalAlterConfigs", version, resources=list(resources), validate_only=validate_only)
    return [(each.error_code, each.error_message) for each in answer.responses]


def replace(connection, kind, name, configs, *, version=2, validate_only=False):
    configs = [{"name": key, "value": value} for key, value in configs.items()]
    asked = {"resource_type": kind, "resource_name": name, "configs": configs}
    (answer,) = connection.call("AlterConfigs", version, resources=[asked], validate_only=validate_only).responses
    assert (answer.resource_type, answer.resource_name) == (kind, name)
    return answer.error_code, answer.error_message


def describe(connection, kind, name, *keys):
    """Setting -> (value, source)."""
    asked = {"resource_type": kind, "resource_name": name, "configuration_keys": list(keys)}
    (answer,) = connection.call("DescribeConfigs", 4, resources=[asked]).results
    assert answer.error_code == NONE
    return {config.name: (config.value, config.config_source) for config in answer.configs}


def shows(connection, kind, name, expected):
    """Until the broker shows it; Apache Kafka's brokers follow their controller a moment later."""
    deadline = time.monotonic() + READY_WITHIN_S
    while (shown := describe(connection, kind, name, *expected)) != expected:
        assert time.monotonic() < deadline, shown
        time.sleep(0.02)


@pytest.fixture
def own_id(connection):
    return str(connection.call("Metadata", 12, topics=[]).brokers[0].node_id)


class TestTopics:
    @pytest.mark.parametrize("version", [0, 1])
    def test_single_settings_change(self, version, connection, topic):
        first = resource(TOPIC, topic.name, ("retention.ms", SET, "5000"), ("flush.ms", SET, " 6 "))
        assert alter(connection, first, version=version) == [(NONE, None)]
        shows(connection, TOPIC, topic.name, {"retention.ms": ("5000", OF_TOPIC), "flush.ms": ("6", OF_TOPIC)})
        second = resource(TOPIC, topic.name, ("retention.ms", DELETE, None))
        assert alter(connection, second, version=version) == [(NONE, None)]
        shows(connection, TOPIC, topic.name, {"retention.ms": ("604800000", DEFAULT), "flush.ms": ("6", OF_TOPIC)})

    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_the_older_request_deletes_what_it_does_not_name(self, version, connection, topic):
        assert replace(connection, TOPIC, topic.name, {"retention.ms": "5000", "flush.ms": "6"}) == (NONE, None)
        assert replace(connection, TOPIC, topic.name, {"retention.ms": "7000"}, version=version) == (NONE, None)
        expected = {"retention.ms": ("7000", OF_TOPIC), "flush.ms": ("9223372036854775807", DEFAULT)}
        shows(connection, TOPIC, topic.name, expected)

    def test_lists_grow_and_shrink(self, connection, topic):
        for operation, value, expected in (
            (APPEND, "compact,delete", "delete,compact"),
            (SUBTRACT, "delete", "compact"),
            (SUBTRACT, "compact,nothing", ""),
            (APPEND, "delete", "delete"),
        ):
            assert alter(connection, resource(TOPIC, topic.name, ("cleanup.policy", operation, value))) == [
                (NONE, None)
            ]
            shows(connection, TOPIC, topic.name, {"cleanup.policy": (expected, OF_TOPIC)})

    def test_the_topic_obeys(self, connection, topic):
        assert alter(connection, resource(TOPIC, topic.name, ("max.message.bytes", SET, "100"))) == [(NONE, None)]
        deadline = time.monotonic() + READY_WITHIN_S
        while produce(connection, topic, batch([Record(b"x" * 100)])).error_code != MESSAGE_TOO_LARGE:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_asking_whether_it_may_changes_nothing(self, connection, topic):
        asked = resource(TOPIC, topic.name, ("flush.ms", SET, "6"))
        assert alter(connection, asked, validate_only=True) == [(NONE, None)]
        assert replace(connection, TOPIC, topic.name, {"flush.ms": "6"}, validate_only=True) == (NONE, None)
        assert describe(connection, TOPIC, topic.name, "flush.ms")["flush.ms"][1] == DEFAULT

    @pytest.mark.parametrize(
        ("operations", "code", "message"),
        [
            (
                [("retention.ms", SET, "x")],
                INVALID_CONFIG,
                "Invalid value x for configuration retention.ms: Not a number of type LONG",
            ),
            ([("zzz", SET, "x")], INVALID_CONFIG, "Unknown topic config name: zzz"),
            (
                [("retention.ms", APPEND, "1")],
                INVALID_CONFIG,
                "Can't APPEND to key retention.ms because its type is not LIST.",
            ),
            ([("zzz", SUBTRACT, "x")], INVALID_CONFIG, "Can't SUBTRACT to key zzz because its type is not LIST."),
            (
                [("cleanup.policy", APPEND, "")],
                INVALID_CONFIG,
                "Configuration 'cleanup.policy' values must not be empty.",
            ),
            (
                [("flush.ms", SET, None), ("cleanup.policy", APPEND, None)],
                INVALID_REQUEST,
                "Null value not supported for : flush.ms, cleanup.policy",
            ),
            (
                [("flush.ms", SET, "1"), ("flush.ms", DELETE, None)],
                INVALID_REQUEST,
                "Error due to duplicate config keys",
            ),
        ],
    )
    def test_is_refused(self, operations, code, message, connection, topic):
        good = ("index.interval.bytes", SET, "5000")
        assert alter(connection, resource(TOPIC, topic.name, good, *operations)) == [(code, message)]
        assert describe(connection, TOPIC, topic.name, good[0])[good[0]][1] == DEFAULT, "a resource changes as a whole"

    def test_an_operation_that_does_not_exist(self, broker, connection, topic):
        [(code, _)] = alter(connection, resource(TOPIC, topic.name, ("flush.ms", 9, "1")))
        assert code == (UNKNOWN_SERVER_ERROR if broker.kind == "apache" else INVALID_REQUEST)

    def test_of_a_topic_that_is_not_there(self, connection):
        name = unknown_topic().name
        missing = (UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        assert alter(connection, resource(TOPIC, name, ("flush.ms", SET, "1"))) == [missing]
        assert alter(connection, resource(TOPIC, name)) == [missing]
        assert replace(connection, TOPIC, name, {}) == missing
        assert alter(connection, resource(TOPIC, "a b"))[0][0] == INVALID_TOPIC
        assert alter(connection, resource(TOPIC, "")) == [(INVALID_REQUEST, "Default topic resources are not allowed.")]


class TestBrokers:
    def test_a_brokers_value_goes_before_that_of_all(self, connection, own_id, topic):
        name = "log.index.interval.bytes"
        try:
            assert alter(connection, resource(BROKER, "", (name, SET, "5000"))) == [(NONE, None)]
            shows(connection, BROKER, own_id, {name: ("5000", OF_BROKERS)})
            shows(connection, BROKER, "", {name: ("5000", OF_BROKERS)})
            shows(connection, TOPIC, topic.name, {"index.interval.bytes": ("5000", OF_BROKERS)})
            assert alter(connection, resource(BROKER, own_id, (name, SET, "6000"))) == [(NONE, None)]
            shows(connection, BROKER, own_id, {name: ("6000", OF_BROKER)})
            shows(connection, TOPIC, topic.name, {"index.interval.bytes": ("6000", OF_BROKER)})
        finally:
            for broker in ("", own_id):
                assert alter(connection, resource(BROKER, broker, (name, DELETE, None))) == [(NONE, None)]
        shows(connection, TOPIC, topic.name, {"index.interval.bytes": ("4096", DEFAULT)})

    @pytest.mark.parametrize(
        ("all_of_them", "operation", "message"),
        [
            (False, ("log.dirs", SET, "/x"), "Cannot update these configs dynamically: [log.dirs]"),
            (
                False,
                ("log.retention.ms", SET, "x"),
                "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
            ),
            (
                False,
                ("ssl.keystore.location", SET, "/x"),
                (
                    "These security configs can be dynamically updated only per-listener using the listener prefix: "
                    "[ssl.keystore.location]"
                ),
            ),
            (
                True,
                ("listeners", SET, "PLAINTEXT://:1"),
                "Cannot update these configs at default cluster level, broker id must be specified: [listeners]",
            ),
        ],
    )
    def test_is_refused(self, all_of_them, operation, message, connection, own_id):
        told = alter(connection, resource(BROKER, "" if all_of_them else own_id, operation), validate_only=True)
        assert told == [(INVALID_REQUEST, message)]

    def test_lists_only(self, connection, own_id):
        told = alter(connection, resource(BROKER, own_id, ("log.retention.ms", APPEND, "5")), validate_only=True)
        message = "Config value append is not allowed for config key: log.retention.ms"
        assert told == [(INVALID_CONFIG, message)]

    def test_another_broker(self, connection, own_id):
        told = alter(connection, resource(BROKER, "9999"), resource(BROKER, "x"))
        assert told == [
            (INVALID_REQUEST, f"Unexpected broker id, expected {own_id}, but received 9999"),
            (INVALID_REQUEST, "Node id must be an integer, but it is: x"),
        ]


class TestGroupsAndSubscriptions:
    def test_a_group(self, connection):
        group = unique_name("g")
        assert alter(connection, resource(GROUP, group, ("consumer.session.timeout.ms", SET, "50000"))) == [
            (NONE, None)
        ]
        expected = {
            "consumer.session.timeout.ms": ("50000", OF_GROUP),
            "consumer.heartbeat.interval.ms": ("5000", DEFAULT),
        }
        shows(connection, GROUP, group, expected)

    @pytest.mark.parametrize(
        ("operation", "message"),
        [
            (("zzz", SET, "1"), "Unknown group config name: zzz"),
            (
                ("consumer.session.timeout.ms", SET, "44999"),
                "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.",
            ),
            (
                ("consumer.heartbeat.interval.ms", SET, "15001"),
                "consumer.heartbeat.interval.ms must be in the range 5000 to 15000 inclusive.",
            ),
            (
                ("consumer.session.timeout.ms", SET, "0"),
                "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1",
            ),
        ],
    )
    def test_a_group_is_refused(self, operation, message, connection):
        assert alter(connection, resource(GROUP, unique_name("g"), operation)) == [(INVALID_CONFIG, message)]

    def test_a_subscription(self, connection):
        name = unique_name("m")
        assert alter(connection, resource(CLIENT_METRICS, name, ("interval.ms", SET, "5000"))) == [(NONE, None)]
        shows(connection, CLIENT_METRICS, name, {"interval.ms": ("5000", OF_METRICS), "match": ("", DEFAULT)})
        told = alter(connection, resource(CLIENT_METRICS, name, ("match", SET, "nope=x")))
        assert told == [(INVALID_CONFIG, "Illegal client matching pattern: nope=x")]

    def test_without_a_name(self, connection):
        assert alter(connection, resource(GROUP, ""), resource(CLIENT_METRICS, "")) == [
            (INVALID_REQUEST, "Default group resources are not allowed."),
            (INVALID_REQUEST, "Subscription name can't be empty"),
        ]


class TestLoggers:
    def test_levels(self, connection, own_id):
        """The root's own level is set again: the loggers of no two brokers have the same names."""
        (level, source) = describe(connection, BROKER_LOGGER, own_id, "root")["root"]
        assert source == OF_LOGGER
        assert alter(connection, resource(BROKER_LOGGER, own_id, ("root", SET, level))) == [(NONE, None)]

    @pytest.mark.parametrize(
        ("operation", "code", "message"),
        [
            (("zzz", SET, "INFO"), INVALID_CONFIG, "Logger zzz does not exist!"),
            (("root", DELETE, None), INVALID_REQUEST, "Removing the log level of the root logger is not allowed"),
            (
                ("root", APPEND, "INFO"),
                INVALID_REQUEST,
                "APPEND operation is not allowed for the BROKER_LOGGER resource",
            ),
        ],
    )
    def test_is_refused(self, operation, code, message, connection, own_id):
        assert alter(connection, resource(BROKER_LOGGER, own_id, operation)) == [(code, message)]


class TestResources:
    def test_each_stands_for_itself(self, connection, topic):
        name = unknown_topic().name
        told = alter(
            connection,
            resource(TOPIC, name, ("flush.ms", SET, "6")),
            resource(TOPIC, topic.name, ("flush.ms", SET, "6")),
            resource(99, "x"),
        )
        assert [code for code, _ in told] == [UNKNOWN_TOPIC_OR_PARTITION, NONE, INVALID_REQUEST]
        shows(connection, TOPIC, topic.name, {"flush.ms": ("6", OF_TOPIC)})

    def test_named_twice(self, connection, topic):
        twice = [resource(TOPIC, topic.name, ("flush.ms", SET, value)) for value in ("6", "7")]
        assert alter(connection, *twice) == [(INVALID_REQUEST, "Each resource must appear at most once.")] * 2

    def test_of_an_unknown_type(self, connection):
        assert alter(connection, resource(99, "x"), resource(0, "y")) == [
            (INVALID_REQUEST, "Unknown resource type 99"),
            (INVALID_REQUEST, "Unknown resource type 0"),
        ]
        assert replace(connection, BROKER_LOGGER, "1", {}) == (INVALID_REQUEST, "Unknown resource type 8")


def listed(connection, *kinds, version=1):
    answer = connection.call("ListConfigResources", version, **({"resource_types": list(kinds)} if version else {}))
    found = answer.config_resources
    return answer.error_code, {
        (each.resource_type if version else CLIENT_METRICS, each.resource_name) for each in found
    }


class TestList:
    def test_groups_and_subscriptions_that_have_settings(self, connection, topic, own_id):
        group, subscription = unique_name("g"), unique_name("m")
        wanted = [
            resource(GROUP, group, ("consumer.session.timeout.ms", SET, "50000")),
            resource(CLIENT_METRICS, subscription, ("interval.ms", SET, "5000")),
        ]
        assert alter(connection, *wanted) == [(NONE, None)] * 2
        shows(connection, CLIENT_METRICS, subscription, {"interval.ms": ("5000", OF_METRICS)})
        everything = {
            (GROUP, group),
            (CLIENT_METRICS, subscription),
            (TOPIC, topic.name),
            (BROKER, own_id),
            (BROKER_LOGGER, own_id),
        }
        code, found = listed(connection)
        assert code == NONE
        assert everything <= found
        assert {kind for kind, _ in listed(connection, GROUP, BROKER)[1]} == {GROUP, BROKER}
        assert (CLIENT_METRICS, subscription) in listed(connection, version=0)[1]

    @pytest.mark.parametrize("kind", [0, 99, -1])
    def test_an_unknown_type(self, kind, connection):
        assert listed(connection, TOPIC, kind) == (UNSUPPORTED_VERSION, set())


def test_settings_survive_a_restart_and_a_crash(start_broker):
    broker = start_broker()
    with Connection(broker.host, broker.port) as connection:
        topic = create_topic(connection)
        wanted = [
            resource(TOPIC, topic.name, ("flush.ms", SET, "600000")),
            resource(GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")),
            resource(BROKER, "", ("log.index.interval.bytes", SET, "5000")),
        ]
        assert alter(connection, *wanted) == [(NONE, None)] * 3
    for end in (broker.stop, broker.kill):
        end()
        broker.start()
        with Connection(broker.host, broker.port) as connection:
            shows(connection, TOPIC, topic.name, {"flush.ms": ("600000", OF_TOPIC)})
            shows(connection, TOPIC, topic.name, {"index.interval.bytes": ("5000", OF_BROKERS)})
            shows(connection, GROUP, "g", {"consumer.session.timeout.ms": ("50000", OF_GROUP)})
