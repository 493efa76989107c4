"""The settings of consumer groups."""

from __future__ import annotations

import pytest

from kbroker.config import BrokerConfig
from kbroker.coordinators.groups.consumer_settings import ConsumerSettings, MigrationPolicy
from kbroker.settings.setting import ConfigError


def test_the_defaults_are_kafkas() -> None:
    assert ConsumerSettings.from_config(BrokerConfig.parse({})) == ConsumerSettings()


@pytest.mark.parametrize(
    ("text", "policy", "upgrades", "downgrades"),
    [
        ("DISABLED", MigrationPolicy.DISABLED, False, False),
        ("upgrade", MigrationPolicy.UPGRADE, True, False),
        ("Downgrade", MigrationPolicy.DOWNGRADE, False, True),
        ("bidirectional", MigrationPolicy.BIDIRECTIONAL, True, True),
    ],
)
def test_a_policy_is_named_in_any_case(text: str, policy: MigrationPolicy, upgrades: bool, downgrades: bool) -> None:
    settings = ConsumerSettings.from_config(BrokerConfig.parse({"group.consumer.migration.policy": text}))
    assert settings.migration is policy
    assert (policy.upgrades, policy.downgrades) == (upgrades, downgrades)


@pytest.mark.parametrize("names", ["uniform,own.Assignor", ""])
def test_an_assignor_that_there_is_not_is_refused(names: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ConsumerSettings.from_config(BrokerConfig.parse({"group.consumer.assignors": names}))
    assert "uniform, range" in str(refused.value)
