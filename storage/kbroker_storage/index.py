"""Offset -> position, sparse: Kafka's `.index`, 8 bytes an entry (relative offset int32, position int32).

An entry carries the *last* offset of its frame and the frame's position. One is written for each frame that begins
more than `index_interval_bytes` behind the last indexed one (behind the segment's start for the first).
"""

import struct

from .files import Files
from .sparse import SparseFile

LAYOUT = struct.Struct(">ii")
ENTRY_BYTES = LAYOUT.size
SUFFIX = ".index"


def offset_index(files: Files, path: str, saved: int = 0) -> SparseFile:
    """Keys are last offsets relative to the segment's base, values positions in its log file."""
    return SparseFile(files, path, LAYOUT, saved)
