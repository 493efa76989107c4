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
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

import trio
from trio.lowlevel import checkpoint, wait_writable

from kbroker_wire import ProtocolError
from kbroker_wire.framing import FrameBuffer
from kbroker_wire.headers import decode_request_header, encode_response_header
from kbroker_wire.messages.produce import ProduceRequest
from kbroker_wire.schema import Message

from .apis import API_VERSIONS, PRODUCE, Recognised, Served, ShortWay
from .beginnings import begin, is_wide, unbegun
from .call import Answer, Body, Call, Parked, close_records
from .cluster import java_address
from .errors import CloseConnection, code_of
from .handlers.api_versions import unknown_version
from .handlers.produce import handle_run
from .receiving import ReceiveBudget
from .transport import BYTES, COPIED_BYTES, NATIVE, Part, PeerGone, SendCalls, send_parts

if TYPE_CHECKING:
    from .broker import Broker
    from .short_produce import OneBatch

log = logging.getLogger(__name__)

# One turn serves at most this much before others get theirs (without: 151-383 ms p99 for others under bulk load).
TURN_BYTES = 256 * 1024
TURN_REQUESTS = 64
# A client that asks one thing at a time, and at once when it is answered, would keep its turn through all of them:
# a read counts as so many requests (8 such clients, by Trio's own way of waiting: p99 14 ms without, 4 ms with it).
READ_COST = 7
# While a request is parked, this much of what follows is read ahead; its point is to see the peer close.
READ_AHEAD_BYTES = 64 * 1024
MOST_PARKED = 500  # of one connection's Produces, while the disk or a replica stalls; Kafka's queued.max.requests
FLUSH_BYTES = 64 * 1024  # gathered answers are sent when they exceed this, or when the turn ends

LARGEST_PLAIN_REQUEST = 4 * 1024 * 1024  # any request but Produce, whose record batches are not parsed
# Every element of a request's arrays becomes an object, and the handler makes another for its answer: 0.5 us and up to
# 80 times its bytes each. A Produce of 28 MiB in empty partitions took 428 MB, and 2.4 s in which nobody was served.
MOST_ELEMENTS = 100_000
BYTES_PER_ELEMENT = 1024  # so many bytes of a request allow one element more

# Parked, these (Fetch, JoinGroup, SyncGroup) wait for what others do; the rest for the disk, or a transaction to end.
WAIT_FOR_OTHERS = {1, 11, 14}

REQUEST_HEAD = struct.Struct(">hhi")  # api key, api version, correlation id
SIZE = struct.Struct(">i")


class Request(NamedTuple):
    """A request that was read: whose it is, what it says, and what its answer's header will carry."""

    served: Served
    message: Message | Recognised
    call: Call
    correlation_id: int

    @property
    def comes_alone(self) -> bool:
        """A Produce that may have to wait before it is appended: a transactional one, or for many partitions."""
        message = self.message
        return isinstance(message, ProduceRequest) and (message.transactional_id is not None or is_wide(message))


class Waiting(NamedTuple):
    """A parked request and how its answer will be framed.

    message   what it says, for an answer in its own shape if it fails; None for a Produce that is appended: its records
              are not kept for that
    """

    parked: Parked
    served: Served
    version: int
    correlation_id: int
    message: Message | Recognised | None


class Answered(Parked):
    """An answer that is there already but must wait for the ones before it."""

    __slots__ = ("message",)

    def __init__(self, message: Message | Body) -> None:
        super().__init__(deadline=-1.0)
        self.ready = True
        self.message = message

    def answer(self) -> Message | Body:
        return self.message


class Connection:
    __slots__ = (
        "_broker",
        "_budget",
        "_buffer",
        "_calls",
        "_counted",
        "_draining",
        "_error",
        "_host",
        "_idle",
        "_listener",
        "_out",
        "_out_bytes",
        "_readable",
        "_short",
        "_sock",
        "_told",
        "_turn_bytes",
        "_turn_requests",
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
        budget: ReceiveBudget,
        calls: SendCalls = NATIVE,
    ) -> None:
        """Serve `sock` (connected, non-blocking) for `broker`.

        told             (host, port) that answers on this connection name as this broker's address
        max_frame_bytes  socket.request.max.bytes; a frame that declares more ends the connection
        budget           of the broker's receive buffers
        """
        self._sock = sock
        self._broker = broker
        self._listener = listener
        self._told = told
        self._calls = calls
        self._buffer = FrameBuffer(max_frame_bytes, minimum=REQUEST_HEAD.size)
        self._budget = budget
        self._readable = broker.readiness.of(sock)
        self._error: Exception | None = None  # met by `_serve_now`, for the task to raise
        self._counted = 0  # bytes of our buffer in the budget
        self._short: dict[int, ShortWay] = {}  # by API key
        self._out: list[Part] = []
        self._out_bytes = 0
        self._waiting: deque[Waiting] = deque()
        self._draining = False
        self._idle = False  # nothing is owed to the peer: all there is to do is to wait for its next request
        self.peer = peer
        self._host = java_address(peer)
        self._new_turn()

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
            self._budget.count(-self._counted)
            self.close()

    def drain(self) -> None:
        """The broker is stopping: finish what is in the hands of a handler, half sent, or appended and waiting for its
        durability, then close; a connection that owes nothing, or only what waits for others, closes now."""
        self._draining = True
        if self._idle:
            self.close()

    def _owes_an_ack(self) -> bool:
        return any(waiting.served.key not in WAIT_FOR_OTHERS for waiting in self._waiting)

    def close(self) -> None:
        """Idempotent; a task waiting on the socket gets ClosedResourceError."""
        if self._sock.fileno() != -1:
            self._readable.close()
            self._sock.close()

    async def _serve(self) -> None:
        while True:
            await self._serve_buffered()
            if self._out:
                await self._flush()
            self._idle = not self._owes_an_ack()
            if self._idle and self._draining:
                return
            alive = await (self._wait_for_parked() if self._waiting else self._receive(self._serve_now))
            if not alive:
                return
            if self._error is not None:
                raise self._error
            self._idle = False

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
        while True:
            if self._waiting:
                self._answer_ready()
            frame = self._next_frame()
            if frame is None:
                return
            self._turn_bytes -= len(frame)
            if not self._answered_now(frame):
                self._turn_requests -= 1
                await self._request(frame)
            if self._out_bytes > FLUSH_BYTES:
                self._turn_bytes -= self._out_bytes
                await self._flush()
            if self._turn_bytes < 0 or self._turn_requests <= 0:
                if self._out:
                    await self._flush()
                self._broker.readiness.tell_news()
                await checkpoint()
                self._new_turn()

    def _new_turn(self) -> None:
        """Others have had theirs."""
        self._turn_bytes, self._turn_requests = TURN_BYTES, TURN_REQUESTS
        self.last_active = trio.current_time()

    def _next_frame(self) -> memoryview | None:
        """The next request that may be applied now: behind parked ones, only a Produce behind nothing but Produces."""
        frame = self._buffer.take()
        waiting = self._waiting
        if frame is None or not waiting:
            return frame
        if frame[0] == 0 and frame[1] == 0 and len(waiting) < MOST_PARKED:
            parked, served, *_ = waiting[-1]
            if served.key == PRODUCE and not parked.holds:
                return frame  # nothing but Produces ever stands before a Produce
        self._buffer.untake(frame)
        return None

    def _read(self, frame: memoryview) -> Request:
        """Header and body, the short way if it can be. Raises CloseConnection for what is not served, ProtocolError."""
        key, version, correlation_id = REQUEST_HEAD.unpack_from(frame)
        short = self._short.get(key)
        if short is not None and (one := short.recognise(frame)) is not None:
            return Request(self._broker.dispatch[key], one, one.call, correlation_id)
        try:
            served = self._broker.dispatch[key]
        except KeyError:
            raise CloseConnection(f"API key {key} is not served") from None
        if not served.first <= version <= served.last:
            raise CloseConnection(f"{served.name} version {version} is not served")
        if len(frame) > LARGEST_PLAIN_REQUEST and key != PRODUCE:
            raise CloseConnection(f"a {served.name} of {len(frame)} bytes; {LARGEST_PLAIN_REQUEST} are allowed")
        header, position = decode_request_header(frame)
        message = served.request.decode(frame, version, position, MOST_ELEMENTS + len(frame) // BYTES_PER_ELEMENT)
        call = Call(version, header.client_id, self._listener, self._told, self._host)
        if served.short is not None:
            if short is None:
                short = self._short[key] = served.short(self._broker)
            short.learn(frame, message, call)
        return Request(served, message, call, correlation_id)

    async def _request(self, frame: memoryview) -> None:
        """Serve one request that `_answered_now` has left."""
        key, version, correlation_id = REQUEST_HEAD.unpack_from(frame)
        if key == API_VERSIONS and not 0 <= version <= self._broker.dispatch[key].last:
            self._put(unknown_version(), self._broker.dispatch[key], 0, correlation_id)
            return
        request = self._read(frame)
        if key == PRODUCE:
            await begin(unbegun(request.message, request.call, self._broker), self._broker)
            self._append([request])
            return
        answer: Answer
        try:
            answer = await request.served.handle(cast("Message", request.message), request.call, self._broker)
        except Exception as error:  # noqa: BLE001  # the boundary of one request: it fails alone
            answer = self._failed(request.served, request.message, request.call.api_version, error)
        self._take(answer, request)

    def _produce(self, frame: memoryview, most: int) -> int:
        """Serve a Produce and the ones that were pipelined right behind it, at most `most`; how many there were.

        None of them if the logs of many partitions must be made first: others are served meanwhile. What they bring
        for one partition is appended at once. A request that can not be read ends the connection after those before it
        were served.
        """
        run = [self._read(frame)]
        alone = run[0].comes_alone
        if alone and unbegun(run[0].message, run[0].call, self._broker):
            return 0
        broken: Exception | None = None
        take = self._buffer.take
        try:
            while len(run) < most and not alone and (behind := take()) is not None:
                if behind[0] or behind[1]:
                    self._buffer.untake(behind)
                    break
                request = self._read(behind)
                if request.comes_alone:
                    self._buffer.untake(behind)
                    break
                self._turn_bytes -= len(behind)
                run.append(request)
        except (CloseConnection, ProtocolError) as error:
            broken = error
        self._append(run)
        if broken is not None:
            raise broken
        return len(run)

    def _append(self, run: list[Request]) -> None:
        """Serve Produces, which were read."""
        try:
            pairs = cast("list[tuple[ProduceRequest | OneBatch, Call]]", [request[1:3] for request in run])
            answers = handle_run(pairs, self._broker)
        except Exception as error:  # noqa: BLE001  # the boundary of these requests, as in `_request`
            answers = [
                self._failed(request.served, request.message, request.call.api_version, error) for request in run
            ]
        for request, answer in zip(run, answers, strict=True):
            self._take(answer, request)

    def _failed(self, served: Served, message: Message | Recognised | None, version: int, error: Exception) -> Message:
        """What to answer when a request failed as nobody foresaw.

        Raises CloseConnection if there is no way to, and what ends the connection anyway.
        """
        if isinstance(error, (CloseConnection, ProtocolError)):
            raise error
        log.error("%s v%d from %s failed", served.name, version, self.peer, exc_info=error)
        if served.refuse is None or message is None:
            raise CloseConnection(f"{served.name} failed") from error
        return served.refuse(message if isinstance(message, Message) else message.request, code_of(error))

    def _take(self, answer: Answer, request: Request) -> None:
        """Put the answer behind the ones before it."""
        served, message, call, correlation_id = request
        if isinstance(answer, (bytes, tuple)) and not self._waiting:
            self._put(answer, served, call.api_version, correlation_id)
        elif answer is None:
            return
        elif isinstance(answer, CloseConnection):
            raise answer
        elif isinstance(answer, Parked):
            kept = message if served.key != PRODUCE or answer.holds else None
            self._waiting.append(Waiting(answer, served, call.api_version, correlation_id, kept))
        elif self._waiting:
            self._waiting.append(Waiting(Answered(answer), served, call.api_version, correlation_id, None))
        else:
            self._put(answer, served, call.api_version, correlation_id)

    def _put(self, answer: Message | Body, served: Served, version: int, correlation_id: int) -> None:
        """Frame one answer; the one place through which every answer leaves."""
        head = encode_response_header(served.key, version, correlation_id)
        if isinstance(answer, bytes):
            size = len(head) + len(answer)
            self._out += (SIZE.pack(size), head, answer)
        elif isinstance(answer, tuple):
            front, records, tail = answer
            size = len(head) + len(front) + records.nbytes + len(tail)
            self._out += (SIZE.pack(size) + head + front, records)
            if tail:
                self._out.append(tail)
        else:
            try:
                # the only records that are not bytes are slices of our own logs
                parts = cast("list[Part]", answer.encode_parts(version, head))
                size = 0
                for part in parts:
                    size += len(part) if isinstance(part, (bytes, bytearray)) else part.nbytes
                self._out.append(SIZE.pack(size))
            except Exception:
                close_records(answer)
                raise
            self._out += parts
        self._out_bytes += size + 4

    def _answer_ready(self) -> None:
        waiting = self._waiting
        while waiting:
            parked, served, version, correlation_id, message = waiting[0]
            if not parked.ready and trio.current_time() < parked.deadline:
                return
            waiting.popleft()
            try:
                try:
                    answer = parked.answer()
                except Exception as error:  # noqa: BLE001  # the boundary of one request, as in `_request`
                    answer = self._failed(served, message, version, error)
                if answer is not None:
                    self._put(answer, served, version, correlation_id)
            finally:
                parked.drop()

    def _answer_now(self) -> None:
        """Answer what is ready, as far as the socket takes it at once; the task goes on where this stops."""
        try:
            self._answer_ready()
            self._sent_now()
        except Exception as error:  # noqa: BLE001  # raised again in the connection's own task
            self._error = error

    async def _flush(self) -> None:
        try:
            await send_parts(self._sock, self._out, self._calls, self._room)
        finally:
            self._release()

    async def _room(self, sock: socket.socket) -> None:
        await wait_writable(sock)
        self.last_active = trio.current_time()  # a peer that reads is not idle, however long one answer takes it

    def _release(self) -> None:
        for part in self._out:
            if not isinstance(part, BYTES):
                part.close()
        self._out.clear()
        self._out_bytes = 0

    def _serve_now(self) -> bool:
        """Receive and serve without leaving the spot; False for the task to go on where this stopped.

        That is: the end of the stream, requests whose handlers may wait, parked ones, answers that are not sent whole,
        more to read, and whatever fails.
        """
        if self._buffer.buffered > READ_AHEAD_BYTES and self._budget.spent:
            return False
        self._idle = False
        try:
            space = self._space()
            try:
                received = self._sock.recv_into(space)
            except BlockingIOError:
                self._idle = True
                return True
            self._buffer.received(received)
            self._idle = received > 0 and self._served_now() and self._sent_now()
            return self._idle and received < len(space)
        except Exception as error:  # noqa: BLE001  # raised again in the connection's own task
            self._error = error
            return False

    def _served_now(self) -> bool:
        """Whether everything that has arrived whole is answered, within one turn."""
        self._new_turn()
        while self._turn_requests > 0:
            frame = self._buffer.take()
            if frame is None:
                return not self._waiting
            if self._waiting or not self._answered_now(frame):
                self._buffer.untake(frame)
                return False
        return False

    def _answered_now(self, frame: memoryview) -> bool:
        """Whether the request was answered or parked: it is one that never awaits. Others are for `_request`."""
        if frame[0] == 0 and frame[1] == 0:  # the API key of Produce
            count = self._produce(frame, self._turn_requests)
            self._turn_requests -= count
            return count > 0
        served = self._broker.dispatch.get(REQUEST_HEAD.unpack_from(frame)[0])
        if served is None or served.answer is None:
            return False
        self._turn_requests -= 1
        request = self._read(frame)
        try:
            answer = served.answer(cast("Message", request.message), request.call, self._broker)
        except Exception as error:  # noqa: BLE001  # the boundary of one request, as in `_request`
            answer = self._failed(request.served, request.message, request.call.api_version, error)
        self._take(answer, request)
        return True

    def _sent_now(self) -> bool:
        """Send what is gathered if the socket takes all of it at once; the rest stays gathered."""
        out = self._out
        if not out:
            return True
        if self._out_bytes > COPIED_BYTES:
            return False
        data = b"".join([part if isinstance(part, BYTES) else part.read() for part in out])
        self._release()
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return True
        self._out.append(data[sent:])
        self._out_bytes = len(data) - sent
        return False

    async def _receive(self, serve: Callable[[], bool] | None = None) -> bool:
        """Put what has arrived into the buffer, waiting for it if need be; False at the end of the stream.

        serve   serves what comes while this waits, as `Readable.wait` says; then nothing may be left in the buffer
        """
        while True:
            try:
                received = self._sock.recv_into(self._space())
            except BlockingIOError:
                self._new_turn()
                await self._readable.wait(serve)
                if serve is not None and self._stopped_short():
                    return True
                if self._buffer.buffered > READ_AHEAD_BYTES:
                    await self._budget.room()
                continue
            if received == 0:
                return False
            self._buffer.received(received)
            self._turn_requests -= READ_COST
            return True

    def _stopped_short(self) -> bool:
        """Whether `_serve_now` left something to the task besides receiving."""
        return bool(self._out or self._waiting or self._error is not None or self._buffer.has_frame())

    def _space(self) -> memoryview:
        space = self._buffer.space()
        memory = self._buffer.memory
        if memory != self._counted:
            self._budget.count(memory - self._counted)
            self._counted = memory
        return space

    def shrink(self) -> None:
        """Give back what the receive buffer does not need now; for a connection that has gone quiet."""
        self._buffer.shrink()
        self._budget.count(self._buffer.memory - self._counted)
        self._counted = self._buffer.memory

    async def _wait_for_parked(self) -> bool:
        """Until the head of `waiting` can be answered or more bytes came; False when the peer has closed.

        The peer is watched by reading ahead; once READ_AHEAD_BYTES wait behind the parked request, by what the system
        tells of it, and only if nothing is owed to it: what it sent before it left is served.
        """
        return await self._wait_for_head(watching=self._buffer.buffered < READ_AHEAD_BYTES)

    async def _wait_for_head(self, *, watching: bool) -> bool:
        head = self._waiting[0].parked
        with trio.CancelScope(deadline=head.deadline) as scope:

            def on_ready() -> None:
                scope.cancel()
                self._broker.readiness.soon(self._answer_now)

            head.on_ready = on_ready
            if head.ready:
                scope.cancel()
            try:
                if watching:
                    return await self._receive()
                if self._owes_an_ack():
                    await trio.sleep_forever()
                await self._readable.hang_up()
                return False
            finally:
                head.on_ready = None  # only while the task waits here may another one answer
        return True
