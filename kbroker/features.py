"""The feature levels this broker knows (KIP-584); a cluster has the highest of each from the first start that knows it.

A feature is listed only when everything it promises clients is served: `transaction.version` 2, for one, makes Java and
franz-go skip AddPartitionsToTxn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire.messages.metadata_records import FeatureLevelRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_VERSION, GROUP_VERSION, TRANSACTION_VERSION = "metadata.version", "group.version", "transaction.version"

# name -> (lowest level, highest level). Of the metadata 7 is 3.3-IV3, the oldest that Kafka 4 still speaks; 33 is that
# of Kafka 4.4. With level 1 groups have the consumer protocol (KIP-848), with level 2 each transaction an epoch of its
# own (KIP-890).
SUPPORTED: dict[str, tuple[int, int]] = {
    METADATA_VERSION: (7, 33),
    GROUP_VERSION: (0, 1),
    TRANSACTION_VERSION: (0, 2),
}


def missing(finalized: Mapping[str, int]) -> list[FeatureLevelRecord]:
    """What gives a cluster the features that it has no level of."""
    return [
        FeatureLevelRecord(name=name, feature_level=last)
        for name, (_, last) in SUPPORTED.items()
        if name not in finalized
    ]
