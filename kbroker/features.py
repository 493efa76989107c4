"""The feature levels this broker knows (KIP-584) and those a new cluster starts with.

A feature is listed only when everything it promises clients is served: `transaction.version` 2, for one, makes Java and
franz-go skip AddPartitionsToTxn.
"""

METADATA_VERSION = "metadata.version"

# name -> (lowest level, highest level). 7 is 3.3-IV3, the oldest that Kafka 4 still speaks; 33 is that of Kafka 4.4.
SUPPORTED: dict[str, tuple[int, int]] = {METADATA_VERSION: (7, 33)}
