"""Producer ids come in blocks, each id once."""

from __future__ import annotations

import pytest
import trio

from broker_in_memory import running
from kbroker.errors import Refusal
from kbroker.producer_ids import ProducerIds
from kbroker_wire import ErrorCode
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest

NEW = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=0)


async def test_many_who_ask_at_once_get_different_ids_out_of_few_blocks(autojump_clock):
    blocks = []

    async def allocate():
        await trio.sleep(1)
        blocks.append(range(10 * len(blocks), 10 * len(blocks) + 10))
        return blocks[-1]

    ids, got = ProducerIds(allocate), []

    async def ask():
        got.append(await ids.next())

    async with trio.open_nursery() as nursery:
        for _ in range(35):
            nursery.start_soon(ask)
    assert sorted(got) == list(range(35))
    assert len(blocks) == 4


async def test_a_refusal_reaches_who_asked_and_the_next_one_tries_again():
    answers = [Refusal(ErrorCode.KAFKA_STORAGE_ERROR), range(5, 7)]

    async def allocate():
        answer = answers.pop(0)
        if isinstance(answer, Refusal):
            raise answer
        return answer

    ids = ProducerIds(allocate)
    with pytest.raises(Refusal):
        await ids.next()
    assert [await ids.next() for _ in range(2)] == [5, 6]


async def test_who_can_not_wait_takes_what_is_at_hand_and_finds_more_the_next_time(autojump_clock):
    blocks = [range(7, 9), Refusal(ErrorCode.KAFKA_STORAGE_ERROR), range(20, 22)]

    async def allocate():
        await trio.sleep(1)
        block = blocks.pop(0)
        if isinstance(block, Refusal):
            raise block
        return block

    ids = ProducerIds(allocate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ids.run)
        assert ids.take() is None
        await trio.sleep(2)
        assert [ids.take(), ids.take(), ids.take()] == [7, 8, None]
        await trio.sleep(2)
        assert ids.take() is None, "the controller refused; asking again has it asked again"
        await trio.sleep(2)
        assert ids.take() == 20
        nursery.cancel_scope.cancel()


async def test_what_is_reserved_can_be_taken():
    async def allocate():
        return range(3, 5)

    ids = ProducerIds(allocate)
    await ids.ready()
    await ids.ready()
    assert [ids.take(), await ids.next()] == [3, 4]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (NEW, ErrorCode.NONE),
        (InitProducerIdRequest(transactional_id="", transaction_timeout_ms=60_000), ErrorCode.INVALID_REQUEST),
        (InitProducerIdRequest(transactional_id="t", transaction_timeout_ms=0), ErrorCode.INVALID_TRANSACTION_TIMEOUT),
        (
            InitProducerIdRequest(transactional_id="t", transaction_timeout_ms=900_001),
            ErrorCode.INVALID_TRANSACTION_TIMEOUT,
        ),
        (
            InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=0, producer_id=5),
            ErrorCode.INVALID_REQUEST,
        ),
        (
            InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=0, producer_id=5, producer_epoch=1),
            ErrorCode.NONE,
        ),
    ],
)
async def test_who_gets_an_id(request_, code):
    async with running() as node:
        answer = await node.connect().ask(request_)
        assert answer.error_code == code
        assert (answer.producer_id, answer.producer_epoch) == ((0, 0) if code == ErrorCode.NONE else (-1, -1))


async def test_a_producer_that_starts_anew_gets_another_id():
    async with running() as node:
        client = node.connect()
        assert [(await client.ask(NEW)).producer_id for _ in range(3)] == [0, 1, 2]
