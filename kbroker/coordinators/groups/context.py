"""What the parts of a group shard have in common: the groups, the deadlines, the cluster's metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...metadata.image import Image
from ..timers import Timers
from .group import Group

# What a deadline is for, whose group, and which member's ("" if it is the group's). The first says who deals with it.
TimerKey = tuple[str, str, str]

SESSION = "session"  # a classic member is silent, or did not come back with the id that it was given
JOIN = "join"  # the time for joining a rebalance is up
SYNC = "sync"  # members of the new generation did not ask for their assignment


@dataclass(slots=True)
class Context:
    """One partition of `__consumer_offsets`.

    new_id   makes a UUID in Kafka's text form, 22 characters of base64
    groups   by their ids, of all types
    timers   whoever handles a timer asks first whether its group and member are still there and still need it
    image    the newest cluster metadata
    """

    new_id: Callable[[], str]
    image: Image = field(default_factory=Image)
    groups: dict[str, Group] = field(default_factory=dict)
    timers: Timers[TimerKey] = field(default_factory=Timers[TimerKey])
