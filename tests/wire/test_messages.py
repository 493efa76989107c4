"""Laws that hold for every message and version. New tables are found and tested without a line here."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker_wire.errors import ProtocolError
from kbroker_wire.messages import API_NAMES, message_pair, module_name, requests_by_key
from kbroker_wire.primitives import NO_LIMIT, read_message, write_message
from kbroker_wire.schema import Message
from message_tables import all_tables, at_version, message_strategy

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = all_tables()
by_table = pytest.mark.parametrize("table", TABLES, ids=[table.__name__ for table in TABLES])
few_examples = settings(max_examples=15, deadline=None)


@by_table
@few_examples
@given(data=st.data())
def test_decoding_gives_back_what_was_encoded_and_the_interpreter_agrees(
    table: type[Message], data: st.DataObject
) -> None:
    drawn = data.draw(message_strategy(table))
    for version in table.versions:
        message = at_version(drawn, version, version >= table.flexible_from)
        encoded = message.encode(version)
        assert encoded == write_message(message, version)
        decoded, end = table.decode_from(b"head" + encoded + b"tail", version, 4)
        assert decoded == message
        assert end == 4 + len(encoded)
        assert read_message(table, encoded, version) == (message, len(encoded))
        assert decoded.encode(version) == encoded
        assert b"".join(decoded.encode_parts(version, b"prefix")) == b"prefix" + encoded


@by_table
@few_examples
@given(data=st.data())
def test_damaged_bytes_decode_or_raise_a_protocol_error_and_the_interpreter_agrees(
    table: type[Message], data: st.DataObject
) -> None:
    drawn = data.draw(message_strategy(table))
    dice = random.Random(data.draw(st.integers(0, 1 << 32)))
    for version in table.versions:
        encoded = at_version(drawn, version, version >= table.flexible_from).encode(version)
        for _ in range(8):
            damaged = _damage(encoded, dice)
            most = dice.choice((NO_LIMIT, NO_LIMIT, 3))
            compiled = _outcome(table.decode_from, damaged, version, 0, most)
            assert compiled == _outcome(read_message, table, damaged, version, 0, most)


@by_table
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_every_prefix_of_a_message_raises_a_protocol_error(table: type[Message], data: st.DataObject) -> None:
    drawn = data.draw(message_strategy(table))
    for version in table.versions:
        encoded = at_version(drawn, version, version >= table.flexible_from).encode(version)
        cuts = range(len(encoded)) if len(encoded) < 200 else random.Random(version).sample(range(len(encoded)), 200)
        for cut in cuts:
            with pytest.raises(ProtocolError, match=table.__name__):
                table.decode(encoded[:cut], version)


def _damage(encoded: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(encoded)
    for _ in range(dice.randint(1, 3)):
        if damaged:
            place = dice.randrange(len(damaged))
            damaged[place] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, damaged[place] ^ (1 << dice.randrange(8))))
    return bytes(damaged[: dice.choice((len(damaged), dice.randint(0, len(damaged))))])


def _outcome(decode: Callable[..., object], *arguments: object) -> str:
    """What came out, or that a ProtocolError did; anything else is raised."""
    try:
        return repr(decode(*arguments))
    except ProtocolError:
        return "refused"


@pytest.mark.parametrize("key", API_NAMES)
def test_request_and_response_of_an_api_have_its_key_and_the_same_versions(key: int) -> None:
    request, response = message_pair(key)
    assert (request.key, response.key) == (key, key)
    assert (request.__name__, response.__name__) == (f"{API_NAMES[key]}Request", f"{API_NAMES[key]}Response")
    assert request.versions == response.versions
    assert request.flexible_from == response.flexible_from


def test_every_module_of_an_api_is_listed() -> None:
    keyed = {table for table in TABLES if table.key is not None}
    assert keyed == {table for key in API_NAMES for table in message_pair(key)}


def test_requests_by_key_holds_a_request_for_each_listed_api() -> None:
    assert requests_by_key() == {key: message_pair(key)[0] for key in API_NAMES}
    assert all(issubclass(request, Message) for request in requests_by_key().values())


def test_an_api_without_tables_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        message_pair(4)


def test_module_names_are_in_snake_case() -> None:
    assert module_name("OffsetForLeaderEpoch") == "offset_for_leader_epoch"


def test_asking_for_one_api_imports_that_module_alone_and_compiles_nothing() -> None:
    script = (
        "import sys; from kbroker_wire.messages import message_pair; request, response = message_pair(18);"
        "modules = {name for name in sys.modules if name.startswith('kbroker_wire.messages.')};"
        "assert modules == {'kbroker_wire.messages.api_versions'}, modules;"
        "assert not request._decoders and not request._encoders and not response._encoders"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
