"""The shell around the coordinators' machines: it gives each request its turn, writes records, delivers answers.

One `Shell` for each partition of the internal topic that this broker leads. State is rebuilt by replaying the
partition; who asks before that is done waits for it. What a machine decides is appended at once and the next request
goes on from there; answers are held until everything that is appended by then is committed (the partition's high
watermark), those of groups for offsets.commit.timeout.ms at the most. If an append or a sync fails, everyone who waits
is refused with NOT_COORDINATOR, and the state is dropped and read anew: what was never committed is then as if it had
never been asked for.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from kbroker_storage import Origin, StorageError
from kbroker_wire import ErrorCode
from kbroker_wire.compression import Codec
from kbroker_wire.messages.coordinator_records import encode_record
from kbroker_wire.record_building import build_batch
from kbroker_wire.records import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record
from kbroker_wire.schema import Message

from ..batches import KAFKA_BATCHES
from ..call import Parked
from ..errors import Refusal, code_of
from .loading import replay
from .machine import Machine, Now, Reply, Step, fits_record
from .topics import InternalTopic, ensure

if TYPE_CHECKING:
    from ..controller.service import Controller
    from ..env import Env
    from ..metadata.image import Delta, Image
    from ..partition import Partition
    from ..replicas import Replicas

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Machine)
Operation = Callable[[M, "Request", Now], Step]
Refused = Callable[[ErrorCode, str | None], Message]

BATCH_BYTES = 8 << 20  # of the records that are appended as one batch, before they are compressed
RECORD_BYTES = 32  # of a record in a batch, beside its key and value, at most
# A partition that could not be written, or read, is loaded anew after so long: a disk that is full now is so for a
# while. Then after twice as long, and so on up to the other one, which is less than clients wait for an answer.
RELOAD_AFTER_S, RELOAD_AFTER_MOST_S = 1.0, 10.0
LISTS_WAIT_S = 15.0  # less than clients wait for an answer
MOST_REPEATS = 10  # of one key in one request
KNOWN_KEYS = 10_000  # whose partition is remembered; computing it anew costs a few microseconds
LONGEST_KNOWN_KEY = 255  # characters; clients may send keys of 32 KiB


class Request(Parked):
    """One request to a machine, from its arrival to its answer; the machine knows it as its ticket."""

    __slots__ = ("dropped", "refused", "response")

    def __init__(self, refused: Refused) -> None:
        super().__init__(inf)
        self.refused = refused
        self.response: Message | None = None
        self.dropped = False

    def succeed(self, response: Message) -> None:
        """The first answer counts."""
        if self.response is None:
            self.response = response
            self.resolve()

    def fail(self, code: ErrorCode, message: str | None = None) -> None:
        self.succeed(self.refused(code, message))

    def answer(self) -> Message:
        assert self.response is not None, "answered before its time"
        return self.response

    def drop(self) -> None:
        """The peer is gone, or has its answer. What it asked for still happens, if a machine has it already."""
        self.dropped = True


class Several(Parked):
    """Requests that were made as one, to be answered as one."""

    __slots__ = ("_combine", "_parts", "_waiting")

    def __init__(self, parts: Sequence[Message | Request], combine: Callable[[list[Message]], Message]) -> None:
        super().__init__(inf)
        self._parts, self._combine = parts, combine
        self._waiting = 0
        for part in parts:
            if isinstance(part, Request) and not part.ready:
                self._waiting += 1
                part.on_ready = self._one_less

    def _one_less(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self.resolve()

    def answer(self) -> Message:
        return self._combine([part.answer() if isinstance(part, Request) else part for part in self._parts])

    def drop(self) -> None:
        for part in self._parts:
            if isinstance(part, Request):
                part.drop()


class Shell(Generic[M]):
    """One partition's machine (a `Waiter` of the partition).

    loaded   the machine has the partition's state; before, requests are put aside
    gone     this broker coordinates the partition no longer, or can not
    """

    def __init__(self, coordinator: Coordinator[M], partition: Partition) -> None:
        self._coordinator, self.partition = coordinator, partition
        self._epoch = partition.leader_epoch
        self.machine = coordinator.new_machine(partition)
        self.loaded = self.gone = False
        self._early: deque[tuple[Operation[M], Request]] = deque()
        self._open: dict[Request, None] = {}  # what the machine or `_held` will answer
        self._held: deque[tuple[int, Step]] = deque()  # until the high watermark reaches the number
        self._impatient: deque[tuple[float, Step]] = deque()  # those of them whose answers wait no longer than that
        self._reload_after_s = RELOAD_AFTER_S

    @property
    def deadline(self) -> float:
        """When `tick` must be called next."""
        machine = self.machine.deadline if self.loaded else None
        first = self._impatient[0][0] if self._impatient else inf
        return first if machine is None else min(first, machine)

    @property
    def is_asked(self) -> bool:
        """Somebody waits for it to be loaded."""
        return bool(self._early)

    def perform(self, operation: Operation[M], refused: Refused) -> Message | Request:
        if self.gone or self.partition.failure is not None:
            return refused(ErrorCode.NOT_COORDINATOR, None)
        request = Request(refused)
        if not self.loaded:
            self._early.append((operation, request))
            return request
        return self._perform(operation, request)

    def _perform(self, operation: Operation[M], request: Request) -> Message | Request:
        try:
            step = operation(self.machine, request, self._coordinator.now())
        except Refusal as refusal:
            return request.refused(refusal.code, refusal.message)
        except Exception as error:  # noqa: BLE001  # the machine's own fault: who knows what it has changed
            self._fail(error)
            return request.refused(ErrorCode.UNKNOWN_SERVER_ERROR, None)
        self._open[request] = None
        if step.response is not None:
            step.replies.append(Reply(request, step.response))
        self.carry_out(step)
        return request if request.response is None else request.response

    def take_news(self, news: Callable[[M], Step]) -> None:
        """Something happened that the machine must know of; while it is loaded it will hear of it by itself."""
        if not self.loaded:
            return
        try:
            step = news(self.machine)
        except Exception as error:  # noqa: BLE001  # as in `_perform`
            self._fail(error)
        else:
            self.carry_out(step)

    def carry_out(self, step: Step) -> None:
        """Write what a step says, then deliver its answers when everything that is written is committed."""
        if step.records:
            try:
                self._append(step)
            except Exception as error:  # noqa: BLE001  # whatever it is: the state may say what the partition does not
                foreseen = isinstance(error, (StorageError, OSError, ValueError))
                if step.written is None or not foreseen or code_of(error) == ErrorCode.KAFKA_STORAGE_ERROR:
                    self._fail(error)
                else:  # the partition refuses a producer; the state knows nothing of the step yet
                    for ticket, _ in self._owed(step.replies):
                        ticket.fail(code_of(error))
                return
            self._reload_after_s = RELOAD_AFTER_S
            if step.written is not None:
                step.written()
        partition = self.partition
        opened = partition.opened
        end = 0 if opened is None else opened.end
        if end <= partition.high_watermark:
            self._deliver(step)
        else:  # also a step that only asks for something: what it goes by may not be committed yet
            self._held.append((end, step))
            partition.waiters[self] = None
            patience_s = self._coordinator.patience_s
            if step.replies and patience_s < inf:
                until = trio.current_time() + patience_s
                self._impatient.append((until, step))
                self._coordinator.due(until)
        self._reply(step.safe_replies)
        deadline = self.machine.deadline
        if deadline is not None:
            self._coordinator.due(deadline)

    def _append(self, step: Step) -> None:
        """As one batch if they fit: there may be more tombstones than a segment holds when a topic is deleted."""
        now_ms = self._coordinator.now().ms
        records = [Record(-1, now_ms, *encode_record(key, value)) for key, value in step.records]
        if step.producer is not None or len(records) == 1:
            self._append_batch(records, now_ms, step)
            return
        for batch in in_batches(records, min(BATCH_BYTES, self.partition.config.segment_bytes // 2)):
            self._append_batch(batch, now_ms, step)

    def _append_batch(self, records: Sequence[Record], now_ms: int, step: Step) -> None:
        producer_id, producer_epoch = step.producer or (NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
        batch = build_batch(
            records,
            codec=self._coordinator.codec,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            transactional=step.producer is not None,
        )
        frame = memoryview(bytearray(batch))
        entry = KAFKA_BATCHES.scan(frame)
        self.partition.append(((entry, frame),), now_ms, Origin.COORDINATOR, verified=step.verified)

    def _deliver(self, step: Step) -> None:
        self._reply(step.replies)
        self._coordinator.committed(self, step)

    def _reply(self, replies: Iterable[Reply]) -> None:
        for ticket, response in self._owed(replies):
            ticket.succeed(response)

    def _owed(self, replies: Iterable[Reply]) -> Iterator[tuple[Request, Message]]:
        """Who gets these answers; they are no longer owed one."""
        for ticket, response in replies:
            assert isinstance(ticket, Request)
            if self._open.pop(ticket, ticket) is ticket:
                log.error("%s has a second answer to a request: %s", self.partition, response)
            yield ticket, response

    def progressed(self, partition: Partition) -> None:
        if not self.is_coordinator():
            self.resign()
            return
        held = self._held
        while held and held[0][0] <= partition.high_watermark:
            step = held.popleft()[1]
            if self._impatient and self._impatient[0][1] is step:
                self._impatient.popleft()
            self._deliver(step)
        if not held:
            partition.waiters.pop(self, None)

    def is_coordinator(self) -> bool:
        partition = self.partition
        return (
            partition.failure is None
            and not partition.deleted
            and partition.is_leader
            and partition.leader_epoch == self._epoch
        )

    def tick(self, now: Now) -> None:
        self._give_up(now)
        deadline = self.machine.deadline
        if deadline is not None and deadline <= now.s:
            self.take_news(lambda machine: machine.tick(now))

    def _give_up(self, now: Now) -> None:
        """Answer who has waited too long. What was decided stays so, as in Kafka: it may be committed yet."""
        impatient = self._impatient
        while impatient and impatient[0][0] <= now.s:
            step = impatient.popleft()[1]
            replies, step.replies = step.replies, []
            # a step that only asks for something waits in no Kafka: it gets the code that all clients know
            code = ErrorCode.COORDINATOR_NOT_AVAILABLE if step.records else ErrorCode.NOT_COORDINATOR
            for ticket, _ in self._owed(replies):
                ticket.fail(code)

    # -- the beginning and the end ---------------------------------------------------------------------------------

    async def load(self, env: Env) -> None:
        """Replay the partition, then serve who came too early."""
        try:
            await replay(self.machine, self.partition.log, env)
            if self.gone:
                return
            step = self.machine.loaded(self._coordinator.now())
        except Exception as error:  # the boundary of one partition: it has no coordinator, the broker lives
            if self.gone:  # the topic was deleted meanwhile
                return
            if isinstance(error, OSError) and self.is_coordinator():
                self._fail(error)
                return
            log.exception("%s can not be read: what it coordinates has no coordinator", self.partition)
            self.resign()
            return
        self.loaded = True
        self.carry_out(step)
        while self._early and self.loaded:  # if one of them ends that, the others were refused
            operation, request = self._early.popleft()
            if request.dropped:
                continue
            answer = self._perform(operation, request)
            if answer is not request:
                assert isinstance(answer, Message)
                request.succeed(answer)

    def _fail(self, error: Exception) -> None:
        """What the machine decided could not be written, or it broke: its state is no longer the partition's."""
        exc_info = None if isinstance(error, (StorageError, OSError)) else error
        if not self.is_coordinator():
            log.error("%s has no coordinator any more: %s", self.partition, error, exc_info=exc_info)
            self.resign()
            return
        log.error("%s is loaded anew: %s", self.partition, error, exc_info=exc_info)
        self._refuse_all()
        self.loaded = False
        self.machine = self._coordinator.new_machine(self.partition)
        after_s, self._reload_after_s = self._reload_after_s, min(2 * self._reload_after_s, RELOAD_AFTER_MOST_S)
        self._coordinator.load_again(self, after_s)

    def resign(self) -> None:
        """This broker does not coordinate the partition any more."""
        self.gone, self.loaded = True, False
        self._refuse_all()

    def _refuse_all(self) -> None:
        self._held.clear()
        self._impatient.clear()
        self.partition.waiters.pop(self, None)
        waiting = [*self._open, *(request for _, request in self._early)]
        self._open, self._early = {}, deque()
        for request in waiting:
            request.fail(ErrorCode.NOT_COORDINATOR)


class Coordinator(Generic[M]):
    """All machines of one kind on this broker; `run` is its task.

    bad_key      what a key is refused with that no record can hold
    patience_s   how long an answer waits for what it rests on to be committed
    """

    bad_key = ErrorCode.INVALID_REQUEST
    patience_s = inf

    def __init__(
        self, env: Env, replicas: Replicas, controller: Controller, topic: InternalTopic, codec: int = Codec.NONE
    ) -> None:
        """`topic` holds the state, `codec` compresses the batches that are written to it."""
        self._env, self._replicas, self._controller, self._internal_topic = env, replicas, controller, topic
        self._topic, self.codec = topic.name, codec
        self._topic_id: bytes | None = None
        self._known: dict[str, int] = {}  # partition of each key
        self.shells: dict[int, Shell[M]] = {}
        self._unloaded: dict[Shell[M], float] = {}  # not to be loaded before that time
        self._load = trio.Event()
        self._all_loaded = trio.Event()
        self._all_loaded.set()
        self._next = inf  # when the first machine wants its tick
        self._due = trio.Event()

    def new_machine(self, partition: Partition) -> M:
        raise NotImplementedError

    def committed(self, shell: Shell[M], step: Step) -> None:
        """A step's records are committed and its answers delivered; for what else it asks for."""

    def now(self) -> Now:
        return Now(trio.current_time(), self._env.now_ms())

    # -- requests --------------------------------------------------------------------------------------------------

    async def ensure_topic(self) -> None:
        """The internal topic is there when this returns. Raises Refusal."""
        if self._topic_id is None:
            await ensure(self._internal_topic, self._controller)

    def leader_of(self, key: str) -> int:
        """The broker that coordinates `key`; -1 if there is none."""
        topic, index = self._replicas.by_name.get(self._topic), self.partition_of(key)
        return -1 if topic is None or index is None else topic.partitions[index].leader

    def partition_of(self, key: str) -> int | None:
        """The partition that holds this group or transactional id; None while there is no topic."""
        index = self._known.get(key)
        if index is None:
            topic = self._replicas.by_name.get(self._topic)
            if topic is None:
                return None
            index = partition_of(key, len(topic.partitions))
            if len(key) <= LONGEST_KNOWN_KEY:
                if len(self._known) >= KNOWN_KEYS:
                    self._known.clear()
                self._known[key] = index
        return index

    def shell(self, key: str) -> Shell[M] | None:
        index = self.partition_of(key)
        return None if index is None else self.shells.get(index)

    def perform(self, key: str, operation: Operation[M], refused: Refused) -> Message | Request:
        """Ask the machine that has `key`. Refusals, also that this broker is not the coordinator, go to `refused`."""
        if not fits_record(key):
            return refused(self.bad_key, None)
        shell = self.shell(key)
        if shell is None:
            return refused(ErrorCode.NOT_COORDINATOR, None)
        return shell.perform(operation, refused)

    def perform_each(
        self,
        requests: Sequence[tuple[str, Operation[M], Refused]],
        combine: Callable[[list[Message]], Message],
    ) -> Message | Several:
        """Several requests as one: `combine` makes the answer of theirs, which are in the order of `requests`.

        Of those for one key all but the first MOST_REPEATS are refused: a few bytes each could ask for all that a group
        has committed, again and again.
        """
        times = Counter[str]()
        answers: list[Message | Request] = []
        for key, operation, refused in requests:
            times[key] += 1
            repeated = times[key] > MOST_REPEATS
            answers.append(refused(self.bad_key, None) if repeated else self.perform(key, operation, refused))
        ready = [answer for answer in answers if isinstance(answer, Message)]
        return combine(ready) if len(ready) == len(answers) else Several(answers, combine)

    async def machines(self) -> list[M]:
        """All of them, when they are loaded: for what lists everything. Raises Refusal if that takes too long, as it
        does where something is to be written before a partition is loaded, and the disk is full."""
        with trio.move_on_after(LISTS_WAIT_S):
            await self._all_loaded.wait()
            return [shell.machine for shell in self.shells.values() if shell.loaded]
        raise Refusal(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)

    # -- following the metadata ------------------------------------------------------------------------------------

    def publish(self, image: Image, delta: Delta) -> None:
        """Take up and lay down partitions as the cluster's metadata says."""
        topic_id = image.topic_ids.get(self._topic)
        if topic_id == self._topic_id and topic_id not in delta.topics:
            return
        if topic_id != self._topic_id:
            for shell in self.shells.values():
                shell.resign()
            self.shells.clear()
            self._topic_id = topic_id
        self._known.clear()
        for partition in () if topic_id is None else self._replicas.by_id[topic_id].partitions:
            self._follow(partition)
        self._loads()

    def _follow(self, partition: Partition) -> None:
        shell = self.shells.get(partition.index)
        if shell is not None and not shell.is_coordinator():
            shell.resign()
            del self.shells[partition.index]
            shell = None
        if shell is None and partition.is_leader:
            shell = self.shells[partition.index] = Shell(self, partition)
            self._unloaded[shell] = -inf

    def _loads(self) -> None:
        if self._unloaded:
            if self._all_loaded.is_set():
                self._all_loaded = trio.Event()
            self._load.set()

    def load_again(self, shell: Shell[M], after_s: float) -> None:
        self._unloaded[shell] = trio.current_time() + after_s
        self._loads()

    # -- running ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_loading)
            nursery.start_soon(self._keep_time)

    async def _keep_loading(self) -> None:
        """One partition after the other, those that somebody waits for first."""
        while True:
            if not self._unloaded:
                self._all_loaded.set()
            now, first = trio.current_time(), min(self._unloaded.values(), default=inf)
            if first > now:
                self._load = trio.Event()
                with trio.move_on_at(first):
                    await self._load.wait()
                continue
            shell = min(self._unloaded, key=lambda each: (self._unloaded[each] > now, not each.is_asked))
            del self._unloaded[shell]
            if not shell.gone:
                await shell.load(self._env)

    def due(self, deadline: float) -> None:
        """A machine wants its tick at `deadline`."""
        if deadline < self._next:
            self._next = deadline
            self._due.set()

    async def _keep_time(self) -> None:
        while True:
            self._due = trio.Event()
            self._next = min(self._deadlines(), default=inf)
            with trio.move_on_at(self._next):
                await self._due.wait()
            now = self.now()
            if self._next <= now.s:
                for shell in list(self.shells.values()):
                    shell.tick(now)

    def _deadlines(self) -> Iterator[float]:
        for shell in self.shells.values():
            yield shell.deadline


def in_batches(records: Sequence[Record], max_bytes: int) -> Iterator[Sequence[Record]]:
    """In their order, each batch of `max_bytes` at most unless a single record is larger."""
    first, size = 0, 0
    for at, record in enumerate(records):
        nbytes = RECORD_BYTES + len(record.key or b"") + len(record.value or b"")
        if size + nbytes > max_bytes and at > first:
            yield records[first:at]
            first, size = at, 0
        size += nbytes
    yield records[first:] if first else records


def partition_of(key: str, partitions: int) -> int:
    """Which of so many partitions Kafka's clients and brokers look for `key` in: Java's String.hashCode, made positive
    as its `Utils.abs` does."""
    code = 0
    units = key.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        code = (31 * code + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    if code >= 1 << 31:
        code = (1 << 32) - code
    return (0 if code == 1 << 31 else code) % partitions
