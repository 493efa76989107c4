"""Finding a log's segments on disk, and mending what a crash left behind."""

from typing import NamedTuple

from . import index, snapshots, timeindex
from .config import LogConfig
from .entry import Format
from .errors import Corrupt
from .files import Files
from .segment import LOG_SUFFIX, Segment

NAME_DIGITS = 20


class Opened(NamedTuple):
    """A log's segments, the last one ready for appends; offsets of its producer snapshots; what was mended."""

    segments: list[Segment]
    snapshots: set[int]
    repaired: list[str]


def offsets_named(entries: dict[str, int], suffix: str) -> list[int]:
    """The offsets in names of 20 digits and `suffix`, ascending."""
    length = NAME_DIGITS + len(suffix)
    return sorted(
        int(name[:NAME_DIGITS])
        for name in entries
        if len(name) == length and name.endswith(suffix) and name[:NAME_DIGITS].isdecimal()
    )


def open_segments(
    files: Files,
    directory: str,
    format: Format,  # noqa: A002
    config: LogConfig,
    recovery_point: int,
    log_start: int,
    *,
    clean: bool,
    now_ms: int,
) -> Opened:
    """Nothing if the folder does not exist or holds no segment."""
    try:
        entries = files.entries(directory)
    except FileNotFoundError:
        return Opened([], set(), [])
    bases = offsets_named(entries, LOG_SUFFIX)
    opened = Opened([], set(offsets_named(entries, snapshots.SUFFIX)), [])
    for at, base in enumerate(bases):
        end = bases[at + 1] if at + 1 < len(bases) else base
        size = entries[f"{base:0{NAME_DIGITS}d}{LOG_SUFFIX}"]
        opened.segments.append(Segment(files, directory, base, format, size, end, config.index_interval_bytes, now_ms))
    if opened.segments:
        opened.segments[-1].load_tail()
    return opened
