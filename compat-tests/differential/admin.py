"""Requests of tools and frameworks: configurations, deleting records, folders, the quorum, elections, quotas, ACLs.

Changes are only asked about (validate_only), but for those that a later question does not see.
"""

from collections.abc import Iterator
from functools import partial
from typing import TypeAlias

from .cases import Case, Fields, World, fixed

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
Operation: TypeAlias = tuple[str, int, str | None]

# title -> type and name of a resource, and what is done to it; "me" stands for the broker's number
CHANGES: dict[str, tuple[int, str, list[Operation]]] = {
    "one": (TOPIC, "diff-set", [("retention.ms", SET, "5000")]),
    "none": (TOPIC, "diff-set", []),
    "delete": (TOPIC, "diff-set", [("retention.ms", DELETE, None), ("flush.ms", DELETE, "5"), ("nope", DELETE, None)]),
    "bad value": (TOPIC, "diff-set", [("retention.ms", SET, "x")]),
    "one bad of two": (TOPIC, "diff-set", [("flush.ms", SET, "1"), ("retention.ms", SET, "x")]),
    "unknown": (TOPIC, "diff-set", [("nope", SET, "x")]),
    "append": (TOPIC, "diff-set", [("cleanup.policy", APPEND, "delete,compact")]),
    "append to the default": (TOPIC, "diff-read", [("cleanup.policy", APPEND, "compact")]),
    "append a bad one": (TOPIC, "diff-set", [("cleanup.policy", APPEND, "shred")]),
    "append nothing": (TOPIC, "diff-set", [("cleanup.policy", APPEND, "")]),
    "append, no list": (TOPIC, "diff-set", [("retention.ms", APPEND, "1")]),
    "append, unknown": (TOPIC, "diff-set", [("nope", APPEND, "1")]),
    "subtract": (TOPIC, "diff-set", [("cleanup.policy", SUBTRACT, "compact")]),
    "subtract, no list": (TOPIC, "diff-set", [("retention.ms", SUBTRACT, "1")]),
    "throttled": (TOPIC, "diff-set", [("leader.replication.throttled.replicas", APPEND, "0:1,*")]),
    "null": (TOPIC, "diff-set", [("retention.ms", SET, None), ("cleanup.policy", APPEND, None)]),
    "doubled": (TOPIC, "diff-set", [("retention.ms", SET, "1"), ("retention.ms", DELETE, None)]),
    "operation 9": (TOPIC, "diff-set", [("retention.ms", 9, "1")]),
    "contradiction": (TOPIC, "diff-set", [("min.compaction.lag.ms", SET, "9"), ("max.compaction.lag.ms", SET, "8")]),
    "tiered": (TOPIC, "diff-set", [("remote.storage.enable", SET, "true")]),
    "no topic": (TOPIC, "no-such-topic", [("retention.ms", SET, "1")]),
    "no topic, bad value": (TOPIC, "no-such-topic", [("retention.ms", SET, "x")]),
    "no topic, none": (TOPIC, "no-such-topic", []),
    "bad name": (TOPIC, "a b", [("retention.ms", SET, "1")]),
    "empty name": (TOPIC, "", [("retention.ms", SET, "1")]),
    "broker": (BROKER, "me", [("log.retention.ms", SET, "5000")]),
    "broker, unknown": (BROKER, "me", [("nope", SET, "x")]),
    "broker, append unknown": (BROKER, "me", [("nope", APPEND, "x")]),
    "broker, append, no list": (BROKER, "me", [("log.retention.ms", APPEND, "5")]),
    "broker, append": (BROKER, "me", [("log.cleanup.policy", APPEND, "compact")]),
    "broker, read-only": (BROKER, "me", [("log.dirs", SET, "/x"), ("log.retention.ms", SET, "x")]),
    "broker, delete read-only": (BROKER, "me", [("log.dirs", DELETE, None)]),
    "broker, bad value": (BROKER, "me", [("log.segment.bytes", SET, "1")]),
    "broker, zero": (BROKER, "me", [("log.retention.ms", SET, "0")]),
    "broker, ssl": (BROKER, "me", [("ssl.keystore.location", SET, "/x")]),
    "broker, listener": (BROKER, "me", [("listener.name.plaintext.max.connections", SET, "7")]),
    "broker, replication": (BROKER, "me", [("leader.replication.throttled.rate", SET, "x")]),
    "broker, operation 9": (BROKER, "me", [("log.retention.ms", 9, "5")]),
    "brokers": (BROKER, "", [("log.retention.ms", SET, "5000")]),
    "brokers, listeners": (BROKER, "", [("listeners", SET, "PLAINTEXT://:1")]),
    "brokers, listener": (BROKER, "", [("listener.name.plaintext.ssl.keystore.location", SET, "/x")]),
    "brokers, no connections": (BROKER, "", [("max.connections.per.ip", SET, "0")]),
    "brokers, group": (BROKER, "", [("group.consumer.session.timeout.ms", SET, "50000")]),
    "other broker": (BROKER, "9", [("log.retention.ms", SET, "5000")]),
    "no broker": (BROKER, "x", []),
    "group": (GROUP, "diff-group", [("consumer.session.timeout.ms", SET, "50000")]),
    "group, unknown": (GROUP, "diff-group", [("nope", SET, "1")]),
    "group, too short": (GROUP, "diff-group", [("consumer.session.timeout.ms", SET, "44999")]),
    "group, zero": (GROUP, "diff-group", [("consumer.session.timeout.ms", SET, "0")]),
    "group, too often": (GROUP, "diff-group", [("consumer.heartbeat.interval.ms", SET, "4999")]),
    "group, no list": (GROUP, "diff-group", [("streams.rack.aware.assignment.tags", APPEND, "a")]),
    "group, standbys": (GROUP, "diff-group", [("streams.num.standby.replicas", SET, "3")]),
    "group, assignor": (GROUP, "diff-group", [("streams.assignor.name", SET, "mine")]),
    "group, locks": (GROUP, "diff-group", [("share.partition.max.record.locks", SET, "4001")]),
    "group, reset": (GROUP, "diff-group", [("share.auto.offset.reset", SET, "by_duration:1H")]),
    "group, reset by duration": (GROUP, "diff-group", [("share.auto.offset.reset", SET, "by_duration:PT1H")]),
    "no group": (GROUP, "", []),
    "subscription": (METRICS, "diff-metrics", [("interval.ms", SET, "5000")]),
    "subscription, unknown": (METRICS, "diff-metrics", [("nope", SET, "1")]),
    "subscription, interval": (METRICS, "diff-metrics", [("interval.ms", SET, "99")]),
    "subscription, no number": (METRICS, "diff-metrics", [("interval.ms", SET, "x")]),
    "subscription, match": (METRICS, "diff-metrics", [("match", SET, "nope=x")]),
    "subscription, expression": (METRICS, "diff-metrics", [("match", SET, "client_id=[")]),
    "no subscription": (METRICS, "", []),
    "logger": (LOGGER, "me", [("root", SET, "INFO")]),
    "logger, unknown": (LOGGER, "me", [("nope", SET, "INFO")]),
    "logger, level": (LOGGER, "me", [("root", SET, "loud")]),
    "logger, delete root": (LOGGER, "me", [("root", DELETE, None)]),
    "logger, append": (LOGGER, "me", [("root", APPEND, "INFO")]),
    "logger, operation 9": (LOGGER, "me", [("root", 9, "INFO")]),
    "loggers elsewhere": (LOGGER, "9", [("root", SET, "INFO")]),
    "loggers of nobody": (LOGGER, "", [("root", SET, "INFO")]),
    "type 0": (0, "x", []),
    "type 99": (99, "x", [("nope", SET, "x")]),
}


def _resource(world: World, kind: int, name: str, configs: list[Fields]) -> Fields:
    return {
        "resource_type": kind,
        "resource_name": str(world.node_id) if name == "me" else name,
        "configs": configs,
    }


def _change(titles: list[str], world: World, _version: int) -> Fields:
    resources = []
    for kind, name, operations in map(CHANGES.__getitem__, titles):
        configs: list[Fields] = [{"name": key, "config_operation": how, "value": to} for key, how, to in operations]
        resources.append(_resource(world, kind, name, configs))
    return {"resources": resources, "validate_only": True}


def _replace(title: str, world: World, _version: int) -> Fields:
    kind, name, operations = CHANGES[title]
    configs: list[Fields] = [{"name": key, "value": value} for key, _, value in operations]
    return {"resources": [_resource(world, kind, name, configs)], "validate_only": True}


def alter_configs() -> Iterator[Case]:
    for title, (kind, name, operations) in CHANGES.items():
        yield Case("IncrementalAlterConfigs", title, range(2), partial(_change, [title]))
        if all(what == SET for _, what, _ in operations) and (kind, name) != (BROKER, ""):
            yield Case("AlterConfigs", title, range(3), partial(_replace, title))
    yield Case(
        "IncrementalAlterConfigs", "several", range(2), partial(_change, ["one", "no topic", "group", "type 99"])
    )
    yield Case("IncrementalAlterConfigs", "nothing", range(2), partial(_change, []))
    yield Case("IncrementalAlterConfigs", "twice", range(2), partial(_change, ["one", "delete"]))
    for kinds in ([], [GROUP], [METRICS], [BROKER, LOGGER], [BROKER, BROKER], [0], [99, TOPIC], [-1]):
        yield fixed("ListConfigResources", f"types {kinds}", 1, 1, resource_types=kinds)
    yield fixed("ListConfigResources", "subscriptions", 0, 0)


def _records(*wanted: tuple[int, int], topic: str = "diff-write") -> Fields:
    partitions = [{"partition_index": index, "offset": offset} for index, offset in wanted]
    return {"topics": [{"name": topic, "partitions": partitions}], "timeout_ms": 1000}


def delete_records() -> Iterator[Case]:
    for title, fields in {
        "nothing there": _records((0, 0)),
        "all of nothing": _records((0, -1)),
        "beyond": _records((0, 1)),
        "far below": _records((0, -2)),
        "twice": _records((0, 5), (0, 0)),
        "several": _records((0, 0), (999, 0), (-1, 0), (1, 7)),
        "compacted": _records((0, 0), topic="diff-set"),
        "unknown": _records((0, 0), topic="no-such-topic"),
        "bad name": _records((0, 0), topic="a b"),
        "the metadata log": _records((0, 0), topic="__cluster_metadata"),
        "no partition": _records(),
        "no topic": {"topics": [], "timeout_ms": 1000},
    }.items():
        yield fixed("DeleteRecords", title, 0, 2, **fields)


def _partitions(*named: tuple[str, list[int]], key: str = "topic", indexes: str = "partitions") -> list[Fields]:
    return [{key: name, indexes: numbers} for name, numbers in named]


def replicas() -> Iterator[Case]:
    for title, topics in {
        "some": _partitions(("diff-read", [0, 0, 7]), ("diff-wide", [2, 1]), ("no-such-topic", [0])),
        "no partitions": _partitions(("diff-read", [])),
        "none": [],
    }.items():
        yield fixed("DescribeLogDirs", title, 1, 5, topics=topics)
        yield fixed("ElectLeaders", title, 0, 2, topic_partitions=topics, timeout_ms=1000)
        yield fixed("ElectLeaders", f"unclean, {title}", 1, 2, election_type=1, topic_partitions=topics)
        yield fixed("ElectLeaders", f"type 2, {title}", 1, 2, election_type=2, topic_partitions=topics)
    moves = [("nowhere", "/no/such/folder"), ("empty", "")]
    for title, path in moves:
        topics = _partitions(("diff-read", [0, 9]), ("no-such-topic", [0]), key="name")
        yield fixed("AlterReplicaLogDirs", title, 1, 2, dirs=[{"path": path, "topics": topics}])
    yield fixed("ListPartitionReassignments", "all", 0, 0, topics=None)
    named = _partitions(("diff-read", [0, 9]), ("no-such-topic", [0]), key="name", indexes="partition_indexes")
    yield fixed("ListPartitionReassignments", "some", 0, 0, topics=named)
    for replica_ids in ([1], None, [], [42], [1, 1], [42, 42], [1, 42], [-1]):
        partitions = [{"partition_index": index, "replicas": replica_ids} for index in (0, 9)]
        topics = [{"name": name, "partitions": partitions} for name in ("diff-read", "no-such-topic")]
        for allow in (True, False):
            title, more = f"to {replica_ids}, {allow}", {} if allow else {"allow_replication_factor_change": False}
            yield fixed("AlterPartitionReassignments", title, 1 - allow, 1, topics=topics, **more)
    yield fixed("AlterPartitionReassignments", "nothing", 0, 1, topics=[])


def quorum() -> Iterator[Case]:
    for title, named in {
        "plain": [("__cluster_metadata", [0])],
        "other partition": [("__cluster_metadata", [1])],
        "two partitions": [("__cluster_metadata", [0, 1])],
        "twice": [("__cluster_metadata", [0, 0])],
        "other topic": [("diff-read", [0])],
        "two topics": [("__cluster_metadata", [0]), ("diff-read", [0])],
        "no partition": [("__cluster_metadata", [])],
        "nothing": [],
    }.items():
        topics = [
            {"topic_name": name, "partitions": [{"partition_index": i} for i in indexes]} for name, indexes in named
        ]
        yield fixed("DescribeQuorum", title, 0, 2, topics=topics)


def security() -> Iterator[Case]:
    filters: dict[str, list[tuple[str, int, str | None]]] = {
        "all": [],
        "any user": [("user", 2, None)],
        "default and exact": [("user", 1, None), ("client-id", 0, "x")],
        "unknown type": [("nope", 2, None)],
        "empty type": [("", 2, None)],
        "unknown match": [("user", 3, None)],
        "exactly nothing": [("user", 0, None)],
        "default with a name": [("user", 1, "x")],
        "any with a name": [("user", 2, "x")],
        "twice": [("user", 2, None), ("user", 1, None)],
        "address and user": [("ip", 2, None), ("user", 2, None)],
    }
    for title, wanted in filters.items():
        components = [{"entity_type": kind, "match_type": how, "match": match} for kind, how, match in wanted]
        yield fixed("DescribeClientQuotas", title, 0, 1, components=components, strict=title == "all")
    for names in (None, [], ["bob"], ["bob", "eve", "bob"], [""]):
        users = None if names is None else [{"name": name} for name in names]
        yield fixed("DescribeUserScramCredentials", f"users {names}", 0, 0, users=users)
    anything: Fields = {"resource_type_filter": 1, "resource_name_filter": None, "pattern_type_filter": 3}
    anything |= {"principal_filter": None, "host_filter": None, "operation": 1, "permission_type": 1}
    acl: Fields = {"resource_type": 2, "resource_name": "x", "resource_pattern_type": 3, "principal": "User:a"}
    acl |= {"host": "*", "operation": 3, "permission_type": 3}
    yield fixed("DescribeAcls", "anything", 1, 3, **anything)
    for several in (0, 1, 2):
        yield fixed("CreateAcls", f"{several}", 1, 3, creations=[acl] * several)
        yield fixed("DeleteAcls", f"{several}", 1, 3, filters=[anything] * several)


def admin_cases() -> list[Case]:
    return [case for group in (alter_configs, delete_records, replicas, quorum, security) for case in group()]
