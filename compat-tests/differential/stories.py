"""All stories, in the order in which they are told."""

from . import (
    classic_groups,
    consumer_groups,
    group_admin,
    group_offsets,
    migration,
    transaction_admin,
    transaction_offsets,
    transactions,
)
from .story import Story, Teller


def before(teller: Teller) -> None:
    """There are coordinators: Apache Kafka creates their topics a while after the first question for each."""
    for kind, title in ((0, "of a group"), (1, "of a transaction")):
        teller.ask("FindCoordinator", 6, title, key_type=kind, coordinator_keys=["x"])


# What lists all groups, or all transactions, comes first.
MODULES = (
    group_admin,
    transaction_admin,
    classic_groups,
    group_offsets,
    consumer_groups,
    migration,
    transactions,
    transaction_offsets,
)


def all_stories() -> list[Story]:
    return [story for module in MODULES for story in module.stories()]
