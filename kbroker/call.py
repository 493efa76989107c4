"""What a handler is told about the request in its hands, and the three shapes of its answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from kbroker_storage import Slice
from kbroker_wire.schema import Message

from .errors import CloseConnection


class Parked(ABC):
    """A request that waits for something: durability, replication, new records, other members.

    deadline   Trio's clock, seconds; when it passes, the answer is whatever `answer` says then
    ready      set by `resolve`; the connection is woken through `on_ready`
    holds      nothing behind it may be served, also not what else could: it is not even appended

    No task waits: the connection does, and it drops the request when the peer goes away.
    """

    __slots__ = ("deadline", "on_ready", "ready")

    @property
    def holds(self) -> bool:
        return False

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.ready = False
        self.on_ready: Callable[[], object] | None = None

    def resolve(self) -> None:
        if not self.ready:
            self.ready = True
            if self.on_ready is not None:
                self.on_ready()

    @abstractmethod
    def answer(self) -> Message | Body | None:
        """The response, None if the client wants none; called once, when `ready` is set or the deadline has passed."""

    def drop(self) -> None:  # noqa: B027  # an answer that is there already stands on no list
        """Forget it: take it off every list it stands on. Called once after `answer`, or instead of it."""


def close_records(message: Message) -> None:
    """Give back what an answer has leased; for one that is not sent."""
    for field in type(message).fields:
        value = getattr(message, field.name)
        if field.kind == "array" and isinstance(field.item, type):
            for each in value or ():
                close_records(each)
        elif field.kind == "records" and value is not None and not isinstance(value, bytes | bytearray | memoryview):
            value.close()


# A body that needs no encoding any more: bytes, or records between bytes.
Body = bytes | tuple[bytes, Slice, bytes]

# A handler answers with a message, with such a body, with a parked request, by closing the connection
# once the answers before are out, or not at all (None: acks=0).
Answer = Message | Body | Parked | CloseConnection | None


class Call:
    """One request's circumstances.

    version    of the API
    listener   name of the listener it came through
    told       (host, port) that this client is to use for this broker
    host       where the client is, as Kafka writes it: "/127.0.0.1"
    """

    __slots__ = ("api_version", "client_id", "host", "listener", "told")

    def __init__(
        self, version: int, client_id: str | None, listener: str, told: tuple[str, int], host: str = "/"
    ) -> None:
        self.api_version = version
        self.client_id = client_id
        self.listener = listener
        self.told = told
        self.host = host
