"""One blocking connection to a broker: which versions both sides know, a request, its answer."""

from __future__ import annotations

import socket
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kbroker_wire import ErrorCode
from kbroker_wire.errors import EncodeError, ProtocolError
from kbroker_wire.framing import FrameBuffer
from kbroker_wire.headers import RequestHeader, decode_response_header, encode_request_header
from kbroker_wire.messages import API_NAMES
from kbroker_wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse

from .failures import Failure, Unreachable, refuse

if TYPE_CHECKING:
    from kbroker_wire.schema import Message

A = TypeVar("A", bound="Message")

CLIENT_ID = "kbroker-cli"
LARGEST_ANSWER_BYTES = 1 << 30  # descriptions of very many groups; what is no Kafka broker announces anything


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Connection:
    """Connected, and told which APIs the broker serves. Raises Unreachable, also when the broker is no Kafka broker.

    timeout_s  for connecting, and for each answer
    whose      how messages call the broker
    """

    def __init__(self, address: Address, timeout_s: float, whose: str) -> None:
        self.address = address
        self._whose = whose
        self._timeout_s = timeout_s
        self._correlation_id = 0
        self._frames = FrameBuffer(LARGEST_ANSWER_BYTES)
        try:
            self._socket = socket.create_connection(address, timeout_s)
        except (OSError, UnicodeError) as error:  # a host name with impossible labels is a UnicodeError
            nowhere = isinstance(error, socket.gaierror | UnicodeError)
            raise Unreachable(f"can not connect to {whose}: {_reason(error)}", passes=not nowhere) from None
        try:
            self._served = self._ask_versions()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def serves(self, request: type[Message]) -> bool:
        """Whether there is a version of it that both sides know."""
        return self._version(request, None) is not None

    def version(self, request: type[Message], newest: int | None = None) -> int:
        """The newest version that both sides know, `newest` at most. Raises Failure if there is none."""
        version = self._version(request, newest)
        if version is None:
            name = API_NAMES[_key(request)]
            theirs = self._served.get(_key(request))
            serves = f"it has versions {theirs.start} to {theirs.stop - 1} of" if theirs else "it does not serve"
            raise Failure(f"{self._whose} can not do this: {serves} {name}")
        return version

    def ask(self, request: Message, answer: type[A], newest: int | None = None) -> A:
        """`answer` is the table of the response.

        Raises Unreachable when no answer comes, Failure for an API that the broker does not serve, or not in a version
        that can express the request.
        """
        version = self.version(type(request), newest)
        frame, position = self._exchange(request, version)
        return self._decode(answer, frame, version, position)

    def _version(self, request: type[Message], newest: int | None) -> int | None:
        theirs = self._served.get(_key(request), range(0))
        last = min(theirs.stop, request.versions.stop) - 1
        if newest is not None:
            last = min(last, newest)
        return last if last >= max(theirs.start, request.versions.start) else None

    def _ask_versions(self) -> dict[int, range]:
        """API key -> versions. A broker that does not know our version of the question says in v0 which it knows."""
        version = ApiVersionsRequest.versions.stop - 1
        request = ApiVersionsRequest(client_software_name="kbroker", client_software_version=version_of("kbroker"))
        frame, position = self._exchange(request, version)
        if frame[position : position + 2] == ErrorCode.UNSUPPORTED_VERSION.to_bytes(2):  # the code comes first
            listed = self._decode(ApiVersionsResponse, frame, 0, position)
            known = [row.max_version for row in listed.api_keys if row.api_key == ApiVersionsRequest.key]
            version = max(0, min([version - 1, *known]))
            frame, position = self._exchange(request, version)
        answer = self._decode(ApiVersionsResponse, frame, version, position)
        refuse(answer.error_code, f"ApiVersions of {self._whose}")
        return {row.api_key: range(row.min_version, row.max_version + 1) for row in answer.api_keys}

    def _exchange(self, request: Message, version: int) -> tuple[memoryview, int]:
        """The frame of the answer, and where its body starts. The frame is valid until the next exchange."""
        key = _key(type(request))
        self._correlation_id += 1
        header = encode_request_header(RequestHeader(key, version, self._correlation_id, CLIENT_ID))
        try:
            body = request.encode(version)
        except EncodeError as error:
            raise Failure(f"can not ask {self._whose} for this: {error}") from None
        try:
            self._socket.sendall((len(header) + len(body)).to_bytes(4) + header + body)
            frame = self._receive(API_NAMES[key])
            correlation_id, position = decode_response_header(frame, key, version)
        except OSError as error:
            raise Unreachable(f"{self._whose} did not answer {API_NAMES[key]}: {_reason(error)}") from None
        except ProtocolError as error:
            raise Unreachable(f"{self._whose} does not speak Kafka's protocol: {error}") from None
        if correlation_id != self._correlation_id:
            raise Unreachable(f"{self._whose} answered request {correlation_id}, not {self._correlation_id}")
        return frame, position

    def _decode(self, table: type[A], frame: memoryview, version: int, position: int) -> A:
        try:
            return table.decode(frame, version, position)
        except ProtocolError as error:
            raise Unreachable(f"{self._whose} does not speak Kafka's protocol: {error}") from None

    def _receive(self, name: str) -> memoryview:
        first = self._correlation_id == 1
        while (frame := self._frames.take()) is None:
            count = self._socket.recv_into(self._frames.space())
            if not count:
                hint = "; if its listener wants TLS or SASL: only plain connections are made" if first else ""
                raise Unreachable(f"{self._whose} closed the connection instead of answering {name}{hint}")
            self._frames.received(count)
        return frame


def _key(request: type[Message]) -> int:
    assert request.key is not None, request
    return request.key


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, UnicodeError):
        return "no host can have this name"
    return error.strerror or str(error)
