"""What was appended is on its way to the disk before the sync, in steps, and nothing is called durable by it."""

from __future__ import annotations

import os

import pytest
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import batch, disk_env, produce, running
from kbroker_storage.platform_calls import native

STEP_BYTES = 100_000


class Seen:
    """The files whose write-back was begun, in order."""

    def __init__(self, tmp_path):
        self.folder, self.files = tmp_path, []
        self.env = disk_env(native()._replace(write_back=lambda fd: self.files.append(os.fstat(fd).st_ino)))
        self.settings = {"log.dirs": str(tmp_path), "kbroker.durability": "relaxed"}

    def take(self):
        """The names of the partitions, sorted."""
        seen, self.files = self.files, []
        names = {each.stat().st_ino: each.parent.name for each in self.folder.glob("*/*.log")}
        return sorted(names[inode] for inode in seen)


@pytest.fixture
def seen(tmp_path, monkeypatch):
    monkeypatch.setattr("kbroker.write_back.STEP_BYTES", STEP_BYTES)
    monkeypatch.setattr("kbroker.write_back.FILES_IN_A_STEP", 2)
    return Seen(tmp_path)


async def test_a_step_begins_when_enough_was_appended_and_makes_nothing_durable(seen):
    async with running(seen.settings, seen.env) as node:
        await node.create("topic", partitions=2)
        client = node.connect()
        for partition, nbytes, expected in ((0, 60_000, []), (1, 60_000, ["topic-0", "topic-1"]), (0, 60_000, [])):
            await produce(client, "topic", batch(bytes(nbytes)), partition=partition)
            await wait_all_tasks_blocked()
            assert seen.take() == expected
        await produce(client, "topic", batch(bytes(60_000)))
        await wait_all_tasks_blocked()
        assert seen.take() == ["topic-0"]
        assert node.broker.replicas.find("topic", 0).log.durable_end == 0


async def test_many_files_take_turns(seen):
    async with running(seen.settings, seen.env) as node:
        await node.create("topic", partitions=5)
        client = node.connect()
        for partition in range(4):
            await produce(client, "topic", batch(), partition=partition)
        for expected in (["topic-0", "topic-1"], ["topic-2", "topic-3"], ["topic-4"]):
            await produce(client, "topic", batch(bytes(STEP_BYTES)), partition=4)
            await wait_all_tasks_blocked()
            assert seen.take() == expected


async def test_what_waits_for_its_sync_needs_no_step(seen):
    async with running({**seen.settings, "kbroker.durability": "synced"}, seen.env) as node:
        await node.create("topic")
        await produce(node.connect(), "topic", batch(bytes(2 * STEP_BYTES)))
        await wait_all_tasks_blocked()
        assert seen.take() == []


async def test_a_log_that_is_gone_holds_no_others_up(seen):
    async with running(seen.settings, seen.env) as node:
        await node.create("gone")
        await node.create("topic")
        client = node.connect()
        await produce(client, "gone", batch())
        assert node.broker.replicas.find("gone", 0).remove("0" * 32)
        await produce(client, "topic", batch(bytes(STEP_BYTES)))
        await wait_all_tasks_blocked()
        assert seen.take() == ["topic-0"]
