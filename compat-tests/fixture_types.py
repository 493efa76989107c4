"""What the fixtures give: the types, where tests can import them."""

from collections.abc import Callable
from typing import Protocol

from brokers import OwnBroker


class StartBroker(Protocol):
    """A fresh broker for one test alone; ended when the test is."""

    def __call__(self, settings: dict[str, object] | None = None, port: int = 0) -> OwnBroker: ...


class CreateTopic(Protocol):
    """Makes a topic of a unique name and returns the name; in the names of configs _ stands for the dot."""

    def __call__(self, partitions: int = 1, **configs: object) -> str: ...


class Settles(Protocol):
    """Whether `holds` is true: at once on kbroker, within a while on brokers whose metadata follows an answer."""

    def __call__(self, holds: Callable[[], bool]) -> bool: ...
