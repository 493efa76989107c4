"""What can be read back from the log: all headers, and a producer's last batches, which Kafka's snapshots leave out."""

from collections import deque
from collections.abc import Iterator

from .entry import Entry
from .producers import REMEMBERED_BATCHES, Batch, Producer
from .segment import Segment

REACH_INDEX_ENTRIES = 256  # how far back to look: at 16 KiB a batch 256 batches, at most 1 MiB of small ones


def last_batches(producer: Producer, segments: list[Segment]) -> list[Batch]:
    """At most five, oldest first, the newest being the newest that `producer` knows; fewer if they lie too far back.

    segments  of the log, ascending
    """
    newest = producer.batches[-1].last_offset
    walks: list[tuple[Segment, int]] = []
    reach = REACH_INDEX_ENTRIES
    for segment in reversed(segments):
        if segment.base > newest:
            continue
        position = segment.size if walks else segment.locate(newest)[0]
        start, passed = segment.walk_back(position, reach)
        walks.append((segment, start))
        reach -= passed + 1
        if reach <= 0:
            break
    found: deque[Batch] = deque(maxlen=REMEMBERED_BATCHES)
    for segment, start in reversed(walks):
        collect(found, segment, start, producer, newest)
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


def entries_from(segments: list[Segment], offset: int) -> Iterator[Entry]:
    """The headers of all frames from the one that holds `offset` on."""
    for segment in segments:
        if offset < segment.end:
            for _, entry in segment.store.scan(segment.locate(offset)[0]):
                yield entry
