"""What can go wrong in a log, each with the numbers that say where."""

from errno import EDQUOT, ENOSPC


class StorageError(Exception):
    """Any refusal or failure of this package; failures of single reads come as the OSError they are."""


class OffsetOutOfRange(StorageError):
    """Asked for an offset the log does not hold: `first` is the oldest readable, `end` one past the newest."""

    def __init__(self, asked: int, first: int, end: int) -> None:
        super().__init__(f"offset {asked} is outside [{first}, {end})")
        self.asked, self.first, self.end = asked, first, end


class Corrupt(StorageError):
    """Bytes that can not be a frame: an impossible size, a wrong checksum, offsets that run backwards."""


class WriteFailed(StorageError):
    """An append, a roll or a checkpoint did not reach the file; the log is as it was before."""

    def __init__(self, directory: str, cause: OSError) -> None:
        super().__init__(f"{directory}: {cause.strerror or cause} (errno {cause.errno})")
        self.directory, self.cause = directory, cause


class DiskFull(WriteFailed):
    """A WriteFailed for want of space or quota: the same append may work later."""


def write_failed(directory: str, error: OSError) -> WriteFailed:
    """The WriteFailed or DiskFull for a platform's error."""
    return (DiskFull if error.errno in {ENOSPC, EDQUOT} else WriteFailed)(directory, error)


class Poisoned(StorageError):
    """A sync failed, or a failed write could not be undone: from `durable_end` on nothing is to be trusted."""

    def __init__(self, directory: str, durable_end: int, cause: BaseException) -> None:
        super().__init__(f"{directory}: nothing from offset {durable_end} on can be trusted any more: {cause}")
        self.directory, self.durable_end, self.cause = directory, durable_end, cause


class Closed(StorageError):
    """The log was closed or deleted."""

    def __init__(self, directory: str) -> None:
        super().__init__(f"{directory}: the log is closed")
        self.directory = directory


class OutOfOrderSequence(StorageError):
    """A producer's batch neither continues its sequence nor repeats one of its last five batches."""

    def __init__(self, producer_id: int, producer_epoch: int, got: int, expected: int) -> None:
        super().__init__(
            f"producer {producer_id} epoch {producer_epoch}: batch begins at sequence {got}, expected {expected}"
        )
        self.producer_id, self.producer_epoch, self.got, self.expected = producer_id, producer_epoch, got, expected


class InvalidProducerEpoch(StorageError):
    """A producer with a newer epoch has written: this one is fenced."""

    def __init__(self, producer_id: int, got: int, current: int) -> None:
        super().__init__(f"producer {producer_id}: epoch {got} is fenced by epoch {current}")
        self.producer_id, self.got, self.current = producer_id, got, current


class InvalidTransactionState(StorageError):
    """A transactional batch of no transaction that is open or verified here, or another one within a transaction."""

    def __init__(self, producer_id: int, producer_epoch: int, why: str) -> None:
        super().__init__(f"producer {producer_id} epoch {producer_epoch}: {why}")
        self.producer_id, self.producer_epoch = producer_id, producer_epoch


class CoordinatorFenced(StorageError):
    """A transaction's end from a coordinator of an older epoch than that of the producer's last marker."""

    def __init__(self, producer_id: int, got: int, current: int) -> None:
        super().__init__(f"producer {producer_id}: coordinator epoch {got} is fenced by epoch {current}")
        self.producer_id, self.got, self.current = producer_id, got, current


class UnexpectedOffset(StorageError):
    """A follower's frame does not continue its log."""

    def __init__(self, base_offset: int, end: int) -> None:
        super().__init__(f"frame begins at offset {base_offset}, the log ends at {end}")
        self.base_offset, self.end = base_offset, end


class EpochWentBack(StorageError):
    """A frame or a leader with a leader epoch older than the log's newest."""

    def __init__(self, epoch: int, current: int) -> None:
        super().__init__(f"leader epoch {epoch} is older than the log's epoch {current}")
        self.epoch, self.current = epoch, current


class FramesTooLarge(StorageError):
    """One append is larger than a whole segment may be, in bytes or in offsets (`unit`)."""

    def __init__(self, size: int, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"append of {size} {unit} does not fit a segment of {limit} {unit}")
        self.size, self.limit, self.unit = size, limit, unit


class Locked(StorageError):
    """Somebody else holds the lock file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is locked by another process")
        self.path = path
