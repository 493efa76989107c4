"""A number for the topics that a group subscribes to: while it stays the same, so may the assignment (KIP-1101).

It is kept in the log, and made as Apache Kafka makes it, so that a group that moves from one to the other broker does
not rebalance for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack

from ...metadata.image import Image
from .xxh3 import xxh3_64

MAGIC = b"\x00"  # the version of the way in which topics are hashed


class TopicHashes:
    """Hashes of topics by name, as of one image; `forget` those that changed, or are gone."""

    def __init__(self) -> None:
        self._hashes: dict[str, bytes] = {}

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._hashes.pop(name, None)

    def of(self, names: Iterable[str], image: Image) -> int:
        """Of these topics together, signed 64 bits; names without a topic do not count. 0 for no topic."""
        hashes = b"".join([self._topic(name, image) for name in sorted(names) if name in image.topic_ids])
        return _signed(xxh3_64(hashes)) if hashes else 0

    def _topic(self, name: str, image: Image) -> bytes:
        known = self._hashes.get(name)
        if known is None:
            known = self._hashes[name] = topic_hash(name, image).to_bytes(8, "little")
        return known


def topic_hash(name: str, image: Image) -> int:
    """Of an existing topic: its id, name and partitions, and the racks that their replicas are in. Unsigned."""
    topic = image.topics[image.topic_ids[name]]
    parts = [MAGIC, topic.id[7::-1], topic.id[:7:-1], _text(name), pack("<i", len(topic.partitions))]
    racks = {broker.id: broker.rack for broker in image.brokers.values()}
    for number, partition in enumerate(topic.partitions):
        parts.append(pack("<i", number))
        for rack in sorted(rack for rack in map(racks.get, partition.replicas) if rack is not None):
            parts.extend((pack("<i", len(rack)), _text(rack)))
    return xxh3_64(b"".join(parts))


def _text(text: str) -> bytes:
    """Java's characters, and their number."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    return encoded + pack("<i", len(encoded) // 2)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
