"""A segmented, append-only commit log. Files through one door; no Trio, no Kafka error codes."""

from .config import LogConfig
from .deletion import Removal
from .disk import DiskFiles
from .entry import Appended, Entry, Format, Marker, Origin
from .errors import (
    Closed,
    CoordinatorFenced,
    Corrupt,
    DiskFull,
    EpochWentBack,
    FramesTooLarge,
    InvalidProducerEpoch,
    InvalidTransactionState,
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
from .producers import UNASKED, Producer, VerificationToken

__all__ = [
    "UNASKED",
    "Appended",
    "Closed",
    "CoordinatorFenced",
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
    "InvalidTransactionState",
    "Lease",
    "Lock",
    "Locked",
    "Log",
    "LogConfig",
    "Marker",
    "MemoryFiles",
    "OffsetOutOfRange",
    "Origin",
    "OutOfOrderSequence",
    "Poisoned",
    "Producer",
    "Removal",
    "Slice",
    "StorageError",
    "UnexpectedOffset",
    "VerificationToken",
    "WriteFailed",
]
