"""Reading a partition into a machine, while others append to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast

from broker_in_memory import NOW_MS, batch
from kbroker.batches import KAFKA_BATCHES
from kbroker.coordinators.loading import replay
from kbroker.coordinators.machine import Machine
from kbroker.env import Env
from kbroker_storage import Log, LogConfig, Origin
from kbroker_storage.memory import MemoryFiles

T = TypeVar("T")


class Keys:
    """Remembers the keys that it was given."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def replay(self, key: bytes | memoryview, value: bytes | memoryview | None, producer_id: int) -> None:
        del value, producer_id
        self.keys.append(bytes(key))


def append(log: Log, key: bytes) -> None:
    frame = memoryview(bytearray(batch(b"value", key=key)))
    log.append_leader([(KAFKA_BATCHES.scan(frame), frame)], 0, NOW_MS, Origin.COORDINATOR)


async def test_what_is_appended_behind_a_hole_while_the_hole_is_read_is_applied() -> None:
    files = MemoryFiles()

    def opened() -> Log:
        return Log.open(files, "/data/t-0", KAFKA_BATCHES, LogConfig(), clean=True, now_ms=NOW_MS)

    log = opened()
    append(log, b"before")
    log.close(clean=True)
    files.open("/data/t-0/00000000000000000009.log", create=True)  # what lay between is lost
    log = opened()
    assert (log.start, log.end) == (0, 9)
    late = [b"behind"]

    async def run_blocking(work: Callable[[], T]) -> T:
        outcome = work()
        if outcome == b"" and late:
            append(log, late.pop())
        return outcome

    machine = Keys()
    env = replace(Env.in_memory(), run_blocking=run_blocking)
    await replay(cast("Machine", machine), log, env)
    assert machine.keys == [b"before", b"behind"]
