"""The requests that both brokers get: for each API and version the ordinary ones and the interesting ones.

A case names its topics by label; `World` turns labels into names and ids, which differ from broker to broker.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from uuid import UUID

from raw_kafka.batches import (
    CONTROL,
    GZIP,
    LOG_APPEND_TIME,
    LZ4,
    SNAPPY,
    TRANSACTIONAL,
    ZSTD,
    Record,
    batch,
    batch_of_size,
    message_v1,
)
from raw_kafka.calls import Topic, create_topic, fetch_request, produce, produce_request
from raw_kafka.codec import ZERO_UUID
from raw_kafka.connection import Connection

T = 1_700_000_000_000
STRANGER = Topic("no-such-topic", UUID(int=0x5EED_0000_0000_4000_8000_000000000001))
Fields: TypeAlias = dict[str, object]


@dataclass(frozen=True)
class World:
    """What a broker was given before the first case: topics by label, and who it is."""

    topics: dict[str, Topic]
    node_id: int
    cluster_id: str

    def __getitem__(self, label: str) -> Topic:
        return self.topics[label]


@dataclass(frozen=True)
class Case:
    """One question in each of `versions`; `ask` gets the world and the version and gives the request's fields."""

    api: str
    title: str
    versions: range
    ask: Callable[[World, int], Fields]


def build_world(connection: Connection) -> World:
    """Topics and records that the cases speak of."""
    metadata = connection.call("Metadata", 12, topics=[])
    topics = {
        "read": create_topic(connection, "diff-read"),
        "write": create_topic(connection, "diff-write", partitions=len(BATCHES)),
        "wide": create_topic(connection, "diff-wide", partitions=3),
        "empty": create_topic(connection, "diff-empty"),
        "set": create_topic(connection, "diff-set", configs={"retention.ms": "123456", "cleanup.policy": "compact"}),
        "dotted": create_topic(connection, "diff.dotted"),
    }
    for start, deltas in ((T, (0, 10, 20)), (T, (100, 50)), (T + 30, (0,))):
        records = [Record(b"v%d" % delta, b"k", timestamp_delta=delta) for delta in deltas]
        produce(connection, topics["read"], batch(records, base_timestamp=start))
    return World(topics, metadata.brokers[0].node_id, metadata.cluster_id)


def fixed(api: str, title: str, first: int, last: int, **fields: object) -> Case:
    """A case whose fields are the same for every broker and version."""
    return Case(api, title, range(first, last + 1), lambda _world, _version: fields)


def api_versions() -> Iterator[Case]:
    good: Fields = {"client_software_name": "differential", "client_software_version": "1.0"}
    yield fixed("ApiVersions", "plain", 0, 5, **good)
    yield fixed("ApiVersions", "beyond the newest", 6, 8, **good)
    yield fixed("ApiVersions", "bad name", 3, 5, client_software_name="a b", client_software_version="1")
    yield fixed("ApiVersions", "empty version", 3, 5, client_software_name="a", client_software_version="")
    yield fixed("ApiVersions", "node without cluster", 5, 5, **good, node_id=1)
    for title, node in (("itself", 1), ("other node", 9), ("no node", -1)):
        yield Case("ApiVersions", title, range(5, 6), partial(_intended, node, good))
    yield fixed("ApiVersions", "other cluster", 5, 5, **good, cluster_id="x" * 22, node_id=1)


def _intended(node_id: int, client: Fields, world: World, _version: int) -> Fields:
    return {**client, "cluster_id": world.cluster_id, "node_id": node_id}


def metadata() -> Iterator[Case]:
    def names(title: str, first: int, last: int, *asked: str, create: bool = False, **more: object) -> Case:
        topics = [{"name": name} for name in asked]
        return fixed("Metadata", title, first, last, topics=topics, allow_auto_topic_creation=create, **more)

    yield fixed("Metadata", "empty list", 0, 13, topics=[])
    yield fixed("Metadata", "null", 1, 13, topics=None)
    yield names("known", 0, 13, "diff-read")
    yield names("many partitions", 0, 13, "diff-wide")
    yield names("twice", 0, 13, "diff-read", "diff-read")
    yield names("internal", 4, 13, "__consumer_offsets")
    for name in ("", ".", "..", "a b", "x" * 250, "größe", "no-such-topic", "diff_dotted"):
        yield names(f"name {name[:15]!r}", 4, 13, name)
    yield names("bad name, creating", 0, 13, "a b", create=True)
    yield names("mixed", 4, 13, "diff-read", "a b", "no-such-topic")
    operations = {"include_cluster_authorized_operations": True, "include_topic_authorized_operations": True}
    yield names("operations", 8, 13, "diff-read", "no-such-topic", **operations)
    yield Case("Metadata", "by id", range(12, 14), partial(_by_id, None))
    yield Case("Metadata", "name and id", range(10, 14), partial(_by_id, "diff-read"))
    yield fixed("Metadata", "unknown id", 12, 13, topics=[{"name": None, "topic_id": STRANGER.id}])
    yield fixed("Metadata", "neither", 10, 13, topics=[{"name": None, "topic_id": ZERO_UUID}])
    mixed = [{"name": "a b", "topic_id": ZERO_UUID}, {"name": None, "topic_id": STRANGER.id}]
    yield fixed("Metadata", "one by name, one by id", 10, 13, topics=mixed)


def _by_id(name: str | None, world: World, _version: int) -> Fields:
    return {"topics": [{"name": name, "topic_id": world["read"].id}]}


def _wanted(name: str, partitions: int = 1, replicas: int = 1, **more: object) -> Fields:
    return {"name": name, "num_partitions": partitions, "replication_factor": replicas, **more}


def _configs(*pairs: tuple[str, str | None]) -> list[Fields]:
    return [{"name": name, "value": value} for name, value in pairs]


def _placed(*assignments: tuple[int, list[int]]) -> list[Fields]:
    return [{"partition_index": index, "broker_ids": ids} for index, ids in assignments]


TOPICS: dict[str, list[Fields]] = {
    "good": [_wanted("dry")],
    "defaults": [_wanted("dry", -1, -1)],
    "nothing": [],
    "exists": [_wanted("diff-read")],
    "collides": [_wanted("diff_dotted")],
    "twice": [_wanted("dry"), _wanted("dry")],
    "twice and one more": [_wanted("dry"), _wanted("dry"), _wanted("dry2")],
    "space": [_wanted("a b")],
    "empty name": [_wanted("")],
    "dot": [_wanted(".")],
    "dots": [_wanted("..")],
    "249": [_wanted("x" * 249)],
    "250": [_wanted("x" * 250)],
    "0 partitions": [_wanted("dry", 0)],
    "-2 partitions": [_wanted("dry", -2)],
    "too many partitions": [_wanted("dry", 2_000_000)],
    "too many together": [_wanted("dry", 6_000), _wanted("dry2", 6_000), _wanted("a b")],
    "too many placed": [_wanted("dry", -1, -1, assignments=_placed(*((index, [1]) for index in range(10_001))))],
    "too many records": [_wanted("dry", 5_000), _wanted("dry2", 5_000)],
    "many": [_wanted("dry", 9_999)],
    "0 replicas": [_wanted("dry", 1, 0)],
    "-2 replicas": [_wanted("dry", 1, -2)],
    "3 replicas": [_wanted("dry", 1, 3)],
    "both wrong": [_wanted("a b", 0, 0)],
    "counts and configs wrong": [_wanted("dry", 0, 0, configs=_configs(("nope", "1")))],
    "name and configs wrong": [_wanted("a b", configs=_configs(("nope", "1")))],
    "taken and configs wrong": [_wanted("diff-read", configs=_configs(("nope", "1")))],
    "several configs wrong": [_wanted("dry", configs=_configs(("nope", "1"), ("retention.ms", None)))],
    "placed": [_wanted("dry", -1, -1, assignments=_placed((0, [1]), (1, [1])))],
    "placed with a gap": [_wanted("dry", -1, -1, assignments=_placed((1, [1])))],
    "placed twice": [_wanted("dry", -1, -1, assignments=_placed((0, [1, 1])))],
    "placed nowhere": [_wanted("dry", -1, -1, assignments=_placed((0, [])))],
    "placed elsewhere": [_wanted("dry", -1, -1, assignments=_placed((0, [42])))],
    "placed unevenly": [_wanted("dry", -1, -1, assignments=_placed((0, [1]), (1, [1, 42])))],
    "placed and replicas": [_wanted("dry", -1, 1, assignments=_placed((0, [1])))],
    "placed and partitions": [_wanted("dry", 2, -1, assignments=_placed((0, [1])))],
}
CONFIGS: list[tuple[str, str | None]] = [
    ("nope", "1"),
    ("", "1"),
    ("retention.ms", "-1"),
    ("retention.ms", "-2"),
    ("retention.ms", "abc"),
    ("retention.ms", ""),
    ("retention.ms", None),
    ("retention.ms", " 5 "),
    ("retention.ms", "9223372036854775808"),
    ("segment.bytes", "1"),
    ("segment.bytes", "1048576"),
    ("segment.bytes", "2147483648"),
    ("segment.bytes", "1.5"),
    ("cleanup.policy", "compact,delete"),
    ("cleanup.policy", "compact, delete"),
    ("cleanup.policy", "shred"),
    ("cleanup.policy", ""),
    ("cleanup.policy", "delete,delete"),
    ("compression.type", "zstd"),
    ("compression.type", "brotli"),
    ("compression.gzip.level", "10"),
    ("compression.gzip.level", "-1"),
    ("compression.gzip.level", "0"),
    ("compression.lz4.level", "18"),
    ("compression.zstd.level", "23"),
    ("message.timestamp.type", "LogAppendTime"),
    ("message.timestamp.type", "never"),
    ("message.timestamp.before.max.ms", "-1"),
    ("max.message.bytes", "-1"),
    ("max.message.bytes", "0"),
    ("min.insync.replicas", "0"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.cleanable.dirty.ratio", "1.5"),
    ("min.cleanable.dirty.ratio", "half"),
    ("preallocate", "TRUE"),
    ("preallocate", "yes"),
    ("unclean.leader.election.enable", "true"),
    ("leader.replication.throttled.replicas", "*"),
    ("leader.replication.throttled.replicas", "0:1,1:1"),
    ("leader.replication.throttled.replicas", "a"),
    ("segment.ms", "0"),
    ("segment.jitter.ms", "-1"),
    ("index.interval.bytes", "-1"),
    ("segment.index.bytes", "3"),
    ("flush.messages", "0"),
    ("file.delete.delay.ms", "-1"),
    ("delete.retention.ms", "-1"),
    ("min.compaction.lag.ms", "-1"),
    ("max.compaction.lag.ms", "0"),
    ("remote.storage.enable", "true"),
    ("local.retention.ms", "-3"),
]


def create_topics() -> Iterator[Case]:
    for title, topics in TOPICS.items():
        yield fixed("CreateTopics", title, 2, 7, topics=topics, timeout_ms=30_000, validate_only=True)
    for name, value in CONFIGS:
        topics = [_wanted("dry", configs=_configs((name, value)))]
        yield fixed("CreateTopics", f"{name}={value}", 7, 7, topics=topics, timeout_ms=30_000, validate_only=True)
    pair = _configs(("min.compaction.lag.ms", "100"), ("max.compaction.lag.ms", "50"))
    yield fixed("CreateTopics", "lags", 7, 7, topics=[_wanted("dry", configs=pair)], timeout_ms=1, validate_only=True)
    both = [_wanted("dry", configs=[*pair, *_configs(("remote.storage.enable", "true"))])]
    yield fixed("CreateTopics", "lags and remote", 7, 7, topics=both, timeout_ms=1, validate_only=True)
    pair = _configs(("retention.ms", "1"), ("retention.ms", "2"))
    yield fixed("CreateTopics", "twice", 7, 7, topics=[_wanted("dry", configs=pair)], timeout_ms=1, validate_only=True)
    yield Case(
        "CreateTopics",
        "for real",
        range(2, 8),
        lambda _, version: {"topics": [_wanted(f"diff-made-{version}", 2)], "timeout_ms": 30_000},
    )


def alter_topics() -> Iterator[Case]:
    for title, name, count, placed in (
        ("same", "diff-wide", 3, None),
        ("fewer", "diff-wide", 2, None),
        ("zero", "diff-wide", 0, None),
        ("negative", "diff-wide", -1, None),
        ("more", "diff-wide", 5, None),
        ("unknown", "no-such-topic", 5, None),
        ("bad name", "a b", 5, None),
        ("placed", "diff-wide", 4, [[1]]),
        ("placed twice", "diff-wide", 4, [[1, 1]]),
        ("placed nowhere", "diff-wide", 4, [[]]),
        ("placed elsewhere", "diff-wide", 4, [[42]]),
        ("too few placed", "diff-wide", 5, [[1]]),
        ("too many placed", "diff-wide", 4, [[1], [1]]),
        ("far too many", "diff-wide", 2_000_000, None),
    ):
        assignments = None if placed is None else [{"broker_ids": ids} for ids in placed]
        topics = [{"name": name, "count": count, "assignments": assignments}]
        yield fixed("CreatePartitions", title, 0, 3, topics=topics, timeout_ms=30_000, validate_only=True)
    entry = {"name": "diff-wide", "count": 5, "assignments": None}
    yield fixed("CreatePartitions", "twice", 0, 3, topics=[entry, entry], timeout_ms=30_000, validate_only=True)
    for title, counts in (("as many as allowed", (9_000, 1_004)), ("too many together", (9_000, 1_005))):
        asked = zip(("diff-wide", "diff-empty", "no-such-topic"), (*counts, 20_000), strict=True)
        topics = [{"name": name, "count": count, "assignments": None} for name, count in asked]
        yield fixed("CreatePartitions", title, 0, 3, topics=topics, timeout_ms=30_000, validate_only=True)
    yield fixed("CreatePartitions", "nothing", 0, 3, topics=[], timeout_ms=30_000)


def delete_topics() -> Iterator[Case]:
    yield fixed("DeleteTopics", "unknown", 1, 5, topic_names=["no-such-topic"], timeout_ms=30_000)
    yield fixed("DeleteTopics", "bad name", 1, 5, topic_names=["a b", ""], timeout_ms=30_000)
    yield fixed("DeleteTopics", "nothing", 1, 6, topic_names=[], topics=[], timeout_ms=30_000)
    yield fixed("DeleteTopics", "unknown", 6, 6, topics=[{"name": "no-such-topic"}], timeout_ms=30_000)
    yield fixed("DeleteTopics", "unknown id", 6, 6, topics=[{"name": None, "topic_id": STRANGER.id}], timeout_ms=30_000)
    yield fixed("DeleteTopics", "neither", 6, 6, topics=[{"name": None}], timeout_ms=30_000)
    yield Case(
        "DeleteTopics",
        "both",
        range(6, 7),
        lambda w, _: {"topics": [{"name": "diff-read", "topic_id": w["read"].id}], "timeout_ms": 30_000},
    )
    twice = [{"name": "diff-read"}, {"name": "diff-read"}]
    yield fixed("DeleteTopics", "twice", 6, 6, topics=twice, timeout_ms=30_000)
    yield Case("DeleteTopics", "for real", range(1, 7), _made)


def _made(_world: World, version: int) -> Fields:
    """Deletes what "for real" of CreateTopics made; each version another one."""
    name = f"diff-made-{version + 1}"
    return {"topic_names": [name], "topics": [{"name": name}], "timeout_ms": 30_000}


BATCHES: dict[str, bytes | None] = {
    "good": batch([b"a", Record(b"b", b"k", [("h", b"v")])]),
    "gzip": batch([b"a" * 50], attributes=GZIP),
    "snappy": batch([b"a" * 50], attributes=SNAPPY),
    "lz4": batch([b"a" * 50], attributes=LZ4),
    "zstd": batch([b"a" * 50], attributes=ZSTD),
    "no bytes": b"",
    "zeros": bytes(61),
    "ones": b"\xff" * 80,
    "two batches": batch() + batch(),
    "11 stray bytes": batch() + bytes(11),
    "12 stray bytes": batch() + bytes(12),
    "half a second batch": batch() + batch()[:40],
    "cut": batch()[:-1],
    "cut in the header": batch()[:40],
    "wrong CRC": batch(crc=1),
    "magic 0": batch(magic=0),
    "magic 1": batch(magic=1),
    "magic 3": batch(magic=3),
    "magic -1": batch(magic=-1),
    "old message": message_v1(b"x"),
    "oldest message": message_v1(b"x", magic=0),
    "base offset": batch(base_offset=5),
    "negative base offset": batch(base_offset=-5),
    "leader epoch": batch(leader_epoch=9),
    "length 0": batch(length=0),
    "length 13": batch(length=13),
    "length 48": batch(length=48),
    "negative length": batch(length=-1),
    "huge length": batch(length=2**31 - 1),
    "no records": batch([]),
    "no records, count 1": batch([], count=1, last_offset_delta=0),
    "count 5": batch(count=5),
    "count 5 and delta 4": batch(count=5, last_offset_delta=4),
    "count 1 of 2": batch([b"a", b"b"], count=1),
    "count 1 of 2 and delta 0": batch([b"a", b"b"], count=1, last_offset_delta=0),
    "count -1": batch(count=-1),
    "delta 7": batch(last_offset_delta=7),
    "delta -1": batch(last_offset_delta=-1),
    "record at the wrong offset": batch([b"a", Record(b"b", offset_delta=5)]),
    "control": batch(attributes=CONTROL),
    "transactional": batch(attributes=TRANSACTIONAL),
    "transactional with a producer": batch(attributes=TRANSACTIONAL, producer_id=7, producer_epoch=0, base_sequence=0),
    "log append time bit": batch(attributes=LOG_APPEND_TIME),
    "unused bits": batch(attributes=0x7F80),
    "compression 5": batch(attributes=5),
    "compression 7": batch(attributes=7),
    "bad gzip": batch(attributes=GZIP, body=b"nonsense"),
    "bad snappy": batch(attributes=SNAPPY, body=b"nonsense"),
    "bad lz4": batch(attributes=LZ4, body=b"nonsense"),
    "bad zstd": batch(attributes=ZSTD, body=b"nonsense"),
    "bytes after the records": batch(body=batch()[61:] + b"more"),
    "timestamp 0": batch(base_timestamp=0),
    "timestamp -1": batch(base_timestamp=-1),
    "timestamp -2": batch(base_timestamp=-2),
    "far future": batch(base_timestamp=2**62),
    "largest time lies low": batch([Record(timestamp_delta=1000)], max_timestamp=5),
    "largest time lies high": batch(max_timestamp=2**62),
    "negative producer": batch(producer_id=-2, producer_epoch=0, base_sequence=0),
    "producer without epoch": batch(producer_id=8, base_sequence=0),
    "producer without sequence": batch(producer_id=8, producer_epoch=0),
    "producer with negative epoch": batch(producer_id=8, producer_epoch=-5, base_sequence=0),
    "largest": batch_of_size(1_048_588),
    "too large": batch_of_size(1_048_589),
}


def produces() -> Iterator[Case]:
    def one(records: bytes | None, label: str = "write", **options: int) -> Callable[[World, int], Fields]:
        def ask(world: World, _version: int) -> Fields:
            return produce_request(world.topics.get(label, STRANGER), records, **options)  # type: ignore[arg-type]

        return ask

    for title, records in BATCHES.items():
        versions = range(3, 14) if title in ("good", "zstd", "wrong CRC", "far future") else range(11, 12)
        yield Case("Produce", title, versions, one(records, partition=list(BATCHES).index(title)))
    for acks in (1, 2, -2):
        yield Case("Produce", f"acks {acks}", range(3, 14), one(batch(), acks=acks))
    yield Case("Produce", "unknown topic", range(3, 14), one(batch(), "nowhere"))
    yield Case("Produce", "unknown partition", range(3, 14), one(batch(), partition=999))
    yield Case("Produce", "negative partition", range(9, 14), one(batch(), partition=-1))
    yield Case("Produce", "null key, compacted", range(9, 12), one(batch(), "set"))
    yield Case("Produce", "wrong CRC, unknown topic", range(9, 14), one(batch(crc=1), "nowhere"))
    yield fixed("Produce", "nothing", 3, 13, acks=-1, timeout_ms=1000, topic_data=[])
    for sequence in (0, 0, 1, 5, 2, 3, 4, 5, 6, 1, 6):
        records = batch(producer_id=10**9, producer_epoch=1, base_sequence=sequence)
        yield Case("Produce", f"sequence {sequence}", range(9, 10), one(records))
    for epoch, sequence in ((0, 7), (2, 5), (2, 0), (1, 7)):
        records = batch(producer_id=10**9, producer_epoch=epoch, base_sequence=sequence)
        yield Case("Produce", f"epoch {epoch}, sequence {sequence}", range(9, 10), one(records))


def fetches() -> Iterator[Case]:
    def one(label: str, offset: int, partition: int = 0, **options: int) -> Callable[[World, int], Fields]:
        def ask(world: World, _version: int) -> Fields:
            wanted = [(world.topics.get(label, STRANGER), partition, offset)]
            return fetch_request(wanted, **options)  # type: ignore[arg-type]

        return ask

    for offset in (0, 1, 2, 3, 5, 6, 7, -1, -2, 10**12):
        yield Case("Fetch", f"offset {offset}", range(4, 19), one("read", offset))
    for budget in (0, 1, 100, 200, -1):
        yield Case("Fetch", f"partition budget {budget}", range(12, 13), one("read", 0, partition_max_bytes=budget))
        yield Case("Fetch", f"budget {budget}", range(12, 13), one("read", 0, max_bytes=budget))
    yield Case("Fetch", "empty", range(4, 19), one("empty", 0))
    yield Case("Fetch", "committed", range(4, 19), one("read", 0, isolation_level=1))
    yield Case("Fetch", "isolation level 7", range(4, 19), one("read", 0, isolation_level=7))
    yield Case("Fetch", "negative budget, nothing there", range(12, 13), one("empty", 0, max_bytes=-1))
    yield Case("Fetch", "unknown topic", range(4, 19), one("nowhere", 0))
    yield Case("Fetch", "unknown partition", range(4, 19), one("read", 0, 9))
    yield Case("Fetch", "negative partition", range(11, 14), one("read", 0, -1))
    for epoch in (0, 1, 5, -2):
        yield Case("Fetch", f"leader epoch {epoch}", range(9, 19), one("read", 0, leader_epoch=epoch))
    yield fixed("Fetch", "nothing", 4, 18, max_wait_ms=10, min_bytes=1, topics=[])
    yield Case("Fetch", "new session", range(7, 19), one("read", 0, session_epoch=0))
    yield Case("Fetch", "unknown session", range(7, 19), one("read", 0, session_id=12345, session_epoch=3))
    yield Case("Fetch", "session epoch without a session", range(7, 19), one("read", 0, session_epoch=3))
    yield Case("Fetch", "close unknown session", range(7, 19), one("read", 0, session_id=12345, session_epoch=-1))


def offsets() -> Iterator[Case]:
    def one(name: str, timestamp: int, partition: int = 0, epoch: int = -1) -> Fields:
        asked = {"partition_index": partition, "timestamp": timestamp, "current_leader_epoch": epoch}
        return {"replica_id": -1, "topics": [{"name": name, "partitions": [asked]}], "timeout_ms": 30_000}

    for timestamp in (-1, -2, -3, -4, -5, -6, -7, -100, 0, T, T + 1, T + 20, T + 21, T + 100, T + 101, 2**62):
        yield fixed("ListOffsets", f"time {timestamp}", 1, 11, **one("diff-read", timestamp))
    for timestamp in (-1, -2, -3, -4, 0):
        yield fixed("ListOffsets", f"empty, time {timestamp}", 11, 11, **one("diff-empty", timestamp))
    yield fixed("ListOffsets", "unknown topic", 1, 11, **one("no-such-topic", -1))
    yield fixed("ListOffsets", "unknown partition", 1, 11, **one("diff-read", -1, 9))
    for epoch in (0, 5, -2):
        yield fixed("ListOffsets", f"epoch {epoch}", 4, 11, **one("diff-read", -1, 0, epoch))
    for level in (1, 2, -1):
        more = one("diff-read", -1)
        yield fixed("ListOffsets", f"isolation level {level}", 2, 11, **more, isolation_level=level)
    yield fixed("ListOffsets", "nothing", 1, 11, replica_id=-1, topics=[])
    for epoch, current in ((0, -1), (0, 0), (0, 5), (1, -1), (-1, -1), (-2, -1)):
        asked = {"partition": 0, "current_leader_epoch": current, "leader_epoch": epoch}
        topics = [{"topic": "diff-read", "partitions": [asked]}, {"topic": "no-such-topic", "partitions": [asked]}]
        title = f"epoch {epoch}, current {current}"
        yield fixed("OffsetForLeaderEpoch", title, 2, 4, replica_id=-1, topics=topics)
    yield fixed("OffsetForLeaderEpoch", "nothing", 2, 4, replica_id=-1, topics=[])


def coordinators() -> Iterator[Case]:
    share = "g:AAAAAAAAAAAAAAAAAAAAAQ:"  # group, topic id; the partition follows
    kinds = [("g", 0), ("", 0), ("t", 1), ("", 1), ("x", 9), ("x", -1), ("g", 2), ("g:x:0", 2)]
    kinds += [(share, 2), (share + "x", 2), (share + "-1", 2), (share[1:] + "0", 2)]
    for key, kind in kinds:
        title = f"{key!r} of type {kind}"
        first = 1 if kind else 0
        yield fixed("FindCoordinator", title, first, 6, key=key, key_type=kind, coordinator_keys=[key])
    yield fixed("FindCoordinator", "nothing", 4, 6, key_type=0, coordinator_keys=[])
    yield fixed("FindCoordinator", "twice", 4, 6, key_type=0, coordinator_keys=["g", "g"])
    yield fixed("InitProducerId", "plain", 0, 5, transactional_id=None, transaction_timeout_ms=60_000)
    yield fixed("InitProducerId", "empty id", 0, 5, transactional_id="", transaction_timeout_ms=60_000)
    for given in ((5, -1), (-1, 5), (5, 0), (-2, -2)):
        fields = {"producer_id": given[0], "producer_epoch": given[1], "transaction_timeout_ms": 60_000}
        yield fixed("InitProducerId", f"given {given}", 3, 5, transactional_id=None, **fields)
    for timeout in (0, -1, 900_001):
        yield fixed("InitProducerId", f"timeout {timeout}", 0, 5, transactional_id="t", transaction_timeout_ms=timeout)


def configs() -> Iterator[Case]:
    for title, kind, name, keys in (
        ("topic", 2, "diff-read", None),
        ("topic with its own", 2, "diff-set", None),
        ("topic, empty list", 2, "diff-read", []),
        ("topic, some", 2, "diff-set", ["retention.ms", "nope", "segment.bytes"]),
        ("unknown topic", 2, "no-such-topic", None),
        ("bad topic name", 2, "a b", None),
        ("empty topic name", 2, "", None),
        ("broker", 4, "1", None),
        ("broker, some", 4, "1", ["num.partitions", "nope", "log.retention.hours", "log.retention.ms"]),
        ("all brokers", 4, "", None),
        ("other broker", 4, "9", None),
        ("no broker's name", 4, "x", None),
        ("too large a broker's name", 4, "2147483648", None),
        ("signed broker", 4, "+01", ["node.id"]),
        ("type 0", 0, "x", None),
        ("type 99", 99, "x", None),
        ("broker logger", 8, "1", ["nope"]),
        ("root logger", 8, "1", ["root"]),
        ("logger of no broker", 8, "", None),
        ("logger of other broker", 8, "9", None),
        ("logger of no broker's name", 8, "x", None),
        ("client metrics", 16, "x", None),
        ("client metrics without a name", 16, "", None),
        ("group", 32, "x", None),
        ("group without a name", 32, "", None),
    ):
        resources = [{"resource_type": kind, "resource_name": name, "configuration_keys": keys}]
        for synonyms in (False, True):
            words = f"{title}, synonyms" if synonyms else title
            yield fixed("DescribeConfigs", words, 1, 4, resources=resources, include_synonyms=synonyms)
    yield fixed("DescribeConfigs", "nothing", 1, 4, resources=[])


def cluster() -> Iterator[Case]:
    yield fixed("DescribeCluster", "plain", 0, 2)
    yield fixed("DescribeCluster", "operations", 0, 2, include_cluster_authorized_operations=True)
    yield fixed("DescribeCluster", "fenced", 2, 2, include_fenced_brokers=True)
    for kind in (0, 2, 3):
        yield fixed("DescribeCluster", f"endpoint type {kind}", 1, 2, endpoint_type=kind)
    asked: dict[str, list[str]] = {
        "all": [],
        "one": ["diff-read"],
        "order": ["diff-wide", "diff-read", "diff-empty"],
        "twice": ["diff-read", "diff-read"],
        "unknown": ["no-such-topic", "diff-read"],
        "bad name": ["a b", ""],
    }
    for title, names in asked.items():
        yield fixed("DescribeTopicPartitions", title, 0, 0, topics=[{"name": name} for name in names])
    for limit in (0, 1, 2, -1):
        topics = [{"name": "diff-wide"}, {"name": "diff-read"}]
        yield fixed("DescribeTopicPartitions", f"limit {limit}", 0, 0, topics=topics, response_partition_limit=limit)
    for name, index in (
        ("diff-wide", 1),
        ("diff-wide", 9),
        ("diff-wide", -1),
        ("diff-read", 1),
        ("a", 0),
        ("no-such-topic", 0),
        ("z", 0),
    ):
        cursor = {"topic_name": name, "partition_index": index}
        topics = [{"name": "diff-wide"}, {"name": "diff-read"}]
        yield fixed("DescribeTopicPartitions", f"from {name} {index}", 0, 0, topics=topics, cursor=cursor)
        yield fixed("DescribeTopicPartitions", f"all from {name} {index}", 0, 0, topics=[], cursor=cursor)
    cursor = {"topic_name": "a", "partition_index": 1}
    topics = [{"name": "a"}, {"name": "diff-wide"}]
    yield fixed("DescribeTopicPartitions", "from an unknown one", 0, 0, topics=topics, cursor=cursor)
    topics = [{"name": "diff-read"}, {"name": "no-such-topic"}]
    yield fixed("DescribeTopicPartitions", "full before an unknown", 0, 0, topics=topics, response_partition_limit=1)


def all_cases() -> list[Case]:
    """In an order in which no case changes what a later one sees, but for its own API's "for real"."""
    groups = [api_versions, metadata, cluster, configs, offsets, fetches, alter_topics, create_topics]
    groups += [delete_topics, coordinators, produces]
    return [case for group in groups for case in group()]
