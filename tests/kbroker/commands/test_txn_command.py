"""`kbroker txn` against a whole broker: transactions open and ended, aborted by their id, or where they hang."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from asking import Asker, coordinating, filled
from broker_in_memory import NOW_MS, batch, fetch, produce_request, produced
from kbroker.cli import main
from kbroker_wire import ErrorCode
from kbroker_wire.messages.end_txn import EndTxnRequest
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest


@pytest.fixture
async def node():
    async with coordinating({"transaction.partition.verification.enable": "false"}) as running:
        await filled(running, "orders", 3, 0)
        yield running


@pytest.fixture
def ask(node, capsys):
    return Asker(node.broker.addresses[0], capsys)


class Producing(NamedTuple):
    producer_id: int
    epoch: int


async def opened(client, transactional_id, *partitions, version=12):
    """A transaction with one record in each partition of `orders`, added implicitly from Produce v12 on."""
    answer = await client.ask(InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=60_000))
    who = Producing(answer.producer_id, answer.producer_epoch)
    for partition in partitions:
        await write(client, transactional_id, who, partition, version)
    return who


async def write(client, transactional_id, who, partition, version=12):
    records = batch(producer_id=who.producer_id, producer_epoch=who.epoch, base_sequence=0, transactional=True)
    request = produce_request("orders", records, partition=partition)
    request.transactional_id = transactional_id
    row = produced(await client.ask(request, version))
    assert row.error_code == 0, row


async def end(client, transactional_id, who):
    request = EndTxnRequest(
        transactional_id=transactional_id, producer_id=who.producer_id, producer_epoch=who.epoch, committed=True
    )
    return (await client.ask(request)).error_code


async def test_transactional_ids_are_listed_with_their_state(node, ask):
    assert await ask("txn", "list") == (0, "", "kbroker: there are no transactional ids\n")
    client = node.connect()
    await opened(client, "b")
    who = await opened(client, "a", 0)
    assert [line.split() for line in (await ask("txn", "list")).out.splitlines()] == [
        ["TRANSACTIONAL-ID", "STATE", "PRODUCER-ID", "COORDINATOR"],
        ["a", "Ongoing", str(who.producer_id), "1"],
        ["b", "Empty", "0", "1"],
    ]
    listed = json.loads((await ask("txn", "list", "--state", "ongoing", "prepareabort", "--json")).out)
    assert listed == [{"transactional_id": "a", "coordinator": 1, "producer_id": who.producer_id, "state": "Ongoing"}]
    none = await ask("txn", "list", "--state", "Dead")
    assert none == (0, "", "kbroker: there are no transactional ids in that state\n")


async def test_a_transaction_is_described_while_it_is_open_and_when_it_has_ended(node, ask):
    client = node.connect()
    who = await opened(client, "t", 0, 1)
    lines = dict(line.split(":", 1) for line in (await ask("txn", "describe", "t")).out.splitlines())
    lines = {name: text.strip() for name, text in lines.items()}
    assert lines.pop("started").startswith("2023-11-14T22:13:20.000Z, ")
    assert lines == {
        "transactional id": "t",
        "state": "Ongoing",
        "producer": f"{who.producer_id}, epoch {who.epoch}",
        "timeout": "60 s",
        "coordinator": f"{node.broker.addresses[0]} (node 1)",
        "partitions": "orders:0,1",
    }
    described = json.loads((await ask("txn", "describe", "t", "--json")).out)
    assert (described["started_ms"], described["timeout_ms"]) == (NOW_MS, 60_000)
    assert described["partitions"] == [{"topic": "orders", "partition": each} for each in (0, 1)]
    rows = [
        line.split()
        for line in (await ask("txn", "describe", "--topic", "orders", "--partition", "0")).out.splitlines()
    ]
    assert rows == [
        ["PRODUCER-ID", "EPOCH", "COORDINATOR-EPOCH", "LAST-SEQUENCE", "LAST-TIMESTAMP", "TXN-START-OFFSET"],
        [str(who.producer_id), str(who.epoch), "-1", "0", "2023-11-14T22:13:20.000Z", "3"],
    ]
    assert await end(client, "t", who) == 0
    ended = (await ask("txn", "describe", "t")).out
    assert "CompleteCommit" in ended
    assert "started" not in ended
    assert ended.splitlines()[-1].split() == ["partitions:", "-"]


async def test_aborting_an_id_ends_its_transaction_and_fences_its_producer(node, ask):
    client = node.connect()
    who = await opened(client, "t", 0, 1)
    said = await ask("txn", "abort", "t")
    assert said.out.splitlines() == [
        "aborted the transaction of t in orders:0,1",
        f"its producer {who.producer_id} of epoch {who.epoch} is fenced",
    ]
    row = await fetch(client, "orders", 0, isolation_level=1)
    assert [(each.producer_id, each.first_offset) for each in row.aborted_transactions] == [(who.producer_id, 3)]
    assert await end(client, "t", who) in (ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH)
    assert await ask.refused("txn", "abort", "t") == "t has no open transaction: its state is Empty"
    await opened(client, "u", 1)
    assert json.loads((await ask("txn", "abort", "u", "--json")).out)["aborted"]["transactional_id"] == "u"


async def test_an_id_that_nobody_used_is_not_made_by_asking_for_it(ask):
    for action in ("describe", "abort"):
        assert await ask.refused("txn", action, "nope") == "there is no transactional id nope"
    assert (await ask("txn", "list")).out == ""


async def test_a_transaction_that_its_coordinator_knows_is_only_cut_off_by_force(node, ask):
    client = node.connect()
    await opened(client, "t", 0, 1)
    at = ("txn", "abort", "--topic", "orders", "--partition", "1", "--start-offset")
    line = await ask.refused(*at, "0")
    assert line.startswith("this transaction does not hang, it is that of t: abort that with `kbroker txn abort t`")
    said = await ask(*at, "0", "--force")
    assert said.out == "aborted the transaction of producer 0 of epoch 0 in orders:1\n"
    assert await ask.refused(*at, "0", "--force") == "no open transaction starts at offset 0 of orders:1"
    assert "state:            Ongoing" in (await ask("txn", "describe", "t")).out


async def test_a_transaction_that_no_coordinator_knows_is_aborted_where_it_hangs(node, ask):
    client = node.connect()
    await write(client, "nobody's", Producing(4711, 3), 1, version=11)
    at = ("--topic", "orders", "--partition", "1")
    assert (await ask("txn", "abort", *at)).err == (
        "kbroker: name the --start-offset: `kbroker txn describe --topic orders --partition 1`"
        " shows those of open transactions\n"
    )
    done = json.loads((await ask("txn", "abort", *at, "--start-offset", "0", "--json")).out)
    assert (done["aborted"]["producer_id"], done["partition"]) == (4711, {"topic": "orders", "partition": 1})
    row = await fetch(client, "orders", 0, partition=1, isolation_level=1)
    assert row.last_stable_offset == row.high_watermark == 2


async def test_what_is_not_there_is_said(ask):
    assert await ask.refused("txn", "describe", "--topic", "nope", "--partition", "0") == "topic nope does not exist"
    missing = await ask.refused("txn", "describe", "--topic", "orders", "--partition", "2")
    assert missing == "topic orders has no partition 2, but 0 to 1"
    nobody = await ask("txn", "describe", "--topic", "orders", "--partition", "1")
    assert nobody.err == "kbroker: no producer wrote to orders:1 that is still remembered\n"
    for action in ("describe", "abort"):
        assert await ask.refused("txn", action) == "name a transactional id, or --topic and --partition"
        assert (await ask.refused("txn", action, "t", "--topic", "orders")).endswith("not both")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--state", "Open"], "'Open' is not a state: CompleteAbort,"),
        (["describe", "--topic", "t", "--partition", "-1"], "'-1' is not the number of a partition"),
        (["abort", "--topic", "t", "--partition", "x"], "'x' is not the number of a partition"),
        (["abort", "--start-offset", "1.5"], "'1.5' is not an offset"),
    ],
)
def test_a_mistake_in_the_arguments_ends_with_status_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["txn", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
