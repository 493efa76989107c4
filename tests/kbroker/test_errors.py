"""From exceptions to Kafka's codes."""

from __future__ import annotations

import errno

import pytest

import kbroker_storage as storage
from kbroker.errors import CODES, Refusal, code_of
from kbroker_wire import ErrorCode


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refusal(ErrorCode.UNKNOWN_TOPIC_ID), ErrorCode.UNKNOWN_TOPIC_ID),
        (storage.OffsetOutOfRange(5, 0, 3), ErrorCode.OFFSET_OUT_OF_RANGE),
        (storage.OutOfOrderSequence(1, 0, 5, 3), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
        (storage.InvalidProducerEpoch(1, 0, 3), ErrorCode.INVALID_PRODUCER_EPOCH),
        (storage.DiskFull("topic-0", OSError(errno.ENOSPC, "full")), ErrorCode.KAFKA_STORAGE_ERROR),
        (storage.Poisoned("topic-0", 3, OSError()), ErrorCode.KAFKA_STORAGE_ERROR),
        (storage.Corrupt("bytes"), ErrorCode.KAFKA_STORAGE_ERROR),
        (FileNotFoundError(), ErrorCode.KAFKA_STORAGE_ERROR),
        (ZeroDivisionError(), ErrorCode.UNKNOWN_SERVER_ERROR),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.name,
)
def test_every_error_has_kafkas_name(error, code):
    assert code_of(error) == code


def test_every_error_of_the_storage_is_in_the_table_or_below_one_that_is():
    kinds = [kind for kind in vars(storage).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 5
    assert all(set(kind.__mro__) & CODES.keys() for kind in kinds)
