"""Records by their time, over all segments of a log."""

from collections.abc import Sequence

from .entry import NO_TIMESTAMP
from .segment import Segment

Found = tuple[int, int, int]  # of a record: offset, timestamp in ms, leader epoch


def first_since(segments: Sequence[Segment], start: int, timestamp: int) -> Found | None:
    """The first record at or after `timestamp`, from offset `start` on."""
    for segment in segments:
        if segment.end > start and segment.size and segment.newest()[0] >= timestamp:
            found = segment.find_timestamp(timestamp, start)
            if found is not None:
                return found
    return None


def newest_record(segments: Sequence[Segment], start: int) -> Found | None:
    """The newest record of the segments that reach beyond `start`, the first if several are as new."""
    newest, holder = NO_TIMESTAMP, None
    for segment in segments:
        if segment.end > start and segment.size and segment.newest()[0] > newest:
            newest, holder = segment.newest()[0], segment
    if holder is None:
        return None
    store = holder.store
    frame = store.frame(*holder.locate(holder.newest()[1]))
    offset, timestamp = store.format.max_timestamp_offset(frame)
    return offset, timestamp, store.format.scan(frame).epoch
