"""What can go wrong, and what Kafka calls it: the one table from exceptions to error codes."""

from __future__ import annotations

import errno

import kbroker_storage as storage
from kbroker_wire import ErrorCode


class Refusal(Exception):
    """The client asked for something it can not have: a code, and a message where the answer has room for one.

    message   None: the answer carries no text, as Kafka's does in these cases
    """

    def __init__(self, code: ErrorCode, message: str | None = None) -> None:
        super().__init__(code.name if message is None else f"{code.name}: {message}")
        self.code, self.message = code, message


class CloseConnection(Exception):
    """The only right answer is to close the connection (a failed acks=0 produce, a request nobody may send here)."""


CODES: dict[type[Exception], ErrorCode] = {
    storage.OffsetOutOfRange: ErrorCode.OFFSET_OUT_OF_RANGE,
    storage.OutOfOrderSequence: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    storage.InvalidProducerEpoch: ErrorCode.INVALID_PRODUCER_EPOCH,
    storage.InvalidTransactionState: ErrorCode.INVALID_TXN_STATE,
    storage.CoordinatorFenced: ErrorCode.TRANSACTION_COORDINATOR_FENCED,
    storage.FramesTooLarge: ErrorCode.RECORD_LIST_TOO_LARGE,
    storage.StorageError: ErrorCode.KAFKA_STORAGE_ERROR,
    OSError: ErrorCode.KAFKA_STORAGE_ERROR,
}


def out_of_descriptors(error: Exception) -> bool:
    """Whether the same may work as soon as the process has a file descriptor again."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def code_of(error: Exception) -> ErrorCode:
    """Kafka's code for an exception of ours; UNKNOWN_SERVER_ERROR for what nobody expected."""
    if isinstance(error, Refusal):
        return error.code
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return ErrorCode.UNKNOWN_SERVER_ERROR
