"""Requests between coordinators and partitions: what fails on one side is no failure of the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from broker_in_memory import NOW_MS, Gate, batch, produce_request, produced, running
from kbroker.committing import Committing
from kbroker.env import Env
from kbroker.partition import Partition
from kbroker_wire import ErrorCode
from kbroker_wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.write_txn_markers import WriteTxnMarkersResponse

PRODUCE, END = 12, 5  # versions of transaction version 2


def broken(*_: object, **__: object) -> None:
    raise KeyError("broken")


@pytest.mark.parametrize("when", ["asked", "answered"])
async def test_markers_that_could_not_be_written_as_nobody_foresaw_are_sent_again(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)
    async with running({"kbroker.durability": "synced"}, env) as node:
        await node.create("topic")
        client = node.connect()
        producer = await client.ask(InitProducerIdRequest(transactional_id="id", transaction_timeout_ms=60_000), 5)
        assert isinstance(producer, InitProducerIdResponse)
        records = batch(producer_id=producer.producer_id, producer_epoch=0, base_sequence=0, transactional=True)
        request = produce_request("topic", records)
        request.transactional_id = "id"
        assert produced(await client.ask(request, PRODUCE)).error_code == ErrorCode.NONE
        end = EndTxnRequest(transactional_id="id", producer_id=producer.producer_id, producer_epoch=0, committed=True)
        with monkeypatch.context() as patch:
            if when == "asked":
                patch.setattr(Partition, "end_transaction", broken)
            else:
                answer = Committing.answer

                def fails_markers(parked: Committing[WriteTxnMarkersResponse]) -> object:  # type: ignore[type-var]
                    response = answer(parked)
                    return broken() if isinstance(response, WriteTxnMarkersResponse) else response

                patch.setattr(Committing, "answer", fails_markers)
            await client.send(end, END)
            await wait_all_tasks_blocked()
            assert not client.has_answer()
        ended = await client.receive()
        assert isinstance(ended, EndTxnResponse)
        assert ended.error_code == ErrorCode.NONE
        assert node.broker.replicas.find("topic", 0).last_stable_offset == 2 + (when == "answered")
    assert any(record.exc_info and "of a peer failed" in record.message for record in caplog.records)
