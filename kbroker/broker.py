"""The composition root: builds the parts of one broker, nests their lifetimes, starts and stops them.

Lifetimes, the longest first: background tasks, connections, accepting. Stopping is leaving them from the inside out:
accept no more, answer what is in flight, sync, write checkpoints, mark the stop as clean.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import trio

from kbroker_storage import Removal, StorageError
from kbroker_wire.messages.metadata_records import (
    BrokerEndpoint,
    BrokerFeature,
    RegisterBrokerRecord,
)
from kbroker_wire.schema import Message

from .apis import Dispatch
from .config import BrokerConfig, StartError
from .controller.core import Defaults
from .controller.service import Controller
from .coordinators.groups.service import GroupCoordinator
from .coordinators.transactions.service import TransactionCoordinator
from .durability import SyncRounds
from .env import Env
from .errors import Refusal
from .features import SUPPORTED, missing
from .fetching import Fetches
from .folder import DataFolder, Offsets
from .listeners import Connections
from .metadata.image import BROKER_RESOURCE, Delta, Image
from .metadata.log import MetadataLog
from .peers import Peers
from .producer_ids import ProducerIds
from .readiness import Readiness
from .ready import ReadyAnswers
from .replicas import METADATA_KEY, Replicas
from .sessions import SessionCache

log = logging.getLogger(__name__)

GRACE_S = 10.0  # how long connections may take to finish what is in flight when the broker stops
FLUSH_EVERY_S = 60.0  # at least so often everything is synced and the checkpoints are written (Kafka's 60,000 ms)
EXPIRE_EVERY_S = 600.0  # Kafka's producer.id.expiration.check.interval.ms
ACCEPT_BACKLOG = 1024  # connections that may wait to be accepted; the kernel caps it at its own somaxconn
EVICTION_MS = 120_000  # Kafka's min.incremental.fetch.session.eviction.ms, which 4.x no longer lets anybody set
PLAINTEXT = 0  # SecurityProtocol id


class Broker:
    """The record of a broker's parts, for its handlers.

    image   the newest committed metadata; replaced, never changed
    """

    def __init__(self, config: BrokerConfig, env: Env, folder: DataFolder) -> None:
        self.config, self.env, self.folder = config, env, folder
        self.node_id = config.node_id
        self.cluster_id = folder.cluster_id
        self.deep_validation = config.validate == "records"
        self.image = Image()
        self.dispatch = Dispatch()
        self.ready = ReadyAnswers()
        self.addresses: list[str] = []
        self.rounds = SyncRounds(env)
        self.replicas = Replicas(env, config, folder, self.rounds)
        self.readiness = Readiness(env.wait_readable)
        self.connections = Connections(self)
        sessions = SessionCache(
            config.int("max.incremental.fetch.session.cache.slots"),
            EVICTION_MS,
            env.rng,
        )
        self.fetches = Fetches(self.replicas, sessions, config.int("fetch.max.bytes"))
        self.controller = Controller(
            MetadataLog(env, folder.path, folder.clean, folder.recovery_points.get(METADATA_KEY, 0)),
            self.rounds,
            synced=self.replicas.synced,
            defaults=Defaults(
                config.int("num.partitions"),
                config.int("default.replication.factor"),
                keep_case_apart=folder.mixes_up_case,
            ),
            new_uuid=env.new_uuid,
            publish=self._publish,
        )
        self.peers = Peers(self)
        self.groups = GroupCoordinator(env, config, self.replicas, self.controller)
        self.producer_ids = ProducerIds(lambda: self.controller.allocate_producer_ids(self.node_id))
        self.transactions = TransactionCoordinator(
            env, config, self.replicas, self.controller, peers=self.peers, producer_ids=self.producer_ids
        )
        self._own_configs = ((BROKER_RESOURCE, str(self.node_id)), (BROKER_RESOURCE, ""))
        self._removals: list[Removal] = []
        self._wake = trio.Event()  # for the housekeeper
        self._checkpointing = trio.Lock()
        self.replicas.on_unsynced(self._wake_housekeeper)

    @property
    def controller_id(self) -> int:
        return self.node_id

    async def _publish(self, image: Image, delta: Delta) -> None:
        """What is committed becomes what this broker does."""
        self.image = image
        self._removals += self.replicas.publish(image, delta)
        self.groups.publish(image, delta)
        self.transactions.publish(image, delta)
        if not delta.configs.isdisjoint(self._own_configs):
            self._configure()
            self.replicas.configure(image)
        if self._removals:
            self._wake_housekeeper()
        if any(
            (each.name, i) in self.folder.named for each in delta.removed.values() for i in range(len(each.partitions))
        ):
            await self.write_checkpoints()  # none of it may be believed of a topic that gets the name next

    def _configure(self) -> None:
        """Take over what is set for this broker, and for all of them."""
        own, cluster = (self.image.config(kind, name) for kind, name in self._own_configs)
        for sentence in self.config.change(own, cluster):
            log.warning("%s", sentence)
        self.connections.configure()

    def remove_later(self, removals: list[Removal]) -> None:
        if removals:
            self._removals += removals
            self._wake_housekeeper()

    def _wake_housekeeper(self) -> None:
        self._wake.set()

    def load(self) -> None:
        """State as of the last stop: metadata, then the logs of a broker that did not stop cleanly."""
        delta = self.controller.load()
        self.image = self.controller.image
        self._configure()
        self.replicas.publish(self.image, delta)
        self.replicas.recover()
        self.groups.publish(self.image, delta)
        self.transactions.publish(self.image, delta)
        if not self.folder.named <= {METADATA_KEY, *self.replicas.checkpoints()[0]}:
            try:
                self.folder.write_checkpoints(*self._checkpoints())
            except OSError as error:
                log.warning("can not write the checkpoints: %s", error)

    async def register(self, endpoints: list[BrokerEndpoint]) -> None:
        """Tell the cluster that this broker is there, under a new incarnation."""
        await self.controller.commit(missing(self.controller.image.features))

        def records(broker_epoch: int) -> list[Message]:
            features = [
                BrokerFeature(name=name, min_supported_version=first, max_supported_version=last)
                for name, (first, last) in SUPPORTED.items()
            ]
            return [
                RegisterBrokerRecord(
                    broker_id=self.node_id,
                    incarnation_id=self.env.new_uuid(),
                    broker_epoch=broker_epoch,
                    end_points=endpoints,
                    features=features,
                    rack=self.config.optional_str("broker.rack"),
                    fenced=False,
                    log_dirs=[self.folder.directory_id],
                )
            ]

        await self.controller.register(records)

    async def housekeeping(self) -> NoReturn:
        """Remove deleted folders, and bound what is unsynced: in bytes and in time.

        What was recovered is flushed at once: killed again and again, a broker recovers no more than the last time.
        """
        recovered = not self.folder.clean and bool(self.image.topics)
        flush_at = trio.current_time() + (0 if recovered else FLUSH_EVERY_S)
        while True:
            with trio.move_on_at(flush_at):
                await self._wake.wait()
            self._wake = trio.Event()
            removals, self._removals = self._removals, []
            for removal in removals:
                await self._remove(removal)
            if not removals or trio.current_time() >= flush_at:
                await self.flush()
                flush_at = trio.current_time() + FLUSH_EVERY_S

    async def forget_producers(self) -> NoReturn:
        while True:
            await trio.sleep(EXPIRE_EVERY_S)
            self.replicas.expire_producers()

    async def _remove(self, removal: Removal) -> None:
        try:
            await self.env.run_blocking(removal.run)
        except OSError as error:
            log.warning("can not remove %s: %s; the next start tries again", removal.path, error)

    async def flush(self) -> bool:
        """Sync everything, then write the checkpoints that a restart starts from; whether these were written."""
        self.replicas.flush()
        self.rounds.due(self.controller)
        await self.rounds.round()
        return await self.write_checkpoints()

    def _checkpoints(self) -> tuple[Offsets, Offsets, Offsets]:
        points, starts, marks = self.replicas.checkpoints()
        return {**points, METADATA_KEY: self.controller.log.durable_end}, starts, marks

    async def write_checkpoints(self) -> bool:
        async with self._checkpointing:  # what is written last is what was known last
            checkpoints = self._checkpoints()
            self.folder.will_name(*checkpoints)
            try:
                await self.env.run_blocking(partial(self.folder.write_checkpoints, *checkpoints))
            except OSError as error:
                log.warning("can not write the checkpoints: %s", error)
                return False
        return True

    async def close(self) -> None:
        """The end of a clean stop; connections are gone."""
        clean = await self.flush()
        for removal in self._removals:
            await self._remove(removal)
        clean = self.replicas.close() and clean
        try:
            self.controller.log.close(clean=True, sync=True)
        except (StorageError, OSError):
            log.exception("the metadata log was not closed cleanly")
            clean = False
        self.folder.close(clean, self.image.brokers[self.node_id].epoch)

    def abandon(self) -> None:
        """Let every file go and write nothing, as after a crash."""
        self.replicas.abandon()
        self.controller.log.close(clean=False)


class Door:
    """One listener of the configuration: bound sockets, and what clients and the cluster are told of it."""

    def __init__(self, name: str, host: str, sockets: list[socket.socket], advertised: tuple[str, int] | None) -> None:
        self.name, self.host, self.sockets, self.advertised = name, host, sockets, advertised
        self.port: int = sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        host = self.host or "0.0.0.0"  # noqa: S104  # what a wildcard listener is called, not a bind
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def endpoint(self) -> BrokerEndpoint:
        host, port = self.advertised or (self.host or socket.gethostname(), self.port)
        return BrokerEndpoint(name=self.name, host=host, port=port, security_protocol=PLAINTEXT)


def open_doors(config: BrokerConfig, env: Env) -> list[Door]:
    """Bind every listener, nothing accepted yet. Raises StartError."""
    doors: list[Door] = []
    for listener in config.listeners:
        try:
            sockets = env.bind(listener.host, listener.port)
        except OSError as error:
            close_doors(doors)
            raise StartError(
                f"can not listen on {listener.host}:{listener.port}: {error.strerror or error}; choose another port or "
                "address (--port, --listeners), or stop what uses it"
            ) from None
        doors.append(Door(listener.name, listener.host, sockets, config.advertised.get(listener.name)))
    return doors


def close_doors(doors: list[Door]) -> None:
    for door in doors:
        for sock in door.sockets:
            sock.close()


async def run(
    config: BrokerConfig,
    env: Env,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[Broker] = trio.TASK_STATUS_IGNORED,
) -> None:
    """One broker from start to clean stop; reports itself as started when everything answers.

    Raises StartError. Cancelled, it stops as after a crash: nothing more is written.
    """
    doors = open_doors(config, env)
    try:
        folder = DataFolder.open(env, config.data_dir, config.node_id, config.optional_str("kbroker.cluster.id"))
        broker, clean = None, False
        try:
            try:
                broker = Broker(config, env, folder)
                broker.load()
            except (StorageError, OSError) as error:
                raise StartError(f"can not read the data folder {folder.path}: {error}") from error
            await _live(broker, doors, stop, task_status)
            clean = True
        finally:
            if broker is not None:
                broker.readiness.close()
                if not clean:
                    broker.abandon()
            if not clean:
                folder.abandon()
    finally:
        close_doors(doors)


async def _live(broker: Broker, doors: list[Door], stop: trio.Event, task_status: trio.TaskStatus[Broker]) -> None:
    async with trio.open_nursery() as background:
        background.start_soon(broker.rounds.run)
        background.start_soon(broker.replicas.write_back.run)
        background.start_soon(broker.controller.run)
        background.start_soon(broker.groups.run)
        background.start_soon(broker.transactions.run)
        background.start_soon(broker.producer_ids.run)
        background.start_soon(broker.housekeeping)
        background.start_soon(broker.readiness.run)
        background.start_soon(broker.forget_producers)
        background.start_soon(broker.connections.close_idle)
        try:
            await broker.register([door.endpoint for door in doors])
        except Refusal as refusal:
            raise StartError(f"the broker can not register itself: {refusal.message}") from None
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                _start_accepting(broker, doors, connections, accepting)
                broker.addresses = [door.address for door in doors]
                task_status.started(broker)
                await stop.wait()
                accepting.cancel_scope.cancel()
            close_doors(doors)
            broker.connections.drain()
            connections.cancel_scope.deadline = trio.current_time() + GRACE_S
        background.cancel_scope.cancel()
    await broker.close()


def _start_accepting(broker: Broker, doors: list[Door], connections: trio.Nursery, accepting: trio.Nursery) -> None:
    for door in doors:
        for sock in door.sockets:
            try:
                sock.listen(ACCEPT_BACKLOG)
            except OSError as error:
                raise StartError(f"can not listen on {door.address}: {error.strerror or error}") from None
            accepting.start_soon(broker.connections.accept, sock, door.name, door.host, door.advertised, connections)


async def serve(
    config: BrokerConfig, *, memory: bool = False, ready: Callable[[list[str]], None], stop: trio.Event
) -> None:
    """A broker as the `kbroker` command runs it; `ready` gets "host:port" of every listener when everything answers.

    Returns after a clean stop, which setting `stop` begins. Raises StartError.
    """
    env = Env.in_memory() if memory else Env.on_disk()
    async with trio.open_nursery() as nursery:
        broker: Broker = await nursery.start(run, config, env, stop)
        ready(broker.addresses)
