"""One client's connection: socket -> frames -> decode -> handler -> encode -> socket.

Requests are served one at a time and answered in order, as Kafka does. A request that must wait is parked: it stands
in `waiting`, and while it does nothing behind it is served - except that a Produce is appended behind Produces that
only wait for durability or replication. One task serves a connection; it waits for the socket, the head of `waiting`
and that one's deadline at the same time: whoever finishes a parked request cancels the scope the task waits in.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, cast

import trio
from trio.lowlevel import checkpoint, wait_readable

from kbroker_wire import ProtocolError
from kbroker_wire.framing import FrameBuffer
from kbroker_wire.headers import decode_request_header, encode_response_header
from kbroker_wire.schema import Message

from .apis import API_VERSIONS, PRODUCE, Served
from .call import Answer, Call, Parked
from .errors import CloseConnection, code_of
from .handlers.api_versions import unknown_version
from .transport import BYTES, NATIVE, Part, PeerGone, SendCalls, send_parts

if TYPE_CHECKING:
    from .broker import Broker

log = logging.getLogger(__name__)

# One turn serves at most this much before others get theirs (without: 151-383 ms p99 for others under bulk load).
TURN_BYTES = 256 * 1024
TURN_REQUESTS = 64
# While a request is parked, this much of what follows is read ahead; its point is to see the peer close.
READ_AHEAD_BYTES = 64 * 1024
FLUSH_BYTES = 64 * 1024  # gathered answers are sent when they exceed this, or when the turn ends

REQUEST_HEAD = struct.Struct(">hhi")  # api key, api version, correlation id
SIZE = struct.Struct(">i")


class Waiting(NamedTuple):
    """A parked request and how its answer will be framed."""

    parked: Parked
    served: Served
    version: int
    correlation_id: int


class Answered(Parked):
    """An answer that is there already but must wait for the ones before it."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        super().__init__(deadline=-1.0)
        self.ready = True
        self.message = message

    def answer(self) -> Message:
        return self.message


class Connection:
    __slots__ = (
        "_broker",
        "_buffer",
        "_calls",
        "_draining",
        "_listener",
        "_out",
        "_out_bytes",
        "_sock",
        "_told",
        "_waiting",
        "last_active",
        "peer",
    )

    def __init__(
        self,
        sock: socket.socket,
        broker: Broker,
        *,
        listener: str,
        told: tuple[str, int],
        peer: str,
        max_frame_bytes: int,
        calls: SendCalls = NATIVE,
    ) -> None:
        """Serve `sock` (connected, non-blocking) for `broker`.

        told             (host, port) that answers on this connection name as this broker's address
        max_frame_bytes  socket.request.max.bytes; a frame that declares more ends the connection
        """
        self._sock = sock
        self._broker = broker
        self._listener = listener
        self._told = told
        self._calls = calls
        self._buffer = FrameBuffer(max_frame_bytes)
        self._out: list[Part] = []
        self._out_bytes = 0
        self._waiting: deque[Waiting] = deque()
        self._draining = False
        self.peer = peer
        self.last_active = trio.current_time()

    @property
    def parked(self) -> int:
        return len(self._waiting)

    async def serve(self) -> None:
        """Until the peer leaves, breaks the protocol, or the task is cancelled."""
        try:
            try:
                await self._serve()
            except (ProtocolError, CloseConnection) as reason:
                log.info("closing the connection from %s: %s", self.peer, reason)
                await self._finish()
        except PeerGone as reason:
            log.info("closing the connection from %s: %s", self.peer, reason)
        except (OSError, trio.ClosedResourceError) as reason:
            log.debug("the connection from %s ended: %r", self.peer, reason)
        except Exception:  # the boundary of one connection: whatever failed here ends it, and nothing else
            log.exception("closing the connection from %s", self.peer)
        finally:
            for waiting in self._waiting:
                waiting.parked.drop()
            self._waiting.clear()
            self._release()
            self.close()

    def drain(self) -> None:
        """The broker is stopping: answer what is appended and waits for its durability, then close; else close now."""
        self._draining = True
        if not any(waiting.served.key == PRODUCE for waiting in self._waiting):
            self.close()

    def close(self) -> None:
        """Idempotent; a task waiting on the socket gets ClosedResourceError."""
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    async def _serve(self) -> None:
        while True:
            await self._serve_buffered()
            if self._out:
                await self._flush()
            if self._waiting:
                alive = await self._wait_for_parked()
            elif self._draining:
                return
            else:
                alive = await self._receive()
            if not alive:
                return

    async def _finish(self) -> None:
        """Answer what came before the request that ends the connection."""
        self._answer_ready()
        while self._waiting:
            await self._wait_for_head(watching=False)
            self._answer_ready()
        if self._out:
            await self._flush()

    async def _serve_buffered(self) -> None:
        """Every request that has arrived whole and need not wait for one before it."""
        buffer = self._buffer
        turn_bytes, turn_requests = TURN_BYTES, TURN_REQUESTS
        while True:
            if self._waiting:
                self._answer_ready()
                if self._waiting and not self._may_overtake():
                    return
            frame = buffer.take()
            if frame is None:
                return
            turn_bytes -= len(frame)
            turn_requests -= 1
            await self._request(frame)
            if self._out_bytes > FLUSH_BYTES:
                turn_bytes -= self._out_bytes
                await self._flush()
            if turn_bytes < 0 or turn_requests < 0:
                if self._out:
                    await self._flush()
                await checkpoint()
                turn_bytes, turn_requests = TURN_BYTES, TURN_REQUESTS

    def _may_overtake(self) -> bool:
        """Whether the next request may be applied before the parked ones are answered: Produce behind Produces only."""
        head = self._buffer.peek(2)
        if head is None or head != b"\0\0":
            return False
        return all(waiting.served.key == PRODUCE for waiting in self._waiting)

    async def _request(self, frame: memoryview) -> None:
        key, version, correlation_id = REQUEST_HEAD.unpack_from(frame)
        try:
            served = self._broker.dispatch[key]
        except KeyError:
            raise CloseConnection(f"API key {key} is not served") from None
        if not served.first <= version <= served.last:
            if key != API_VERSIONS:
                raise CloseConnection(f"{served.name} version {version} is not served")
            request, client_id = None, None
        else:
            header, position = decode_request_header(frame)
            client_id = header.client_id
            request = served.request.decode(frame, version, position)
        call = Call(version, client_id, self._listener, self._told)
        answer: Answer
        try:
            if request is None:
                answer, version = unknown_version(), 0
            else:
                answer = await served.handle(request, call, self._broker)
        except (CloseConnection, ProtocolError):
            raise
        except Exception as error:  # the boundary of one request: it fails alone, and the log says why
            log.exception("%s version %d from %s failed", served.name, version, self.peer)
            if served.refuse is None or request is None:
                raise CloseConnection(f"{served.name} failed") from error
            answer = served.refuse(request, code_of(error))
        self._take(answer, served, version, correlation_id)

    def _take(self, answer: Answer, served: Served, version: int, correlation_id: int) -> None:
        if answer is None:
            return
        if isinstance(answer, Parked):
            self._waiting.append(Waiting(answer, served, version, correlation_id))
        elif self._waiting:
            assert not isinstance(answer, bytes), "a ready-made answer behind a parked request"
            self._waiting.append(Waiting(Answered(answer), served, version, correlation_id))
        else:
            self._put(answer, served, version, correlation_id)

    def _put(self, answer: Message | bytes, served: Served, version: int, correlation_id: int) -> None:
        """Frame one answer; the one place through which every answer leaves."""
        head = encode_response_header(served.key, version, correlation_id)
        if isinstance(answer, bytes):
            size = len(head) + len(answer)
            self._out += (SIZE.pack(size), head, answer)
        else:
            # the only records that are not bytes are slices of our own logs
            parts = cast("list[Part]", answer.encode_parts(version, head))
            size = 0
            for part in parts:
                size += len(part) if isinstance(part, (bytes, bytearray)) else part.nbytes
            self._out.append(SIZE.pack(size))
            self._out += parts
        self._out_bytes += size + 4

    def _answer_ready(self) -> None:
        waiting = self._waiting
        while waiting:
            parked, served, version, correlation_id = waiting[0]
            if not parked.ready and trio.current_time() < parked.deadline:
                return
            waiting.popleft()
            try:
                self._put(parked.answer(), served, version, correlation_id)
            finally:
                parked.drop()

    async def _flush(self) -> None:
        try:
            await send_parts(self._sock, self._out, self._calls)
        finally:
            self._release()

    def _release(self) -> None:
        for part in self._out:
            if not isinstance(part, BYTES):
                part.close()
        self._out.clear()
        self._out_bytes = 0

    async def _receive(self) -> bool:
        """Put what has arrived into the buffer, waiting for it if need be; False at the end of the stream."""
        space = self._buffer.space()
        while True:
            try:
                received = self._sock.recv_into(space)
            except BlockingIOError:
                self.last_active = trio.current_time()
                await wait_readable(self._sock)
                continue
            if received == 0:
                return False
            self._buffer.received(received)
            return True

    async def _wait_for_parked(self) -> bool:
        """Until the head of `waiting` can be answered or more bytes came; False when the peer has closed.

        The peer is watched by reading ahead; once READ_AHEAD_BYTES wait behind the parked request it is not.
        """
        return await self._wait_for_head(watching=self._buffer.buffered < READ_AHEAD_BYTES)

    async def _wait_for_head(self, *, watching: bool) -> bool:
        head = self._waiting[0].parked
        with trio.CancelScope(deadline=head.deadline) as scope:
            head.on_ready = scope.cancel
            if head.ready:
                scope.cancel()
            if watching:
                alive = await self._receive()
                self.last_active = trio.current_time()
                return alive
            await trio.sleep_forever()
        return True
