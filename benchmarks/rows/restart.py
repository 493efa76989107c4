"""From starting the process to its first Metadata answer: with an empty log, and with 1,000 partitions of a record each
after a clean stop and after SIGKILL. Then until each partition tells its end offset; every record must be there."""

import threading
import time
from dataclasses import dataclass, field

import admin
import kload
import peers
from admin import Address
from bench import Bench
from figures import Figure, Row, at_most
from peers import APACHE, KBROKER, KFAKE, Peer

FAMILY = "start"
PARTITIONS = 1000
TOPIC = "kept"
POLL_S = 0.004
GIVE_UP_S = 120.0


@dataclass
class _Probe:
    """Asks for metadata from another thread, because `Peer.start` waits for the broker in its own way."""

    address: Address
    topic: str | None = None
    answered_at: float | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stopped.wait(POLL_S):
            if self._answers():
                self.answered_at = time.monotonic()
                return

    def _answers(self) -> bool:
        if self.topic is None:
            return admin.answers_metadata(self.address)
        try:
            return admin.topic_ready(self.address, self.topic, PARTITIONS)
        except OSError:
            return False


def start_s(peer: Peer, topic: str | None = None) -> float:
    """Starts the peer; seconds until Metadata is answered, and with a topic: until that shows all of its partitions."""
    probe = _Probe(Address(peer.host, peer.port), topic)
    asking = threading.Thread(target=probe.run)
    started = time.monotonic()
    asking.start()
    try:
        peer.start()
        asking.join(GIVE_UP_S)
    finally:
        probe.stopped.set()
        asking.join()
    if probe.answered_at is None:
        raise RuntimeError(f"no Metadata answer within {GIVE_UP_S:.0f} s")
    return probe.answered_at - started


def measure_start(bench: Bench, name: str) -> dict[str, float]:
    """The second start on a folder: the first one formats it."""
    with bench.own_peer(name) as peer:
        peer.stop()
        peers.wait_until_quiet(3.0)
        return {"start_s": start_s(peer)}


def _usable_s(address: Address) -> float:
    """Seconds from now until all partitions serve requests. Raises RuntimeError if a record is missing then."""
    started = time.monotonic()
    ends = admin.wait_for_offsets(address, TOPIC, PARTITIONS)
    took_s = time.monotonic() - started
    if (found := sum(ends.values())) != PARTITIONS:
        raise RuntimeError(f"{found} of {PARTITIONS} records are there after the restart")
    return took_s


def measure_restart(bench: Bench, name: str) -> dict[str, float]:
    batch = bench.batches.single(100)
    with bench.own_peer(name) as peer:
        address = Address(peer.host, peer.port)
        admin.create_topic(address, TOPIC, PARTITIONS)
        options = {"batch": batch.path, "records": 1, "partitions": PARTITIONS, "depth": 64}
        kload.run("produce", address, TOPIC, **options, seconds=60, max_bytes=PARTITIONS * batch.stored_bytes)
        took = {}
        for key, end in (("restart_s", peer.stop), ("restart_killed_s", peer.kill)):
            end()
            peers.wait_until_quiet(3.0)
            took[key] = start_s(peer, TOPIC)
            took[key + "_usable"] = took[key] + _usable_s(address)
        return took


ROWS = (
    Row(
        "start",
        FAMILY,
        (KBROKER, APACHE, KFAKE),
        measure_start,
        (Figure("start to first Metadata answer", "start_s", "s", (at_most(0.5),)),),
        quick=(KBROKER, APACHE),
        rounds=(1, 5),
        warm_up=False,
        shared=False,
    ),
    Row(
        "restart",
        FAMILY,
        (KBROKER, APACHE),
        measure_restart,
        (
            Figure("restart with 1,000 partitions", "restart_s", "s", (at_most(1.0),)),
            Figure("restart with 1,000 partitions: all usable", "restart_s_usable", "s"),
            Figure("restart with 1,000 partitions after SIGKILL", "restart_killed_s", "s", (at_most(1.0),)),
            Figure("restart with 1,000 partitions after SIGKILL: all usable", "restart_killed_s_usable", "s"),
        ),
        rounds=(1, 2),
        warm_up=False,
        shared=False,
    ),
)
