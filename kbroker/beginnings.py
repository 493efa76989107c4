"""Making the logs of many new partitions, a few at a time, before a Produce is appended to them.

The first append to a partition makes its folder and files, and the first one after a start opens what is there: some
0.3 ms each, several while the disk is busy. A Produce to 1,000 new partitions held up everybody for 0.5 to 3 s. Its
connection makes them first, one after the other, and others have their turn in between; the append then finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from trio.lowlevel import checkpoint

from kbroker_storage import StorageError
from kbroker_wire.messages.produce import ProduceRequest

from .errors import Refusal

if TYPE_CHECKING:
    from kbroker_wire.schema import Message

    from .apis import Recognised
    from .broker import Broker
    from .call import Call
    from .partition import Partition

AT_ONCE = 16  # so many are made where they are appended to: about 5 ms
IN_A_TURN = 4
BY_ID = 13  # from this version of Produce on topics are named by their ids


def is_wide(request: ProduceRequest) -> bool:
    """Whether it names so many partitions that their logs may have to be made first."""
    topics = request.topic_data
    if len(topics) == 1:
        return len(topics[0].partition_data) > AT_ONCE
    return sum([len(topic.partition_data) for topic in topics]) > AT_ONCE


def unbegun(message: Message | Recognised, call: Call, broker: Broker) -> Sequence[Partition]:
    """The partitions to be made before a Produce is appended: none, or more than AT_ONCE."""
    if not isinstance(message, ProduceRequest) or not is_wide(message):
        return ()
    found = {each: None for each in _partitions(message, call, broker) if not each.has_files}
    return list(found) if len(found) > AT_ONCE else ()


def _partitions(request: ProduceRequest, call: Call, broker: Broker) -> Iterator[Partition]:
    """What is wrong with the others is said when they are appended."""
    replicas = broker.replicas
    for topic in request.topic_data:
        for data in topic.partition_data:
            with suppress(Refusal):
                if data.records is not None:
                    by_id = call.api_version >= BY_ID
                    yield (
                        replicas.find_by_id(topic.topic_id, data.index)
                        if by_id
                        else replicas.find(topic.name, data.index)
                    )


async def begin(partitions: Sequence[Partition], broker: Broker) -> None:
    """Make their logs; why one can not be made is said when it is appended to."""
    now_ms = broker.env.now_ms()
    for count, partition in enumerate(partitions, 1):
        with suppress(StorageError, OSError):
            partition.begin(now_ms)
        if count % IN_A_TURN == 0:
            await checkpoint()
