"""The settings of classic groups."""

from __future__ import annotations

from kbroker.config import BrokerConfig
from kbroker.coordinators.groups.settings import ClassicSettings


def test_the_defaults_are_kafkas() -> None:
    assert ClassicSettings.from_config(BrokerConfig.parse({})) == ClassicSettings()


def test_each_setting_is_read() -> None:
    names = ("min.session.timeout.ms", "max.session.timeout.ms", "initial.rebalance.delay.ms", "max.size")
    config = BrokerConfig.parse({f"group.{name}": str(number) for number, name in enumerate(names, 1)})
    assert ClassicSettings.from_config(config) == ClassicSettings(1, 2, 3, 4)
