"""A group's own settings: what they may be, and what they come to. Messages were taken from Apache Kafka 4.4.0."""

from __future__ import annotations

import pytest

from kbroker.config import BrokerConfig, ConfigError
from kbroker.settings.group_config import LIMITS, GroupConfig, check_group
from kbroker.settings.tables import BROKER, group

CONFIG = BrokerConfig.parse({})
WIDE = BrokerConfig.parse({
    "group.consumer.min.session.timeout.ms": "100",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.heartbeat.interval.ms": "3000",
})  # fmt: skip
RESET = (
    "Invalid value {0} for configuration share.auto.offset.reset: Invalid value `{0}` for configuration "
    "share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format "
    "'by_duration:<PnDTnHnMn.nS>'."
)


def test_there_is_an_attribute_for_each_setting():
    assert list(GroupConfig.__slots__) == [name.replace(".", "_") for name in group()]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("consumer.session.timeout.ms", "44999", "{} must be in the range 45000 to 60000 inclusive."),
        ("consumer.session.timeout.ms", "60001", "{} must be in the range 45000 to 60000 inclusive."),
        ("consumer.session.timeout.ms", "0", "Invalid value 0 for configuration {}: Value must be at least 1"),
        ("consumer.heartbeat.interval.ms", "15001", "{} must be in the range 5000 to 15000 inclusive."),
        ("consumer.assignment.interval.ms", "20000", "{} must be in the range 0 to 15000 inclusive."),
        ("share.delivery.count.limit", "99", "{} must be in the range 2 to 10 inclusive."),
        ("share.partition.max.record.locks", "4001", "{} must be in the range 100 to 4000 inclusive."),
        ("share.record.lock.duration.ms", "14999", "{} must be in the range 15000 to 60000 inclusive."),
        ("streams.num.standby.replicas", "3", "{} must be less than or equal to 2"),
        (
            "streams.assignor.name",
            "mine",
            "{} 'mine' is not a registered task assignor. Registered assignors are: [sticky].",
        ),
        *[
            ("share.auto.offset.reset", text, RESET.format(text))
            for text in ("x", "by_duration", "by_duration:", "by_duration:1H", "by_duration:-PT1H", "by_duration:P")
        ],
    ],
)
def test_limits_are_those_of_the_broker(name, text, message):
    with pytest.raises(ConfigError) as refused:
        check_group(CONFIG, {name: text})
    assert refused.value.message == message.format(name)


@pytest.mark.parametrize(
    "text", ["earliest", "latest", "by_duration:PT1H", "by_duration:p1dt2h3m4.5s", "by_duration:P2D"]
)
def test_where_a_share_group_may_begin(text):
    check_group(CONFIG, {"share.auto.offset.reset": text})


@pytest.mark.parametrize(
    ("configs", "ok"),
    [
        ({"consumer.session.timeout.ms": "4000"}, True),
        ({"consumer.session.timeout.ms": "3000"}, False),
        ({"consumer.session.timeout.ms": "200"}, False),
        ({"consumer.session.timeout.ms": "200", "consumer.heartbeat.interval.ms": "100"}, True),
        ({"consumer.heartbeat.interval.ms": "12000"}, False),
    ],
)
def test_a_session_lasts_longer_than_a_heartbeat_whoever_sets_them(configs, ok):
    if ok:
        check_group(WIDE, configs)
        return
    with pytest.raises(ConfigError) as refused:
        check_group(WIDE, configs)
    assert refused.value.message == "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"


def test_a_group_has_its_own_settings_and_for_the_rest_the_brokers():
    config = WIDE.group({"consumer.heartbeat.interval.ms": "500"})
    assert (config.consumer_heartbeat_interval_ms, config.consumer_session_timeout_ms) == (500, 10_000)
    assert (config.streams_assignor_name, config.share_renew_acknowledge_enable) == ("sticky", True)
    assert WIDE.group({"consumer.heartbeat.interval.ms": "500"}) is config


def test_settings_from_before_the_limits_changed_are_brought_within_them():
    config = CONFIG.group({
        "consumer.heartbeat.interval.ms": "100",
        "consumer.session.timeout.ms": "99999999",
        "streams.num.standby.replicas": "9",
        "share.delivery.count.limit": "not a number",
        "gone": "1",
    })  # fmt: skip
    assert (config.consumer_heartbeat_interval_ms, config.consumer_session_timeout_ms) == (5000, 60_000)
    assert (config.streams_num_standby_replicas, config.share_delivery_count_limit) == (2, 5)


def test_every_limit_is_a_setting_of_the_broker():
    assert {bound for bounds in LIMITS.values() for bound in bounds} <= BROKER.keys()
    assert LIMITS.keys() <= group().keys()
