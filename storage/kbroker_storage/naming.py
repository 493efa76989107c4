"""Names of the files in a log's folder: a segment's base offset (or a snapshot's offset) in 20 digits, and a suffix."""

from collections.abc import Iterable
from typing import Final

OFFSET_DIGITS: Final = 20
LOG: Final = ".log"
INDEX: Final = ".index"
TIME_INDEX: Final = ".timeindex"
TXN_INDEX: Final = ".txnindex"
SNAPSHOT: Final = ".snapshot"
DAMAGED: Final = ".damaged"  # what recovery set aside
TEMPORARY: Final = ".tmp"
DELETED: Final = ".deleted"  # Apache Kafka's, on its way out


def file_name(offset: int, suffix: str) -> str:
    return f"{offset:0{OFFSET_DIGITS}d}{suffix}"


def offsets_named(names: Iterable[str], suffix: str) -> list[int]:
    """The offsets in those names that are an offset and `suffix`, ascending."""
    length = OFFSET_DIGITS + len(suffix)
    return sorted(
        int(name[:OFFSET_DIGITS])
        for name in names
        if len(name) == length and name.endswith(suffix) and name[:OFFSET_DIGITS].isdecimal()
    )
