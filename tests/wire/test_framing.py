"""Frames do not depend on how bytes arrive, and memory does not depend on what a peer declares."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire.errors import ProtocolError
from kbroker_wire.framing import FIRST_CAPACITY, PIPELINE_CAPACITY, REVIEW_EVERY, FrameBuffer, FrameError

MIB = 1024 * 1024


def framed(*frames: bytes) -> bytes:
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


def receive(buffer: FrameBuffer, data: bytes) -> int:
    """One read of a transport that has `data` waiting: as much as fits into the space."""
    space = buffer.space()
    count = min(len(space), len(data))
    space[:count] = data[:count]
    buffer.received(count)
    return count


def receive_all(buffer: FrameBuffer, data: bytes) -> list[bytes]:
    """Read and take as a connection does: every whole frame before the next read."""
    frames = []
    while data:
        data = data[receive(buffer, data) :]
        while (frame := buffer.take()) is not None:
            frames.append(bytes(frame))
    return frames


sizes = st.one_of(st.integers(0, 64), st.integers(4080, 4100), st.integers(65500, 65600), st.integers(0, 300_000))


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(sizes, max_size=6), cuts=st.lists(st.integers(1, 100_000), max_size=20), seed=st.integers(0, 255))
def test_frames_do_not_depend_on_how_the_bytes_arrive(sizes: list[int], cuts: list[int], seed: int) -> None:
    frames = [random.Random(seed + size).randbytes(size) for size in sizes]
    stream, buffer, seen, at = framed(*frames), FrameBuffer(limit=300_000), [], 0
    for cut in [*cuts, len(stream)]:
        seen += receive_all(buffer, stream[at : at + cut])
        at += cut
    assert seen == frames
    assert buffer.buffered == 0


@given(frames=st.lists(st.binary(max_size=64)), cuts=st.lists(st.integers(1, 50)))
def test_fed_frames_may_wait_in_the_buffer(frames: list[bytes], cuts: list[int]) -> None:
    stream, buffer, at = framed(*frames), FrameBuffer(limit=64), 0
    for cut in [*cuts, len(stream)]:
        buffer.feed(stream[at : at + cut])
        at += cut
    assert buffer.buffered == len(stream)
    assert [bytes(frame) for frame in iter(buffer.take, None)] == frames


def test_a_frame_arrives_byte_by_byte() -> None:
    buffer = FrameBuffer(limit=100)
    for byte in framed(b"hello")[:-1]:
        assert receive(buffer, bytes([byte])) == 1
        assert buffer.take() is None
    receive(buffer, b"o")
    assert buffer.take() == b"hello"


@pytest.mark.parametrize("size", [-(2**31), -1, 0, 7, 101, 2**31 - 1])
def test_an_impossible_size_is_refused_with_its_fourth_byte(size: int) -> None:
    buffer = FrameBuffer(limit=100, minimum=8)
    prefix = size.to_bytes(4, "big", signed=True)
    buffer.feed(prefix[:3])
    assert buffer.take() is None
    buffer.feed(prefix[3:])
    for _ in range(2):
        with pytest.raises(FrameError, match=rf"frame of {size} bytes is announced; allowed are 8 to 100"):
            buffer.take()
    buffer.feed(b"more")
    with pytest.raises(ProtocolError):
        buffer.take()


def test_the_largest_and_the_smallest_frame_are_accepted() -> None:
    assert receive_all(FrameBuffer(limit=100, minimum=8), framed(bytes(100), bytes(8))) == [bytes(100), bytes(8)]
    assert receive_all(FrameBuffer(limit=0), framed(b"", b"")) == [b"", b""]


def test_frames_before_an_impossible_size_are_still_delivered() -> None:
    buffer = FrameBuffer(limit=10)
    buffer.feed(framed(b"one", b"two") + b"GET / HTTP/1.1\r\n")
    assert buffer.take() == b"one"
    assert buffer.take() == b"two"
    with pytest.raises(FrameError):
        buffer.take()


@settings(max_examples=40, deadline=None)
@given(declared=st.integers(0, 100 * MIB), arrived=st.integers(0, 400_000), step=st.integers(1, 200_000))
def test_memory_follows_what_arrived_and_not_what_was_declared(declared: int, arrived: int, step: int) -> None:
    buffer, seen = FrameBuffer(limit=100 * MIB), 0
    rest = declared.to_bytes(4, "big") + bytes(min(arrived, declared))
    while rest:
        count = receive(buffer, rest[:step])
        rest, seen = rest[count:], seen + count
        assert buffer.memory <= max(PIPELINE_CAPACITY, 2 * seen)
    assert (buffer.take() is not None) == (arrived >= declared)


def test_a_single_byte_of_a_declared_giant_holds_four_kib() -> None:
    buffer = FrameBuffer(limit=100 * MIB)
    receive(buffer, (100 * MIB).to_bytes(4, "big") + b"\0")
    assert buffer.take() is None
    assert len(buffer.space()) == FIRST_CAPACITY - 5
    assert buffer.memory == FIRST_CAPACITY


def test_a_large_frame_ends_in_a_buffer_of_its_size_and_what_follows_starts_at_the_front() -> None:
    buffer, stream = FrameBuffer(limit=MIB), framed(bytes(MIB), b"next")
    while (frame := buffer.take()) is None:
        stream = stream[receive(buffer, stream) :]
    assert buffer.memory == MIB + 4
    assert len(frame) == MIB
    assert stream == framed(b"next")
    assert receive_all(buffer, stream) == [b"next"]


def test_large_frames_that_follow_each_other_use_the_same_buffer() -> None:
    buffer, frame = FrameBuffer(limit=MIB), bytes(MIB)
    receive_all(buffer, framed(frame))
    first, reads = buffer.space().obj, 0
    for _ in range(3):
        stream = framed(frame)
        while stream:
            stream, reads = stream[receive(buffer, stream) :], reads + 1
        assert buffer.take() == frame
        assert buffer.space().obj is first
    assert reads == 3


def test_the_space_ends_with_a_large_frame_also_where_the_buffer_is_larger() -> None:
    buffer = FrameBuffer(limit=MIB)
    receive_all(buffer, framed(bytes(MIB)))
    stream = framed(bytes(200_000), b"next")
    assert receive(buffer, stream[:100]) == 100
    assert buffer.take() is None
    assert receive(buffer, stream[100:]) == 200_004 - 100
    assert buffer.take() == bytes(200_000)
    assert buffer.buffered == 0


def test_a_pipelining_peer_gets_a_buffer_of_64_kib_at_most() -> None:
    buffer, stream = FrameBuffer(limit=100), framed(*[bytes(100)] * 10_000)
    reads = 0
    while stream:
        stream = stream[receive(buffer, stream) :]
        reads += 1
        while buffer.take():
            pass
        assert buffer.memory <= PIPELINE_CAPACITY
    assert buffer.memory == PIPELINE_CAPACITY
    assert reads < 25


def test_small_reads_keep_the_first_buffer() -> None:
    buffer = FrameBuffer(limit=MIB)
    assert buffer.memory == 0
    for _ in range(1000):
        assert receive_all(buffer, framed(bytes(200))) == [bytes(200)]
    assert buffer.memory == FIRST_CAPACITY


@pytest.mark.parametrize("large", [60_000, MIB])
def test_a_buffer_that_stays_too_large_is_replaced(large: int) -> None:
    buffer = FrameBuffer(limit=MIB)
    receive_all(buffer, framed(bytes(large)))
    assert buffer.memory >= PIPELINE_CAPACITY
    for _ in range(2 * REVIEW_EVERY + 1):
        receive_all(buffer, framed(bytes(300)))
    assert buffer.memory == FIRST_CAPACITY


def test_shrink_gives_the_memory_of_an_idle_connection_back() -> None:
    buffer = FrameBuffer(limit=MIB)
    receive_all(buffer, framed(bytes(MIB)))
    buffer.shrink()
    assert buffer.memory == 0
    assert receive_all(buffer, framed(b"again")) == [b"again"]


@pytest.mark.parametrize("waiting", [1, 4, 5000, 70_000])
def test_shrink_keeps_the_bytes_that_wait(waiting: int) -> None:
    buffer, frame = FrameBuffer(limit=MIB), random.Random(1).randbytes(100_000)
    receive_all(buffer, framed(bytes(MIB)))
    assert receive_all(buffer, framed(frame)[:waiting]) == []
    buffer.shrink()
    assert buffer.buffered == waiting
    assert buffer.memory <= max(FIRST_CAPACITY, waiting + 1)
    assert receive_all(buffer, framed(frame)[waiting:]) == [frame]


def test_frames_are_views_that_may_be_written_and_survive_growth_while_held() -> None:
    buffer = FrameBuffer(limit=MIB)
    receive(buffer, framed(b"abc"))
    held = buffer.take()
    assert held is not None
    held[0] = ord("x")
    space = buffer.space()  # the transport still holds this one when the buffer grows
    receive_all(buffer, framed(bytes(200_000)))
    buffer.shrink()
    assert len(held) == 3
    assert len(space) == FIRST_CAPACITY


def test_received_refuses_more_than_the_space() -> None:
    buffer = FrameBuffer(limit=10)
    room = len(buffer.space())
    with pytest.raises(ValueError, match="were received into a space of"):
        buffer.received(room + 1)
    with pytest.raises(ValueError):
        buffer.received(-1)
    buffer.received(0)
    assert buffer.buffered == 0


def test_the_limits_may_change_between_frames() -> None:
    buffer = FrameBuffer(limit=1000, minimum=8)
    buffer.feed(framed(bytes(20), b"abc", bytes(20)))
    assert buffer.take() == bytes(20)
    buffer.minimum = 0  # raw SASL tokens have no header
    assert buffer.take() == b"abc"
    buffer.limit = 10
    with pytest.raises(FrameError):
        buffer.take()


def test_a_frame_that_is_put_back_is_taken_again() -> None:
    buffer = FrameBuffer(limit=1000)
    buffer.feed(framed(b"first", b"", b"third"))
    taken = []
    while (frame := buffer.take()) is not None:
        buffer.untake(frame)
        again = buffer.take()
        assert again is not None
        taken.append(bytes(again))
    assert taken == [b"first", b"", b"third"]
    assert buffer.buffered == 0


def test_it_is_known_whether_a_frame_could_be_taken() -> None:
    buffer = FrameBuffer(limit=10)
    for byte in framed(b"abc")[:-1]:
        buffer.feed(bytes([byte]))
        assert not buffer.has_frame()
    buffer.feed(b"c")
    assert buffer.has_frame()
    assert buffer.take() == b"abc"
    assert not buffer.has_frame()
    buffer.feed((11).to_bytes(4, "big"))
    assert buffer.has_frame()  # to be refused when it is taken
    with pytest.raises(FrameError):
        buffer.take()
