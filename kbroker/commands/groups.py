"""Groups and their members, of the classic and of the consumer protocol (KIP-848), as coordinators tell of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode, ProtocolError
from kbroker_wire.messages.consumer_group_describe import (
    Assignment,
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
)
from kbroker_wire.messages.consumer_group_describe import DescribedGroup as DescribedConsumerGroup
from kbroker_wire.messages.consumer_protocol import decode_assignment
from kbroker_wire.messages.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from kbroker_wire.messages.describe_groups import DescribedGroup, DescribeGroupsRequest, DescribeGroupsResponse
from kbroker_wire.messages.find_coordinator import GROUP
from kbroker_wire.messages.list_groups import ListGroupsRequest, ListGroupsResponse

from .cluster import TopicPartition
from .failures import Failure, Refused, lasting, refuse, verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from .cluster import Cluster
    from .connection import Connection

# Kafka's names of states of classic and consumer groups, and of kinds of groups (share and streams groups are listed)
STATES = ("Assigning", "CompletingRebalance", "Dead", "Empty", "PreparingRebalance", "Reconciling", "Stable")
TYPES = ("classic", "consumer", "share", "streams")
CLASSIC, CONSUMER = "classic", "consumer"
CONSUMERS = "consumer"  # the protocol type of classic groups whose members are consumers

NOT_A_CONSUMER_GROUP = frozenset({ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.UNSUPPORTED_VERSION})


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """`type` and `state` are None where the broker is too old to tell, `protocol_type` "" before any member joined."""

    group_id: str
    type: str | None
    state: str | None
    protocol_type: str
    coordinator: int


@dataclass(frozen=True, slots=True)
class Member:
    """`epoch` and `target`, what it is to own once all have followed, are of the consumer protocol; else None."""

    member_id: str
    instance_id: str | None
    client_id: str
    host: str
    epoch: int | None
    assignment: list[TopicPartition]
    target: list[TopicPartition] | None


@dataclass(frozen=True, slots=True)
class Group:
    """`coordinator` is a node id; `epoch` is of the consumer protocol, else None."""

    group_id: str
    type: str
    state: str
    protocol_type: str
    assignor: str
    epoch: int | None
    coordinator: int
    members: list[Member]


class NoSuchGroup(Failure):
    def __init__(self, group_id: str) -> None:
        super().__init__(f"group {group_id} does not exist")


def list_groups(cluster: Cluster, states: Collection[str] = (), types: Collection[str] = ()) -> list[ListedGroup]:
    """Of all brokers, by name. Raises Failure, also if a broker is too old to choose by state or type."""
    request = ListGroupsRequest(states_filter=list(states), types_filter=list(types))

    def attempt() -> list[ListedGroup]:
        found = []
        for node_id in cluster.brokers():
            answer = cluster.connection(node_id).ask(request, ListGroupsResponse)
            refuse(answer.error_code, f"the groups of broker {node_id}")
            found += [
                ListedGroup(
                    row.group_id, row.group_type.lower() or None, row.group_state or None, row.protocol_type, node_id
                )
                for row in answer.groups
            ]
        return sorted(found, key=lambda group: group.group_id)

    return cluster.patiently(attempt)


def describe_groups(cluster: Cluster, group_ids: Collection[str]) -> dict[str, Group | Failure]:
    """Each group, or why there is no description of it. Raises Failure if nothing can be found out."""

    def attempt() -> dict[str, Group | Failure]:
        found: dict[str, Group | Failure] = {}
        for node_id, ids in by_coordinator(cluster, group_ids).items():
            connection = cluster.connection(node_id)
            found |= _describe_consumer_groups(connection, node_id, ids)
            if rest := [group_id for group_id in ids if group_id not in found]:
                found |= _describe_classic_groups(connection, node_id, rest)
        return found

    found = cluster.patiently(attempt)
    missing = [group_id for group_id, group in found.items() if isinstance(group, NoSuchGroup)]
    if missing:
        kinds = _kinds(cluster)
        for group_id in missing:
            if kind := kinds.get(group_id):
                found[group_id] = Failure(f"{group_id} is a {kind} group, not one of consumers")
    return found


def delete_groups(cluster: Cluster, group_ids: Collection[str]) -> dict[str, Failure | None]:
    """None for each group that is gone, with its offsets. Raises Failure if nothing can be done."""
    done: dict[str, Failure | None] = {}

    def attempt() -> None:
        for node_id, ids in by_coordinator(cluster, [each for each in group_ids if each not in done]).items():
            answer = cluster.connection(node_id).ask(DeleteGroupsRequest(groups_names=ids), DeleteGroupsResponse)
            outcomes = {
                row.group_id: verdict(row.error_code, f"group {row.group_id}", row.error_message, advice(row.group_id))
                for row in answer.results
            }
            passing = [each for each in outcomes.values() if isinstance(each, Refused) and each.passes]
            done.update((group_id, each) for group_id, each in outcomes.items() if each not in passing)
            if passing:
                raise passing[0]

    cluster.patiently(attempt)
    return done


def advice(group_id: str) -> dict[ErrorCode, str]:
    """What is said instead of Kafka's own words."""
    stop_them = f"group {group_id} has members: stop them first"
    return {
        ErrorCode.GROUP_ID_NOT_FOUND: f"group {group_id} does not exist",
        ErrorCode.NON_EMPTY_GROUP: stop_them,
        ErrorCode.UNKNOWN_MEMBER_ID: stop_them,  # the answer to a commit of nobody's while there are members
        ErrorCode.STALE_MEMBER_EPOCH: stop_them,
    }


def by_coordinator(cluster: Cluster, group_ids: Collection[str]) -> dict[int, list[str]]:
    """Node id -> the groups that it coordinates."""
    ids: dict[int, list[str]] = defaultdict(list)
    for group_id, node_id in cluster.coordinators(group_ids, GROUP).items():
        ids[node_id].append(group_id)
    return ids


def _describe_consumer_groups(connection: Connection, node_id: int, ids: list[str]) -> dict[str, Group | Failure]:
    """Those of `ids` that are groups of the consumer protocol, if the broker knows it."""
    if not connection.serves(ConsumerGroupDescribeRequest):
        return {}
    request = ConsumerGroupDescribeRequest(group_ids=ids, include_authorized_operations=False)
    rows = connection.ask(request, ConsumerGroupDescribeResponse).groups
    known = [row for row in rows if row.error_code not in NOT_A_CONSUMER_GROUP]
    return {
        row.group_id: _refused(row.group_id, row.error_code, row.error_message) or _consumer_group(row, node_id)
        for row in known
    }


def _describe_classic_groups(connection: Connection, node_id: int, ids: list[str]) -> dict[str, Group | Failure]:
    rows = connection.ask(DescribeGroupsRequest(groups=ids), DescribeGroupsResponse).groups
    return {
        row.group_id: _refused(row.group_id, row.error_code, row.error_message) or _classic_group(row, node_id)
        for row in rows
    }


def _refused(group_id: str, code: int, message: str | None) -> Failure | None:
    """Raises Refused if it is to be tried again."""
    if code == ErrorCode.GROUP_ID_NOT_FOUND:
        return NoSuchGroup(group_id)
    return lasting(verdict(code, f"group {group_id}", message))


def _consumer_group(row: DescribedConsumerGroup, node_id: int) -> Group:
    members = [
        Member(
            member.member_id,
            member.instance_id,
            member.client_id,
            member.client_host,
            member.member_epoch,
            _partitions(member.assignment),
            _partitions(member.target_assignment),
        )
        for member in row.members
    ]
    return Group(
        row.group_id, CONSUMER, row.group_state, CONSUMERS, row.assignor_name, row.group_epoch, node_id, members
    )


def _classic_group(row: DescribedGroup, node_id: int) -> Group | Failure:
    if row.group_state == "Dead":  # how versions before 6 say that there is none
        return NoSuchGroup(row.group_id)
    members = [
        Member(
            member.member_id,
            member.group_instance_id,
            member.client_id,
            member.client_host,
            None,
            _assigned(row.protocol_type, member.member_assignment),
            None,
        )
        for member in row.members
    ]
    return Group(row.group_id, CLASSIC, row.group_state, row.protocol_type, row.protocol_data, None, node_id, members)


def _partitions(assignment: Assignment) -> list[TopicPartition]:
    return sorted(
        TopicPartition(topic.topic_name, partition)
        for topic in assignment.topic_partitions
        for partition in topic.partitions
    )


def _assigned(protocol_type: str, assignment: bytes) -> list[TopicPartition]:
    """Empty also for members that are no consumers (Kafka Connect's, for one), or write what nobody can read."""
    if protocol_type != CONSUMERS or not assignment:
        return []
    try:
        topics = decode_assignment(assignment).assigned_partitions
    except ProtocolError:
        return []
    return sorted(TopicPartition(topic.topic, partition) for topic in topics for partition in topic.partitions)


def _kinds(cluster: Cluster) -> dict[str, str | None]:
    try:
        return {group.group_id: group.type for group in list_groups(cluster)}
    except Failure:
        return {}
