"""What the coordinators' state machines have in common.

A machine keeps the state of one partition of an internal topic: all groups, or all transactional ids, that hash to it.
It has no clock, no files and no Trio. A request is a method that decides, applies what it decided to the state at once,
and returns a `Step`: records and replies. Its shell appends the records, and holds each reply until everything that the
partition holds by then is committed; the next request does not wait for that. If the records can not be written, the
shell refuses everyone who waits, drops the machine with all its state, and makes another by replaying the partition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kbroker_wire.schema import Message

if TYPE_CHECKING:
    from kbroker_storage import VerificationToken


LONGEST_TEXT_BYTES = (1 << 15) - 1  # what a record's string holds; newer requests can bring longer ones


def fits_record(text: str) -> bool:
    """Whether a record can hold `text`, which a client chose."""
    return len(text) * 3 <= LONGEST_TEXT_BYTES or len(text.encode()) <= LONGEST_TEXT_BYTES


class Now(NamedTuple):
    """The time, twice: deadlines are monotonic, and what is written down is not.

    s    seconds of Trio's clock: the only base of deadlines
    ms   milliseconds since 1970 by the wall clock: what records and clients are told
    """

    s: float
    ms: int


class Client(NamedTuple):
    """Who asks, as members are described by it.

    id    client.id, "" if it gave none
    host  address as Kafka shows it: "/127.0.0.1"
    """

    id: str
    host: str


class Record(NamedTuple):
    """One record of the internal topic: tables of its key and value; no value deletes the key (a tombstone)."""

    key: Message
    value: Message | None


class Reply(NamedTuple):
    """The answer to a request that had to wait; `ticket` is what its caller gave, and nothing is known of it here."""

    ticket: object
    response: Message


@dataclass(slots=True)
class Step:
    """What one call of a machine asks of its shell.

    response      the answer to the request of this call; None if it has to wait: then it comes as a `Reply` of this or
                  a later step, exactly once
    records       to append to the partition, as one batch and in this order; the machine's state has them already
    replies       answers to requests that waited
    safe_replies  such answers that depend on nothing which is not committed yet: they do not wait for the records
    producer      (id, epoch) of the transactional producer whose open transaction the records belong to
    verified      what the partition gave for that producer (`Partition.verification`), None if it asked for nothing
    written       applies the records to the state, in a step that has not done so: the partition may refuse a producer,
                  and then the request fails alone
    """

    response: Message | None = None
    records: list[Record] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    safe_replies: list[Reply] = field(default_factory=list)
    producer: tuple[int, int] | None = None
    verified: VerificationToken | None = None
    written: Callable[[], None] | None = None


class Machine(Protocol):
    """What a shell needs of a machine. Methods for requests come on top; one that raises Refusal has changed nothing.

    deadline   when `tick` must be called next, seconds of Trio's clock; None: not before another call
    """

    @property
    def deadline(self) -> float | None: ...

    def tick(self, now: Now) -> Step:
        """Do what is due; called at `deadline` or later. No response."""

    def replay(self, key: bytes | memoryview, value: bytes | memoryview | None, producer_id: int) -> None:
        """Apply a record of the partition, while it is loaded.

        producer_id   of the transaction that the record belongs to, -1 if none
        Key types that a newer broker wrote are passed over. Raises ProtocolError for what can not be read.
        """

    def replay_end(self, producer_id: int, *, commit: bool) -> None:
        """Apply a transaction's marker, while the partition is loaded."""

    def loaded(self, now: Now) -> Step:
        """Everything is replayed: check it, start timers. No response."""
