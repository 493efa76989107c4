"""Length-prefixed frames out of a byte stream, without I/O: the receiving half of every Kafka connection.

A frame is a big-endian int32 size and as many bytes. A `FrameBuffer` is one contiguous buffer that the transport reads
into (`space`, `received`) and that frames are cut from without a copy (`take`):

    ┌── taken ──┬── start: waiting bytes ──┬── end: free ──┐
    0         start                       end          memory

Memory follows the bytes that came, never a size that a peer declared. The buffer begins with 4 KiB and is made four
times larger, up to 64 KiB, whenever reads fill it: a peer that pipelines then gets many frames out of one read. A frame
above 64 KiB grows the buffer to twice what has arrived, at last to exactly its size, so a frame is copied about once on
its way in. The large buffer is kept for the next frame (fresh pages cost more than the copy) until it was too large
for a while, or until `shrink` is called on a connection that has gone quiet.

A bytearray with exported views cannot be resized, so every change of capacity allocates a new one; views of the old one
stay readable as long as somebody holds them.
"""

from struct import Struct

from .errors import ProtocolError

FIRST_CAPACITY = 4 * 1024  # an idle connection may cost no more than this
PIPELINE_CAPACITY = 64 * 1024  # a larger read brings no more requests per second
REVIEW_EVERY = 64  # how often the buffer must have run empty before its size is judged again

_size_at = Struct(">i").unpack_from


class FrameError(ProtocolError):
    """A frame announces a size outside the agreed bounds: the stream has no next frame, the connection must close."""


class FrameBuffer:
    """The bytes of one connection that have arrived and have not been taken yet.

    limit      largest frame in bytes, the prefix not counted (Kafka's socket.request.max.bytes for a broker)
    minimum    smallest frame in bytes, for instance what a request header needs

    Both may be changed at any time. `memory` is the size in bytes of the buffer held.
    """

    __slots__ = ("_buffer", "_empties", "_end", "_filled", "_peak", "_start", "_view", "limit", "memory", "minimum")

    def __init__(self, limit: int, minimum: int = 0) -> None:
        self.limit = limit
        self.minimum = minimum
        self._start = 0
        self._end = 0
        self._filled = False  # the last read left no room: the peer had more to say than the buffer could hold
        self._peak = 0  # most bytes in the buffer since its size was last judged
        self._empties = 0
        self._allocate(0)

    @property
    def buffered(self) -> int:
        """Bytes that arrived and were not taken, length prefixes included."""
        return self._end - self._start

    def space(self) -> memoryview:
        """Where the next bytes go, never empty. Frames taken before are void: their bytes may be overwritten.

        Take every whole frame first; what is left is moved to the front of the buffer. For a frame above 64 KiB the
        space ends with the frame, so that what follows it starts at the front.
        """
        if self._start == self._end:
            if self._start:
                self._emptied()
            if self._filled or not self.memory:
                self._grow(0)
            return self._view
        pending = self._end - self._start
        if self._start:
            self._view[:pending] = self._view[self._start : self._end]
            self._start, self._end = 0, pending
        if pending == self.memory or self._filled:
            self._grow(pending)
        frame_end = self._frame_end()
        if pending < frame_end and frame_end > PIPELINE_CAPACITY:
            return self._view[pending:frame_end]
        return self._view[pending:]

    def received(self, count: int) -> None:
        """`count` bytes were written at the start of `space`."""
        end = self._end + count
        if count < 0 or end > self.memory:
            raise ValueError(f"{count} bytes were received into a space of {self.memory - self._end}")
        self._end = end
        self._filled = end == self.memory

    def take(self) -> memoryview | None:
        """The next whole frame without its length prefix, a writable view that is valid until `space` is called.

        None while it has not arrived completely.
        Raises FrameError as soon as the four bytes of an impossible size are there, and again at each later call.
        """
        start = self._start + 4
        if start > self._end:
            return None
        size: int = _size_at(self._buffer, self._start)[0]
        if size > self.limit or size < self.minimum:
            raise FrameError(f"a frame of {size} bytes is announced; allowed are {self.minimum} to {self.limit}")
        end = start + size
        if end > self._end:
            return None
        self._start = end
        return self._view[start:end]

    def has_frame(self) -> bool:
        """Whether `take` would give a frame, or raise."""
        start = self._start + 4
        if start > self._end:
            return False
        size: int = _size_at(self._buffer, self._start)[0]
        return not self.minimum <= size <= self.limit or start + size <= self._end

    def untake(self, frame: memoryview) -> None:
        """Put back the frame that `take` gave last; the next `take` gives it again."""
        self._start -= len(frame) + 4

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes that are in memory already. Counts as a call of `space`."""
        rest = memoryview(data).cast("B")
        while rest:
            space = self.space()
            count = min(len(space), len(rest))
            space[:count] = rest[:count]
            self.received(count)
            rest = rest[count:]

    def shrink(self) -> None:
        """Give memory back, all of it when no bytes wait: for a connection that has gone quiet.

        Frames taken before are no longer valid, as after `space`.
        """
        pending = self._end - self._start
        if not pending:
            self._start = self._end = 0
            self._allocate(0)
        elif self.memory > max(FIRST_CAPACITY, 2 * pending):
            self._move(max(FIRST_CAPACITY, pending + 1), pending)

    def _frame_end(self) -> int:
        """Where the frame at the front would end if its announced size is allowed; 0 when not known."""
        if self._end < 4:
            return 0
        size: int = _size_at(self._buffer)[0]
        return 4 + size if self.minimum <= size <= self.limit else 0

    def _grow(self, pending: int) -> None:
        """A larger buffer, if the rules above allow one; `pending` bytes stand at its front."""
        self._filled = False
        if self.memory < PIPELINE_CAPACITY:
            self._move(min(max(4 * self.memory, FIRST_CAPACITY), PIPELINE_CAPACITY), pending)
        elif pending == self.memory:
            frame_end = self._frame_end()
            self._move(min(frame_end, 2 * pending) if frame_end > pending else 2 * pending, pending)

    def _emptied(self) -> None:
        """All bytes were taken: begin at the front again, in a smaller buffer if this one was too large 64 times."""
        self._peak = max(self._peak, self._end)
        self._start = self._end = 0
        self._empties += 1
        if self._empties == REVIEW_EVERY:
            if self.memory > FIRST_CAPACITY and self._peak <= self.memory // 4:
                self._allocate(max(self._peak, FIRST_CAPACITY))
            self._empties = self._peak = 0

    def _move(self, capacity: int, pending: int) -> None:
        """Continue in a buffer of `capacity` bytes with the `pending` bytes at its front."""
        waiting = self._view[self._start : self._start + pending]
        self._allocate(capacity)
        self._view[:pending] = waiting
        self._start, self._end = 0, pending

    def _allocate(self, capacity: int) -> None:
        self._buffer = bytearray(capacity)
        self._view = memoryview(self._buffer)
        self.memory = capacity
