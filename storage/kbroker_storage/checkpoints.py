"""Kafka's checkpoint files: text, a version line (0), a line with the number of entries, one entry a line.

Used for `leader-epoch-checkpoint` (epoch, offset) in each log's folder and, beside the logs, for the offset checkpoints
(topic, partition, offset): recovery-point-, log-start-offset-, replication-offset- and cleaner-offset-checkpoint.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from .errors import Corrupt
from .files import Files

VERSION = "0"
RECOVERY_POINT = "recovery-point-offset-checkpoint"
LOG_START = "log-start-offset-checkpoint"
HIGH_WATERMARK = "replication-offset-checkpoint"
CLEANER = "cleaner-offset-checkpoint"


def render(lines: Iterable[str]) -> bytes:
    entries = list(lines)
    return "\n".join([VERSION, str(len(entries)), *entries, ""]).encode()


def parse(data: bytes, name: str) -> list[list[str]]:
    """The fields of each entry. Raises Corrupt."""
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise Corrupt(f"{name}: {error}") from error
    if lines[0] != VERSION:
        raise Corrupt(f"{name}: version {lines[0][:20]!r}, not {VERSION}")
    if len(lines) < 3 or not lines[1].isdecimal() or lines[-1]:
        raise Corrupt(f"{name}: no count, or it ends within a line")
    entries = [line.split() for line in lines[2:-1]]
    if len(entries) != int(lines[1]):
        raise Corrupt(f"{name}: says {lines[1]} entries, has {len(entries)}")
    return entries


def render_numbers(entries: Iterable[tuple[int, int]]) -> bytes:
    return render(f"{one} {two}" for one, two in entries)


def parse_numbers(data: bytes, name: str, *, ascending: bool = False) -> list[tuple[int, int]]:
    """Entries of two integers. Raises Corrupt."""
    try:
        entries = [(int(one), int(two)) for one, two in parse(data, name)]
    except ValueError as error:
        raise Corrupt(f"{name}: {error}") from error
    if ascending and not all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(entries)):
        raise Corrupt(f"{name}: entries do not ascend")
    return entries


class OffsetCheckpoint:
    """One of the offset checkpoint files beside the logs: (topic, partition) -> offset."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path

    def read(self) -> dict[tuple[str, int], int]:
        """Empty if the file does not exist. Raises Corrupt."""
        try:
            data = self._files.read(self._path)
        except FileNotFoundError:
            return {}
        offsets = {}
        for fields in parse(data, self._path):
            try:
                topic, partition, offset = fields
                offsets[topic, int(partition)] = int(offset)
            except ValueError as error:
                raise Corrupt(f"{self._path}: {' '.join(fields)!r}: {error}") from error
        return offsets

    def write(self, offsets: Mapping[tuple[str, int], int], *, sync: bool) -> None:
        """Replace the file, at once; see Files.replace."""
        lines = (f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items())
        self._files.replace(self._path, render(lines), sync=sync)
