"""The group coordinator of one broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.compression import Codec
from kbroker_wire.schema import uuid_to_text

from ...metadata.image import Image
from ..runtime import Coordinator
from ..topics import CONSUMER_OFFSETS, consumer_offsets
from .shard import GroupShard

if TYPE_CHECKING:
    from ...config import BrokerConfig
    from ...controller.service import Controller
    from ...env import Env
    from ...metadata.image import Delta
    from ...partition import Partition
    from ...replicas import Replicas


class GroupCoordinator(Coordinator[GroupShard]):
    """Groups and their offsets, a shard for each partition of `__consumer_offsets`."""

    bad_key = ErrorCode.INVALID_GROUP_ID

    def __init__(self, env: Env, config: BrokerConfig, replicas: Replicas, controller: Controller) -> None:
        codec = Codec(config.int("offsets.topic.compression.codec"))
        super().__init__(env, replicas, controller, consumer_offsets(config), codec)
        self._config, self._image = config, Image()
        self.patience_s = config.int("offsets.commit.timeout.ms") / 1000

    def new_machine(self, partition: Partition) -> GroupShard:
        del partition
        return GroupShard(self._config, lambda: uuid_to_text(self._env.new_uuid()), self._image)

    def publish(self, image: Image, delta: Delta) -> None:
        self._image = image
        super().publish(image, delta)
        now = self.now()
        for shell in list(self.shells.values()):
            if shell.loaded:
                shell.take_news(lambda shard: shard.image_changed(image, delta, now))
            else:
                shell.machine.context.image = image

    def end_transaction(self, partition: Partition, producer_id: int, *, commit: bool) -> None:
        """A marker was appended to a partition: what the transaction committed counts, or is forgotten."""
        shell = self.shells.get(partition.index) if partition.name == CONSUMER_OFFSETS else None
        if shell is not None:
            shell.take_news(lambda shard: shard.end_transaction(producer_id, commit=commit))
