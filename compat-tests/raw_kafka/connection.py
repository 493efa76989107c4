"""One blocking connection to a broker: typed calls, pipelined sends, raw bytes."""

import select
import socket
import struct
from types import TracebackType
from typing import Self

from .codec import BadAnswer, Decoder, Struct, decode, encode
from .definitions import Definition, definition

API_VERSIONS = 18
ANSWER_WITHIN_S = 30.0  # far beyond any answer a test waits for; reached only when the broker never answers


class Closed(ConnectionError):
    """The broker closed the connection instead of answering."""


def request_header(key: int, version: int, correlation_id: int, client_id: str | None, flexible: bool) -> bytes:
    """Request header v1 (client id as a nullable string, never compact), or v2 with no tagged fields."""
    name = None if client_id is None else client_id.encode()
    text = struct.pack(">h", -1) if name is None else struct.pack(">h", len(name)) + name
    return struct.pack(">hhi", key, version, correlation_id) + text + (b"\0" if flexible else b"")


def request_frame(
    api: str, version: int, correlation_id: int, values: dict[str, object], client_id: str | None = "behaviour"
) -> bytes:
    """A whole request frame with its length, for example `request_frame("Metadata", 12, 1, {"topics": None})`."""
    message = definition(f"{api}Request")
    header = request_header(message.api_key, version, correlation_id, client_id, version in message.flexible)
    return framed(header + encode(message, version, values))


def framed(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


class Connection:
    """Speaks to `host:port`; every blocking call ends within ANSWER_WITHIN_S with TimeoutError."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=ANSWER_WITHIN_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._correlation_id = 0
        self._sent: list[tuple[str, int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    # -- typed calls --------------------------------------------------------------------------------------------------

    def call(self, api: str, version: int, **values: object) -> Struct:
        """Send one request and wait for its answer. Raises Closed when the broker hangs up instead."""
        self.send(api, version, **values)
        return self.answer()

    def send(self, api: str, version: int, **values: object) -> int:
        """Send without waiting; returns the correlation id."""
        self._correlation_id += 1
        self.send_raw(request_frame(api, version, self._correlation_id, values))
        self._sent.append((api, version, self._correlation_id))
        return self._correlation_id

    def forget_last(self) -> None:
        """The last request sent expects no answer (acks=0)."""
        self._sent.pop()

    def answer(self) -> Struct:
        """The answer to the oldest request that has none yet."""
        api, version, correlation_id = self._sent.pop(0)
        return decode_answer(api, version, correlation_id, self.read_frame())

    # -- raw bytes ----------------------------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error)) from error

    def read_frame(self) -> bytes:
        (length,) = struct.unpack(">i", self._read(4))
        if length < 4:
            raise BadAnswer(f"an answer of {length} bytes has no room for a correlation id")
        return self._read(length)

    def is_closed(self) -> bool:
        """Wait for the broker to hang up: True once it has, False if it answers something instead."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def has_news(self) -> bool:
        """Has the broker sent something, or hung up, that was not read yet? Does not wait."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                piece = self._socket.recv(length - len(data))
            except ConnectionResetError as error:
                raise Closed(str(error)) from error
            if not piece:
                raise Closed(f"closed after {len(data)} of {length} bytes")
            data += piece
        return bytes(data)


def decode_answer(api: str, version: int, correlation_id: int, frame: bytes) -> Struct:
    """Check the response header (v1 for flexible versions, always v0 for ApiVersions) and decode the body.

    An ApiVersions answer with UNSUPPORTED_VERSION has the body of version 0, whatever version was asked.
    """
    message: Definition = definition(f"{api}Response")
    header = Decoder(frame, version, flexible=version in message.flexible and message.api_key != API_VERSIONS)
    answered = header.number(">i")
    if answered != correlation_id:
        raise BadAnswer(f"answer to request {answered} where {correlation_id} was due")
    if header.flexible:
        header.tagged(Struct(), {})
    body = frame[header.at :]
    if message.api_key == API_VERSIONS and body[:2] == struct.pack(">h", 35):
        version = 0
    return decode(message, version, body)
