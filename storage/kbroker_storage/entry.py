"""What the log knows of a frame, an `Entry`; of an append, `Appended`; and the `Format` that reads and patches frames.

A frame begins with its base offset (8 bytes, big-endian) and the length of what follows those 12 bytes (4 bytes,
big-endian). Everything else is the format's own. A Kafka record batch is such a frame.
"""

from enum import Enum
from typing import NamedTuple, Protocol

Buffer = bytes | bytearray | memoryview

FRAME_HEAD_BYTES = 12  # base offset and length: the part that the length does not count
NO_PRODUCER = -1
NO_SEQUENCE = -1
NO_TIMESTAMP = -1
MAX_SEQUENCE = 2**31 - 1  # sequences wrap from here to 0


class Entry(NamedTuple):
    """One frame's header. Offsets and epoch are as found in the bytes; -1 stands for "none" in the producer fields."""

    base_offset: int
    last_offset: int
    max_timestamp: int  # ms since 1970, -1 if none
    size: int  # bytes of the whole frame
    epoch: int  # leader epoch
    producer_id: int
    producer_epoch: int
    base_sequence: int
    last_sequence: int
    transactional: bool
    control: bool


class Marker(NamedTuple):
    """What the control frame at a transaction's end says; see transactions.py."""

    commit: bool
    coordinator_epoch: int  # of the transaction coordinator that wrote it


class Appended(NamedTuple):
    """Where an append went; of a duplicate, where the original did."""

    base_offset: int
    last_offset: int
    log_start: int
    timestamp: int  # ms: the newest of the frames; of a duplicate, the original batch's
    duplicate: bool


class Format(Protocol):
    """How one kind of frame is read and patched. Stateless."""

    @property
    def header_bytes(self) -> int:
        """How many bytes `scan` looks at; no frame is smaller."""
        ...

    def scan(self, view: Buffer, position: int = 0) -> Entry:
        """The header at `position`. Raises Corrupt when it is impossible (size, magic); the view may end with it."""
        ...

    def verify(self, frame: memoryview) -> Entry:
        """Scan, checksum and arithmetic of one whole frame, nothing behind it. Raises Corrupt."""
        ...

    def place(self, frame: memoryview, entry: Entry, offset: int, epoch: int) -> None:
        """Write base offset and leader epoch into the frame; neither is covered by its checksum."""
        ...

    def marker(self, frame: memoryview) -> Marker | None:
        """How a whole control frame ends its producer's transaction; None if it does not."""
        ...

    def find_timestamp(self, frame: memoryview, timestamp: int, first_offset: int = 0) -> tuple[int, int] | None:
        """(offset, timestamp) of the first record with timestamp >= `timestamp` and offset >= `first_offset`."""
        ...

    def max_timestamp_offset(self, frame: memoryview) -> tuple[int, int]:
        """(offset, timestamp) of the frame's newest record, the first of them if several are as new."""
        ...


class Origin(Enum):
    """Who appends: decides what is checked of a producer (Kafka's AppendOrigin)."""

    CLIENT = "client"  # sequences and epochs are checked, duplicates recognised
    # Epochs are checked; markers and coordinator records have no sequence. What is larger than a segment gets one of
    # its own: if one part of a coordinator's state could not be written, all that is in that log would be out of reach.
    COORDINATOR = "coordinator"
    REPLICATION = "replication"  # nothing is checked: the leader did
