"""Configurations as clients change and see them, and as the broker obeys them; also after a restart and a crash."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from broker_in_memory import NOW_MS, batch, produce, running
from kbroker.env import Env
from kbroker.metadata.image import (
    BROKER_LOGGER_RESOURCE,
    BROKER_RESOURCE,
    CLIENT_METRICS_RESOURCE,
    GROUP_RESOURCE,
    TOPIC_RESOURCE,
)
from kbroker_storage import MemoryFiles
from kbroker_wire import ErrorCode
from kbroker_wire.messages import alter_configs, incremental_alter_configs
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest
from kbroker_wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kbroker_wire.messages.incremental_alter_configs import APPEND, DELETE, SET
from kbroker_wire.messages.list_config_resources import ListConfigResourcesRequest

TOPIC, BROKER, LOGGER = TOPIC_RESOURCE, BROKER_RESOURCE, BROKER_LOGGER_RESOURCE
METRICS, GROUP = CLIENT_METRICS_RESOURCE, GROUP_RESOURCE
DYNAMIC_TOPIC, DYNAMIC_BROKER, DYNAMIC_DEFAULT, STATIC, DEFAULT, OF_LOGGER, OF_METRICS, OF_GROUP = range(1, 9)


def incremental(*resources, validate_only=False):
    """(type, name, (setting, operation, value)...)"""
    return incremental_alter_configs.IncrementalAlterConfigsRequest(
        resources=[
            incremental_alter_configs.AlterConfigsResource(
                resource_type=kind,
                resource_name=name,
                configs=[
                    incremental_alter_configs.AlterableConfig(name=key, config_operation=operation, value=value)
                    for key, operation, value in operations
                ],
            )
            for kind, name, *operations in resources
        ],
        validate_only=validate_only,
    )


def whole(kind, name, configs, validate_only=False):
    configs = [alter_configs.AlterableConfig(name=key, value=value) for key, value in configs.items()]
    resource = alter_configs.AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)
    return alter_configs.AlterConfigsRequest(resources=[resource], validate_only=validate_only)


async def alter(client, *resources, **options):
    """(code, message) of each resource."""
    answer = await client.ask(incremental(*resources, **options))
    assert [(each.resource_type, each.resource_name) for each in answer.responses] == [each[:2] for each in resources]
    return [(each.error_code, each.error_message) for each in answer.responses]


async def granted(client, *resources):
    assert await alter(client, *resources) == [(ErrorCode.NONE, None)] * len(resources)


async def describe(client, kind, name, *keys):
    """Setting -> (value, source, synonyms)."""
    resource = DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=list(keys))
    [result] = (await client.ask(DescribeConfigsRequest(resources=[resource], include_synonyms=True))).results
    assert result.error_code == ErrorCode.NONE
    return {
        row.name: (row.value, row.config_source, [(each.name, each.value, each.source) for each in row.synonyms])
        for row in result.configs
    }


@pytest.fixture
async def node():
    async with running() as node:
        await node.create("topic")
        yield node


@pytest.fixture
def client(node):
    return node.connect()


# -- topics


async def test_a_topic_obeys_at_once(client):
    await granted(client, (TOPIC, "topic", ("max.message.bytes", SET, "100")))
    assert (await produce(client, "topic", batch(b"x" * 100))).error_code == ErrorCode.MESSAGE_TOO_LARGE
    await granted(client, (TOPIC, "topic", ("max.message.bytes", DELETE, None)))
    assert (await produce(client, "topic", batch(b"x" * 100))).error_code == ErrorCode.NONE


async def test_a_log_that_is_open_takes_over_its_settings(node, client):
    await produce(client, "topic", batch())
    await granted(client, (TOPIC, "topic", ("segment.bytes", SET, "1048576")))
    assert node.broker.replicas.find("topic", 0).log.config.segment_bytes == 1048576


async def test_where_a_topics_value_comes_from(client):
    await granted(client, (TOPIC, "topic", ("cleanup.policy", APPEND, "compact")))
    assert await describe(client, TOPIC, "topic", "cleanup.policy") == {
        "cleanup.policy": (
            "delete,compact",
            DYNAMIC_TOPIC,
            [("cleanup.policy", "delete,compact", DYNAMIC_TOPIC), ("log.cleanup.policy", "delete", DEFAULT)],
        )
    }


async def test_the_older_request_replaces_all(client):
    await granted(client, (TOPIC, "topic", ("flush.ms", SET, "9"), ("retention.ms", SET, "5000")))
    [row] = (await client.ask(whole(TOPIC, "topic", {"retention.ms": "6000"}))).responses
    assert (row.error_code, row.error_message, row.resource_type, row.resource_name) == (0, None, TOPIC, "topic")
    shown = await describe(client, TOPIC, "topic", "flush.ms", "retention.ms")
    assert [(value, source) for value, source, _ in shown.values()] == [
        ("9223372036854775807", DEFAULT),
        ("6000", DYNAMIC_TOPIC),
    ]


@pytest.mark.parametrize(
    "request_of", [whole, lambda *args, **options: incremental((*args[:2], ("flush.ms", SET, "9")), **options)]
)
async def test_nothing_changes_when_only_asked_whether_it_may(node, client, request_of):
    offset = node.broker.image.offset
    [row] = (await client.ask(request_of(TOPIC, "topic", {"flush.ms": "9"}, validate_only=True))).responses
    assert row.error_code == ErrorCode.NONE
    assert node.broker.controller.image.offset == offset


async def test_one_request_is_one_batch_of_what_was_granted(node, client):
    offset = node.broker.image.offset
    told = await alter(
        client,
        (TOPIC, "topic", ("flush.ms", SET, "9")),
        (TOPIC, "nope", ("flush.ms", SET, "9")),
        (LOGGER, "1", ("nope", SET, "INFO")),
        (GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")),
        (LOGGER, "2"),
    )
    assert [code for code, _ in told] == [0, 3, 40, 0, 42]
    assert node.broker.image.offset == offset + 2
    last = list(node.broker.controller._metadata.replay())[-1]
    assert (last[0], len(last[1])) == (offset + 1, 2)


async def test_a_deleted_topic_takes_its_settings_along(node, client):
    await granted(client, (TOPIC, "topic", ("flush.ms", SET, "9")))
    await client.ask(DeleteTopicsRequest(topic_names=["topic"], timeout_ms=1000), 5)
    await node.create("topic")
    assert (await describe(client, TOPIC, "topic", "flush.ms"))["flush.ms"][1] == DEFAULT


# -- brokers


async def test_a_brokers_value_goes_before_that_of_all_brokers_and_both_before_the_file():
    async with running({"log.segment.bytes": "5000000"}) as node:
        await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch())
        log = node.broker.replicas.find("topic", 0).log
        assert log.config.segment_bytes == 5_000_000
        await granted(client, (BROKER, "", ("log.segment.bytes", SET, "4000000")))
        assert log.config.segment_bytes == 4_000_000
        await granted(client, (BROKER, "1", ("log.segment.bytes", SET, " 3000000 ")))
        assert log.config.segment_bytes == 3_000_000
        synonyms = [
            ("log.segment.bytes", " 3000000 ", DYNAMIC_BROKER),
            ("log.segment.bytes", "4000000", DYNAMIC_DEFAULT),
            ("log.segment.bytes", "5000000", STATIC),
            ("log.segment.bytes", "1073741824", DEFAULT),
        ]
        shown = await describe(client, BROKER, "1", "log.segment.bytes")
        assert shown == {"log.segment.bytes": ("3000000", DYNAMIC_BROKER, synonyms)}
        shown = await describe(client, TOPIC, "topic", "segment.bytes")
        assert shown == {"segment.bytes": ("3000000", DYNAMIC_BROKER, synonyms)}
        assert await describe(client, BROKER, "") == {
            "log.segment.bytes": ("4000000", DYNAMIC_DEFAULT, [("log.segment.bytes", "4000000", DYNAMIC_DEFAULT)])
        }
        await granted(
            client,
            (BROKER, "1", ("log.segment.bytes", DELETE, None)),
            (BROKER, "", ("log.segment.bytes", DELETE, None)),
        )
        assert log.config.segment_bytes == 5_000_000


async def test_a_topics_own_value_goes_before_the_brokers(node, client):
    await granted(client, (TOPIC, "topic", ("max.message.bytes", SET, "100")))
    await granted(client, (BROKER, "", ("message.max.bytes", SET, "2000000")))
    assert node.broker.replicas.find("topic", 0).config.max_message_bytes == 100


async def test_limits_on_connections_change(node, client):
    await granted(
        client,
        (BROKER, "", ("max.connections.per.ip", SET, "0"), ("max.connections.per.ip.overrides", SET, "10.9.8.7:1")),
    )
    dialled = node.dial()
    assert await dialled.is_closed()
    await granted(client, (BROKER, "", ("max.connections.per.ip", DELETE, None)))
    await describe(node.dial(), BROKER, "1", "node.id")


async def test_coarser_units_stand_behind_the_finer_one(client):
    await granted(client, (BROKER, "1", ("log.retention.ms", SET, "5000")))
    shown = await describe(client, BROKER, "1", "log.retention.ms", "log.retention.hours")
    hours = ("log.retention.hours", "168", DEFAULT)
    assert shown["log.retention.ms"] == ("5000", DYNAMIC_BROKER, [("log.retention.ms", "5000", DYNAMIC_BROKER), hours])
    assert shown["log.retention.hours"] == ("168", DEFAULT, [hours])
    await granted(client, (BROKER, "1", ("log.retention.ms", DELETE, None)))
    assert (await describe(client, BROKER, "1", "log.retention.ms"))["log.retention.ms"] == (None, DEFAULT, [])


async def test_what_nobody_knows_may_be_a_secret(client):
    await granted(client, (BROKER, "1", ("plug.in", SET, "hush")))
    assert await describe(client, BROKER, "1", "plug.in") == {
        "plug.in": (None, DYNAMIC_BROKER, [("plug.in", None, DYNAMIC_BROKER)])
    }


async def test_a_listeners_setting_stands_before_the_one_for_all(client):
    name = "listener.name.plaintext.max.connections"
    await granted(client, (BROKER, "1", (name, SET, "77")))
    synonyms = [(name, "77", DYNAMIC_BROKER), ("max.connections", "2147483647", DEFAULT)]
    assert await describe(client, BROKER, "1", name) == {name: ("77", DYNAMIC_BROKER, synonyms)}


# -- groups, subscriptions, loggers


async def test_a_groups_settings_are_there_for_its_coordinator(node, client):
    await granted(client, (GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")))
    shown = await describe(client, GROUP, "g", "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms")
    assert [(value, source) for value, source, _ in shown.values()] == [("5000", DEFAULT), ("50000", OF_GROUP)]
    broker = node.broker
    assert broker.config.group(broker.image.config(GROUP, "g")).consumer_session_timeout_ms == 50_000
    assert broker.config.group(broker.image.config(GROUP, "other")).consumer_session_timeout_ms == 45_000


async def test_a_subscription(client):
    await granted(client, (METRICS, "m", ("interval.ms", SET, "50000")))
    shown = await describe(client, METRICS, "m")
    assert shown == {
        "interval.ms": ("50000", OF_METRICS, [("interval.ms", "50000", OF_METRICS)]),
        "match": ("", DEFAULT, []),
        "metrics": ("", DEFAULT, []),
    }


@pytest.fixture
def logger():
    logger = logging.getLogger("kbroker.some.part")
    yield logger
    logger.setLevel(logging.NOTSET)


async def test_the_level_of_a_logger_changes_and_is_not_kept(node, client, logger):
    offset = node.broker.image.offset
    for word, level in (("TRACE", 5), ("DEBUG", logging.DEBUG), ("FATAL", logging.CRITICAL)):
        await granted(client, (LOGGER, "1", (logger.name, SET, word)))
        assert logger.level == level
        assert await describe(client, LOGGER, "1", logger.name) == {logger.name: (word, OF_LOGGER, [])}
    await granted(client, (LOGGER, "1", (logger.name, DELETE, None)))
    assert (logger.level, node.broker.image.offset) == (logging.NOTSET, offset)


@pytest.mark.parametrize(
    ("name", "operation", "code", "message"),
    [
        ("1", ("zzz", SET, "DEBUG"), 40, "Logger zzz does not exist!"),
        (
            "1",
            ("root", SET, "debug"),
            40,
            (
                "Cannot set the log level of root to debug as it is not a supported log level. Valid log levels are "
                "DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
            ),
        ),
        ("1", ("root", DELETE, None), 42, "Removing the log level of the root logger is not allowed"),
        ("1", ("root", APPEND, "INFO"), 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"),
        ("1", ("root", 9, "INFO"), 42, "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource"),
        ("1", ("root", SET, None), 42, "Null value not supported for : root"),
        ("9", ("root", SET, "INFO"), 42, "Unexpected node id. Expected 1, but received 9"),
        ("", ("root", SET, "INFO"), 42, "Node id must be an integer, but it is: "),
    ],
)
async def test_levels_that_are_refused(client, name, operation, code, message):
    before = logging.getLogger().level
    assert await alter(client, (LOGGER, name, operation)) == [(code, message)]
    assert logging.getLogger().level == before


async def test_all_levels_of_a_request_change_or_none(client, logger):
    [(code, _)] = await alter(client, (LOGGER, "1", (logger.name, SET, "DEBUG"), ("zzz", SET, "DEBUG")))
    assert (code, logger.level) == (ErrorCode.INVALID_CONFIG, logging.NOTSET)
    assert await alter(client, (LOGGER, "1", (logger.name, SET, "DEBUG")), validate_only=True) == [(0, None)]
    assert logger.level == logging.NOTSET


# -- which resources there are


@pytest.mark.parametrize(
    ("version", "kinds", "expected"),
    [
        (0, [], [(METRICS, "m")]),
        (1, [], [(GROUP, "g"), (METRICS, "m"), (LOGGER, "1"), (BROKER, "1"), (TOPIC, "topic")]),
        (1, [BROKER, GROUP, GROUP], [(GROUP, "g"), (BROKER, "1")]),
        (1, [TOPIC], [(TOPIC, "topic")]),
    ],
)
async def test_the_resources_of_each_type(client, version, kinds, expected):
    await granted(
        client, (GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")), (METRICS, "m", ("interval.ms", SET, "500"))
    )
    answer = await client.ask(ListConfigResourcesRequest(resource_types=kinds), version)
    assert answer.error_code == ErrorCode.NONE
    assert [(each.resource_type, each.resource_name) for each in answer.config_resources] == expected


async def test_a_resource_without_settings_is_not_listed(client):
    await granted(client, (GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")))
    await granted(client, (GROUP, "g", ("consumer.session.timeout.ms", DELETE, None)), (GROUP, "never"))
    assert (await client.ask(ListConfigResourcesRequest(resource_types=[GROUP]))).config_resources == []


async def test_an_unknown_type_of_resource_is_not_listed(client):
    answer = await client.ask(ListConfigResourcesRequest(resource_types=[TOPIC, 99]))
    assert (answer.error_code, answer.config_resources) == (ErrorCode.UNSUPPORTED_VERSION, [])


# -- restarts


def on(files):
    return replace(Env.in_memory(), now_ms=lambda: NOW_MS, files=files)


@pytest.mark.parametrize("crash", [False, True])
async def test_everything_granted_is_there_after_a_stop_and_after_a_crash(crash):
    files = MemoryFiles()
    async with running(env=on(files)) as node:
        await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch())
        await granted(
            client,
            (TOPIC, "topic", ("flush.ms", SET, "9")),
            (BROKER, "", ("message.max.bytes", SET, "2000000")),
            (BROKER, "1", ("log.segment.bytes", SET, "3000000"), ("plug.in", SET, "x")),
            (GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")),
            (METRICS, "m", ("interval.ms", SET, "500")),
        )
        kept = node.broker.image.configs
        crashed = files.clone()
    async with running(env=on(crashed if crash else files)) as node:
        assert node.broker.image.configs == kept
        config = node.broker.replicas.find("topic", 0).config
        assert (config.flush_ms, config.max_message_bytes, config.segment_bytes) == (9, 2_000_000, 3_000_000)
        shown = await describe(node.connect(), BROKER, "1", "log.segment.bytes")
        assert shown["log.segment.bytes"][:2] == ("3000000", DYNAMIC_BROKER)
