"""What simulations found after power cuts, each as the shortest history that shows it."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import replace

import pytest
import trio

from broker_in_memory import NOW_MS, batch, fetch, produce, running, topic_request, values
from kbroker.controller import core
from kbroker.controller.core import NewTopic
from kbroker.env import Env
from kbroker_wire import ErrorCode
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kbroker_wire.messages.find_coordinator import GROUP, FindCoordinatorRequest
from kbroker_wire.messages.list_groups import ListGroupsRequest
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from simulation.disk import Disk
from simulation.files import SimFiles
from storage_faults import FaultyFiles

CRASHES = 60
OFFSETS = {"offsets.topic.num.partitions": "1"}


async def soon(work):
    await trio.sleep(0.001)  # so that time passes for who would do it for ever
    return work()


def env_on(disk):
    return Env(files=SimFiles(disk, random.Random(0)), run_blocking=soon, now_ms=lambda: NOW_MS)


def crashed(disk, seed):
    """The disk as one of many power cuts would leave it now."""
    copied = deepcopy(disk)
    copied.crash(random.Random(seed))
    return copied


def decide(node, *names):
    """Topics that are created, though nobody has synced that."""
    controller = node.broker.controller
    topics = [NewTopic(name, 1, 1) for name in names]
    records, _ = core.create_topics(controller.image, topics, controller._defaults, node.broker.env.new_uuid)
    controller._metadata.append(records)


@pytest.mark.parametrize("removed", [False, True], ids=["at once", "when its folder is removed"])
async def test_a_deleted_topic_gives_no_records_to_the_next_of_its_name(removed, autojump_clock):
    disk = Disk()
    async with running(env=env_on(disk)) as node:
        await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch(b"old"))
        await client.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name="topic")], timeout_ms=1000))
        if removed:
            await trio.sleep(1)
        assert removed != any("-delete" in name for name in disk.root.seen["data"].seen)
        decide(node, "topic")
        node.broker.controller.log.flush()
        left = [crashed(disk, seed) for seed in range(CRASHES)]  # before any time passes
        for seed, each in enumerate(left):
            async with running(env=env_on(each)) as heir:
                row = await fetch(heir.connect(), "topic", wait_ms=1000)  # a recovered end is synced first
                assert (row.error_code, values(row)) == (ErrorCode.NONE, []), f"seed {seed}"


async def test_decisions_on_their_way_to_the_disk_keep_no_broker_from_starting(autojump_clock):
    disk = Disk()
    async with running(env=env_on(disk)) as node:
        for number in range(10):
            decide(node, *[f"{number}-{each}" for each in range(5)])
        for seed in range(CRASHES):
            async with running(env=env_on(crashed(disk, seed))) as heir:
                answer = await heir.connect().ask(topic_request("new"))
                assert answer.topics[0].error_code == ErrorCode.NONE


async def test_a_coordinators_partition_that_ends_with_a_hole_is_loaded(autojump_clock):
    """The power was cut behind a roll: the new segment is there, and the end of the old one is not."""
    disk = Disk()
    async with running(OFFSETS, env_on(disk)) as node:
        await node.create("topic")
        client = node.connect()
        await client.ask(FindCoordinatorRequest(coordinator_keys=["group"], key_type=GROUP))
        for offset in (1, 2):
            row = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_metadata=None)
            topics = [OffsetCommitRequestTopic(name="topic", partitions=[row])]
            await client.ask(OffsetCommitRequest(group_id="group", topics=topics), 9)
        log = node.broker.replicas.find("__consumer_offsets", 0).log
        log.roll(NOW_MS)
        harmed = deepcopy(disk)
        SimFiles(harmed, random.Random(0)).content(log.segments[0].path).truncate(log.segments[0].size - 1)
        async with running(OFFSETS, env_on(harmed)) as heir:
            assert heir.broker.replicas.find("__consumer_offsets", 0).log.end == log.end
            with trio.fail_after(60):
                answer = await heir.connect().ask(ListGroupsRequest())
        assert [group.group_id for group in answer.groups] == ["group"]


async def test_a_record_that_was_refused_does_not_come_back(autojump_clock):
    """The write failed behind its last byte, as far as anybody knows, and was undone; nothing was written since."""
    disk = Disk()
    env = env_on(disk)
    files = FaultyFiles(env.files)
    async with running(env=replace(env, files=files)) as node:
        await node.create("topic")
        client = node.connect()
        assert (await produce(client, "topic", batch(b"kept"))).error_code == ErrorCode.NONE
        files.fail("append", partial=1000)
        assert (await produce(client, "topic", batch(b"refused"))).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        await trio.sleep(1)
        for seed in range(CRASHES):
            async with running(env=env_on(crashed(disk, seed))) as heir:
                assert values(await fetch(heir.connect(), "topic", wait_ms=1000)) == [b"kept"], f"seed {seed}"


async def test_a_topic_that_was_refused_does_not_come_back(autojump_clock):
    disk = Disk()
    env = env_on(disk)
    files = FaultyFiles(env.files)
    async with running(env=replace(env, files=files)) as node:
        await node.create("first")
        files.fail("append", partial=1000)
        refused = await node.connect().ask(topic_request("refused"))
        assert refused.topics[0].error_code == ErrorCode.KAFKA_STORAGE_ERROR
        await trio.sleep(1)
        for seed in range(CRASHES):
            async with running(env=env_on(crashed(disk, seed))) as heir:
                assert set(heir.broker.replicas.by_name) == {"first"}, f"seed {seed}"
