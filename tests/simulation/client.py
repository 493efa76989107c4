"""A client's connection to the simulated broker, and what all clients share: requests, retries, a name, a source of
chance. Requests go through the codec in both directions, as real clients' do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from kbroker_wire import ErrorCode
from kbroker_wire.headers import RequestHeader, decode_response_header, encode_request_header
from kbroker_wire.messages import message_pair
from kbroker_wire.schema import Message

from .ledger import Ledger
from .network import SimSocket
from .world import PORT, World

PATIENCE_S = 8.0  # without an answer for so long, a client takes its connection for dead
RECEIVE_BYTES = 1 << 20
# What a client may be told at any time, and then asks again.
PASSING = frozenset(
    {
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.REQUEST_TIMED_OUT,
    }
)

NAMES = {int(code): code.name for code in ErrorCode}


class Lost(Exception):
    """The connection is gone: nobody knows what became of the requests without an answer."""


class Link:
    """One connection, used by one task: answers come in the order of the requests."""

    def __init__(self, sock: SimSocket, client_id: str, patience_s: float = PATIENCE_S) -> None:
        self._sock, self._client_id, self._patience_s = sock, client_id, patience_s
        self._asked: deque[tuple[int, int, int]] = deque()
        self._correlation = 0
        self._received = b""

    def send(self, request: Message, version: int) -> None:
        """Raises Lost."""
        key = type(request).key
        assert key is not None
        self._correlation += 1
        self._asked.append((key, version, self._correlation))
        header = encode_request_header(RequestHeader(key, version, self._correlation, self._client_id))
        frame = header + request.encode(version)
        try:
            self._sock.send(len(frame).to_bytes(4, "big") + frame)
        except OSError:
            raise Lost from None

    async def receive(self) -> Message:
        """The answer to the oldest request that has none. Raises Lost."""
        key, version, correlation = self._asked.popleft()
        try:
            with trio.fail_after(self._patience_s):
                size = int.from_bytes(await self._exactly(4), "big")
                frame = await self._exactly(size)
        except (OSError, trio.TooSlowError, trio.ClosedResourceError):
            self.close()
            raise Lost from None
        got, position = decode_response_header(frame, key, version)
        assert got == correlation, "an answer to another request"
        return message_pair(key)[1].decode(frame, version, position)

    async def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            try:
                more = self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                await self._sock.wait()
                continue
            if not more:
                raise ConnectionResetError
            self._received += more
        data, self._received = self._received[:count], self._received[count:]
        return data

    def close(self) -> None:
        self._sock.close()


class Actor:
    """A client of some kind; `run` is its task, until the world is over."""

    patience_s = PATIENCE_S

    def __init__(self, world: World, ledger: Ledger, name: str) -> None:
        self.world, self.ledger, self.name = world, ledger, name
        self.draw = world.rng(name)
        self._link: Link | None = None

    async def run(self) -> None:
        raise NotImplementedError

    async def link(self) -> Link:
        """The connection; a new one, when there is a broker, if it was lost."""
        while self._link is None:
            try:
                self._link = Link(self.world.network.connect(PORT), self.name, self.patience_s)
            except ConnectionRefusedError:
                await trio.sleep(self.draw.uniform(0.005, 0.05))
        return self._link

    def hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    async def ask(self, request: Message, version: int) -> Message:
        """Raises Lost."""
        link = await self.link()
        try:
            link.send(request, version)
            answer = await link.receive()
        except Lost:
            self.hang_up()
            self.world.note(self.name, f"lost {type(request).__name__}")
            raise
        self.world.note(self.name, f"{type(request).__name__} {code_in(answer)}")
        return answer

    async def ask_again(
        self, request: Message, version: int, passes: Callable[[Message], bool] = lambda answer: False
    ) -> Message:
        """The first answer that is not of the kind that passes, asking as often as it takes."""
        while True:
            try:
                answer = await self.ask(request, version)
                if not passes(answer):
                    return answer
            except Lost:
                pass
            await self.pause()

    async def pause(self, most_s: float = 0.05) -> None:
        await trio.sleep(self.draw.uniform(0.001, most_s))


def code_in(answer: Message) -> int:
    """The error of a response as a whole; 0 if it has no place for one."""
    return int(getattr(answer, "error_code", 0))


def is_passing(answer: Message) -> bool:
    return code_in(answer) in PASSING


def name_of(code: int) -> str:
    return NAMES[code]
