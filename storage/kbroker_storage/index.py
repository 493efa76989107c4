"""Offset -> position, sparse: Kafka's `.index`, 8 bytes an entry (relative offset int32, position int32).

An entry carries the *last* offset of its frame and the frame's position. One is written for each frame that begins
more than `index_interval_bytes` behind the last indexed one (behind the segment's start for the first).
"""

import struct

LAYOUT = struct.Struct(">ii")  # keys: last offsets relative to the segment's base; values: positions
ENTRY_BYTES = LAYOUT.size
