"""The partitions of a broker: kept in step with the metadata, removed with their topic, found by name and by id."""

from __future__ import annotations

import errno
import os
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
    fetched,
    produce,
    produce_request,
    produced,
    running,
    values,
)
from kbroker.batches import KAFKA_BATCHES
from kbroker.broker import EXPIRE_EVERY_S
from kbroker.controller.core import delete_topics
from kbroker.env import Env
from kbroker.errors import Refusal
from kbroker_storage import MemoryFiles, Origin
from kbroker_wire import ErrorCode
from kbroker_wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from kbroker_wire.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kbroker_wire.messages.fetch import FetchPartition
from kbroker_wire.messages.metadata import MetadataRequest
from storage_faults import FaultyFiles


def delete_request(name):
    return DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=1000)


def entry_of(data):
    frame = memoryview(bytearray(data))
    return KAFKA_BATCHES.scan(frame), frame


async def test_a_partition_has_no_folder_before_its_first_record():
    env = replace(Env.in_memory(), files=MemoryFiles())
    async with running(env=env) as node:
        await node.create("topic", partitions=3)
        client = node.connect()
        await fetch(client, "topic")
        assert not [name for name in env.files.entries("/data") if name.startswith("topic")]
        await produce(client, "topic", batch(), partition=1)
        assert [name for name in env.files.entries("/data") if name.startswith("topic")] == ["topic-1"]
        assert b"topic_id: " in env.files.read("/data/topic-1/partition.metadata")


async def test_partitions_are_found_by_name_and_by_id():
    async with running() as node:
        topic_id = await node.create("topic", partitions=2)
        replicas = node.broker.replicas
        assert replicas.find("topic", 1) is replicas.find_by_id(topic_id, 1)
        for find, topic in ((replicas.find, "topic"), (replicas.find_by_id, topic_id)):
            for index in (-1, 2):
                with pytest.raises(Refusal) as refusal:
                    find(topic, index)
                assert refusal.value.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        with pytest.raises(Refusal) as refusal:
            replicas.find_by_id(bytes(16), 0)
        assert refusal.value.code == ErrorCode.UNKNOWN_TOPIC_ID


async def test_new_partitions_serve_in_the_very_next_request():
    async with running() as node:
        await node.create("topic")
        client = node.connect()
        more = CreatePartitionsTopic(name="topic", count=3, assignments=None)
        await client.ask(CreatePartitionsRequest(topics=[more], timeout_ms=1000, validate_only=False))
        assert (await produce(client, "topic", batch(), partition=2)).base_offset == 0


async def test_new_partitions_disturb_nobody_who_waits_at_the_old_ones(autojump_clock):
    async with running() as node:
        await node.create("topic")
        reader, client = node.connect(), node.connect()
        waiting = fetch_request("topic", 0, wait_ms=60_000)
        waiting.topics[0].partitions.append(FetchPartition(partition=2, fetch_offset=0, partition_max_bytes=1000))
        await reader.send(waiting, 12)
        await trio.sleep(1)
        more = CreatePartitionsTopic(name="topic", count=3, assignments=None)
        await client.ask(CreatePartitionsRequest(topics=[more], timeout_ms=1000, validate_only=False))
        await trio.sleep(1)
        assert not reader.has_answer()
        await produce(client, "topic", batch(b"new"), partition=2)
        await produce(client, "topic", batch(b"old"))
        answer = await reader.receive()
        rows = {row.partition_index: values(row) for row in answer.responses[0].partitions}
        assert rows == {0: [b"old"], 2: [b"new"]}, "the answer has what is there when it is made"


# -- deletion


@pytest.fixture(params=["disk", "memory"])
def env(request, tmp_path):
    return disk_env() if request.param == "disk" else replace(Env.in_memory(), now_ms=lambda: NOW_MS)


@pytest.fixture
def path(tmp_path, env):
    return f"{tmp_path}/data"


async def test_a_deleted_topic_is_gone_when_that_is_answered_and_comes_back_empty(env, path):
    async with running({"log.dirs": path}, env) as node:
        first = await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch(b"old"))
        [row] = (await client.ask(delete_request("topic"))).responses
        assert (row.error_code, row.topic_id) == (ErrorCode.NONE, first)
        assert "topic-0" not in env.files.entries(path)
        assert (await client.ask(MetadataRequest(topics=None))).topics == []
        second = await node.create("topic")
        assert second != first
        assert values(await fetch(client, "topic")) == []
        await produce(client, "topic", batch(b"new"))
        assert values(await fetch(client, "topic")) == [b"new"]
    assert not [name for name in env.files.entries(path) if name.endswith("-delete")]


async def test_a_topic_that_nobody_has_opened_since_the_start_is_deleted_too(env, path):
    async with running({"log.dirs": path}, env) as node:
        await node.create("topic")
        await produce(node.connect(), "topic", batch())
    async with running({"log.dirs": path}, env) as node:
        assert node.broker.replicas.find("topic", 0).opened is None
        await node.connect().ask(delete_request("topic"))
        assert "topic-0" not in env.files.entries(path)
    assert not [name for name in env.files.entries(path) if name.startswith("topic")]


async def test_a_deletion_answers_those_who_wait_at_the_topic(autojump_clock):
    gate = Gate()
    async with running(env=replace(Env.in_memory(), run_blocking=gate.run)) as node:
        await node.create("topic")
        partition = node.broker.replicas.find("topic", 0)
        reader, writer = node.connect(), node.connect()
        await reader.send(fetch_request("topic", wait_ms=600_000), 12)
        gate.close()
        await writer.send(produce_request("topic", batch()), 12)
        await wait_all_tasks_blocked()
        image, delta = node.broker.image.replay(_removal(node, "topic"), node.broker.image.offset + 1)
        node.broker.replicas.publish(image, delta)
        assert fetched(await reader.receive()).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert produced(await writer.receive()).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert not partition.waiters
        assert trio.current_time() < 600
        gate.open()


def _removal(node, name):
    return delete_topics([node.broker.image.topic(name)])


async def test_a_partition_that_is_deleted_while_it_waits_for_its_sync_ends_no_broker(env, path):
    async with running({"log.dirs": path}, env) as node:
        await node.create("topic")
        await node.create("other")
        client = node.connect()
        await produce(client, "topic", batch())
        partition = node.broker.replicas.find("topic", 0)
        partition.append([entry_of(batch())], NOW_MS, Origin.CLIENT)
        image, delta = node.broker.image.replay(_removal(node, "topic"), node.broker.image.offset + 1)
        node.broker.replicas.publish(image, delta)  # before the round that the append asked for
        await wait_all_tasks_blocked()
        assert (await produce(client, "other", batch())).error_code == ErrorCode.NONE


async def test_a_folder_that_can_not_be_renamed_or_removed_ends_no_broker(tmp_path, monkeypatch, caplog):
    env = disk_env()

    def fail(*_):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    async with running({"log.dirs": str(tmp_path / "data")}, env) as node:
        client = node.connect()
        for name in ("a", "b", "c"):
            await node.create(name)
            await produce(client, name, batch())
        for what, name in (("rename", "a"), ("remove_tree", "b")):
            with monkeypatch.context() as patch:
                patch.setattr(env.files, what, fail)
                [row] = (await client.ask(delete_request(name))).responses
                assert row.error_code == ErrorCode.NONE
                await wait_all_tasks_blocked()
        assert (await produce(client, "c", batch())).error_code == ErrorCode.NONE
        assert "can not rename" in caplog.text
        assert "can not remove" in caplog.text
    async with running({"log.dirs": str(tmp_path / "data")}, env) as node:
        left = sorted(name.partition(".")[0] for name in env.files.entries(str(tmp_path / "data")) if "-0" in name)
        assert left == ["__cluster_metadata-0", "a-0", "c-0"], "a is set aside as a stray, b is gone"


async def test_a_topic_does_not_find_the_records_of_an_older_one_of_its_name_that_can_not_be_renamed():
    files = FaultyFiles()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch(b"old"))
        files.fail("rename", number=errno.EIO, every=True)
        await client.ask(delete_request("topic"))
        await node.create("topic")
        assert (await fetch(client, "topic")).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        files.heal()
        await client.ask(delete_request("topic"))
        await node.create("topic")
        assert values(await fetch(client, "topic")) == []


CHECKPOINTS = ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "replication-offset-checkpoint")


def named_in_checkpoints(files, topic):
    return [name for name in CHECKPOINTS if topic in files.read(f"/data/{name}")]


async def test_a_topics_checkpoints_say_nothing_of_the_next_one_of_its_name():
    files, gate = MemoryFiles(), Gate()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        await node.create("topic")
        for _ in range(10):
            await produce(node.connect(), "topic", batch(b"old"))
    assert named_in_checkpoints(files, b"topic")
    async with running(env=replace(Env.in_memory(), files=files, run_blocking=gate.run)) as node:
        client = node.connect()
        await client.ask(delete_request("topic"))
        await node.create("topic")
        gate.close()
        await produce(client, "topic", batch(b"new"), acks=1)
        crashed = files.clone()
        gate.open()
    assert not named_in_checkpoints(crashed, b"topic")
    gate = Gate()
    async with running(env=replace(Env.in_memory(), files=crashed, run_blocking=gate.run)) as node:
        assert values(await fetch(node.connect(), "topic", wait_ms=1000)) == [b"new"]


async def test_checkpoints_that_are_being_written_when_a_topic_is_deleted_are_written_anew():
    files, gate = MemoryFiles(), Gate()
    env = replace(Env.in_memory(), files=files, run_blocking=gate.run)
    async with running({"kbroker.durability": "relaxed"}, env) as node, trio.open_nursery() as nursery:
        await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch(b"old"))
        gate.close()
        nursery.start_soon(node.broker.write_checkpoints)
        await wait_all_tasks_blocked()
        await client.send(delete_request("topic"), 6)
        await wait_all_tasks_blocked()
        gate.open()
        await client.receive()
        await wait_all_tasks_blocked()
        assert not named_in_checkpoints(files, b"topic")


async def test_a_topic_takes_no_records_while_checkpoints_speak_of_an_older_one_of_its_name(autojump_clock):
    """The disk was full when that was deleted. Started again after a crash, the new log would begin where the old one
    did, and have lost what lies below."""
    files = FaultyFiles()
    env = replace(Env.in_memory(), files=files)
    async with running(env=env) as node:
        await node.create("topic")
        client = node.connect()
        for _ in range(10):
            await produce(client, "topic", batch(b"old"))
        partitions = [DeleteRecordsPartition(partition_index=0, offset=8)]
        topics = [DeleteRecordsTopic(name="topic", partitions=partitions)]
        await client.ask(DeleteRecordsRequest(topics=topics, timeout_ms=1000))
    async with running(env=env) as node:
        client = node.connect()
        files.fail("replace", every=True)
        await client.ask(delete_request("topic"))
        await node.create("topic")
        assert (await produce(client, "topic", batch(b"new"))).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        await wait_all_tasks_blocked()
        files.heal()
        assert (await produce(client, "topic", batch(b"new"))).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        await wait_all_tasks_blocked()
        assert (await produce(client, "topic", batch(b"new"))).error_code == ErrorCode.NONE
        crashed = files.inner.clone()
    async with running(env=replace(env, files=crashed)) as node:
        assert values(await fetch(node.connect(), "topic")) == [b"new"]


async def test_a_checkpoint_of_0_keeps_no_partition_from_its_first_record():
    files = MemoryFiles()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        await node.create("topic")
    for name in CHECKPOINTS:  # as Kafka writes them
        files.replace(f"/data/{name}", b"0\n1\ntopic 0 0\n", sync=False)
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        assert (await produce(node.connect(), "topic", batch())).error_code == ErrorCode.NONE


async def test_checkpoints_of_partitions_that_have_no_folder_are_forgotten_at_the_start():
    """A crash came between the deletion and its checkpoints, or while the next topic of the name was created."""
    files = MemoryFiles()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        for name in ("gone", "kept"):
            await node.create(name)
            await produce(node.connect(), name, batch(b"old"))
    files.rename("/data/gone-0", "/data/elsewhere")
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        assert not named_in_checkpoints(files, b"gone")
        assert named_in_checkpoints(files, b"kept")
        assert (await produce(node.connect(), "gone", batch())).base_offset == 0


async def test_a_stray_folder_of_the_longest_name_is_set_aside(tmp_path):
    env, name = disk_env(), "n" * 249
    async with running({"log.dirs": str(tmp_path)}, env) as node:
        await node.create("topic")
        await produce(node.connect(), "topic", batch())
    os.rename(tmp_path / "topic-0", tmp_path / f"{name}-0")
    async with running({"log.dirs": str(tmp_path)}, env):
        [aside] = [each for each in env.files.entries(str(tmp_path)) if each.endswith("-stray")]
        assert aside.startswith("n" * 200)


# -- configuration and leadership


async def test_a_partition_follows_its_leader_epoch_and_clients_with_another_are_refused():
    async with running() as node:
        await node.create("topic")
        client = node.connect()
        assert (await fetch(client, "topic", current_leader_epoch=0)).error_code == ErrorCode.NONE
        assert (await fetch(client, "topic", current_leader_epoch=1)).error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
        partition = node.broker.replicas.find("topic", 0)
        image = node.broker.image.topic("topic").partitions[0]
        partition.follow(image._replace(leader_epoch=3))
        assert (await fetch(client, "topic", current_leader_epoch=1)).error_code == ErrorCode.FENCED_LEADER_EPOCH
        assert (await fetch(client, "topic", current_leader_epoch=3)).error_code == ErrorCode.NONE


async def test_the_high_watermark_waits_for_every_in_sync_replica(autojump_clock):
    async with running() as node:
        await node.create("topic")
        partition = node.broker.replicas.find("topic", 0)
        image = node.broker.image.topic("topic").partitions[0]
        partition.follow(image._replace(replicas=(1, 2), isr=(1, 2)))
        client = node.connect()
        row = produced(await client.ask(produce_request("topic", batch(b"alone"), timeout_ms=500), 12))
        assert (row.error_code, row.base_offset) == (ErrorCode.REQUEST_TIMED_OUT, 0)
        assert partition.high_watermark == 0
        assert values(await fetch(client, "topic")) == []


async def test_more_in_sync_replicas_are_demanded_of_acks_all_only():
    async with running() as node:
        await node.create("topic", configs={"min.insync.replicas": "2"})
        client = node.connect()
        assert (await produce(client, "topic", batch())).error_code == ErrorCode.NOT_ENOUGH_REPLICAS
        assert (await produce(client, "topic", batch(), acks=1)).error_code == ErrorCode.NONE
        assert node.broker.replicas.find("topic", 0).log.end == 1


async def test_producers_that_fell_silent_are_forgotten_and_those_at_work_are_not(autojump_clock):
    now = NOW_MS
    env = replace(Env.in_memory(), now_ms=lambda: now)
    async with running(env=env) as node:
        await node.create("topic")
        client = node.connect()
        for producer in (1, 2):
            await produce(client, "topic", batch(producer_id=producer, producer_epoch=0, base_sequence=0))
        producers = node.broker.replicas.find("topic", 0).log.producers
        await trio.sleep(EXPIRE_EVERY_S + 1)
        assert len(producers) == 2
        now += 2 * 86_400_000
        old = batch(producer_id=2, producer_epoch=0, base_sequence=1, timestamp=NOW_MS)
        assert (await produce(client, "topic", old)).error_code == ErrorCode.NONE
        await trio.sleep(EXPIRE_EVERY_S)
        assert [producer.producer_id for producer in producers] == [2]
        await trio.sleep(EXPIRE_EVERY_S)
        assert len(producers) == 0


async def test_what_is_unsynced_is_bounded_in_relaxed_mode(autojump_clock, monkeypatch):
    monkeypatch.setattr("kbroker.replicas.MAX_UNSYNCED_BYTES", 100_000)
    async with running({"kbroker.durability": "relaxed"}) as node:
        await node.create("topic")
        client = node.connect()
        log = node.broker.replicas.find("topic", 0).log
        await produce(client, "topic", batch(bytes(50_000)))
        await wait_all_tasks_blocked()
        assert log.durable_end == 0
        await produce(client, "topic", batch(bytes(60_000)))
        await wait_all_tasks_blocked()
        assert log.durable_end == 2
        await produce(client, "topic", batch())
        await trio.sleep(61)
        assert log.durable_end == 3
        points = node.broker.env.files.read("/data/recovery-point-offset-checkpoint").decode()
        assert "topic 0 3" in points.splitlines()


async def test_the_flusher_leaves_snapshots_from_which_the_next_start_reads_on(autojump_clock):
    files = FaultyFiles()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        await node.create("topic")
        partition = node.broker.replicas.find("topic", 0)
        large = [bytes(1100 * 1024)] * 2
        for sequence in range(0, 16, 2):
            data = batch(*large, producer_id=1, producer_epoch=0, base_sequence=sequence)
            partition.append([entry_of(data)], NOW_MS, Origin.CLIENT)
        files.fail("replace", number=errno.EACCES)
        await node.broker.flush()
        assert "00000000000000000016.snapshot" not in files.entries("/data/topic-0")
        await node.broker.flush()
        assert "00000000000000000016.snapshot" in files.entries("/data/topic-0")
        killed = files.inner.clone()
    async with running(env=replace(Env.in_memory(), files=killed, now_ms=lambda: NOW_MS)) as node:
        log = node.broker.replicas.find("topic", 0).log
        assert [len(producer.batches) for producer in log.producers] == [1]
        assert (await node.broker.flush(), log.durable_end) == (True, 16)
