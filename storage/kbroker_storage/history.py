"""A producer's last batches, read back from the log: what Kafka's snapshots leave out."""

from collections import deque

from .producers import REMEMBERED_BATCHES, Batch, Producer
from .segment import Segment

REACH_INDEX_ENTRIES = 256  # how far back to look: at 16 KiB a batch 256 batches, at most 1 MiB of small ones


def last_batches(producer: Producer, segments: list[Segment]) -> list[Batch]:
    """At most five, oldest first, the newest being the newest that `producer` knows; fewer if they lie too far back.

    segments  of the log, ascending
    """
    newest = producer.batches[-1].last_offset
    at = max((at for at, segment in enumerate(segments) if segment.base <= newest), default=-1)
    if at < 0:
        return []
    holder = segments[at]
    start = holder.walk_back(holder.locate(newest)[0], REACH_INDEX_ENTRIES)
    found: deque[Batch] = deque(maxlen=REMEMBERED_BATCHES)
    if not start and at:
        older = segments[at - 1]
        collect(found, older, older.walk_back(older.size, REACH_INDEX_ENTRIES), producer, newest)
    collect(found, holder, start, producer, newest)
    return list(found)


def collect(found: deque[Batch], segment: Segment, position: int, producer: Producer, newest: int) -> None:
    """Add the producer's batches of its present epoch from `position` on, up to offset `newest`."""
    for _, entry in segment.store.scan(position):
        if entry.last_offset > newest:
            return
        mine = entry.producer_id == producer.producer_id and entry.producer_epoch == producer.epoch
        if mine and entry.base_sequence >= 0 and not entry.control:
            found.append(
                Batch(
                    entry.base_sequence,
                    entry.last_sequence,
                    entry.base_offset,
                    entry.last_offset,
                    entry.max_timestamp,
                )
            )
