"""A segmented, append-only commit log. Files through one door; no Trio, no Kafka error codes."""

from .config import LogConfig
from .deletion import Removal
from .disk import DiskFiles
from .entry import Appended, Entry, Format, Origin
from .errors import (
    Closed,
    Corrupt,
    DiskFull,
    EpochWentBack,
    FramesTooLarge,
    InvalidProducerEpoch,
    Locked,
    OffsetOutOfRange,
    OutOfOrderSequence,
    Poisoned,
    StorageError,
    UnexpectedOffset,
    WriteFailed,
)
from .files import File, Files, Lease, Lock, Slice
from .flush import FlushPlan
from .log import Log
from .memory import MemoryFiles

__all__ = [
    "Appended",
    "Closed",
    "Corrupt",
    "DiskFiles",
    "DiskFull",
    "Entry",
    "EpochWentBack",
    "File",
    "Files",
    "FlushPlan",
    "Format",
    "FramesTooLarge",
    "InvalidProducerEpoch",
    "Lease",
    "Lock",
    "Locked",
    "Log",
    "LogConfig",
    "MemoryFiles",
    "OffsetOutOfRange",
    "Origin",
    "OutOfOrderSequence",
    "Poisoned",
    "Removal",
    "Slice",
    "StorageError",
    "UnexpectedOffset",
    "WriteFailed",
]
