"""Sending bytes and file ranges: whole, in order, by the platform's way and by the portable one."""

from __future__ import annotations

import socket

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker.transport import (
    COPIED_BYTES,
    NATIVE,
    PORTABLE,
    SENDFILE_BYTES,
    PeerGone,
    SendCalls,
    send_bytes,
    send_parts,
    send_slice,
)
from kbroker_storage import DiskFiles, MemoryFiles
from kbroker_storage.platform_calls import portable


@pytest.fixture(params=["disk", "memory"])
def files(request, tmp_path):
    files = DiskFiles() if request.param == "disk" else MemoryFiles()
    files.make_directory(f"{tmp_path}/data")
    yield files
    if request.param == "disk":
        files.close()


async def sent_by(send):
    """All that arrives of what `send(socket)` sends, through a socket that holds little."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.setblocking(False)
        received = bytearray()
        async with trio.open_nursery() as nursery:

            async def run():
                await send(ours)
                ours.shutdown(socket.SHUT_WR)

            nursery.start_soon(run)
            while True:
                try:
                    data = theirs.recv(1 << 16)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(theirs)
                    continue
                if not data:
                    break
                received += data
        return bytes(received)


@pytest.mark.parametrize("calls", [NATIVE, PORTABLE])
async def test_parts_arrive_whole_and_in_order(files, tmp_path, calls):
    content = bytes(range(256)) * 6000
    file = files.open(f"{tmp_path}/data/log", create=True)
    file.append([content], len(content), 0)
    first, second = file.slice(100, 1_200_000), file.slice(7, 5)
    parts = [b"head", bytearray(b"more"), first, memoryview(b"between"), b"", second, b"tail"]
    expected = b"headmore" + content[100:1_200_100] + b"between" + content[7:12] + b"tail"
    assert await sent_by(lambda sock: send_parts(sock, parts, calls)) == expected
    assert first.nbytes > SENDFILE_BYTES, "more than one turn"
    first.close()
    second.close()


@given(st.lists(st.binary(max_size=40_000), max_size=6))
@settings(max_examples=20, deadline=None)
def test_bytes_arrive_however_they_are_cut(parts):
    assert trio.run(sent_by, lambda sock: send_parts(sock, parts)) == b"".join(parts)


async def test_a_file_that_ends_before_its_range_is_never_filled_up(tmp_path):
    files = DiskFiles(calls=portable())
    files.make_directory(f"{tmp_path}/data")
    file = files.open(f"{tmp_path}/data/log", create=True)
    file.append([b"0123456789"], 10, 0)
    piece = file.slice(0, 10)
    file.truncate(4)
    for calls, error in ((NATIVE, PeerGone), (PORTABLE, EOFError)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            with pytest.raises(error, match=r"ended 6|has 4"):
                await send_slice(ours, piece, calls)
            ours.close()
            assert len(theirs.recv(100)) <= 4
    piece.close()
    files.close()


class Recording:
    """A socket's stand-in that takes everything at once and remembers with which flags."""

    def __init__(self):
        self.sent = []

    def send(self, data, flags=0):
        self.sent.append((bytes(data), flags))
        return len(data)


async def test_nothing_is_left_in_the_kernel_waiting_for_more_when_the_answer_is_complete(files, tmp_path):
    """MSG_MORE holds a small packet back for 200 ms if nothing follows."""
    records = b"r" * (COPIED_BYTES + 1)
    file = files.open(f"{tmp_path}/data/log", create=True)
    file.append([records], len(records), 0)
    piece, small = file.slice(0, len(records)), file.slice(0, 10)
    more = 0x8000
    for parts in ([b"head", piece], [b"head", piece, b"tail"], [piece], [b"all"], [piece, small], [small]):
        sock = Recording()
        await send_parts(sock, parts, SendCalls(sendfile=None, more=more))
        expected = b"".join(part if isinstance(part, bytes) else part.read() for part in parts)
        assert b"".join(data for data, _ in sock.sent) == expected
        flags = [flags for _, flags in sock.sent]
        assert flags == [more] * (len(flags) - 1) + [0]
    piece.close()
    small.close()


async def test_an_empty_range_between_bytes_changes_nothing(files, tmp_path):
    file = files.open(f"{tmp_path}/data/log", create=True)
    file.append([b"x"], 1, 0)
    piece = file.slice(1, 0)
    assert await sent_by(lambda sock: send_parts(sock, [b"a", piece, b"b"])) == b"ab"
    assert await sent_by(lambda sock: send_bytes(sock, b"")) == b""
    piece.close()
