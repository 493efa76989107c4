"""An append-only file of frames: append at the end, read at a position, walk the headers.

A frame says its own size (entry.py), so the file needs no other structure. `size` is kept here rather than asked of the
file: bytes behind it, from a write that failed half way, do not exist.
"""

from collections.abc import Iterator, Sequence

from .entry import FRAME_HEAD_BYTES, Buffer, Entry, Format
from .errors import Corrupt
from .files import File, Slice

FIRST_CHUNK_BYTES = 4096  # a walk usually ends within one index interval ...
VERIFY_CHUNK_BYTES = 1 << 20
LARGEST_CHUNK_BYTES = 1 << 18  # ... a long one reads more at a time


class Store:
    """Frames of one `Format` in one file. Positions and sizes are bytes in the file."""

    __slots__ = ("file", "format", "size")

    def __init__(self, file: File, format: Format, size: int) -> None:  # noqa: A002
        self.file = file
        self.format = format
        self.size = size

    def append(self, buffers: Sequence[Buffer], nbytes: int) -> int:
        """Write whole frames at the end; their position. After an OSError `undo` what the file got beyond `size`."""
        position = self.size
        self.file.append(buffers, nbytes, position)
        self.size = position + nbytes
        return position

    def undo(self) -> None:
        """Cut away what a failed append left behind."""
        self.file.truncate(self.size)

    def truncate(self, size: int) -> None:
        self.file.truncate(size)
        self.size = size

    def slice(self, position: int, nbytes: int) -> Slice:
        return self.file.slice(position, nbytes)

    def entry(self, position: int) -> Entry:
        """The header of the frame at `position`. Raises Corrupt."""
        return self.format.scan(self._whole(position, min(self.format.header_bytes, self.size - position)))

    def frame(self, position: int, size: int) -> memoryview:
        """All bytes of one frame. Raises Corrupt if the file ends within it."""
        return memoryview(self._whole(position, size))

    def _whole(self, position: int, nbytes: int) -> bytes:
        data = self.file.read(position, nbytes)
        if len(data) != nbytes:
            raise Corrupt(f"{self.file.path}: ends at {position + len(data)}, within a frame at {position}")
        return data

    def scan(self, position: int = 0, end: int | None = None) -> Iterator[tuple[int, Entry]]:
        """(position, entry) of each frame from `position` on, by headers alone, up to `end` (default: all).

        Raises Corrupt at a header that is impossible or whose frame reaches beyond `end`.
        """
        end = self.size if end is None else end
        scan, header = self.format.scan, self.format.header_bytes
        chunk, chunk_bytes, start = b"", FIRST_CHUNK_BYTES, position  # `start`: the chunk's position in the file
        while position < end:
            if position + header > start + len(chunk):
                if position < start + len(chunk):  # the walk goes through the bytes, not over them: read more at a time
                    chunk_bytes = min(chunk_bytes * 4, LARGEST_CHUNK_BYTES)
                chunk, start = self.file.read(position, min(chunk_bytes, end - position)), position
                if len(chunk) < min(header, end - position):
                    raise Corrupt(f"{self.file.path}: ends within a frame at {position}")
            try:
                entry = scan(chunk, position - start)
            except Corrupt as error:
                raise Corrupt(f"{self.file.path} at {position}: {error}") from error
            self._require_within(position, entry, end)
            yield position, entry
            position += entry.size

    def verified(self, position: int, end: int) -> Iterator[tuple[int, Entry]]:
        """As `scan`, but every frame is read whole and verified, checksum and all."""
        scan, verify, header = self.format.scan, self.format.verify, self.format.header_bytes
        chunk, start = b"", position
        while position < end:
            if position + header > start + len(chunk):
                chunk, start = self.file.read(position, min(VERIFY_CHUNK_BYTES, end - position)), position
            try:
                entry = scan(chunk, position - start)
                self._require_within(position, entry, end)
                if position + entry.size > start + len(chunk):
                    wanted = max(VERIFY_CHUNK_BYTES, entry.size)
                    chunk, start = self.file.read(position, min(wanted, end - position)), position
                at = position - start
                entry = verify(memoryview(chunk)[at : at + entry.size])
            except Corrupt as error:
                raise Corrupt(f"{self.file.path} at {position}: {error}") from error
            yield position, entry
            position += entry.size

    def holds_frame(self, position: int, end: int) -> Entry | None:
        """The entry of a whole and right frame at `position` that ends by `end`; None if there is no such thing."""
        try:
            return next((entry for _, entry in self.verified(position, end)), None)
        except Corrupt:
            return None

    def _require_within(self, position: int, entry: Entry, end: int) -> None:
        if entry.size < FRAME_HEAD_BYTES or position + entry.size > end:
            raise Corrupt(f"{self.file.path}: frame of {entry.size} bytes at {position} reaches beyond {end}")
