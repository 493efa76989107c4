"""The transaction coordinator of one broker: its shards, and the markers they have written."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import trio

from kbroker_wire import ErrorCode
from kbroker_wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

from ..runtime import Coordinator, Shell
from ..topics import transaction_state
from .settings import TransactionSettings
from .shard import TransactionShard
from .transaction import Markers, TransactionStep

if TYPE_CHECKING:
    from kbroker_wire.schema import Message

    from ...config import BrokerConfig
    from ...controller.service import Controller
    from ...env import Env
    from ...partition import Partition
    from ...peers import Peers
    from ...producer_ids import ProducerIds
    from ...replicas import Replicas
    from ..machine import Step

log = logging.getLogger(__name__)

MARKERS_VERSION = 2
# Markers that a leader could not write, or that found no leader: again after so long, then twice as long ...
SEND_AGAIN_S, SEND_AGAIN_MOST_S = 0.1, 5.0  # ... up to that: a partition may be offline until restart

# What there is nothing to do about: the partition is gone, or has seen a later epoch of the producer, so that the
# transaction is over there.
DONE = {ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.INVALID_PRODUCER_EPOCH}

Places = list[tuple[str, int]]  # topic, partition


class Unsent(NamedTuple):
    """Markers to be sent once more, `pause_s` after they were sent before."""

    at: float
    pause_s: float
    shell: Shell[TransactionShard]
    markers: Markers
    places: Places


class TransactionCoordinator(Coordinator[TransactionShard]):
    """Transactional ids, a shard for each partition of `__transaction_state`."""

    def __init__(
        self,
        env: Env,
        config: BrokerConfig,
        replicas: Replicas,
        controller: Controller,
        *,
        peers: Peers,
        producer_ids: ProducerIds,
    ) -> None:
        super().__init__(env, replicas, controller, transaction_state(config))
        self._settings = TransactionSettings.from_config(config)
        self._peers, self._producer_ids = peers, producer_ids
        self._unsent: list[Unsent] = []
        self._to_send = trio.Event()

    def new_machine(self, partition: Partition) -> TransactionShard:
        return TransactionShard(self._settings, partition.leader_epoch, self._producer_ids.take)

    # -- markers: each order goes to the leaders of its partitions until all of them have written it

    def committed(self, shell: Shell[TransactionShard], step: Step) -> None:
        assert isinstance(step, TransactionStep)
        for markers in step.markers:
            self._send(shell, markers, markers.partitions)

    def _send(
        self, shell: Shell[TransactionShard], markers: Markers, places: Places, pause_s: float = SEND_AGAIN_S
    ) -> None:
        """`pause_s`: before what can not be written is sent again."""
        for leader, led in self._by_leader(places).items():
            topics: dict[str, list[int]] = {}
            for topic, index in led:
                topics.setdefault(topic, []).append(index)
            marker = WritableTxnMarker(
                producer_id=markers.producer_id,
                producer_epoch=markers.producer_epoch,
                transaction_result=markers.commit,
                topics=[WritableTxnMarkerTopic(name=name, partition_indexes=each) for name, each in topics.items()],
                coordinator_epoch=markers.coordinator_epoch,
                transaction_version=markers.transaction_version,
            )
            self._peers.ask(
                leader,
                WriteTxnMarkersRequest(markers=[marker]),
                MARKERS_VERSION,
                partial(self._told, shell, markers, led, pause_s),
            )

    def _by_leader(self, places: Iterable[tuple[str, int]]) -> dict[int, Places]:
        """A partition that is gone is this broker's to say so."""
        leaders: dict[int, Places] = {}
        for name, index in places:
            topic = self._replicas.by_name.get(name)
            there = topic is not None and index < len(topic.partitions)
            leader = topic.partitions[index].leader if topic is not None and there else self._replicas.node_id
            leaders.setdefault(leader, []).append((name, index))
        return leaders

    def _told(
        self,
        shell: Shell[TransactionShard],
        markers: Markers,
        places: Places,
        pause_s: float,
        response: Message | None,
    ) -> None:
        codes = _codes(response)
        done = [place for place in places if codes.get(place) in DONE]
        if done:
            now = self.now()
            shell.take_news(lambda shard: shard.markers_written(markers, done, now))
        again = [place for place in places if codes.get(place) not in DONE]
        if not again or shell.gone:
            return
        if any(codes.get(place) == ErrorCode.TRANSACTION_COORDINATOR_FENCED for place in again):
            log.error("%s is fenced: another coordinator ends the transaction", markers)
            return
        if pause_s == SEND_AGAIN_S:  # said once: what the partition lacks is said of the partition
            log.warning("could not write the markers of %s to %s; trying again", markers.transactional_id, again)
        self._unsent.append(Unsent(trio.current_time() + pause_s, pause_s, shell, markers, again))
        self._to_send.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(super().run)
            nursery.start_soon(self._keep_sending)

    async def _keep_sending(self) -> None:
        while True:
            self._to_send = trio.Event()
            with trio.move_on_at(min((each.at for each in self._unsent), default=inf)):
                await self._to_send.wait()
            now = trio.current_time()
            due = [each for each in self._unsent if each.at <= now]
            self._unsent = [each for each in self._unsent if each.at > now]
            for _, pause_s, shell, markers, places in due:
                if shell.loaded and shell.machine.awaits(markers):
                    self._send(shell, markers, places, min(2 * pause_s, SEND_AGAIN_MOST_S))


def _codes(response: Message | None) -> dict[tuple[str, int], int]:
    if not isinstance(response, WriteTxnMarkersResponse):
        return {}
    return {
        (topic.name, row.partition_index): row.error_code
        for marker in response.markers
        for topic in marker.topics
        for row in topic.partitions
    }
