from __future__ import annotations

import pytest
from kio.schema.errors import ErrorCode as KioErrorCode

from kbroker_wire import EncodeError, ErrorCode, ProtocolError, UnsupportedVersion


def test_the_codes_are_those_of_kafka_without_a_gap() -> None:
    assert [code.value for code in ErrorCode] == list(range(-1, 137))
    assert len(ErrorCode) == 138


def test_codes_are_numbers_with_kafkas_names() -> None:
    assert ErrorCode(3) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert ErrorCode.NONE == 0
    assert ErrorCode["REBOOTSTRAP_REQUIRED"] == 129
    with pytest.raises(ValueError, match="1000"):
        ErrorCode(1000)


def test_a_code_tells_its_message_and_what_a_client_may_do() -> None:
    moved = ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert (moved.retriable, moved.invalid_metadata) == (True, True)
    assert moved.message.startswith("For requests intended only for the leader")
    assert (ErrorCode.CORRUPT_MESSAGE.retriable, ErrorCode.CORRUPT_MESSAGE.invalid_metadata) == (True, False)
    assert (ErrorCode.INVALID_TOPIC_EXCEPTION.retriable, ErrorCode.NONE.retriable) == (False, False)
    assert all(code.message for code in ErrorCode)


def test_names_and_retriability_agree_with_kio() -> None:
    assert len(KioErrorCode) > 120
    theirs = {code.value: (code.name.upper(), code.retriable) for code in KioErrorCode}
    assert theirs == {code: (ErrorCode(code).name, ErrorCode(code).retriable) for code in theirs}


def test_exceptions_say_what_was_asked_and_what_is_known() -> None:
    error = UnsupportedVersion("FetchRequest", 99, range(4, 19))
    assert isinstance(error, ProtocolError)
    assert str(error) == "FetchRequest has no version 99 (known: 4-18)"
    assert str(UnsupportedVersion("Cursor", 0, range(0))) == "Cursor has no version 0 (known: none)"


def test_encoding_errors_are_value_errors_and_no_protocol_errors() -> None:
    error = EncodeError("FetchRequest", 4, "topics[0].topic", "must not be null")
    assert isinstance(error, ValueError)
    assert not isinstance(error, ProtocolError)
    assert str(error) == "FetchRequest v4, field topics[0].topic: must not be null"
    assert str(EncodeError("FetchRequest", 4, "", "no such version")) == "FetchRequest v4: no such version"
