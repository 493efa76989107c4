"""A whole broker: starting, stopping with work in hand, starting again, and many of them in one process."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import (
    NOW_MS,
    Gate,
    batch,
    disk_env,
    fetch,
    fetch_request,
    produce,
    produce_request,
    produced,
    running,
    settings,
    topic_request,
    values,
)
from kbroker.batches import KAFKA_BATCHES
from kbroker.broker import FLUSH_EVERY_S, GRACE_S, run
from kbroker.config import StartError
from kbroker.env import Env
from kbroker.replicas import METADATA_KEY
from kbroker_storage import MemoryFiles
from kbroker_wire import ErrorCode
from kbroker_wire.messages.api_versions import ApiVersionsRequest
from kbroker_wire.messages.create_topics import CreateTopicsResponse
from kbroker_wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kbroker_wire.messages.end_txn import EndTxnRequest
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kbroker_wire.messages.metadata import MetadataRequest
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from storage_faults import FaultyFiles

VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")
NEW_PRODUCER = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=0)


@pytest.fixture
def gate():
    return Gate()


def in_memory(gate=None, files=None):
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    if files is not None:
        env = replace(env, files=files)
    return env if gate is None else replace(env, run_blocking=gate.run)


# -- several in one process


async def test_two_brokers_in_one_loop_do_not_see_each_other():
    async with running() as one, running() as two:
        await one.create("mine")
        ours, theirs = one.dial(), two.dial()
        await produce(ours, "mine", batch(b"secret"))
        found = await theirs.ask(MetadataRequest(topics=None))
        assert found.topics == []
        assert found.cluster_id != (await ours.ask(MetadataRequest(topics=[]))).cluster_id
        await two.create("mine")
        assert values(await fetch(theirs, "mine")) == []
        assert values(await fetch(ours, "mine")) == [b"secret"]
        assert one.broker.addresses != two.broker.addresses


async def test_a_broker_that_stops_leaves_the_other_one_serving():
    async with running() as stays:
        async with running() as stops:
            await stops.dial().ask(VERSIONS, 3)
        assert (await stays.dial().ask(VERSIONS, 3)).error_code == ErrorCode.NONE


def process_globals():
    return {
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0,
        "gc": (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()),
        "switch interval": sys.getswitchinterval(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "logging": (logging.root.handlers.copy(), logging.root.level, logging.getLogger("kbroker").level),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "working folder": os.getcwd(),
        "environment": dict(os.environ),
    }


def test_two_hundred_embedded_brokers_leave_nothing_behind():
    async def one():
        async with running() as node:
            client = node.dial()
            await client.ask(topic_request("topic"))
            await produce(client, "topic", batch())

    trio.run(one)  # what is imported and compiled once stays
    gc.collect()
    before = process_globals()
    for _ in range(200):
        trio.run(one)
    gc.collect()
    assert process_globals() == before


async def test_an_embedded_broker_in_another_thread_works():
    def elsewhere():
        async def one():
            async with running() as node:
                return (await node.dial().ask(VERSIONS, 3)).error_code

        return trio.run(one)

    assert await trio.to_thread.run_sync(elsewhere) == ErrorCode.NONE


# -- starting


async def start(env, more=None):
    """The StartError with which a broker does not start."""
    with pytest.raises((StartError, BaseExceptionGroup)) as caught:
        await run(settings(more), env, trio.Event())
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert isinstance(error, StartError)
    assert "\n" not in str(error)
    return str(error)


async def test_a_port_in_use_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await start(in_memory(), {"listeners": f"PLAINTEXT://127.0.0.1:{port}"})
        assert f"127.0.0.1:{port}" in said


async def test_one_of_two_listeners_that_can_not_be_opened_closes_the_other():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bound = []
        env = in_memory()
        env = replace(env, bind=lambda host, port: bound.extend(found := Env.in_memory().bind(host, port)) or found)
        listeners = f"PLAINTEXT://127.0.0.1:0,INSIDE://127.0.0.1:{port}"
        protocols = "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT"
        await start(env, {"listeners": listeners, "listener.security.protocol.map": protocols})
        assert [sock.fileno() for sock in bound] == [-1]


async def test_a_folder_in_use_is_said_and_is_free_after_the_stop():
    env = in_memory()
    async with running(env=env):
        assert "in use" in await start(env)
    async with running(env=env):
        pass


async def test_a_folder_of_another_node_is_said_and_stays_free():
    env = in_memory()
    async with running(env=env):
        pass
    assert "belongs to node 1, this is node 2" in await start(env, {"node.id": "2"})
    async with running(env=env):
        pass


async def test_a_folder_of_a_newer_format_is_said():
    env = in_memory()
    async with running(env=env):
        pass
    text = env.files.read("/data/meta.properties").replace(b"version=1", b"version=2")
    env.files.replace("/data/meta.properties", text, sync=True)
    assert "format version 2" in await start(env)


async def test_a_metadata_log_that_can_not_be_written_is_said():
    files = FaultyFiles()
    async with running(env=in_memory(files=files)):
        pass
    files.fail("append")
    with pytest.RaisesGroup(
        pytest.RaisesExc(StartError, match="metadata log can not be written"), flatten_subgroups=True
    ):
        await run(settings(), in_memory(files=files), trio.Event())
    async with running(env=in_memory(files=files)):
        pass


async def test_a_metadata_log_that_a_newer_version_wrote_is_said():
    env = in_memory()
    async with running(env=env) as node:
        log = node.broker.controller.log
        data = memoryview(bytearray(batch(b"\x01\xff\x01\x00")))  # frame version 1, type 127
        log.append_leader([(KAFKA_BATCHES.scan(data), data)], 1, NOW_MS)
        log.flush()
    assert "can not read" in await start(env)


async def test_a_data_folder_that_can_not_be_read_is_said(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__cluster_metadata-0").write_text("a file where a folder belongs")
    said = await start(disk_env(), {"log.dirs": str(tmp_path / "data")})
    assert "can not read the data folder" in said


async def test_when_the_port_is_open_everything_answers_and_a_fresh_broker_has_no_topics():
    async with running() as node:
        found = await node.dial().ask(MetadataRequest(topics=None))
        assert found.topics == []
        assert [broker.node_id for broker in found.brokers] == [1]
        assert found.controller_id == 1


# -- stopping


async def stopped_cleanly(files):
    return files.exists("/data/.kafka_cleanshutdown")


async def test_a_stop_closes_idle_connections_at_once(autojump_clock):
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        clients = [node.dial() for _ in range(20)]
        for client in clients:
            await client.ask(VERSIONS, 3)
        node.stop()
        assert all([await client.is_closed() for client in clients])
        assert trio.current_time() < 1
    assert await stopped_cleanly(files)


async def test_a_stop_does_not_wait_for_a_parked_fetch(autojump_clock):
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        await node.create("topic")
        client = node.dial()
        await client.ask(VERSIONS, 3)
        await client.send(fetch_request("topic", wait_ms=600_000), 12)
        while not node.broker.replicas.find("topic", 0).waiters:
            await trio.lowlevel.checkpoint()
        node.stop()
        assert await client.is_closed()
        assert trio.current_time() < 1
    assert await stopped_cleanly(files)


async def test_a_stop_answers_a_produce_that_waits_for_its_sync(gate):
    files = MemoryFiles()
    async with running(env=in_memory(gate, files)) as node:
        await node.create("topic")
        client = node.dial()
        gate.close()
        await client.send(produce_request("topic", batch(b"in hand")), 12)
        await client.send(produce_request("topic", batch(b"behind it")), 12)
        while node.broker.replicas.by_name["topic"].partitions[0].log.end != 2:
            await trio.lowlevel.checkpoint()
        node.stop()
        await wait_all_tasks_blocked()
        gate.open()
        assert [produced(await client.receive()).base_offset for _ in range(2)] == [0, 1]
        assert await client.is_closed()
    assert await stopped_cleanly(files)


async def test_a_stop_answers_commits_that_wait_for_their_sync(gate):
    files = MemoryFiles()
    async with running(env=in_memory(gate, files)) as node:
        await node.create("topic")
        group, producer = node.dial(), node.dial()
        await group.ask(FindCoordinatorRequest(coordinator_keys=["g"]))
        await producer.ask(InitProducerIdRequest(transactional_id="t", transaction_timeout_ms=1000))
        gate.close()
        offset = OffsetCommitRequestPartition(partition_index=0, committed_offset=5, committed_metadata=None)
        topics = [OffsetCommitRequestTopic(name="topic", partitions=[offset])]
        await group.send(OffsetCommitRequest(group_id="g", topics=topics), 9)
        await producer.send(EndTxnRequest(transactional_id="t", producer_id=0, producer_epoch=0, committed=False), 5)
        while not gate.held or not all(connection.parked for connection in node.broker.connections._open):
            await trio.lowlevel.checkpoint()
        node.stop()
        await wait_all_tasks_blocked()
        gate.open()
        [row] = (await group.receive()).topics[0].partitions
        assert row.error_code == ErrorCode.NONE
        ended = await producer.receive()
        assert (ended.error_code, ended.producer_epoch) == (ErrorCode.NONE, 1)
        assert await group.is_closed()
        assert await producer.is_closed()
    assert await stopped_cleanly(files)


async def test_a_stop_does_not_wait_for_a_parked_join(autojump_clock):
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        client = node.dial()
        await client.ask(FindCoordinatorRequest(coordinator_keys=["g"]))
        protocols = [JoinGroupRequestProtocol(name="p", metadata=b"")]
        join = JoinGroupRequest(
            group_id="g",
            session_timeout_ms=10_000,
            rebalance_timeout_ms=300_000,
            member_id="",
            protocol_type="consumer",
            protocols=protocols,
        )
        await client.send(join, 3)
        while not all(connection.parked for connection in node.broker.connections._open):
            await trio.lowlevel.checkpoint()
        node.stop()
        assert await client.is_closed()
        assert trio.current_time() < 1
    assert await stopped_cleanly(files)


async def test_a_stop_answers_what_is_in_the_hands_of_a_handler(gate):
    async with running(env=in_memory(gate)) as node:
        client = node.dial()
        gate.close()
        await client.send(topic_request("topic"), 7)
        while not gate.held:
            await trio.lowlevel.checkpoint()
        node.stop()
        await wait_all_tasks_blocked()
        gate.open()
        response = await client.receive()
        assert isinstance(response, CreateTopicsResponse)
        assert response.topics[0].error_code == ErrorCode.NONE
        assert await client.is_closed()


async def test_a_stop_sends_the_rest_of_a_large_answer():
    async with running() as node:
        await node.create("topic")
        client = node.dial()
        sent = [bytes([97 + i]) * 900_000 for i in range(12)]
        for value in sent:
            await produce(client, "topic", batch(value))
        await client.send(fetch_request("topic", max_bytes=50_000_000), 12)
        connection = next(iter(node.broker.connections._open))
        while not connection._out:
            await trio.lowlevel.checkpoint()
        node.stop()
        await wait_all_tasks_blocked()
        row = (await client.receive()).responses[0].partitions[0]
        assert values(row) == sent


async def test_a_client_that_never_reads_is_cut_off_after_the_grace_period(autojump_clock):
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        await node.create("topic")
        client = node.dial()
        for _ in range(12):
            await produce(client, "topic", batch(bytes(900_000)))
        await client.send(fetch_request("topic", max_bytes=50_000_000), 12)
        connection = next(iter(node.broker.connections._open))
        while not connection._out:
            await trio.lowlevel.checkpoint()
        node.stop()
        await trio.sleep(GRACE_S + 1)
        assert not node.broker.connections._open
    assert await stopped_cleanly(files)


async def test_acks_1_that_were_answered_just_before_the_stop_are_synced_by_a_clean_stop():
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        await node.create("topic")
        client = node.dial()
        for _ in range(5):
            await produce(client, "topic", batch(), acks=1)
        node.stop()
    assert await stopped_cleanly(files)


async def test_a_cancelled_broker_stops_as_after_a_crash_and_frees_the_folder():
    files = MemoryFiles()
    async with trio.open_nursery() as nursery:
        await nursery.start(run, settings(), in_memory(files=files), trio.Event())
        nursery.cancel_scope.cancel()
    assert not await stopped_cleanly(files)
    async with running(env=in_memory(files=files)):
        pass


async def test_a_cancelled_broker_leaves_no_descriptor_open(tmp_path):
    env = disk_env()
    async with trio.open_nursery() as nursery:
        broker = await nursery.start(run, settings({"log.dirs": str(tmp_path / "data")}), env, trio.Event())
        assert env.files.open_descriptors > 0
        del broker
        nursery.cancel_scope.cancel()
    assert env.files.open_descriptors == 0


# -- starting again


async def fill(node):
    topic_id = await node.create("topic", partitions=2, configs={"retention.ms": "12345"})
    client = node.connect()
    producer = (await client.ask(NEW_PRODUCER)).producer_id
    await produce(client, "topic", batch(b"one", b"two"), partition=1)
    await produce(client, "topic", batch(b"once", producer_id=producer, producer_epoch=0, base_sequence=0))
    return topic_id, producer


async def check(node, topic_id, producer):
    client = node.connect()
    [topic] = (await client.ask(MetadataRequest(topics=None))).topics
    assert (topic.name, topic.topic_id, len(topic.partitions)) == ("topic", topic_id, 2)
    asked = DescribeConfigsResource(resource_type=2, resource_name="topic", configuration_keys=["retention.ms"])
    [result] = (await client.ask(DescribeConfigsRequest(resources=[asked]))).results
    assert [config.value for config in result.configs] == ["12345"]
    assert values(await fetch(client, "topic", partition=1)) == [b"one", b"two"]
    again = batch(b"once", producer_id=producer, producer_epoch=0, base_sequence=0)
    assert (await produce(client, "topic", again)).base_offset == 0
    assert values(await fetch(client, "topic")) == [b"once"]
    assert (await client.ask(NEW_PRODUCER)).producer_id > producer


async def test_everything_is_there_after_a_clean_stop():
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        expected = await fill(node)
        cluster, epoch = node.broker.cluster_id, node.broker.image.brokers[1]
    async with running(env=in_memory(files=files)) as node:
        await check(node, *expected)
        assert node.broker.cluster_id == cluster
        assert node.broker.image.brokers[1].epoch > epoch.epoch
        assert node.broker.image.brokers[1].incarnation != epoch.incarnation


async def test_everything_acknowledged_is_there_after_a_crash():
    """The folder as it is at that moment, copied from under the running broker."""
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        expected = await fill(node)
        crashed = files.clone()
    async with running(env=in_memory(files=crashed)) as node:
        await check(node, *expected)


async def test_a_start_after_a_crash_spares_the_next_one_the_recovery(autojump_clock):
    """Killed again and again before the flusher's first round, a broker would recover more at each start."""
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        await fill(node)
        crashed = files.clone()
    assert not crashed.exists("/data/recovery-point-offset-checkpoint")
    async with running(env=in_memory(files=crashed)):
        await trio.sleep(FLUSH_EVERY_S / 10)
        crashed_again = crashed.clone()
    async with running(env=in_memory(files=crashed_again)) as node:
        points = node.broker.folder.recovery_points
    assert points["topic", 0] == 1
    assert points["topic", 1] == 2
    assert points[METADATA_KEY] > 0


async def test_a_recovered_tail_is_not_readable_before_it_is_synced(gate, autojump_clock):
    files = MemoryFiles()
    async with running(env=in_memory(gate, files)) as node:
        await node.create("topic")
        client = node.connect()
        gate.close()
        await produce(client, "topic", batch(b"tail"), acks=1)
        crashed = files.clone()
        gate.open()
    later = Gate()
    async with running(env=in_memory(later, crashed)) as node:
        partition = node.broker.replicas.find("topic", 0)
        assert partition.high_watermark == partition.log.durable_end
        row = await fetch(node.connect(), "topic", wait_ms=1000)
        assert values(row) == [b"tail"]


async def test_a_folder_that_belongs_to_no_topic_is_set_aside_and_kept(caplog):
    files = MemoryFiles()
    async with running(env=in_memory(files=files)) as node:
        await node.create("topic")
        await produce(node.connect(), "topic", batch(b"kept"))
        crashed = files.clone()
    crashed.rename("/data/topic-0", "/data/stray-0")
    crashed.make_directory("/data/old-3.0123456789abcdef0123456789abcdef-delete")
    crashed.make_directory("/data/no-partition-²")
    async with running(env=in_memory(files=crashed)) as node:
        [aside] = [name for name in crashed.entries("/data") if name.endswith("-stray")]
        assert aside.startswith("stray-0.")
        assert f"{0:020}.log" in crashed.entries(f"/data/{aside}")
        assert not [name for name in crashed.entries("/data") if name.endswith("-delete")]
        assert values(await fetch(node.connect(), "topic")) == []


async def test_what_no_broker_made_is_left_alone(tmp_path):
    """A data folder may be somebody's working folder."""
    data = tmp_path / "data"
    names = ["project-1", "old.stuff-delete", "x-1.0123456789abcdef-delete", "service-2"]
    for name in names:
        (data / name).mkdir(parents=True)
        (data / name / "service.log").write_text("precious")
    (data / "notes-3").write_text("precious")
    for _ in range(2):  # unclean, then clean
        async with running({"log.dirs": str(data)}, disk_env()):
            pass
    assert [(data / name / "service.log").read_text() for name in names] == ["precious"] * len(names)
    assert (data / "notes-3").read_text() == "precious"
