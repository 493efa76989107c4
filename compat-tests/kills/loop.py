"""The loop that kills a broker under a load, and what all loads share."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from brokers import PATIENCE_S, OwnBroker

SEGMENT_BYTES = 1_048_576  # the least that Kafka allows
KILLED_AGAIN = 4  # every fourth kill comes while the broker recovers from the third
QUICK_RETRIES: dict[str, str | int | float | bool] = {
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 50,
    "retry.backoff.ms": 10,
    "retry.backoff.max.ms": 50,
    "metadata.recovery.strategy": "none",  # starting over from the bootstrap list takes librdkafka 1.5 s
    "log_level": 0,
}


@dataclass
class Kills:
    """What a loop of kills saw of the broker; one number for each kill under load, and for each start let be."""

    during_recovery: int = 0
    acknowledged: list[int] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{len(self.acknowledged) + self.during_recovery} kills, {self.during_recovery} of them while starting",
                f"from start to ready: median {statistics.median(self.ready_s):.2f} s, worst {max(self.ready_s):.2f} s",
            )
        )


def kill_repeatedly(
    broker: OwnBroker,
    kills: int,
    draw: random.Random,
    counts: Callable[[], Sequence[int]],
    most: int,
    before_kill: Callable[[int], None] = lambda _number: None,
    patience_s: float = PATIENCE_S,
) -> Kills:
    """Kills `broker` `kills` times, which is running, and is so again at the end.

    counts       what each worker of the load had acknowledged so far
    most         a kill comes after a random number of new acknowledgements below this
    before_kill  called with the number of each kill under load, from 1, just before it
    patience_s   the longest wait for acknowledgements, by the slowest workers too; then the kill comes anyway
    """
    done, before = Kills(), sum(counts())
    for number in range(1, kills + 1):
        if number % KILLED_AGAIN == 0:
            broker.kill()
            broker.launch()
            time.sleep(draw.uniform(0.2, 1.0) * done.ready_s[-1])
            done.during_recovery += 1
        else:
            _wait_for_acknowledgements(counts, draw, most, patience_s)
            before_kill(number)
            broker.kill()
            acknowledged = sum(counts())
            done.acknowledged.append(acknowledged - before)
            before = acknowledged
        broker.kill()
        done.ready_s.append(start(broker))
    return done


def start(broker: OwnBroker) -> float:
    """How many seconds it took until the broker was ready."""
    started = time.monotonic()
    broker.launch()
    broker.wait_until_ready()
    return time.monotonic() - started


def _wait_for_acknowledgements(
    counts: Callable[[], Sequence[int]], draw: random.Random, most: int, patience_s: float
) -> None:
    """Until a random number of the workers got some, and a random number came in all; at most `patience_s`.

    Clients need times of different length to come back; kills that came sooner than the slowest would starve it.
    """
    before = counts()
    back = draw.randint(0, len(before))
    count = draw.randrange(most)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        new = [now - old for now, old in zip(counts(), before, strict=True)]
        if sum(new) >= count and sum(map(bool, new)) >= back:
            return
        time.sleep(0.001)
