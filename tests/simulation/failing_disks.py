"""A broker whose disk gets full, has no descriptor left, or can not sync, and a client that remembers what it was told.

Other than in `simulation`, where processes die within the calls of a disk that works, here the calls fail and the
process goes on. The client asks for one thing after the other, so it knows of each record whether it must be there,
may be, or never may. At the end of each life of the broker the disk is well again; then the broker is stopped, or its
process is killed, or the power is cut, as the ordeal has it, and what the next one finds is compared.
"""

from __future__ import annotations

import errno
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import trio
from history import Partition

from kbroker.errors import Refusal
from kbroker_storage import StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kbroker_wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kbroker_wire.messages.end_txn import EndTxnRequest
from kbroker_wire.messages.find_coordinator import GROUP, TRANSACTION, FindCoordinatorRequest
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest
from kbroker_wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kbroker_wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from storage_faults import FaultyFiles

from . import deterministic
from .client import PASSING, Lost, name_of
from .files import SimFiles
from .judge import Judge
from .ledger import Ledger
from .members import partitions_of
from .records import COMMITTED, UNCOMMITTED, ProducerState, batch_of, produce_request, produced
from .simulation import Verdict
from .world import Mode, World

LIVES = 8
TOPIC, CHURNED = ("topic", 0), ("churned", 0)
SEGMENT_BYTES = {"topic": 1500, "churned": 1500}
NOBODY = ProducerState(-1, -1)
IDS, GROUPS = 3, 4
IN_TRANSACTIONS = "in-transactions"  # the group whose offsets they commit

FAILS = 0.15  # chance before each request that a call is chosen that will fail
HEALS = 0.1
FULL_IN_THE_END = 0.5  # chance that the last records of a life are refused
STAYS = 0.2  # of the failures: the calls behind that one fail, too
SYNCED_AGAIN_S = 3.0  # after so long what is due has been synced by a disk that is well
LONG_S = 100.0  # every retry and timeout is over
HANGS_S = 20_000.0
FULL = (*["append"] * 5, *["create"] * 2, *["open"] * 3, *["remove"] * 2, "replace", "make_directory", "read")
SYNCS = ("sync", "sync", "sync_directory", "sync_path")
SOON = (1, 1, 1, 2, 3, 4)  # which of the next calls of its kind it is
WRITTEN = (0, 10, 61, 10_000, 10_000)  # bytes that a failing write has written; the last is all of them

# What a client may be told while the disk fails; the second one where a transaction's coordinator can not answer.
REFUSALS = PASSING | {ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_ENOUGH_REPLICAS}


class Ordeal(NamedTuple):
    """calls: the kinds that fail, as FaultyFiles has them."""

    calls: tuple[str, ...]
    power_cuts: bool


ORDEALS = {
    "kills": Ordeal(FULL, power_cuts=False),
    "power-cuts": Ordeal(FULL, power_cuts=True),
    "syncs": Ordeal((*FULL, *SYNCS), power_cuts=True),
}


def suffer(ordeal: str, seed: int, lives: int = LIVES, listener: Callable[[str], None] | None = None) -> Verdict:
    """Run one of the ORDEALS; see `simulation.simulate`."""
    world = FailingDisk(seed, ORDEALS[ordeal], lives)
    world.listener = listener
    ledger = Ledger()

    async def main() -> float:
        with trio.move_on_after(HANGS_S) as scope:
            await world.live_with(Sufferer(world, ledger, "sufferer"))
        if scope.cancelled_caught:
            world.anomaly("the simulation hangs")
        return trio.current_time()

    lasted_s = deterministic.run(seed, main)
    return Verdict(seed, world.anomalies, world.trace, world.faults, ledger.progress, lasted_s)


class FailingDisk(World):
    """The broker's lives. `unsure`: a sync was to fail in this one, so nobody knows what is on the disk."""

    def __init__(self, seed: int, ordeal: Ordeal, lives: int) -> None:
        relaxed = not ordeal.power_cuts and seed % 2
        super().__init__(seed, Mode("relaxed" if relaxed else "synced", ordeal.power_cuts, roll_ms=60_000), lives)
        self.ordeal = ordeal
        self.unsure = False
        self._failing = FaultyFiles(self._files)

    async def live_with(self, client: Sufferer) -> None:
        with self._heard():
            for number in range(self._lives):
                fault = self.draw.choice(("stop", "die", "die", "die"))
                self.faults.append(fault)
                await self._life(partial(client.session, first=not number, end=fault), fault)
            await self._life(client.judge, "stop")

    async def _life(self, story: Callable[[], Awaitable[None]], end: str) -> None:
        files = self._files = SimFiles(self.disk, self.draw, partial(self.note, "disk"))
        self._failing = FaultyFiles(files)
        self.unsure = False
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._process, self._failing, stop, nursery.cancel_scope)
            await story()
            self.note("broker", end)
            if end == "stop":
                stop.set()
            else:
                files.dead = True
                self.network.kill()
                nursery.cancel_scope.cancel()
        if end == "die" and self.ordeal.power_cuts:
            self.disk.crash(self.draw)

    def fail(self, draw: random.Random) -> None:
        """One of the next calls."""
        call = draw.choice(self.ordeal.calls)
        number = errno.ENOSPC if draw.random() < 0.7 else errno.EMFILE
        if call in SYNCS:
            number, self.unsure = errno.EIO, True
        elif call in {"open", "read"}:
            number = errno.EMFILE
        stays = draw.random() < STAYS
        self.note("disk", f"a {call} will fail with {errno.errorcode[number]}{', and all behind it' * stays}")
        self._failing.fail(call, draw.choice(SOON), number, partial=draw.choice(WRITTEN), every=stays)

    def fill(self) -> None:
        """Until it is well again the disk takes nothing more, or does and says otherwise."""
        self._failing.fail("append", partial=WRITTEN[-1], every=True)

    def heal(self) -> None:
        self._failing.heal()

    def _said(self, record: logging.LogRecord) -> None:
        """Complaints about the disk are as they should be."""
        self.note("log", record.getMessage()[:200])
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, (OSError, StorageError, Refusal)) and not self._files.dead:
            text = logging.Formatter().formatException(record.exc_info)
            self.anomaly(f"the broker logs: {record.getMessage()} {text}")


class Sufferer(Judge):
    """One request at a time, in a world that fails.

    Of records, by their values: those that must be in `TOPIC`, and those that never may; likewise for readers of what
    is committed. Of offsets, by group: those that may be found.
    """

    patience_s = LONG_S
    world: FailingDisk

    def __init__(self, world: FailingDisk, ledger: Ledger, name: str) -> None:
        super().__init__(world, ledger, name)
        self._there, self._never = set[bytes](), set[bytes]()
        self._refused = set[bytes]()  # since the last sync: a power cut may bring them back
        self._committed, self._aborted = set[bytes](), set[bytes]()
        self._churned, self._ever_churned, self._gone = set[bytes](), set[bytes](), set[bytes]()
        self._may_be_deleted = False  # the topic that is churned
        self._offsets: dict[str, set[int]] = {}
        self._number = 0
        self._idempotent: ProducerState | None = None
        self._sequence = 0

    async def session(self, *, first: bool, end: str) -> None:
        """One life of the broker."""
        if first:
            await self._prepare()
        else:
            await self.judge()
        self._may_be_deleted = False
        try:
            for _ in range(self.draw.randint(10, 30)):
                if self.draw.random() < FAILS:
                    self.world.fail(self.draw)
                if self.draw.random() < HEALS:
                    self.world.heal()
                await self.draw.choice(STEPS)(self)
            if self.draw.random() < FULL_IN_THE_END:
                self.world.fill()
                await self.plain()
        except Lost:
            self.world.anomaly("a request has no answer")
        await self._settle(end)
        self.hang_up()

    async def _prepare(self) -> None:
        for name in SEGMENT_BYTES:
            await self._create(name)
        for kind in (GROUP, TRANSACTION):
            await self.ask(FindCoordinatorRequest(coordinator_keys=["any"], key_type=kind), 4)

    async def _settle(self, end: str) -> None:
        self.world.heal()
        way = self.draw.random()
        if way < 0.4 and not self.world.unsure:
            await self.judge()
        elif way < 0.8:
            await trio.sleep(SYNCED_AGAIN_S)
        elif end == "die" and self.world.ordeal.power_cuts:
            self._refused.clear()
        if not self.world.unsure:
            self._never |= self._refused
        self._refused.clear()

    # -- what it does

    def _next(self) -> tuple[int, bytes]:
        self._number += 1
        return self._number, b"%d" % self._number + b"." * self.draw.choice((0, 0, 300, 700))

    def _count(self, what: str, code: int) -> bool:
        """Whether it was granted."""
        self.ledger.progress[f"{what} {'granted' if code == ErrorCode.NONE else 'refused'}"] += 1
        if code != ErrorCode.NONE and code not in REFUSALS:
            self.world.anomaly(f"{what} is refused with {name_of(code)}")
        return code == ErrorCode.NONE

    async def _produce(
        self,
        partition: Partition,
        value: bytes,
        producer: ProducerState = NOBODY,
        sequence: int = -1,
        transactional_id: str | None = None,
    ) -> int:
        batch = batch_of([value], self.world.now_ms(), producer, sequence, transactional=transactional_id is not None)
        code, _ = produced(await self.ask(produce_request(partition, batch, transactional_id), 12))
        self.world.note(self.name, f"{value[:10]!r} to {partition}: {code}")
        return code

    async def plain(self) -> None:
        """A few records, each for itself."""
        for _ in range(self.draw.randint(1, 4)):
            _, value = self._next()
            code = await self._produce(TOPIC, value)
            if self._count("plain record", code):
                self._there.add(value)
            elif code == ErrorCode.KAFKA_STORAGE_ERROR:  # not for want of time
                self._refused.add(value)

    async def idempotent(self) -> None:
        """As often as it takes, or until it gives up."""
        if self._idempotent is None:
            answer = await self.ask(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1000), 4)
            if not self._count("producer id", answer.error_code):
                return
            self._idempotent, self._sequence = ProducerState(answer.producer_id, answer.producer_epoch), 0
        _, value = self._next()
        for _ in range(3):
            if self._count("idempotent record", await self._produce(TOPIC, value, self._idempotent, self._sequence)):
                self._there.add(value)
                self._sequence += 1
                return
            if self.draw.random() < 0.5:
                self.world.heal()
        self._idempotent = None

    async def transaction(self) -> None:
        """A record, perhaps an offset, and an end; what fails is not committed."""
        transactional_id = f"id-{self.draw.randrange(IDS)}"
        request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=60_000)
        answer = await self.ask(request, 5)
        if not self._count("producer of a transaction", answer.error_code):
            return
        producer = ProducerState(answer.producer_id, answer.producer_epoch)
        number, value = self._next()
        whole = self._count("record of a transaction", await self._produce(TOPIC, value, producer, 0, transactional_id))
        with_offset = self.draw.random() < 0.5
        if with_offset:
            whole &= await self._commit_within(transactional_id, producer, number)
        commit = whole and self.draw.random() < 0.7
        ended = await self.ask(
            EndTxnRequest(
                transactional_id=transactional_id,
                producer_id=producer.id,
                producer_epoch=producer.epoch,
                committed=commit,
            ),
            5,
        )
        granted = self._count("commit" if commit else "abort", ended.error_code)
        if not commit:
            self._aborted.add(value)
            return
        if granted:
            self._committed.add(value)
        if with_offset:
            self._may_have(IN_TRANSACTIONS, number, granted=granted)

    async def _commit_within(self, transactional_id: str, producer: ProducerState, offset: int) -> bool:
        row = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_metadata="")
        request = TxnOffsetCommitRequest(
            transactional_id=transactional_id,
            group_id=IN_TRANSACTIONS,
            producer_id=producer.id,
            producer_epoch=producer.epoch,
            topics=[TxnOffsetCommitRequestTopic(name=TOPIC[0], partitions=[row])],
        )
        answer = await self.ask(request, 5)
        return self._count("offset in a transaction", answer.topics[0].partitions[0].error_code)

    async def commit(self) -> None:
        group, (number, _) = f"group-{self.draw.randrange(GROUPS)}", self._next()
        row = OffsetCommitRequestPartition(partition_index=0, committed_offset=number, committed_metadata="")
        topics = [OffsetCommitRequestTopic(name=TOPIC[0], partitions=[row])]
        answer = await self.ask(OffsetCommitRequest(group_id=group, topics=topics), 8)
        granted = self._count("offset", answer.topics[0].partitions[0].error_code)
        self._may_have(group, number, granted=granted)

    def _may_have(self, group: str, offset: int, *, granted: bool) -> None:
        self._offsets[group] = {offset} if granted else {*self._offsets.get(group, {0}), offset}

    async def churn(self) -> None:
        """Another topic of that name, or a record into the one that is there."""
        if self.draw.random() < 0.3:
            await self._delete()
            await self._create(CHURNED[0])
            return
        _, value = self._next()
        code = await self._produce(CHURNED, value)
        self._ever_churned.add(value)
        if code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:  # creating it was refused
            return
        if self._count("record in a churned topic", code) and not self._may_be_deleted:
            self._churned.add(value)

    async def _delete(self) -> None:
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=CHURNED[0])], timeout_ms=5000)
        code = (await self.ask(request, 6)).responses[0].error_code
        if code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            return
        if self._count("deletion", code):
            self._gone |= self._ever_churned
            self._churned.clear()
            self._may_be_deleted = False
        elif self.world.ordeal.power_cuts or code != ErrorCode.KAFKA_STORAGE_ERROR:
            self._churned.clear()
            self._may_be_deleted = True

    async def _create(self, name: str) -> None:
        config = CreatableTopicConfig(name="internal.segment.bytes", value=str(SEGMENT_BYTES[name]))
        topic = CreatableTopic(name=name, num_partitions=1, replication_factor=1, assignments=[], configs=[config])
        code = (await self.ask(CreateTopicsRequest(topics=[topic], timeout_ms=5000), 7)).topics[0].error_code
        if code != ErrorCode.TOPIC_ALREADY_EXISTS:  # deleting it was refused
            self._count("creation", code)

    async def sleep(self) -> None:
        await trio.sleep(self.draw.choice((0.1, 3.0, 70.0)))

    # -- what it expects

    async def judge(self) -> None:
        """Compare what is there; nothing fails meanwhile."""
        await trio.sleep(LONG_S)
        await self.wait_until_stable([TOPIC])
        held = [value for _, value in (await self.read([TOPIC], UNCOMMITTED))[TOPIC]]
        self._expect("records", held, self._there, self._never)
        twice = [value for value, count in Counter(held).items() if count > 1]
        if twice:
            self.world.anomaly(f"there twice: {_some(twice)}")
        held = [value for _, value in (await self.read([TOPIC], COMMITTED))[TOPIC]]
        self._expect("transactions", held, self._committed, self._aborted)
        held = []
        if await partitions_of(self, [CHURNED[0]]):
            held = [value for _, value in (await self.read([CHURNED], UNCOMMITTED))[CHURNED]]
        self._expect("records of a churned topic", held, self._churned, self._gone)
        for group, allowed in self._offsets.items():
            found = (await self.committed(group, [TOPIC]))[TOPIC]
            if found not in allowed:
                self.world.anomaly(f"the offset of {group} is {found}, not one of {sorted(allowed)}")
            self._offsets[group] = {found}

    def _expect(self, what: str, held: list[bytes], must: set[bytes], never: set[bytes]) -> None:
        if lost := must.difference(held):
            self.world.anomaly(f"lost {what}: {_some(lost)} of {len(must)}")
        if wrong := never.intersection(held):
            self.world.anomaly(f"{what} that may not be there: {_some(wrong)}")


STEPS = (
    *(Sufferer.plain, Sufferer.plain, Sufferer.idempotent, Sufferer.transaction, Sufferer.transaction),
    *(Sufferer.commit, Sufferer.churn, Sufferer.churn, Sufferer.sleep),
)


def _some(values: set[bytes] | list[bytes]) -> list[bytes]:
    return sorted(value.rstrip(b".") for value in values)[:5]
