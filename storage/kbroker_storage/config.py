"""The settings of one log, under Kafka's names; defaults are Kafka's."""

from dataclasses import dataclass

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Replaced as a whole when a topic's configuration changes: `log.config = new`.

    segment_bytes            most bytes in a segment, unless one append alone is larger (a follower's may be)
    segment_ms               a segment spans at most this, by timestamps (by the clock where there are none) ...
    segment_jitter_ms        ... less this: what the caller drew from 0 to Kafka's segment.jitter.ms
    segment_index_bytes      bounds both index files; a full one rolls the segment
    index_interval_bytes     at least so many bytes between two indexed frames
    producer_id_expiration_ms  a producer that is silent for so long is forgotten
    """

    segment_bytes: int = 1 << 30
    segment_ms: int = 7 * 24 * HOUR_MS
    segment_jitter_ms: int = 0
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    producer_id_expiration_ms: int = 24 * HOUR_MS
