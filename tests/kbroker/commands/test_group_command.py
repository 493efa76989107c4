"""`kbroker group` against a whole broker: what is printed, what is refused and in which words, what is changed."""

from __future__ import annotations

import json

import pytest

from asking import Asker, classic_member, commit, consumer_member, coordinating, filled, leave
from kbroker.cli import main


@pytest.fixture
async def node():
    async with coordinating() as running:
        await filled(running, "orders", 10, 7, 0)
        yield running


@pytest.fixture
def ask(node, capsys):
    return Asker(node.broker.addresses[0], capsys)


def columns(text):
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


# -- list


async def test_groups_are_listed_by_name_with_type_and_state(node, ask):
    assert await ask("group", "list") == (0, "", "kbroker: there are no groups\n")
    client = node.connect()
    await commit(client, "b", "orders", {0: 1})
    await classic_member(client, "c", "orders", 0)
    await consumer_member(client, "a", "m", "orders")
    assert columns((await ask("group", "list")).out) == [
        ["GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"],
        ["a", "consumer", "Stable", "consumer", "1"],
        ["b", "classic", "Empty", "-", "1"],
        ["c", "classic", "Stable", "consumer", "1"],
    ]
    listed = json.loads((await ask("group", "list", "--json", "--state", "EMPTY", "--type", "classic")).out)
    assert listed == [{"group_id": "b", "type": "classic", "state": "Empty", "protocol_type": "", "coordinator": 1}]
    assert (await ask("group", "list", "--state", "Empty", "Dead", "--type", "share")).out == ""


# -- describe


async def test_a_group_is_described_with_the_lag_of_each_partition_and_in_all(node, ask):
    client = node.connect()
    await commit(client, "g", "orders", {0: 4, 1: 7, 2: 0})
    member = await classic_member(client, "g", "orders", 0, 1)
    lines = (await ask("group", "describe", "g")).out.splitlines()
    address = node.broker.addresses[0]
    assert lines[0] == f"g: Stable, classic protocol, 1 member, assignor range, coordinator {address} (node 1)"
    assert columns("\n".join(lines[1:])) == [
        ["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "MEMBER", "CLIENT-ID", "HOST"],
        ["orders", "0", "4", "10", "6", member, "test", "/10.0.0.1"],
        ["orders", "1", "7", "7", "0", member, "test", "/10.0.0.1"],
        ["orders", "2", "0", "0", "0", "-", "-", "-"],
        ["total", "lag", "6"],
    ]
    [described] = json.loads((await ask("group", "describe", "g", "--json")).out)
    assert {**described, "members": None, "partitions": None} == {
        "group_id": "g",
        "type": "classic",
        "state": "Stable",
        "protocol_type": "consumer",
        "assignor": "range",
        "epoch": None,
        "coordinator": 1,
        "lag": 6,
        "members": None,
        "partitions": None,
    }
    assert described["partitions"][0] == {
        "topic": "orders",
        "partition": 0,
        "current_offset": 4,
        "log_end_offset": 10,
        "lag": 6,
        "member_id": member,
        "client_id": "test",
        "host": "/10.0.0.1",
    }
    assert described["members"][0]["assignment"] == [{"topic": "orders", "partition": each} for each in (0, 1)]


async def test_members_of_the_consumer_protocol_are_described_with_what_they_are_to_own(node, ask):
    client = node.connect()
    await consumer_member(client, "g", "first", "orders")
    alone = (await ask("group", "describe", "g", "--members")).out
    assert "epoch 2, coordinator" in alone
    assert columns(alone)[1:] == [
        ["MEMBER", "CLIENT-ID", "HOST", "EPOCH", "#PARTITIONS", "ASSIGNMENT"],
        ["first", "test", "/10.0.0.1", "2", "3", "orders:0,1,2"],
    ]
    await consumer_member(client, "g", "second", "orders")
    rows = columns((await ask("group", "describe", "g", "--members")).out)[1:]
    assert rows[0][-1] == "TARGET"
    assert rows[1][-2:] == ["orders:0,1,2", "orders:0,1"]
    assert rows[2][-3:] == ["0", "-", "orders:2"]
    last = (await ask("group", "describe", "g")).out.splitlines()[-1]
    assert last == "total lag 0, unknown for 3 partitions"


async def test_all_groups_are_described_if_none_is_named_and_the_others_if_one_is_missing(node, ask):
    assert await ask("group", "describe") == (0, "", "kbroker: there are no groups of consumers\n")
    client = node.connect()
    await commit(client, "b", "orders", {1: 3})
    await leave(client, "a", await classic_member(client, "a", "orders", 0))
    everything = (await ask("group", "describe")).out
    assert [block.splitlines()[0].split(",")[0] for block in everything.split("\n\n")] == ["a: Empty", "b: Empty"]
    assert "no partitions: nothing is assigned, nothing committed" in everything
    assert everything.splitlines()[-1] == "total lag 4"
    said = await ask("group", "describe", "nope", "b", "b")
    assert said.status == 1
    assert said.out.count("total lag 4") == 1
    assert said.err == "kbroker: group nope does not exist\n"


async def test_members_that_are_no_consumers_are_described_without_partitions(node, ask):
    await classic_member(node.connect(), "g", "orders", 0, kind="connect")
    said = await ask("group", "describe", "g")
    assert "g: Stable, connect workers, 1 member, assignor range" in said.out
    [described] = json.loads((await ask("group", "describe", "g", "--json")).out)
    assert (described["members"][0]["assignment"], described["partitions"]) == ([], [])


# -- reset-offsets


async def committed(ask, group_id="g"):
    [described] = json.loads((await ask("group", "describe", group_id, "--json")).out)
    return {row["partition"]: row["current_offset"] for row in described["partitions"]}


async def test_offsets_are_only_moved_when_that_is_said(node, ask):
    await commit(node.connect(), "g", "orders", {0: 4})
    for how in ((), ("--dry-run",)):
        said = await ask("group", "reset-offsets", "g", "--topic", "orders", "--to-latest", *how)
        assert columns(said.out) == [
            ["TOPIC", "PARTITION", "CURRENT-OFFSET", "NEW-OFFSET"],
            ["orders", "0", "4", "10"],
            ["orders", "1", "-", "7"],
            ["orders", "2", "-", "0"],
        ]
        assert said.err == "kbroker: nothing is changed yet: add --execute to commit the new offsets\n"
        assert await committed(ask) == {0: 4}
    said = await ask("group", "reset-offsets", "g", "--topic", "orders", "--to-latest", "--execute", "--json")
    changed = json.loads(said.out)
    assert (changed["executed"], said.err) == (True, "")
    assert changed["partitions"][0] == {
        "topic": "orders",
        "partition": 0,
        "current_offset": 4,
        "new_offset": 10,
        "note": None,
    }
    assert await committed(ask) == {0: 10, 1: 7, 2: 0}


async def test_every_way_to_say_where_to(node, ask):
    await commit(node.connect(), "g", "orders", {0: 4, 1: 2})

    async def reset(*how):
        said = await ask("group", "reset-offsets", "g", *how, "--execute", "--json")
        assert said.status == 0, said
        return {row["partition"]: row["new_offset"] for row in json.loads(said.out)["partitions"]}

    assert await reset("--all-topics", "--shift-by", "1") == {0: 5, 1: 3}
    assert await reset("--all-topics", "--shift-by", "-4") == {0: 1, 1: 0}
    assert await reset("--topic", "orders:0,2", "--to-offset", "8") == {0: 8, 2: 0}
    assert await reset("--topic", "orders:1", "--topic", "orders:0", "--to-earliest") == {0: 0, 1: 0}
    assert await reset("--topic", "orders:0", "--to-datetime", "2001-01-01") == {0: 0}
    assert await committed(ask) == {0: 0, 1: 0, 2: 0}
    after = await ask("group", "reset-offsets", "g", "--topic", "orders:0", "--to-datetime", "2999-01-01T00:00")
    assert after.out.splitlines()[1].endswith("no record is as late: the end")


async def test_a_group_that_does_not_exist_may_be_given_offsets(ask):
    assert (await ask("group", "reset-offsets", "new", "--topic", "orders", "--to-earliest")).status == 0
    assert await ask.refused("group", "describe", "new") == "group new does not exist"
    assert (
        await ask("group", "reset-offsets", "new", "--topic", "orders", "--to-offset", "3", "--execute")
    ).status == 0
    assert await committed(ask, "new") == {0: 3, 1: 3, 2: 0}


async def test_a_group_of_the_consumer_protocol_is_reset_when_it_is_empty(node, ask):
    client = node.connect()
    await consumer_member(client, "g", "m", "orders")
    reset = ("group", "reset-offsets", "g", "--topic", "orders:0", "--to-offset", "3", "--execute")
    assert await ask.refused(*reset) == "group g is Stable and has 1 member: stop them first"
    await consumer_member(client, "g", "m", "orders", epoch=-1)
    assert (await ask(*reset)).status == 0
    assert (await ask("group", "describe", "g")).out.startswith("g: Empty, consumer protocol, no members")
    assert await committed(ask) == {0: 3}


async def test_what_can_not_be_reset(node, ask):
    client = node.connect()
    reset = ("group", "reset-offsets", "g")
    to_latest = ("--to-latest", "--execute")
    assert await ask.refused(*reset, "--topic", "nope", *to_latest) == "topic nope does not exist"
    assert (
        await ask.refused(*reset, "--topic", "orders:1,3", *to_latest) == "topic orders has no partition 3, but 0 to 2"
    )
    nothing = "group g has committed nothing: name topics with --topic"
    assert await ask.refused(*reset, "--all-topics", *to_latest) == nothing
    shift = await ask.refused(*reset, "--topic", "orders", "--shift-by", "1")
    assert shift == "orders:0 has no committed offset to shift: name another position"
    member = await classic_member(client, "g", "orders", 0)
    words = "group g is Stable and has 1 member: stop them first"
    assert await ask.refused(*reset, "--topic", "orders", *to_latest) == words
    await leave(client, "g", member)
    assert (await ask(*reset, "--topic", "orders", *to_latest)).status == 0
    assert (await ask("group", "describe", "never")).err == "kbroker: group never does not exist\n"


# -- delete, delete-offsets


async def test_groups_are_deleted_if_nobody_is_in_them(node, ask):
    client = node.connect()
    await commit(client, "a", "orders", {0: 4})
    await commit(client, "b", "orders", {0: 4})
    await classic_member(client, "c", "orders", 0)
    await consumer_member(client, "d", "m", "orders")
    said = await ask("group", "delete", "a", "c", "d", "nope")
    assert (said.status, said.out) == (1, "deleted a\n")
    assert said.err.splitlines() == [
        "kbroker: group c has members: stop them first",
        "kbroker: group d has members: stop them first",
        "kbroker: group nope does not exist",
    ]
    assert await ask.refused("group", "describe", "a") == "group a does not exist"
    assert json.loads((await ask("group", "delete", "b", "--json")).out) == [
        {"group_id": "b", "deleted": True, "error": None}
    ]


async def test_offsets_of_topics_are_forgotten(node, ask):
    client = node.connect()
    await commit(client, "g", "orders", {0: 4, 1: 1, 2: 0})
    said = await ask("group", "delete-offsets", "g", "--topic", "orders:1")
    assert said == (0, "group g forgot orders:1\n", "")
    assert await committed(ask) == {0: 4, 2: 0}
    member = await classic_member(client, "g", "orders", 0)
    said = await ask("group", "delete-offsets", "g", "--topic", "orders")
    assert (said.status, said.out) == (1, "")
    assert said.err.splitlines() == [
        f"kbroker: orders:{each}: group g is subscribed to orders: stop its members first" for each in (0, 2)
    ]
    await leave(client, "g", member)
    assert (await ask("group", "delete-offsets", "g", "--topic", "orders")).out.count("forgot") == 2
    assert await ask.refused("group", "delete-offsets", "g", "--topic", "orders") == (
        "group g has committed nothing for topic orders"
    )
    assert await ask.refused("group", "delete-offsets", "nope", "--topic", "orders") == "group nope does not exist"
    assert await ask.refused("group", "delete-offsets", "nope", "--topic", "orders:0") == "group nope does not exist"


# -- arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: ACTION"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["list", "--state", "Asleep"], "'Asleep' is not a state: Assigning, CompletingRebalance,"),
        (["list", "--bootstrap", "host:port"], "'host:port' is not HOST:PORT"),
        (["list", "--bootstrap", ""], "'' is not HOST:PORT"),
        (["list", "--timeout", "0"], "'0' is not a number of seconds"),
        (["delete"], "the following arguments are required: GROUP"),
        (["reset-offsets", "g", "--topic", "t"], "one of the arguments --to-earliest"),
        (["reset-offsets", "g", "--to-latest"], "one of the arguments --topic --all-topics is required"),
        (["reset-offsets", "g", "--topic", "t:", "--to-latest"], "'t:' is not TOPIC or TOPIC:0,1"),
        (["reset-offsets", "g", "--topic", "t:-1", "--to-latest"], "'t:-1' is not TOPIC or TOPIC:0,1"),
        (["reset-offsets", "g", "--topic", "t", "--to-latest", "--to-earliest"], "not allowed with argument"),
        (["reset-offsets", "g", "--topic", "t", "--to-latest", "--execute", "--dry-run"], "not allowed with argument"),
        (["reset-offsets", "g", "--topic", "t", "--to-offset", "-1"], "'-1' is not an offset"),
        (["reset-offsets", "g", "--topic", "t", "--shift-by", "1e3"], "'1e3' is not a number of records"),
        (["reset-offsets", "g", "--topic", "t", "--to-datetime", "1969-12-31"], "is not a time since 1970"),
        (["reset-offsets", "g", "--topic", "t", "--to-datetime", "yesterday"], "is not a time since 1970"),
        (["delete-offsets", "g"], "the following arguments are required: --topic"),
    ],
)
def test_a_mistake_in_the_arguments_ends_with_status_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["group", *arguments])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
