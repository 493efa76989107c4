"""What a row's measurement has at hand: running peers, fresh topics, filled logs, the load generator."""

import itertools
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import admin
import kload
import peers
import procstat
from admin import Address
from batches import MIB, BatchFile, BatchShelf

QUIET_WITHIN_S = 3.0  # before one round, while the run has patience left


@dataclass(frozen=True, slots=True)
class Form:
    """How much is measured. Seconds are those of one round; bytes bound what one round writes.

    verified_bytes  read back and compared after each load: the first and the last half of this
    warm_up_s  by kind of peer: the JVM compiles what runs often, the others need their caches warm
    quiet_s    how long a broker is left alone before its memory is read
    patience_s spent at most, in the whole run, on waiting for a quiet machine
    touched    bytes of page cache written beforehand: pages that the machine never used cost ten times as much
    """

    name: str
    rounds: int
    round_s: float
    round_bytes: int
    verified_bytes: int
    warm_up_jvm_s: float
    warm_up_s: float
    touched_bytes: int
    log_bytes: int
    memory_load_bytes: int
    records: int
    latency_count: int
    quiet_s: float
    patience_s: float


class Bench:
    """Peers that run throughout are started on first use; `close` stops them and removes their data."""

    def __init__(self, form: Form, folder: Path, ports: peers.Ports) -> None:
        self.form = form
        self.folder = folder
        self.ports = ports
        self.batches = BatchShelf(folder)
        self.warming = False
        self._patience_s = form.patience_s
        self._running: dict[str, peers.Peer | RuntimeError] = {}
        self._filled: dict[tuple[str, BatchFile], str] = {}
        self._names = itertools.count()

    # -- peers --------------------------------------------------------------------------------------------------------

    def peer(self, name: str) -> peers.Peer:
        """The running peer of that name. If it could not be started, raises peers.start's error, each time."""
        if name not in self._running:
            try:
                self._running[name] = peers.start(name, self.folder / name, self.ports.take())
            except RuntimeError as reason:
                self._running[name] = reason
            else:
                self._warm_up(name)
        found = self._running[name]
        if isinstance(found, RuntimeError):
            raise found
        return found

    def address(self, name: str) -> Address:
        peer = self.peer(name)
        return Address(peer.host, peer.port)

    @contextmanager
    def own_peer(self, name: str) -> Iterator[peers.Peer]:
        """A peer started for this measurement only, on a fresh folder; stopped and removed at the end."""
        folder = self.folder / f"own-{next(self._names)}"
        peer = peers.start(name, folder, self.ports.take())
        try:
            yield peer
        finally:
            peer.kill()
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        for name, peer in self._running.items():
            if not isinstance(peer, RuntimeError):
                peer.kill()
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._running.clear()
        self._filled.clear()

    def _warm_up(self, name: str) -> None:
        """A mixture of all the loads, so that a compiler has seen them before the first round."""
        seconds = self.form.warm_up_jvm_s if name == peers.APACHE else self.form.warm_up_s
        kinds = [
            (self.batches.get(1024, 16 << 10), 5),
            (self.batches.get(100, MIB, "zstd"), 5),
            (self.batches.get(100, MIB, "lz4"), 5),
            (self.batches.get(1024, MIB), 5),
            (self.batches.single(100), 64),
            (self.batches.single(100), 1),
        ]
        for batch, depth in kinds:
            with self.fresh_topic(name, partitions=4) as topic:
                self.produce(name, topic, batch, connections=4, depth=depth, seconds=0.7 * seconds / len(kinds))
                kload.run("fetch", self.address(name), topic, partitions=4, seconds=0.3 * seconds / len(kinds))

    # -- topics -------------------------------------------------------------------------------------------------------

    @contextmanager
    def fresh_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> Iterator[str]:
        """An empty topic, deleted at the end, so that every round meets the same and the disk does not fill."""
        topic = f"fresh-{next(self._names)}"
        admin.create_topic(self.address(name), topic, partitions, config)
        yield topic
        admin.delete_topic(self.address(name), topic)

    def filled_topic(self, name: str, batch: BatchFile, size_bytes: int) -> str:
        """A topic of one partition that holds so many bytes of the batch; written once, read by many rounds."""
        key = name, batch
        if key not in self._filled:
            topic = f"filled-{next(self._names)}"
            admin.create_topic(self.address(name), topic, 1)
            self.produce(name, topic, batch, depth=5, seconds=60, max_bytes=size_bytes)
            self._filled[key] = topic
        return self._filled[key]

    # -- rounds -------------------------------------------------------------------------------------------------------

    def wait_until_quiet(self) -> float:
        """Waits for a quiet machine while there is patience left; returns how many processors are busy at the end."""
        started = time.monotonic()
        busy = peers.wait_until_quiet(min(QUIET_WITHIN_S, self._patience_s))
        self._patience_s = max(0.0, self._patience_s - (time.monotonic() - started))
        return busy

    # -- loads --------------------------------------------------------------------------------------------------------

    @property
    def round_s(self) -> float:
        """Seconds of load in a round; less in the round that only warms up."""
        return self.form.round_s * (0.4 if self.warming else 1.0)

    def produce(
        self,
        name: str,
        topic: str,
        batch: BatchFile,
        *,
        connections: int = 1,
        depth: int = 1,
        partitions: int = 0,
        seconds: float = 0.0,
        max_bytes: int = 0,
    ) -> dict[str, float]:
        """One load, acks=all, then read back and compared. Figures of kload, and `cpu_s` of the broker.

        partitions  0: as many as connections
        Raises kload.LoadFailed if anything came back wrong or is missing.
        """
        address, partitions = self.address(name), partitions or connections
        common = {"batch": batch.path, "records": batch.records, "partitions": partitions}
        with procstat.cpu_of(self.peer(name).pid) as use:
            load = kload.run(
                "produce",
                address,
                topic,
                **common,
                connections=connections,
                depth=depth,
                seconds=seconds or self.round_s,
                max_bytes=max_bytes or self.form.round_bytes,
            )
        back = kload.run("verify", address, topic, **common, max_bytes=self.form.verified_bytes)
        if back["records"] != load["records"]:
            raise kload.LoadFailed(f"{load['records']:.0f} records acknowledged, {back['records']:.0f} there")
        return load | {"cpu_s": use.seconds}
