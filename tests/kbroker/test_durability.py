"""Sync rounds: nothing is acknowledged, shown or forgotten before its time, and a failing disk hits what it holds."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from broker_in_memory import (
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
    topic_request,
    values,
)
from kbroker import durability
from kbroker.durability import FILES_ONE_BY_ONE, LANES, RETRY_S, SLOW_SHARE, SyncRounds
from kbroker.env import Env, thread_runner
from kbroker_storage import MemoryFiles
from kbroker_storage.platform_calls import native, no_file_system_sync
from kbroker_wire import ErrorCode
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest
from storage_faults import FaultyFiles


class FakePlan:
    def __init__(self, log, end):
        self.log, self.end, self.leases = log, end, []
        self.fds = log.fds

    def run(self):
        if self.log.no_descriptor_to_sync:
            self.log.no_descriptor_to_sync -= 1
            raise OSError(errno.EMFILE, "too many open files")
        if self.log.fails:
            raise OSError(errno.EIO, "input/output error")


class FakeLog:
    """As much of a log as a round sees, and what a real one promises: durable is what a plan that came back covered."""

    fds = ()

    def __init__(self):
        self.end = self.durable_end = self.planned = 0
        self.fails = self.poisoned = False
        self.no_descriptor = self.no_descriptor_to_sync = 0

    def plan_flush(self):
        if self.poisoned or self.planned == self.end:
            return None
        if self.no_descriptor:
            self.no_descriptor -= 1
            raise OSError(errno.EMFILE, "too many open files")
        self.planned = self.end
        return FakePlan(self, self.end)

    def flushed(self, plan):
        self.durable_end = max(self.durable_end, plan.end)

    def flush_failed(self, plan, error):
        self.poisoned = True


class Target:
    def __init__(self):
        self.log = FakeLog()
        self.told, self.failures = [], []

    def synced(self):
        self.told.append(self.log.durable_end)

    def failed(self, error):
        self.failures.append(error)


# -- the rounds against a model


actions = st.lists(
    st.sampled_from(["append 0", "append 1", "append 2", "later 0", "later 1", "step", "finish", "flush"]), max_size=40
)


@given(actions)
@settings(max_examples=150, deadline=None)
def test_no_wakeup_is_lost_however_appends_and_rounds_interleave(script):
    """Whatever was due when everything has come to rest is durable, and its target was told of its last end."""
    targets = [Target() for _ in range(3)]
    gate = Gate()

    async def play():
        rounds = SyncRounds(replace(Env.in_memory(), run_blocking=gate.run))
        gate.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rounds.run)
            for action in script:
                if action == "step":
                    await trio.lowlevel.checkpoint()
                elif action == "finish":
                    gate.open()
                    await trio.lowlevel.checkpoint()
                    gate.close()
                elif action == "flush":
                    nursery.start_soon(rounds.round)
                else:
                    target = targets[int(action[-1])]
                    target.log.end += 1
                    rounds.due(target) if action.startswith("append") else rounds.due_within(target, 5)
            gate.open()
            await trio.sleep(6)
            nursery.cancel_scope.cancel()

    trio.run(play, clock=MockClock(autojump_threshold=0))
    for target in targets:
        assert target.log.durable_end == target.log.end
        assert target.told[-1:] == ([target.log.end] if target.log.end else [])


async def test_those_who_come_while_a_round_runs_share_the_next_one(autojump_clock):
    gate = Gate()
    rounds = SyncRounds(replace(Env.in_memory(), run_blocking=gate.run))
    targets = [Target() for _ in range(5)]
    gate.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        for target in targets:
            target.log.end += 1
            rounds.due(target)
            await wait_all_tasks_blocked()
        assert gate.held == 1
        assert [target.log.planned for target in targets] == [1, 0, 0, 0, 0]
        runs = 0

        async def counted(work):
            nonlocal runs
            runs += 1
            return work()

        rounds._env = replace(rounds._env, run_blocking=counted)
        gate.open()
        await wait_all_tasks_blocked()
        assert runs == LANES == 4
        assert all(target.told == [1] for target in targets)
        nursery.cancel_scope.cancel()


async def test_who_asks_for_a_round_waits_for_the_one_that_runs(autojump_clock):
    gate = Gate()
    rounds, target = SyncRounds(replace(Env.in_memory(), run_blocking=gate.run)), Target()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        gate.close()
        target.log.end = 1
        rounds.due(target)
        await wait_all_tasks_blocked()
        asked = trio.Event()

        async def ask():
            await rounds.round()
            assert target.log.durable_end == 1
            asked.set()

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert not asked.is_set()
        gate.open()
        await asked.wait()
        nursery.cancel_scope.cancel()


async def test_a_failing_sync_is_told_to_its_target_alone(autojump_clock):
    rounds = SyncRounds(Env.in_memory())
    good, bad = Target(), Target()
    bad.log.fails = True
    for target in (good, bad):
        target.log.end = 1
        rounds.due(target)
    await rounds.round()
    assert (good.told, good.failures) == ([1], [])
    assert (bad.told, [error.errno for error in bad.failures]) == ([], [errno.EIO])


async def test_a_round_syncs_side_by_side_and_tells_each_target_its_own(autojump_clock):
    gate = Gate()
    rounds = SyncRounds(replace(Env.in_memory(), run_blocking=gate.run))
    targets = [Target() for _ in range(2 * LANES + 1)]
    for at, target in enumerate(targets):
        target.log.end, target.log.fails = at + 1, at in (2, 6)  # which are of one thread
        rounds.due(target)
    gate.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.round)
        await wait_all_tasks_blocked()
        assert gate.held == LANES
        assert not any(target.told or target.failures for target in targets)
        gate.open()
    assert [at for at, target in enumerate(targets) if target.failures] == [2, 6]
    assert [target.log.durable_end for target in targets] == [1, 2, 0, 4, 5, 6, 0, 8, 9]


async def test_a_file_that_can_not_be_opened_now_is_synced_later(autojump_clock):
    rounds = SyncRounds(Env.in_memory())
    target = Target()
    target.log.end, target.log.no_descriptor, target.log.no_descriptor_to_sync = 1, 3, 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        rounds.due(target)
        await trio.sleep(10 * RETRY_S)
        assert (target.told, target.failures) == ([1], [])
        nursery.cancel_scope.cancel()


async def test_what_can_not_be_synced_for_a_minute_is_said_a_few_times(autojump_clock, caplog):
    rounds = SyncRounds(Env.in_memory())
    targets = [Target(), Target()]
    for target in targets:
        target.log.end, target.log.no_descriptor = 1, 10_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        for target in targets:
            rounds.due(target)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert all(target.log.no_descriptor < 9500 for target in targets), "it was tried again and again"
    assert 5 <= len([record for record in caplog.records if "can not sync" in record.message]) <= 7


class FileSystem(MemoryFiles):
    """Answers a syncfs with the next of `answers`, if these are not at their end; each takes `takes_s`."""

    def __init__(self, monkeypatch, answers, takes_s=0.0):
        super().__init__()
        self.answers, self.asked, self.takes_s, self.now = answers, [], takes_s, 1000.0
        monkeypatch.setattr(durability, "monotonic", lambda: self.now)
        monkeypatch.setattr(FakeLog, "fds", [7])
        self.rounds = SyncRounds(replace(Env.in_memory(), files=self))

    def sync_file_system(self, fd):
        self.asked.append(fd)
        self.now += self.takes_s
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def round_of(self, count):
        targets = [Target() for _ in range(count)]
        for target in targets:
            target.log.end = 1
            self.rounds.due(target)
        await self.rounds.round()
        return targets


async def test_after_a_failing_syncfs_files_are_synced_one_by_one(monkeypatch):
    """The file system tells of an error once, a file tells it to whoever syncs that file."""
    disk = FileSystem(monkeypatch, [OSError(errno.EIO, "input/output error")])
    for failed in (True, False):
        targets = await disk.round_of(5)
        assert [bool(target.failures) for target in targets] == [failed] * 5
        assert [target.log.durable_end for target in targets] == [0 if failed else 1] * 5
    assert disk.asked == [7]


async def test_a_file_system_that_can_not_be_synced_as_a_whole_is_asked_once(monkeypatch):
    disk = FileSystem(monkeypatch, [False])
    for _ in range(2):
        assert [target.log.durable_end for target in await disk.round_of(5)] == [1] * 5
    assert disk.asked == [7]


async def test_a_single_file_is_synced_by_itself(monkeypatch):
    disk = FileSystem(monkeypatch, [])
    assert [target.told for target in await disk.round_of(1)] == [[1]]


async def test_a_slow_syncfs_is_not_soon_asked_again_except_for_very_many_files(monkeypatch):
    """It waits for other programs' files as well."""
    disk = FileSystem(monkeypatch, [True] * 4, takes_s=1.0)
    await disk.round_of(5)
    disk.now += 0.9 / SLOW_SHARE
    assert [target.told for target in await disk.round_of(5)] == [[1]] * 5
    assert len(disk.asked) == 1
    await disk.round_of(FILES_ONE_BY_ONE + 1)
    assert len(disk.asked) == 2
    disk.now += 1.0 / SLOW_SHARE
    await disk.round_of(5)
    assert len(disk.asked) == 3


async def test_a_quick_syncfs_is_asked_at_each_round(monkeypatch):
    disk = FileSystem(monkeypatch, [True] * 3, takes_s=0.0002)
    for _ in range(3):
        assert [target.told for target in await disk.round_of(5)] == [[1]] * 5
    assert len(disk.asked) == 3


async def test_a_round_never_holds_more_files_open_than_it_may(monkeypatch):
    monkeypatch.setattr(durability, "FILES_AT_ONCE", 3)
    gate = Gate()
    rounds = SyncRounds(replace(Env.in_memory(), run_blocking=gate.run))
    targets = [Target() for _ in range(10)]
    for target in targets:
        target.log.end = 1
        rounds.due(target)
    gate.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.round)
        await wait_all_tasks_blocked()
        assert [target.log.planned for target in targets] == [1, 1, 1] + [0] * 7
        gate.open()
    assert [target.told for target in targets] == [[1]] * 10


async def test_a_later_due_time_does_not_put_off_an_earlier_one(autojump_clock):
    rounds = SyncRounds(Env.in_memory())
    target = Target()
    target.log.end = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        rounds.due_within(target, 3600)
        rounds.due_within(target, 1)
        rounds.due_within(target, 1800)
        await trio.sleep(2)
        assert target.told == [1]
        nursery.cancel_scope.cancel()


async def test_a_round_that_is_cancelled_as_it_begins_still_brings_its_plans_back(autojump_clock):
    """A broker that stops cancels the rounds; what they had taken would never become durable again."""
    rounds = SyncRounds(replace(Env.in_memory(), run_blocking=thread_runner()))
    target = Target()
    target.log.end = 1
    rounds.due(target)
    with trio.CancelScope() as scope:
        scope.cancel()
        await rounds.round()
    assert target.log.durable_end == 1


# -- syncfs


@pytest.mark.parametrize(("whole", "least", "most"), [(True, 0, 0), (False, 5, 15)])  # two indexes each
async def test_dirty_files_are_synced_at_once_where_that_can_be_done(tmp_path, whole, least, most):
    single, systems = [], []

    def sync_file_system(fd):
        systems.append(fd)
        return whole

    calls = native()._replace(sync_data=single.append, sync_file_system=sync_file_system)
    files, asked = await _syncs_of_one_produce(tmp_path, calls, 5, single, systems)
    assert least <= files <= most
    assert asked == 1


async def _syncs_of_one_produce(tmp_path, calls, count, single, whole):
    """How many files, and how many file systems, were synced for a Produce to `count` partitions."""
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env(calls)) as node:
        await node.create("many", partitions=count)
        client = node.connect()
        single.clear()
        whole.clear()
        response = await client.ask(produce_request("many", [batch()] * count), 12)
        assert [row.error_code for row in response.responses[0].partition_responses] == [0] * count
        marks = [node.broker.replicas.find("many", index).high_watermark for index in range(count)]
        assert marks == [1] * count
        return len(single), len(whole)


# -- what a broker promises


@pytest.mark.parametrize("at_once", [False, True], ids=["each-file", "syncfs"])
async def test_no_synced_answer_to_acks_all_precedes_the_sync_of_its_bytes(tmp_path, at_once):
    """Counted at the door: each sync tells how much of the files it covered."""
    covered = {}

    def cover(statuses):
        for status in statuses:
            covered[status.st_ino] = max(covered.get(status.st_ino, 0), status.st_size)

    def sync_data(fd):
        status = os.fstat(fd)
        os.fdatasync(fd)
        cover([status])

    def sync_file_system(fd):
        statuses = [path.stat() for path in log_files]
        os.sync()
        cover(statuses)
        return True

    calls = native()._replace(
        sync_data=sync_data, sync_file_system=sync_file_system if at_once else no_file_system_sync
    )
    env = replace(disk_env(calls), run_blocking=thread_runner())
    log_files = []
    async with running({"log.dirs": str(tmp_path / "data")}, env) as node:
        await node.create("topic", partitions=3)
        log_files += [tmp_path / "data" / f"topic-{index}" / f"{0:020}.log" for index in range(3)]
        data = batch(b"v" * 100)

        async def writer(number):
            client = node.connect()
            index = number % 3
            for _ in range(4):
                for _ in range(5):
                    await client.send(produce_request("topic", data, partition=index), 12)
                for _ in range(5):
                    row = produced(await client.receive())
                    needed = (row.base_offset + 1) * len(data)
                    assert covered[log_files[index].stat().st_ino] >= needed

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(writer, number)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
async def node(gate):
    async with running(env=replace(Env.in_memory(), run_blocking=gate.run)) as node:
        await node.create("topic")
        yield node
        gate.open()


@pytest.mark.parametrize("acks", [0, 1, -1])
async def test_a_record_is_not_readable_before_its_sync_round_whatever_its_acks(node, gate, acks, autojump_clock):
    writer, reader = node.connect(), node.connect()
    gate.close()
    frame = writer.frame(produce_request("topic", batch(b"new"), acks=acks), 12, answered=acks != 0)
    await writer.stream.send_all(frame)
    if acks == 1:
        assert produced(await writer.receive()).base_offset == 0
    row = await fetch(reader, "topic", wait_ms=5000)
    assert (row.high_watermark, values(row)) == (0, [])
    await reader.send(fetch_request("topic", wait_ms=60_000), 12)
    await wait_all_tasks_blocked()
    gate.open()
    row = fetched(await reader.receive())
    assert (row.high_watermark, values(row)) == (1, [b"new"])
    assert trio.current_time() < 6


async def test_a_duplicate_is_not_answered_before_the_originals_sync_round(node, gate, autojump_clock):
    first, second = node.connect(), node.connect()
    producer = (await first.ask(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=0))).producer_id
    data = batch(b"once", producer_id=producer, producer_epoch=0, base_sequence=0)
    gate.close()
    await first.send(produce_request("topic", data), 12)
    await wait_all_tasks_blocked()
    await second.send(produce_request("topic", data), 12)
    await wait_all_tasks_blocked()
    assert not second.has_answer()
    gate.open()
    assert [produced(await client.receive()).base_offset for client in (first, second)] == [0, 0]
    assert values(await fetch(first, "topic")) == [b"once"]


async def test_in_relaxed_mode_a_record_is_acknowledged_and_readable_at_once(gate):
    more = {"kbroker.durability": "relaxed"}
    async with running(more, replace(Env.in_memory(), run_blocking=gate.run)) as node:
        await node.create("topic")
        client = node.connect()
        gate.close()
        assert (await produce(client, "topic", batch(b"now"))).error_code == ErrorCode.NONE
        assert values(await fetch(client, "topic")) == [b"now"]
        gate.open()


async def test_in_relaxed_mode_a_topic_may_ask_for_a_sync_of_every_message(gate, autojump_clock):
    more = {"kbroker.durability": "relaxed"}
    async with running(more, replace(Env.in_memory(), run_blocking=gate.run)) as node:
        await node.create("careful", configs={"flush.messages": "1"})
        client = node.connect()
        gate.close()
        await client.send(produce_request("careful", batch()), 12)
        await wait_all_tasks_blocked()
        assert not client.has_answer()
        gate.open()
        assert produced(await client.receive()).error_code == ErrorCode.NONE


async def test_a_topic_is_not_shown_before_the_metadata_log_is_synced(node, gate, autojump_clock):
    client = node.connect()
    gate.close()
    await client.send(topic_request("later"), 7)
    await wait_all_tasks_blocked()
    assert not client.has_answer()
    assert "later" not in node.broker.image.topic_ids
    gate.open()
    assert (await client.receive()).topics[0].error_code == ErrorCode.NONE
    assert "later" in node.broker.image.topic_ids


class Disk:
    """A disk that can be told to fail, at the files door."""

    def __init__(self):
        self.bad = set()
        self.write_fails_after = None
        original = native()

        def sync_data(fd):
            if any(name in os.readlink(f"/proc/self/fd/{fd}") for name in self.bad):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            original.sync_data(fd)

        def write_at(fd, buffers, position):
            if self.write_fails_after is None or f"{0:020}.log" not in os.readlink(f"/proc/self/fd/{fd}"):
                return original.write_at(fd, buffers, position)
            some = b"".join(buffers)[: self.write_fails_after]
            if not some:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.write_fails_after -= len(some)
            return original.write_at(fd, [some], position)

        self.calls = original._replace(sync_data=sync_data, write_at=write_at, sync_file_system=no_file_system_sync)


linux_only = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="file names come from /proc")


@linux_only
async def test_a_failing_fdatasync_takes_only_its_partition_offline(tmp_path):
    disk = Disk()
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env(disk.calls)) as node:
        await node.create("topic", partitions=2)
        client = node.connect()
        await produce(client, "topic", batch(b"safe"))
        disk.bad.add("topic-0/")
        rows = (await client.ask(produce_request("topic", [batch(b"lost"), batch(b"fine")]), 12)).responses[0]
        codes = [row.error_code for row in rows.partition_responses]
        assert codes == [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NONE]
        disk.bad.clear()  # a second sync would say that all is well: it is not asked
        assert (await produce(client, "topic", batch())).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        row = await fetch(client, "topic")
        assert (row.error_code, values(row)) == (ErrorCode.KAFKA_STORAGE_ERROR, [])
        row = await fetch(client, "topic", partition=1)
        assert values(row) == [b"fine"]
        assert node.broker.replicas.find("topic", 0).high_watermark == 1
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env()) as node:
        client = node.connect()
        row = await fetch(client, "topic")
        assert values(row)[0] == b"safe"


@linux_only
async def test_a_failing_fdatasync_wakes_a_parked_fetch_with_an_error(tmp_path, autojump_clock):
    disk = Disk()
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env(disk.calls)) as node:
        await node.create("topic")
        reader, writer = node.connect(), node.connect()
        await reader.send(fetch_request("topic", wait_ms=600_000), 12)
        await wait_all_tasks_blocked()
        disk.bad.add("topic-0/")
        await produce(writer, "topic", batch())
        assert fetched(await reader.receive()).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert trio.current_time() < 600


@linux_only
async def test_a_metadata_log_that_can_not_be_synced_refuses_and_the_topics_go_on(tmp_path):
    disk = Disk()
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env(disk.calls)) as node:
        await node.create("topic")
        client = node.connect()
        disk.bad.add("__cluster_metadata-0/")
        for name in ("one", "two"):
            [row] = (await client.ask(topic_request(name))).topics
            assert row.error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert "one" not in node.broker.image.topic_ids
        assert (await produce(client, "topic", batch())).error_code == ErrorCode.NONE


@linux_only
@pytest.mark.parametrize("written", [0, 1, 40])
async def test_a_short_write_is_undone_and_the_next_append_succeeds(tmp_path, written):
    disk = Disk()
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env(disk.calls)) as node:
        await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch(b"before"))
        disk.write_fails_after = written
        row = await produce(client, "topic", batch(b"torn"))
        assert (row.error_code, row.base_offset) == (ErrorCode.KAFKA_STORAGE_ERROR, -1)
        assert values(await fetch(client, "topic")) == [b"before"]
        disk.write_fails_after = None
        assert (await produce(client, "topic", batch(b"after"))).base_offset == 1
        assert values(await fetch(client, "topic")) == [b"before", b"after"]


async def test_a_write_that_can_not_be_undone_answers_who_waits_for_its_partitions_sync(gate, autojump_clock):
    files = FaultyFiles()
    async with running(env=replace(Env.in_memory(), run_blocking=gate.run, files=files)) as node:
        await node.create("topic")
        waiting, failing = node.connect(), node.connect()
        await produce(waiting, "topic", batch())
        gate.close()
        await waiting.send(produce_request("topic", batch()), 12)
        await wait_all_tasks_blocked()
        files.fail("append", number=errno.EIO)
        files.fail("truncate", number=errno.EIO)
        assert (await produce(failing, "topic", batch())).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert produced(await waiting.receive()).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        gate.open()


async def test_a_metadata_log_that_can_not_be_mended_answers_who_waits_for_its_sync(gate, autojump_clock):
    files = FaultyFiles()
    async with running(env=replace(Env.in_memory(), run_blocking=gate.run, files=files)) as node:
        waiting, failing = node.connect(), node.connect()
        gate.close()
        await waiting.send(topic_request("a"), 7)
        await wait_all_tasks_blocked()
        files.fail("append", number=errno.EIO)
        files.fail("truncate", number=errno.EIO)
        for client, request in ((failing, "b"), (waiting, None)):
            response = await (client.receive() if request is None else client.ask(topic_request(request)))
            assert response.topics[0].error_code == ErrorCode.KAFKA_STORAGE_ERROR
        gate.open()


async def test_a_new_partitions_folder_that_can_not_be_labelled_takes_no_record():
    files = FaultyFiles()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        await node.create("topic")
        client = node.connect()
        files.fail("replace")
        assert (await produce(client, "topic", batch(b"once"))).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert (await produce(client, "topic", batch(b"once"))).base_offset == 0
        assert values(await fetch(client, "topic")) == [b"once"]
        assert b"topic_id: " in files.read("/data/topic-0/partition.metadata")


async def test_a_log_that_can_not_be_opened_for_want_of_a_descriptor_is_opened_later():
    files = FaultyFiles()
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        await node.create("topic")
        await produce(node.connect(), "topic", batch(b"kept"))
    async with running(env=replace(Env.in_memory(), files=files)) as node:
        client = node.connect()
        files.fail("open", number=errno.EMFILE)
        assert (await fetch(client, "topic")).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert values(await fetch(client, "topic")) == [b"kept"]


@linux_only
async def test_a_full_disk_is_told_to_clients_each_time_and_to_the_log_once_in_a_while(
    tmp_path, caplog, autojump_clock
):
    disk = Disk()
    async with running({"log.dirs": str(tmp_path / "data")}, disk_env(disk.calls)) as node:
        await node.create("topic")
        client = node.connect()
        await produce(client, "topic", batch(b"fits"))
        disk.write_fails_after = 0
        for _ in range(3):
            assert (await produce(client, "topic", batch())).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        said = [each for each in caplog.messages if "takes no records" in each]
        assert len(said) == 1
        assert "No space left on device" in said[0]
        disk.write_fails_after = None  # space is back: no restart is needed
        assert (await produce(client, "topic", batch(b"again"))).base_offset == 1
