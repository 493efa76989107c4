"""The served APIs: one row each. ApiVersions, the dispatch of requests and the README's table are read from it.

A handler's module is imported when its API is first called, so that a broker is up before it has loaded what nobody
has asked for yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kbroker_wire import ErrorCode
from kbroker_wire.messages import message_pair
from kbroker_wire.schema import Message

if TYPE_CHECKING:
    from .broker import Broker
    from .call import Answer, Call

Handler = Callable[[Message, "Call", "Broker"], Awaitable["Answer"]]


class Api(NamedTuple):
    """One served API.

    first, last    the versions that are served
    advertised     the lowest version that ApiVersions tells, where that differs: librdkafka before 2.4 needs to see
                   Produce 0 (KAFKA-18659), though Kafka 4 closes the connection on it
    short          module with a `ShortWay` for requests that come over and over
    """

    key: int
    name: str
    module: str
    first: int
    last: int
    advertised: int | None = None
    short: str | None = None

    @property
    def advertised_first(self) -> int:
        return self.first if self.advertised is None else self.advertised


APIS = (
    Api(0, "Produce", "produce", 3, 13, advertised=0, short="short_produce"),
    Api(1, "Fetch", "fetch", 4, 18, short="short_fetch"),
    Api(2, "ListOffsets", "list_offsets", 1, 11),
    Api(3, "Metadata", "metadata", 0, 13),
    Api(8, "OffsetCommit", "offset_commit", 2, 10),
    Api(9, "OffsetFetch", "offset_fetch", 1, 10),
    Api(10, "FindCoordinator", "find_coordinator", 0, 6),
    Api(11, "JoinGroup", "join_group", 0, 9),
    Api(12, "Heartbeat", "heartbeat", 0, 4),
    Api(13, "LeaveGroup", "leave_group", 0, 5),
    Api(14, "SyncGroup", "sync_group", 0, 5),
    Api(15, "DescribeGroups", "describe_groups", 0, 6),
    Api(16, "ListGroups", "list_groups", 0, 5),
    Api(17, "SaslHandshake", "sasl_handshake", 0, 1),
    Api(18, "ApiVersions", "api_versions", 0, 5),
    Api(19, "CreateTopics", "create_topics", 2, 7),
    Api(20, "DeleteTopics", "delete_topics", 1, 6),
    Api(21, "DeleteRecords", "delete_records", 0, 2),
    Api(22, "InitProducerId", "init_producer_id", 0, 5),
    Api(23, "OffsetForLeaderEpoch", "offset_for_leader_epoch", 2, 4),
    Api(24, "AddPartitionsToTxn", "add_partitions_to_txn", 0, 5),
    Api(25, "AddOffsetsToTxn", "add_offsets_to_txn", 0, 4),
    Api(26, "EndTxn", "end_txn", 0, 5),
    Api(27, "WriteTxnMarkers", "write_txn_markers", 1, 2),
    Api(28, "TxnOffsetCommit", "txn_offset_commit", 0, 6),
    Api(29, "DescribeAcls", "describe_acls", 1, 3),
    Api(30, "CreateAcls", "create_acls", 1, 3),
    Api(31, "DeleteAcls", "delete_acls", 1, 3),
    Api(32, "DescribeConfigs", "describe_configs", 1, 4),
    Api(33, "AlterConfigs", "alter_configs", 0, 2),
    Api(34, "AlterReplicaLogDirs", "alter_replica_log_dirs", 1, 2),
    Api(35, "DescribeLogDirs", "describe_log_dirs", 1, 5),
    Api(37, "CreatePartitions", "create_partitions", 0, 3),
    Api(42, "DeleteGroups", "delete_groups", 0, 3),
    Api(43, "ElectLeaders", "elect_leaders", 0, 2),
    Api(44, "IncrementalAlterConfigs", "incremental_alter_configs", 0, 1),
    Api(45, "AlterPartitionReassignments", "alter_partition_reassignments", 0, 1),
    Api(46, "ListPartitionReassignments", "list_partition_reassignments", 0, 0),
    Api(47, "OffsetDelete", "offset_delete", 0, 0),
    Api(48, "DescribeClientQuotas", "describe_client_quotas", 0, 1),
    Api(50, "DescribeUserScramCredentials", "describe_user_scram_credentials", 0, 0),
    Api(55, "DescribeQuorum", "describe_quorum", 0, 2),
    Api(60, "DescribeCluster", "describe_cluster", 0, 2),
    Api(61, "DescribeProducers", "describe_producers", 0, 0),
    Api(65, "DescribeTransactions", "describe_transactions", 0, 0),
    Api(66, "ListTransactions", "list_transactions", 0, 2),
    Api(68, "ConsumerGroupHeartbeat", "consumer_group_heartbeat", 0, 1),
    Api(69, "ConsumerGroupDescribe", "consumer_group_describe", 0, 1),
    Api(74, "ListConfigResources", "list_config_resources", 0, 1),
    Api(75, "DescribeTopicPartitions", "describe_topic_partitions", 0, 0),
)

PRODUCE, API_VERSIONS = 0, 18


class Recognised(Protocol):
    """A request that was not decoded, because one that began like it was."""

    @property
    def call(self) -> Call: ...
    @property
    def request(self) -> Message:
        """As it would have been decoded."""
        ...


class ShortWay(Protocol):
    """Knows the requests of one API on one connection that began a certain way, and what they said."""

    def recognise(self, frame: memoryview) -> Recognised | None:
        """The request in a frame of this API; None if it has to be decoded. Raises ProtocolError as decoding would."""
        ...

    def learn(self, frame: memoryview, request: Message, call: Call) -> None:
        """Remember a request that was decoded from `frame`, if the short way can be taken by one like it."""
        ...


class Served:
    """An API with its code loaded: what the connection driver needs for one request."""

    __slots__ = ("answer", "first", "handle", "key", "last", "name", "refuse", "request", "response", "short")

    def __init__(self, api: Api) -> None:
        module = import_module(f".handlers.{api.module}", __package__)
        self.key, self.name, self.first, self.last = api.key, api.name, api.first, api.last
        self.request, self.response = message_pair(api.key)
        self.handle: Handler = module.handle
        # The same without a chance to wait, where a handler never does: it is called right when the request is there.
        self.answer: Callable[[Message, Call, Broker], Answer] | None = getattr(module, "answer", None)
        self.short: Callable[[Broker], ShortWay] | None = (
            None if api.short is None else import_module(f".{api.short}", __package__).ShortWay
        )
        # How to say "this request failed as a whole"; an API without it closes the connection instead.
        self.refuse: Callable[[Message, ErrorCode], Message] | None = getattr(module, "refuse", None)


class Dispatch(dict[int, Served]):
    """Served APIs by key, each loaded when it is first asked for; KeyError for what is not served."""

    def __missing__(self, key: int) -> Served:
        for api in APIS:
            if api.key == key:
                served = self[key] = Served(api)
                return served
        raise KeyError(key)
