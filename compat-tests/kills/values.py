"""The records that a load writes: who sent each, as which, and bytes that follow from it."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from history import Seen

if TYPE_CHECKING:  # writers that are programs of their own do without
    import confluent_kafka

MOST_RECORDS = 10  # of a transaction
PAUSE_S = 0.02  # at most, between a writer's transactions: what is written must be read as well
ABORTED = 0.15  # of the transactions

Filled = Callable[[str, int], bytes]  # the whole value of a record, by its producer and number


def value_of(producer: str, number: int) -> bytes:
    """The record that is sent as `number`: its name, and filling whose length and bytes follow from the number."""
    filling = random.Random(number)
    return b"%s %d %s" % (producer.encode(), number, filling.randbytes(20) * filling.randint(1, 200))


def transaction_value(name: str, place: int) -> bytes:
    """The record at `place` of the transaction `name`, at most some 2 KB; simple, for writers in other languages."""
    number = int(name.rpartition("/")[2])
    return b"%s %d %s" % (name.encode(), place, name.encode() * ((number * 7 + place * 31) % 150))


def seen(message: "confluent_kafka.Message", filled: Filled = value_of) -> Seen:
    """Raises AssertionError if the value is not exactly one that was sent."""
    value: Any = message.value()
    producer, number, _ = value.split(b" ", 2)
    found = Seen(message.offset() or 0, producer.decode(), int(number))
    assert value == filled(found.producer, found.number), f"other bytes than were sent: {found}"
    return found
