"""Finding a log's segments on disk, and mending what a crash left behind.

From the recovery point on every frame is verified: checksum, offsets and leader epochs that ascend. What is wrong is
treated by what follows it:

- nothing valid: a torn tail. It is cut off.
- a valid frame, in this segment or a later one: damage in the middle. The damaged bytes are copied to a side file,
  `<segment>.log.<position>.damaged`, and the log goes on with the valid frame, at the offsets it always had. The
  offsets in between are a hole, as compaction leaves them too; readers step over it. Within a segment the frames
  behind the damage move to a segment of their own, so that the frames before it stay as and where they are.
- a valid frame, but the damage, in the last segment, has a sector of zeros: it was never written, while what was
  appended later was. A power cut does that, and only to what was not synced: nobody was promised any of it, and it goes
  the way of a torn tail, after being copied to a side file. So the log is a prefix of what was appended: a producer
  that sends again what is missing is not told that it is out of order.

Every step may be interrupted and is done again, to the same effect, by the next start. Nothing here refuses to start.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from .config import LogConfig
from .entry import FRAME_HEAD_BYTES, Entry
from .errors import Corrupt
from .files import File
from .naming import DAMAGED, DELETED, INDEX, LOG, SNAPSHOT, TEMPORARY, TIME_INDEX, TXN_INDEX, file_name, offsets_named
from .segment import MAX_RELATIVE, Home, Segment
from .store import Store

COPY_BYTES = 1 << 20
SEARCH_BYTES = 1 << 22
SECTOR_BYTES = 512  # the smallest block of any file system: what is not written in it reads as zeros, all of it
NOT_ZERO = re.compile(rb"[^\0]")
NEAR_OFFSETS_BITS = 24  # a frame behind damage is looked for among the next 2**24 offsets at least


class Opened(NamedTuple):
    """What was found of a log.

    segments       ascending, the last one active
    snapshots      offsets of its producer snapshots
    verified_from  from here on the frames were verified, and may be others than were there before
    repaired       what was mended, a sentence each
    txn_indexes    bases of the segments that have a transaction index
    """

    segments: list[Segment]
    snapshots: set[int]
    verified_from: int
    repaired: list[str]
    txn_indexes: list[int]


NOT_VERIFIED = 2**63


def open_segments(
    home: Home, config: LogConfig, *, recovery_point: int, log_start: int, clean: bool, now_ms: int
) -> Opened:
    """Nothing if the folder does not exist or holds no segment. Raises OSError."""
    try:
        entries = home.files.entries(home.directory)
    except FileNotFoundError:
        return Opened([], set(), NOT_VERIFIED, [], [])
    bases = remove_leftovers(home, entries, log_start)
    segments = []
    for at, base in enumerate(bases):
        end = bases[at + 1] if at + 1 < len(bases) else None
        size = entries[file_name(base, LOG)]
        segments.append(Segment(home, base, config.index_interval_bytes, now_ms, size=size, end=end))
    recovery, verified_from = Recovery(home, config.index_interval_bytes, now_ms), NOT_VERIFIED
    if segments and clean:
        try:
            segments[-1].load_tail()
        except Corrupt as error:
            recovery.repaired.append(f"{home.directory} was closed cleanly, but: {error}")
            verified_from = segments[-1].base
    elif segments:
        verified_from = recovery_point
    if verified_from != NOT_VERIFIED:
        segments = recovery.run(segments, verified_from)
    snapshots, indexes = offsets_named(entries, SNAPSHOT), offsets_named(entries, TXN_INDEX)
    return Opened(
        segments, set(snapshots), verified_from, recovery.repaired, [each for each in indexes if each in bases]
    )


def remove_leftovers(home: Home, entries: dict[str, int], log_start: int) -> list[int]:
    """Remove what an interrupted step left, and the segments below the log's start. The bases that remain."""
    bases = offsets_named(entries, LOG)
    while len(bases) > 1 and bases[1] <= log_start:
        base = bases.pop(0)
        for suffix in (LOG, INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT):
            home.files.remove(home.path(file_name(base, suffix)))
            entries.pop(file_name(base, suffix), None)
    names = {file_name(base, "") for base in bases}
    for name in entries:
        stem, dot, suffix = name.partition(".")
        orphan = dot + suffix in {INDEX, TIME_INDEX, TXN_INDEX} and stem not in names
        if orphan or name.endswith((TEMPORARY, DELETED)):
            home.files.remove(home.path(name))
    return bases


class Recovery:
    """One log's recovery. `expected` and `epoch` are what the next frame's offset and leader epoch may not be below."""

    def __init__(self, home: Home, interval: int, now_ms: int) -> None:
        self._home = home
        self._interval = interval
        self._now_ms = now_ms
        self._expected = 0
        self._epoch = -1
        self.repaired: list[str] = []

    def run(self, segments: list[Segment], recovery_point: int) -> list[Segment]:
        """The segments as they are now: those that reach beyond the recovery point are verified, the last is active."""
        recovered = []
        while segments:
            segment = segments.pop(0)
            limit = segments[0].base if segments else None
            if limit is None or limit > recovery_point:
                behind = self._recover(segment, max(recovery_point, segment.base), limit)
                if behind is not None:
                    segments.insert(0, behind)
                    limit = behind.base
                    if limit == segment.base:  # nothing lay before the damage: the new one took the file's name
                        continue
                if limit is not None:
                    with suppress(OSError):  # a full disk is no reason not to open; its indexes can be rebuilt
                        segment.save()
                    segment.retire(limit)
            recovered.append(segment)
        return recovered

    def _recover(self, segment: Segment, offset: int, limit: int | None) -> Segment | None:
        """Verify one segment from `offset` on. The segment to go on with, if frames behind damage became one.

        limit  the next segment's base
        """
        file_size = segment.rewind(offset)
        self._expected = segment.end
        try:
            for position, entry in segment.store.verified(segment.size, file_size):
                self._require_order(segment, position, entry, file_size, limit)
                segment.take(position, entry)
                self._expected, self._epoch = entry.last_offset + 1, max(self._epoch, entry.epoch)
        except Corrupt as error:
            return self._mend(segment, file_size, limit, error)
        return None

    def _require_order(self, segment: Segment, position: int, entry: Entry, file_size: int, limit: int | None) -> None:
        """Offset and epoch are not under the checksum: they must ascend, and may jump only if the next frame agrees."""
        fits = self._fits(segment, entry, limit)
        if fits and (entry.base_offset != self._expected or entry.epoch != self._epoch):
            after = segment.store.holds_frame(position + entry.size, file_size)
            if after is not None and self._fits(segment, after, limit):
                fits = after.base_offset > entry.last_offset and after.epoch >= entry.epoch
        if not fits:
            raise Corrupt(
                f"{segment.path} at {position}: offsets {entry.base_offset} to {entry.last_offset}"
                f" of epoch {entry.epoch} do not follow offset {self._expected - 1} of epoch {self._epoch}"
            )

    def _fits(self, segment: Segment, entry: Entry, limit: int | None) -> bool:
        end = segment.base + MAX_RELATIVE + 1 if limit is None else limit
        return self._expected <= entry.base_offset <= entry.last_offset < end and entry.epoch >= self._epoch

    def _mend(self, segment: Segment, file_size: int, limit: int | None, error: Corrupt) -> Segment | None:
        """The frame at `segment.size` is wrong: cut it off, having set aside what must not be lost."""
        position = segment.size
        found = self._next_valid(segment, position, file_size, limit)
        if limit is None and (found is None or never_written(segment.store.file, position, found[0])):
            self._cut_off(segment, file_size, error, keep=found is not None)
            return None
        valid_at, entry = found if found is not None else (file_size, None)
        aside = f"{segment.path}.{position}{DAMAGED}"
        copy(segment.store.file, position, valid_at, self._home.files.open(aside, create=True))
        self.repaired.append(f"{error}: set {valid_at - position} bytes aside as {aside}")
        behind = None
        if entry is not None:
            behind = self._split_off(segment, valid_at, file_size, entry.base_offset)
        self._home.files.sync_directory(self._home.directory)
        if behind is None or behind.base != segment.base:
            segment.store.undo()
        return behind

    def _cut_off(self, segment: Segment, file_size: int, error: Corrupt, *, keep: bool) -> None:
        """The log ends before the damage; `keep`: what is cut off is copied to a side file."""
        position = segment.size
        sentence = f"{error}: cut {file_size - position} bytes off the end, the log ends at {segment.end}"
        if keep:
            aside = f"{segment.path}.{position}{DAMAGED}"
            copy(segment.store.file, position, file_size, self._home.files.open(aside, create=True))
            self._home.files.sync_directory(self._home.directory)
            sentence += f"; they are kept as {aside}"
        self.repaired.append(sentence)
        segment.store.undo()

    def _split_off(self, segment: Segment, position: int, end: int, base: int) -> Segment:
        """Make the bytes from `position` on a segment of its own."""
        files = self._home.files
        path = self._home.path(file_name(base, LOG))
        copy(segment.store.file, position, end, files.open(path + TEMPORARY, create=True))
        segment.store.file.close()
        files.rename(path + TEMPORARY, path)
        return Segment(self._home, base, self._interval, self._now_ms, size=end - position)

    def _next_valid(self, segment: Segment, position: int, end: int, limit: int | None) -> tuple[int, Entry] | None:
        """The next frame behind `position` that is whole, right, and may follow."""
        store = segment.store
        for candidate in self._candidates(store, position, end):
            entry = store.holds_frame(candidate, end)
            if entry is not None and self._fits(segment, entry, limit):
                return candidate, entry
        return None

    def _candidates(self, store: Store, position: int, end: int) -> Iterator[int]:
        """Where a frame may begin: behind the damaged one if its length is right, else wherever an offset may stand."""
        header = store.format.header_bytes
        damaged = store.file.read(position, header)
        try:
            size = store.format.scan(damaged).size
            if position + size < end:
                yield position + size
        except Corrupt:
            pass
        prefix = self._expected >> NEAR_OFFSETS_BITS
        marks = [value.to_bytes(8 - NEAR_OFFSETS_BITS // 8, "big") for value in (prefix, prefix + 1)]
        start = position + 1
        while start + header <= end:
            window = store.file.read(start, min(SEARCH_BYTES, end - start))
            for at in offsets_in(window, marks, header):
                try:
                    store.format.scan(window, at)
                except Corrupt:
                    continue
                yield start + at
            start += max(1, len(window) - header + 1)


def offsets_in(window: bytes, marks: list[bytes], header: int) -> Iterator[int]:
    """Positions in `window`, with a whole header behind them, where a mark stands; runs of zeros are skipped."""
    last = len(window) - header
    found = {mark: window.find(mark) for mark in marks}
    while at_hand := [position for position in found.values() if 0 <= position <= last]:
        at = min(at_hand)
        if any(window[at : at + FRAME_HEAD_BYTES]):
            yield at
            at += 1
        else:  # offset 0 and length 0: go on where the next byte that is not zero can be part of a length
            nonzero = NOT_ZERO.search(window, at)
            at = max(at + 1, (len(window) if nonzero is None else nonzero.start()) - FRAME_HEAD_BYTES + 1)
        found = {mark: window.find(mark, at) if 0 <= position < at else position for mark, position in found.items()}


def never_written(file: File, start: int, end: int) -> bool:
    """Whether a sector between a bad frame's start and a good one's was not written since the log ended at `start`: it
    has only zeros from there on. Of the sector that holds `start`, a frame's head at least must lie behind it."""
    at = -(-start // SECTOR_BYTES) * SECTOR_BYTES
    if at - start >= FRAME_HEAD_BYTES and at <= end and not any(file.read(start, at - start)):
        return True
    while at + SECTOR_BYTES <= end:
        window = file.read(at, min(COPY_BYTES, (end - at) // SECTOR_BYTES * SECTOR_BYTES))
        if any(not any(window[i : i + SECTOR_BYTES]) for i in range(0, len(window), SECTOR_BYTES)):
            return True
        at += max(SECTOR_BYTES, len(window))
    return False


def copy(source: File, start: int, end: int, target: File) -> None:
    """Copy a range into `target`, replacing what it held, and sync it. Raises OSError."""
    target.truncate(0)
    at = start
    while at < end:
        data = source.read(at, min(COPY_BYTES, end - at))
        target.append([data], len(data), at - start)
        at += len(data)
    target.sync()
    target.close()
