"""The shell around machines, with a machine that keeps one text a key, over a real partition."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import NOW_MS, Gate, Node, disk_env, running
from kbroker.call import Parked
from kbroker.coordinators import loading
from kbroker.coordinators.machine import Now, Record, Reply, Step
from kbroker.coordinators.runtime import Coordinator, Request, Several, in_batches, partition_of
from kbroker.coordinators.topics import CONSUMER_OFFSETS, consumer_offsets
from kbroker.env import Env
from kbroker.errors import Refusal
from kbroker.metadata.image import Delta, Image
from kbroker.partition import Partition
from kbroker_storage import WriteFailed
from kbroker_wire import ErrorCode
from kbroker_wire.messages.coordinator_records import GROUP_RECORDS, decode_record
from kbroker_wire.messages.group_records import OffsetCommitKey, OffsetCommitValue
from kbroker_wire.messages.heartbeat import HeartbeatResponse
from kbroker_wire.records import Record as LogRecord
from kbroker_wire.schema import Message


def answer(code: int) -> HeartbeatResponse:
    return HeartbeatResponse(error_code=code)


def refused(code: ErrorCode, message: str | None) -> Message:
    del message
    return answer(code)


class Texts:
    """Keeps a text a key; answers with how many there are, or at a deadline."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.deadline: float | None = None
        self.waiting: list[object] = []
        self.ended: list[tuple[int, bool]] = []

    def put(self, key: str, text: str) -> Step:
        if not key:
            raise Refusal(ErrorCode.INVALID_REQUEST)
        self.texts[key] = text
        record = Record(
            OffsetCommitKey(group=key, topic=CONSUMER_OFFSETS, partition=0),  # a topic that is there
            OffsetCommitValue(offset=0, metadata=text, commit_timestamp=0),
        )
        return Step(response=answer(len(self.texts)), records=[record])

    def break_down(self) -> Step:
        """As no machine should."""
        self.texts["broken"] = ""
        raise KeyError("broken")

    def count(self) -> Step:
        return Step(response=answer(len(self.texts)))

    def put_and_settle(self, key: str) -> Step:
        """Writes, and answers those who wait and do not depend on that."""
        step = self.put(key, "")
        step.safe_replies = [Reply(ticket, answer(len(self.texts))) for ticket in self.waiting]
        self.waiting = []
        return step

    def wait_until(self, deadline: float, ticket: object) -> Step:
        self.deadline = deadline
        self.waiting.append(ticket)
        return Step()

    def tick(self, now: Now) -> Step:
        assert self.deadline is not None
        assert now.s >= self.deadline
        self.deadline = None
        replies = [Reply(ticket, answer(len(self.texts))) for ticket in self.waiting]
        self.waiting = []
        return Step(replies=replies)

    def replay(self, key: bytes | memoryview, value: bytes | memoryview | None, producer_id: int) -> None:
        assert producer_id == -1
        decoded, text = decode_record(GROUP_RECORDS, key, value)
        assert isinstance(decoded, OffsetCommitKey)
        assert isinstance(text, OffsetCommitValue)
        self.texts[decoded.group] = text.metadata

    def replay_end(self, producer_id: int, *, commit: bool) -> None:
        self.ended.append((producer_id, commit))

    def loaded(self, now: Now) -> Step:
        del now
        return Step()


def first(answers: list[Message]) -> Message:
    return answers[0]


class TextCoordinator(Coordinator[Texts]):
    def new_machine(self, partition: Partition) -> Texts:
        del partition
        return Texts()

    def put(self, key: str, text: str = "") -> Message | Request:
        return self.perform(key, lambda machine, _, __: machine.put(key, text), refused)

    def count(self, key: str) -> Message | Request:
        return self.perform(key, lambda machine, _, __: machine.count(), refused)


def coordinator(node: Node, env: Env) -> TextCoordinator:
    broker = node.broker
    return TextCoordinator(env, broker.replicas, broker.controller, consumer_offsets(broker.config))


@asynccontextmanager
async def coordinating(
    env: Env | None = None, *, loading: bool = True, **more: str
) -> AsyncIterator[tuple[Node, TextCoordinator]]:
    """A broker, and a coordinator of one partition beside it."""
    env = env or replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    options = {"offsets.topic.num.partitions": "1", "kbroker.durability": "relaxed", **more}
    async with running(options, env) as node, trio.open_nursery() as nursery:
        texts = coordinator(node, env)
        await texts.ensure_topic()
        texts.publish(node.broker.image, everything(node))
        if loading:
            nursery.start_soon(texts.run)
            await texts.machines()
        yield node, texts
        nursery.cancel_scope.cancel()


def everything(node: Node) -> Delta:
    return Delta(topics=set(node.broker.image.topics))


async def outcome(answer: Message | Parked) -> int:
    """The error code that comes, now or later."""
    if isinstance(answer, Parked):
        done = trio.Event()
        answer.on_ready = done.set
        if not answer.ready:
            await done.wait()
        answer = answer.answer()
    assert isinstance(answer, HeartbeatResponse)
    return answer.error_code


@contextmanager
def failing(partition: Partition, error: Exception | None = None) -> Iterator[None]:
    """Every append fails, as on a full disk if not told otherwise."""
    opened = partition.log
    append, full = opened.append_leader, error or WriteFailed("/data", OSError(errno.ENOSPC, "full"))

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(opened, name)

        def append_leader(self, *_: object, **__: object) -> None:
            raise full

    partition._log = Full()  # type: ignore[assignment]
    try:
        yield
    finally:
        assert append is not None
        partition._log = opened


@pytest.mark.parametrize(
    ("key", "partition"), [("", 0), ("a", 47), ("console-consumer-1234", 9), ("grüppe", 12), ("\U0001f600", 49)]
)
def test_keys_are_found_where_java_clients_look_for_them(key: str, partition: int) -> None:
    assert partition_of(key, 50) == partition  # Math.abs(key.hashCode()) % 50


def test_the_one_hash_without_a_positive_counterpart_is_partition_0() -> None:
    assert partition_of("polygenelubricants", 50) == 0  # its hashCode is Integer.MIN_VALUE


async def test_what_was_written_is_there_after_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    async with coordinating(env) as (_, texts):
        assert await outcome(texts.put("a", "one")) == 1
        assert await outcome(texts.put("b", "two")) == 2
        assert await outcome(texts.put("a", "three")) == 2
    async with coordinating(env) as (_, texts):
        [machine] = await texts.machines()
        assert machine.texts == {"a": "three", "b": "two"}


async def test_a_request_before_the_state_is_loaded_waits_for_it(autojump_clock: trio.testing.MockClock) -> None:
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS)
    async with coordinating(env) as (_, texts):
        await outcome(texts.put("a"))
    async with coordinating(env, loading=False) as (_, texts), trio.open_nursery() as nursery:
        early, refusal = texts.count("a"), texts.put("")
        assert isinstance(early, Parked)
        assert not early.ready
        left = texts.put("gone")
        assert isinstance(left, Request)
        left.drop()
        nursery.start_soon(texts.run)
        assert await outcome(early) == 1
        assert await outcome(texts.count("a")) == 1, "what a client asked that has left meanwhile"
        assert await outcome(refusal) == ErrorCode.INVALID_REQUEST
        nursery.cancel_scope.cancel()


async def test_refusals_and_keys_without_coordinator_are_answered_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating() as (node, texts):
        answered = texts.put("")
        assert isinstance(answered, HeartbeatResponse)
        assert answered.error_code == ErrorCode.INVALID_REQUEST
        assert await outcome(texts.put("ü" * 16_383)) == 1
        assert await outcome(texts.put("ü" * 16_384)) == ErrorCode.INVALID_REQUEST
        other = coordinator(node, Env.in_memory())
        assert await outcome(other.put("a")) == ErrorCode.NOT_COORDINATOR


async def test_answers_wait_for_what_was_appended_before(autojump_clock: trio.testing.MockClock) -> None:
    gate = Gate()
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)
    async with coordinating(env, **{"kbroker.durability": "synced"}) as (_, texts):
        gate.close()
        written, read = texts.put("a"), texts.count("a")
        assert isinstance(written, Parked)
        assert isinstance(read, Parked)
        assert not written.ready
        assert not read.ready
        gate.open()
        assert await outcome(read) == 1
        assert await outcome(written) == 1
        assert isinstance(texts.count("a"), HeartbeatResponse)


async def test_answers_wait_only_so_long_and_what_was_decided_stays(autojump_clock: trio.testing.MockClock) -> None:
    gate = Gate()
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)
    async with coordinating(env, **{"kbroker.durability": "synced"}) as (_, texts):
        texts.patience_s = 5.0
        assert await outcome(texts.put("a")) == 1
        gate.close()
        written = texts.put("b")
        began = trio.current_time()
        await trio.sleep(3)
        read, several = (
            texts.count("a"),
            texts.perform_each([("a", lambda machine, _, __: machine.count(), refused)] * 2, first),
        )
        assert await outcome(written) == ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert trio.current_time() == began + 5
        assert await outcome(read) == await outcome(several) == ErrorCode.NOT_COORDINATOR
        assert trio.current_time() == began + 8
        later = texts.put("c")
        await trio.sleep(1)
        gate.open()
        assert await outcome(later) == 3
        assert texts.count("a") == answer(3)
        await trio.sleep(60)  # nobody is answered twice


async def test_answers_that_depend_on_nothing_uncommitted_do_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    gate = Gate()
    env = replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)
    async with coordinating(env, **{"kbroker.durability": "synced"}) as (_, texts):
        waiting = [texts.perform("a", lambda machine, it, __: machine.wait_until(9.0, it), refused) for _ in "ab"]
        gate.close()
        written = texts.perform("a", lambda machine, _, __: machine.put_and_settle("a"), refused)
        assert isinstance(written, Request)
        assert not written.ready
        assert [isinstance(each, Request) and each.ready for each in waiting] == [True, True]
        gate.open()
        assert [await outcome(each) for each in (*waiting, written)] == [1, 1, 1]


async def test_a_safe_answer_is_none_if_its_records_can_not_be_written(autojump_clock: trio.testing.MockClock) -> None:
    async with coordinating() as (_, texts):
        waiting = texts.perform("a", lambda machine, it, __: machine.wait_until(9.0, it), refused)
        [shell] = texts.shells.values()
        with failing(shell.partition):
            written = texts.perform("a", lambda machine, _, __: machine.put_and_settle("a"), refused)
        assert [await outcome(each) for each in (waiting, written)] == [ErrorCode.NOT_COORDINATOR] * 2


async def test_a_waiting_request_is_answered_at_the_machines_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async with coordinating() as (_, texts):
        started = trio.current_time()
        later = texts.perform("a", lambda machine, ticket, now: machine.wait_until(now.s + 60, ticket), refused)
        sooner = texts.perform("a", lambda machine, ticket, now: machine.wait_until(now.s + 30, ticket), refused)
        assert isinstance(later, Parked)
        assert not later.ready
        assert await outcome(sooner) == 0
        assert trio.current_time() == started + 30
        assert await outcome(later) == 0


async def test_a_write_that_fails_refuses_all_who_wait_and_leaves_the_old_state(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating() as (_, texts):
        await outcome(texts.put("kept"))
        waiting = texts.perform("a", lambda machine, ticket, now: machine.wait_until(now.s + 60, ticket), refused)
        [shell] = texts.shells.values()
        with failing(shell.partition):
            assert await outcome(texts.put("lost")) == ErrorCode.NOT_COORDINATOR
            assert await outcome(waiting) == ErrorCode.NOT_COORDINATOR
            assert await outcome(texts.count("kept")) == 1
        assert await outcome(texts.put("more")) == 2


async def test_a_write_that_fails_as_nobody_foresaw_leaves_the_old_state_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating() as (_, texts):
        await outcome(texts.put("kept"))
        [shell] = texts.shells.values()
        with failing(shell.partition, MemoryError()):
            assert await outcome(texts.put("lost")) == ErrorCode.NOT_COORDINATOR
            await outcome(texts.count("kept"))
            shell.take_news(lambda machine: machine.put("lost", ""))
        assert await outcome(texts.count("kept")) == 1


async def test_a_failed_sync_ends_the_coordination(autojump_clock: trio.testing.MockClock) -> None:
    async with coordinating() as (_, texts):
        waiting = texts.perform("a", lambda machine, ticket, now: machine.wait_until(now.s + 60, ticket), refused)
        [shell] = texts.shells.values()
        shell.partition.waiters[shell] = None
        shell.partition.failed(OSError(errno.EIO, "broken"))
        assert await outcome(waiting) == ErrorCode.NOT_COORDINATOR
        assert await outcome(texts.count("a")) == ErrorCode.NOT_COORDINATOR


async def test_several_requests_are_answered_as_one(autojump_clock: trio.testing.MockClock) -> None:
    def combine(rows: list[Message]) -> Message:
        assert all(isinstance(row, HeartbeatResponse) for row in rows)
        return answer(sum(row.error_code for row in rows if isinstance(row, HeartbeatResponse)))

    async with coordinating() as (_, texts):
        at_once = texts.perform_each([("a", lambda machine, _, __: machine.put("a", ""), refused)] * 2, combine)
        assert isinstance(at_once, HeartbeatResponse)
        assert at_once.error_code == 2
        later = texts.perform_each(
            [
                ("a", lambda machine, _, __: machine.count(), refused),
                ("b", lambda machine, ticket, now: machine.wait_until(now.s + 5, ticket), refused),
                ("c", lambda machine, ticket, now: machine.wait_until(now.s + 5, ticket), refused),
            ],
            combine,
        )
        assert isinstance(later, Several)
        assert await outcome(later) == 3


async def test_what_one_request_asks_for_again_and_again_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    def combine(rows: list[Message]) -> Message:
        return answer(sum(row.error_code == 0 for row in rows if isinstance(row, HeartbeatResponse)))

    async with coordinating() as (_, texts):
        many = texts.perform_each([("a", lambda machine, _, __: machine.count(), refused)] * 1000, combine)
        assert await outcome(many) == 10


async def test_the_topic_deleted_or_led_elsewhere_is_nobodys_here(autojump_clock: trio.testing.MockClock) -> None:
    async with coordinating() as (node, texts):
        waiting = texts.perform("a", lambda machine, ticket, now: machine.wait_until(now.s + 60, ticket), refused)
        image = node.broker.image
        topic = image.topic(CONSUMER_OFFSETS)
        assert topic is not None
        await node.broker.controller.delete_topics([topic])
        texts.publish(node.broker.image, Delta(removed={topic.id: topic}))
        assert await outcome(waiting) == ErrorCode.NOT_COORDINATOR
        assert await outcome(texts.count("a")) == ErrorCode.NOT_COORDINATOR


async def test_files_on_disk_are_read_back_in_parts(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    more = {"log.dirs": str(tmp_path)}
    async with coordinating(disk_env(), **more) as (_, texts):
        for number in range(100):
            await outcome(texts.put(f"key {number}", "x" * 30_000))
    async with coordinating(disk_env(), **more) as (_, texts):
        [machine] = await texts.machines()
        assert len(machine.texts) == 100
        assert all(len(text) == 30_000 for text in machine.texts.values())


async def test_keys_of_any_length_are_found_and_short_ones_remembered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating(**{"offsets.topic.num.partitions": "50"}) as (_, texts):
        for key in ("k" * 30_000, "k" * 100):
            assert texts.partition_of(key) == texts.partition_of(key) == partition_of(key, 50)
        assert list(texts._known) == ["k" * 100]


async def test_records_that_fill_more_than_a_segment_are_written_as_several_batches(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As many tombstones as that come of a topic that is deleted; and if not now, then again at each load."""

    def put_many(machine: Texts) -> Step:
        steps = [machine.put(f"key-{n:02}", "x" * 32_000) for n in range(40)]
        return Step(response=answer(0), records=[record for step in steps for record in step.records])

    async with coordinating(**{"offsets.topic.segment.bytes": str(1 << 20)}) as (node, texts):
        assert await outcome(texts.perform("a", lambda machine, _, __: put_many(machine), refused)) == 0
        [shell] = texts.shells.values()
        assert (shell.partition.log.end, len(shell.partition.log.segments)) == (40, 2)
        [first] = texts.shells.values()
        other = coordinator(node, Env.in_memory())
        other.publish(node.broker.image, everything(node))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            [machine] = await other.machines()
            nursery.cancel_scope.cancel()
        assert list(machine.texts.items()) == list(first.machine.texts.items())


async def test_a_record_that_is_larger_than_a_segment_is_written_all_the_same(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A group of many members, or a transaction of many partitions: the state of all others hangs on it."""
    async with coordinating() as (_, texts):
        [shell] = texts.shells.values()
        shell.partition.log.config = replace(shell.partition.log.config, segment_bytes=10_000)
        for key in ("a", "b"):
            assert await outcome(texts.put(key, key * 30_000)) == len(shell.machine.texts)
        assert await outcome(texts.put("c")) == 3
        assert not caplog.messages


@given(sizes=st.lists(st.integers(0, 300)), max_bytes=st.integers(1, 500))
def test_batches_keep_the_order_and_their_size(sizes: list[int], max_bytes: int) -> None:
    records = [LogRecord(key=bytes([n % 256]), value=bytes(size)) for n, size in enumerate(sizes)]
    cut = list(in_batches(records, max_bytes))
    assert [record for batch in cut for record in batch] == records
    for batch in cut:
        assert len(batch) <= 1 or sum(33 + len(record.value or b"") for record in batch) <= max_bytes
        assert batch or not records


async def test_nobody_is_left_waiting_where_the_partition_broke_while_early_requests_were_served(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating(loading=False) as (_, texts):
        early = [texts.put("a"), texts.put("b"), texts.put("c")]
        [shell] = texts.shells.values()
        partition = shell.partition
        with failing(partition):
            broken = OSError(errno.EIO, "broken")

            def give_up(*_: object, **__: object) -> None:
                partition.waiters[shell] = None  # it waits for an earlier append to be synced
                partition.failed(broken)
                raise WriteFailed("/data", broken)

            partition._log.append_leader = give_up  # type: ignore[union-attr]
            await shell.load(Env.in_memory())
        assert [await outcome(each) for each in early] == [ErrorCode.NOT_COORDINATOR] * 3


async def test_a_partition_is_loaded_later_if_there_was_no_descriptor_to_read_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    failures = [errno.EMFILE, errno.ENFILE]

    class Short(Texts):
        def loaded(self, now: Now) -> Step:
            if failures:
                raise OSError(failures.pop(), "too many open files")
            return super().loaded(now)

    class ShortCoordinator(TextCoordinator):
        def new_machine(self, partition: Partition) -> Texts:
            return Short()

    async with coordinating() as (node, texts):
        await outcome(texts.put("a"))
        broker = node.broker
        other = ShortCoordinator(Env.in_memory(), broker.replicas, broker.controller, consumer_offsets(broker.config))
        other.publish(broker.image, everything(node))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            assert await outcome(other.count("a")) == ErrorCode.NOT_COORDINATOR
            assert await outcome(other.count("a")) == ErrorCode.NOT_COORDINATOR
            assert await outcome(other.count("a")) == 1
            nursery.cancel_scope.cancel()


async def test_who_lists_everything_does_not_wait_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    class Writing(Texts):
        def loaded(self, now: Now) -> Step:
            del now
            return self.put("a", "written at each load")

    class WritingCoordinator(TextCoordinator):
        def new_machine(self, partition: Partition) -> Texts:
            return Writing()

    async with coordinating() as (node, texts):
        broker = node.broker
        other = WritingCoordinator(Env.in_memory(), broker.replicas, broker.controller, consumer_offsets(broker.config))
        other.publish(broker.image, everything(node))
        [shell] = texts.shells.values()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            with failing(shell.partition), pytest.raises(Refusal, match="COORDINATOR_LOAD_IN_PROGRESS"):
                await other.machines()
            [machine] = await other.machines()
            assert list(machine.texts) == ["a"]
            nursery.cancel_scope.cancel()


async def test_what_no_record_can_hold_fails_alone(autojump_clock: trio.testing.MockClock) -> None:
    async with coordinating() as (_, texts):
        await outcome(texts.put("kept"))
        assert await outcome(texts.put("a", "x" * 40_000)) == ErrorCode.NOT_COORDINATOR
        assert await outcome(texts.count("a")) == 1


async def test_a_machine_that_breaks_is_made_anew_and_only_its_request_fails(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating() as (_, texts):
        await outcome(texts.put("kept"))
        broken = texts.perform("a", lambda machine, _, __: machine.break_down(), refused)
        assert await outcome(broken) == ErrorCode.UNKNOWN_SERVER_ERROR
        assert await outcome(texts.count("a")) == 1, "what the machine had changed when it broke is not kept"
        [shell] = texts.shells.values()
        shell.take_news(lambda machine: machine.break_down())
        assert await outcome(texts.count("a")) == 1


async def test_a_partition_that_nobody_can_read_has_no_coordinator(autojump_clock: trio.testing.MockClock) -> None:
    class Unreadable(Texts):
        def replay(self, key: bytes | memoryview, value: bytes | memoryview | None, producer_id: int) -> None:
            raise AssertionError("twice")

    class UnreadableCoordinator(TextCoordinator):
        def new_machine(self, partition: Partition) -> Texts:
            return Unreadable()

    async with coordinating() as (node, texts):
        await outcome(texts.put("a"))
        broker = node.broker
        other = UnreadableCoordinator(
            Env.in_memory(), broker.replicas, broker.controller, consumer_offsets(broker.config)
        )
        other.publish(broker.image, everything(node))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            assert await other.machines() == []
            assert await outcome(other.count("a")) == ErrorCode.NOT_COORDINATOR
            nursery.cancel_scope.cancel()


async def test_a_partition_whose_reads_fail_for_a_while_is_read_again(autojump_clock: trio.testing.MockClock) -> None:
    failures = [OSError(errno.EIO, "broken"), OSError(errno.EIO, "broken")]

    class Failing(Texts):
        def loaded(self, now: Now) -> Step:
            if failures:
                raise failures.pop()
            return super().loaded(now)

    class FailingCoordinator(TextCoordinator):
        def new_machine(self, partition: Partition) -> Texts:
            return Failing()

    async with coordinating() as (node, texts):
        await outcome(texts.put("a"))
        broker = node.broker
        other = FailingCoordinator(Env.in_memory(), broker.replicas, broker.controller, consumer_offsets(broker.config))
        other.publish(broker.image, everything(node))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            [machine] = await other.machines()
            assert list(machine.texts) == ["a"]
            assert await outcome(other.count("a")) == 1
            nursery.cancel_scope.cancel()


async def test_a_partition_that_takes_no_records_is_read_again_less_and_less_often(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating() as (_, texts):
        await outcome(texts.put("kept"))
        [shell] = texts.shells.values()

        async def loads_within_a_minute() -> int:
            begun, machines = trio.current_time(), set[int]()
            with failing(shell.partition):
                while trio.current_time() < begun + 60:
                    assert await outcome(texts.put("lost")) == ErrorCode.NOT_COORDINATOR
                    machines.add(id(shell.machine))
                    kept.append(shell.machine)
            return len(machines)

        kept: list[Texts] = []  # no id is used twice
        assert 5 <= await loads_within_a_minute() <= 12
        assert await outcome(texts.put("more")) == 2
        begun = trio.current_time()
        with failing(shell.partition):
            assert await outcome(texts.put("lost")) == ErrorCode.NOT_COORDINATOR
        assert await outcome(texts.count("kept")) == 2
        assert trio.current_time() == begun + 1, "after a success it begins anew"


async def test_who_waits_for_a_partition_to_be_read_is_not_held_up_by_one_that_is_put_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with coordinating(**{"offsets.topic.num.partitions": "2"}) as (node, texts):
        first, second = "a", "b"
        assert texts.partition_of(first) != texts.partition_of(second)
        shell = texts.shell(first)
        assert shell is not None
        with failing(shell.partition):
            assert await outcome(texts.put(first)) == ErrorCode.NOT_COORDINATOR
        await wait_all_tasks_blocked()
        begun = trio.current_time()
        other = texts.shell(second)
        assert other is not None
        other.resign()
        del texts.shells[other.partition.index]
        texts.publish(node.broker.image, everything(node))
        assert await outcome(texts.count(second)) == 0
        assert trio.current_time() == begun


async def test_a_partition_that_is_offline_is_not_read_again_and_again(autojump_clock: trio.testing.MockClock) -> None:
    async with coordinating() as (_, texts):
        waiting = texts.perform("a", lambda machine, ticket, now: machine.wait_until(now.s + 60, ticket), refused)
        [shell] = texts.shells.values()
        shell.partition.failed(OSError(errno.EIO, "broken"))
        machine = shell.machine
        with failing(shell.partition):
            shell.take_news(lambda machine: machine.put("a", ""))
        assert await outcome(waiting) == ErrorCode.NOT_COORDINATOR
        await trio.sleep(60)
        assert shell.gone
        assert shell.machine is machine


async def test_a_topic_that_is_deleted_while_it_is_read_is_no_damage(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "READ_BYTES", 1)
    gate = Gate()
    async with coordinating(replace(Env.in_memory(), now_ms=lambda: NOW_MS, run_blocking=gate.run)) as (node, texts):
        await outcome(texts.put("a"))
        await outcome(texts.put("b"))
        broker = node.broker
        other = TextCoordinator(
            replace(Env.in_memory(), run_blocking=gate.run),
            broker.replicas,
            broker.controller,
            consumer_offsets(broker.config),
        )
        other.publish(broker.image, everything(node))
        early = other.count("a")
        async with trio.open_nursery() as nursery:
            gate.close()
            nursery.start_soon(other.run)
            await wait_all_tasks_blocked()
            topic = broker.image.topic(CONSUMER_OFFSETS)
            assert topic is not None
            [shell] = other.shells.values()
            shell.partition.remove("0" * 32)
            other.publish(Image(), Delta(removed={topic.id: topic}))
            gate.open()
            assert await outcome(early) == ErrorCode.NOT_COORDINATOR
            await wait_all_tasks_blocked()
            assert other.shells == {}
            nursery.cancel_scope.cancel()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
