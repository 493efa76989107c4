"""Timestamp -> offset, sparse: Kafka's `.timeindex`, 12 bytes an entry (timestamp int64, relative offset int32).

An entry (t, o) says: up to o, the last offset of its frame, no record is newer than t. One is considered whenever the
offset index gets an entry, and when a segment is closed or rolled; it is written if it is newer than the last.
"""

import struct

LAYOUT = struct.Struct(">qi")  # keys: timestamps in ms; values: last offsets relative to the segment's base
ENTRY_BYTES = LAYOUT.size
