"""What several APIs tell of the cluster in the same way: nodes and their addresses, leaders, replicas that are away."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from kbroker_wire import ErrorCode

from .metadata.image import Image, PartitionImage

if TYPE_CHECKING:
    from collections.abc import Collection

    from .broker import Broker
    from .call import Call
    from .partition import Partition

L = TypeVar("L", covariant=True)  # noqa: PLC0105
N = TypeVar("N", covariant=True)  # noqa: PLC0105

# Bit fields of AclOperation codes, as Kafka answers when nothing restricts anybody (KIP-430)
ALL_TOPIC_OPERATIONS = 3576  # read, write, create, delete, alter, describe, describe configs, alter configs
ALL_CLUSTER_OPERATIONS = (
    8096  # create, alter, describe, cluster action, describe configs, alter configs, idempotent write
)


class Node(NamedTuple):
    id: int
    host: str
    port: int
    rack: str | None
    fenced: bool


def nodes(broker: Broker, call: Call, *, fenced: bool = False) -> list[Node]:
    """Brokers that have the listener the client came through; with `fenced` also those that may not serve now."""
    found = []
    for each in broker.image.brokers.values():
        if each.fenced and not fenced:
            continue
        address = call.told if each.id == broker.node_id else each.address(call.listener)
        if address is not None:
            found.append(Node(each.id, *address, each.rack, each.fenced))
    return found


class LeaderTable(Protocol[L]):
    """LeaderIdAndEpoch, which Produce and Fetch each have in their own versions."""

    def __call__(self, *, leader_id: int, leader_epoch: int) -> L: ...


class EndpointTable(Protocol[N]):
    """NodeEndpoint, likewise."""

    def __call__(self, *, node_id: int, host: str, port: int, rack: str | None) -> N: ...


def current_leader(table: LeaderTable[L], partition: Partition, moved: set[int]) -> L:
    """What stands beside a partition whose leader is another one than the client thinks (KIP-951).

    moved   gets that leader: `endpoints` tells where it is
    """
    moved.add(partition.leader)
    return table(leader_id=partition.leader, leader_epoch=partition.leader_epoch)


def endpoints(table: EndpointTable[N], moved: Collection[int], broker: Broker, call: Call) -> list[N]:
    """Where the leaders are that an answer names (KIP-951)."""
    return [
        table(node_id=node.id, host=node.host, port=node.port, rack=node.rack)
        for node in nodes(broker, call)
        if node.id in moved
    ]


def java_address(address: str) -> str:
    """An IP address as Java's InetAddress prints it, which is how Kafka shows where a client is: "/127.0.0.1",
    "/0:0:0:0:0:0:0:1"."""
    if ":" not in address:
        return "/" + address
    groups = IPv6Address(address.partition("%")[0]).exploded.split(":")
    return "/" + ":".join(group.lstrip("0") or "0" for group in groups)


def leader_error(image: Image, partition: PartitionImage) -> ErrorCode:
    leader = image.brokers.get(partition.leader)
    return ErrorCode.LEADER_NOT_AVAILABLE if leader is None or leader.fenced else ErrorCode.NONE


def offline_replicas(image: Image, partition: PartitionImage) -> list[int]:
    brokers = image.brokers
    return [each for each in partition.replicas if each not in brokers or brokers[each].fenced]
