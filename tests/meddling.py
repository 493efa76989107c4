"""Between a client and a broker: hides versions, gives answers of its own, hangs up.

What it does not meddle with goes through as it is, so that the broker behind it is a real one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from kbroker_wire.errors import ErrorCode
from kbroker_wire.headers import (
    decode_request_header,
    decode_response_header,
    encode_response_header,
)
from kbroker_wire.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from kbroker_wire.schema import Message

API_VERSIONS = 18
HANG_UP = None


class Meddler:
    """Set before a client connects.

    newest   API key -> the newest version that is shown; -1 hides the API
    instead  API key -> answers that are given in place of the broker's, one each; HANG_UP closes the connection
    asked    (API key, version) of each request that came
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.newest: dict[int, int] = {}
        self.instead: dict[int, deque[Message | None]] = defaultdict(deque)
        self.asked: list[tuple[int, int]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, broker: Callable[[], tuple[str, int]], stream: trio.SocketStream) -> None:
        async with stream, await trio.open_tcp_stream(*broker()) as behind:
            while (request := await _frame(stream)) is not None:
                header, _ = decode_request_header(request)
                key, version = header.api_key, header.api_version
                self.asked.append((key, version))
                if self.instead[key]:
                    mine = self.instead[key].popleft()
                    if mine is HANG_UP:
                        return
                    body = mine.encode(version)
                elif key == API_VERSIONS:
                    body = await self._versions(behind, header.correlation_id, version)
                else:
                    await behind.send_all(_framed(request))
                    answer = await _frame(behind)
                    if answer is None:
                        return
                    body = answer[decode_response_header(answer, key, version)[1] :]
                await stream.send_all(_framed(encode_response_header(key, version, header.correlation_id) + body))

    async def _versions(self, behind: trio.SocketStream, correlation_id: int, version: int) -> bytes:
        """As a broker would answer that serves no more than it shows."""
        known = self.newest.get(API_VERSIONS, version)
        if version > known:
            only = ApiVersion(api_key=API_VERSIONS, min_version=0, max_version=known)
            return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[only]).encode(0)
        header = API_VERSIONS.to_bytes(2) + (0).to_bytes(2) + correlation_id.to_bytes(4) + b"\xff\xff"
        await behind.send_all(_framed(header + ApiVersionsRequest().encode(0)))
        answer = await _frame(behind)
        assert answer is not None
        shown = ApiVersionsResponse.decode(answer, 0, 4)
        for row in shown.api_keys:
            row.max_version = min(row.max_version, self.newest.get(row.api_key, row.max_version))
        shown.api_keys = [row for row in shown.api_keys if row.max_version >= row.min_version]
        return shown.encode(version)


@asynccontextmanager
async def meddling(broker: Callable[[], tuple[str, int]]) -> AsyncIterator[Meddler]:
    """`broker` is asked for the address when somebody connects, so that the broker may start later."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        meddler = Meddler(listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, partial(meddler.serve, broker), listeners)
        yield meddler
        nursery.cancel_scope.cancel()


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


async def _frame(stream: trio.SocketStream) -> bytes | None:
    """None when the other side has closed."""
    try:
        size = await _exactly(stream, 4)
        return await _exactly(stream, int.from_bytes(size)) if size else None
    except trio.BrokenResourceError:
        return None


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            return b""
        data += more
    return data
