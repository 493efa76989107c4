"""The internal topics that coordinators keep their state in: how they are made, and that they are there when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kbroker_wire import ErrorCode

from ..controller.core import NewTopic
from ..errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config import BrokerConfig
    from ..controller.service import Controller

CONSUMER_OFFSETS, TRANSACTION_STATE = "__consumer_offsets", "__transaction_state"


class InternalTopic(NamedTuple):
    """What a coordinator's topic is like when it is created.

    replication_factor, min_insync_replicas   as configured; no more than there are brokers
    """

    name: str
    partitions: int
    replication_factor: int
    min_insync_replicas: int | None
    configs: Mapping[str, str]

    def new(self, brokers: int) -> NewTopic:
        configs = dict(self.configs)
        factor = min(self.replication_factor, brokers)
        if self.min_insync_replicas is not None:
            configs["min.insync.replicas"] = str(min(self.min_insync_replicas, factor))
        return NewTopic(self.name, self.partitions, factor, configs=list(configs.items()))


def consumer_offsets(config: BrokerConfig) -> InternalTopic:
    return InternalTopic(
        CONSUMER_OFFSETS,
        config.int("offsets.topic.num.partitions"),
        config.int("offsets.topic.replication.factor"),
        None,
        {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": str(config.int("offsets.topic.segment.bytes")),
        },
    )


def transaction_state(config: BrokerConfig) -> InternalTopic:
    return InternalTopic(
        TRANSACTION_STATE,
        config.int("transaction.state.log.num.partitions"),
        config.int("transaction.state.log.replication.factor"),
        config.int("transaction.state.log.min.isr"),
        {
            "cleanup.policy": "compact",
            "compression.type": "uncompressed",
            "segment.bytes": str(config.int("transaction.state.log.segment.bytes")),
            "unclean.leader.election.enable": "false",
        },
    )


async def ensure(topic: InternalTopic, controller: Controller) -> None:
    """Create it unless it is there, for this request or another one; published when this returns. Raises Refusal."""
    if topic.name not in controller.image.topic_ids:
        outcome = await controller.create_topics([topic.new(len(controller.image.brokers))])
        result = outcome[topic.name]
        if isinstance(result, Refusal) and result.code != ErrorCode.TOPIC_ALREADY_EXISTS:
            raise result
    await controller.settled()
