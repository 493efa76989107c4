"""Transactions, as their coordinators and as the partitions they write to know them (KIP-664)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    TopicRequest,
)
from kbroker_wire.messages.describe_transactions import DescribeTransactionsRequest, DescribeTransactionsResponse
from kbroker_wire.messages.find_coordinator import TRANSACTION
from kbroker_wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from kbroker_wire.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse
from kbroker_wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

from .cluster import TopicPartition
from .failures import Failure, only, refuse

if TYPE_CHECKING:
    from collections.abc import Collection

    from .cluster import Cluster
    from .connection import Connection

# Kafka's names; only in Ongoing can a transaction still be aborted
STATES = (
    "CompleteAbort",
    "CompleteCommit",
    "Dead",
    "Empty",
    "Ongoing",
    "PrepareAbort",
    "PrepareCommit",
    "PrepareEpochFence",
)
ONGOING, PREPARE_ABORT, PREPARE_COMMIT = "Ongoing", "PrepareAbort", "PrepareCommit"
OPEN = (ONGOING, PREPARE_ABORT, PREPARE_COMMIT)
NO_TRANSACTION = -1  # where a start, in ms or as an offset, would stand
NOBODYS_LEADER = -1


@dataclass(frozen=True, slots=True)
class ListedTransaction:
    transactional_id: str
    coordinator: int
    producer_id: int
    state: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """`coordinator` is a node id; `started_ms`, since 1970, is None before the first transaction.

    partitions  of a transaction that ends only those that have not got their markers
    """

    transactional_id: str
    coordinator: int
    producer_id: int
    producer_epoch: int
    state: str
    timeout_ms: int
    started_ms: int | None
    partitions: list[TopicPartition]


@dataclass(frozen=True, slots=True)
class Producer:
    """What a partition's leader remembers of a producer.

    coordinator_epoch  of the last marker, -1 before the first
    last_timestamp     of its last batch, ms since 1970
    start_offset       where its open transaction begins; None if it has none
    """

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    last_sequence: int
    last_timestamp: int
    start_offset: int | None


def list_transactions(
    cluster: Cluster, states: Collection[str] = (), producer_ids: Collection[int] = ()
) -> list[ListedTransaction]:
    """Of all brokers, by id. Raises Failure, also for a state that a broker does not know."""
    request = ListTransactionsRequest(state_filters=list(states), producer_id_filters=list(producer_ids))

    def attempt() -> list[ListedTransaction]:
        found = []
        for node_id in cluster.brokers():
            answer = cluster.connection(node_id).ask(request, ListTransactionsResponse)
            refuse(answer.error_code, f"the transactions of broker {node_id}")
            if unknown := answer.unknown_state_filters:
                raise Failure(f"broker {node_id} does not know the state {unknown[0]}")
            found += [
                ListedTransaction(row.transactional_id, node_id, row.producer_id, row.transaction_state)
                for row in answer.transaction_states
            ]
        return sorted(found, key=lambda each: each.transactional_id)

    return cluster.patiently(attempt)


def describe_transaction(cluster: Cluster, transactional_id: str) -> Transaction:
    """Raises Failure."""
    request = DescribeTransactionsRequest(transactional_ids=[transactional_id])
    what = f"transactional id {transactional_id}"
    unknown = {ErrorCode.TRANSACTIONAL_ID_NOT_FOUND: f"there is no {what}"}

    def attempt() -> Transaction:
        connection, node_id = _coordinator(cluster, transactional_id)
        row = only(connection.ask(request, DescribeTransactionsResponse).transaction_states, what)
        refuse(row.error_code, what, None, unknown)
        partitions = sorted(TopicPartition(each.topic, index) for each in row.topics for index in each.partitions)
        return Transaction(
            transactional_id,
            node_id,
            row.producer_id,
            row.producer_epoch,
            row.transaction_state,
            row.transaction_timeout_ms,
            None if row.transaction_start_time_ms == NO_TRANSACTION else row.transaction_start_time_ms,
            partitions,
        )

    return cluster.patiently(attempt)


def producers_of(cluster: Cluster, partition: TopicPartition) -> list[Producer]:
    """Those that the leader remembers, by producer id. Raises Failure."""
    asked = TopicRequest(name=partition.topic, partition_indexes=[partition.partition])

    def attempt() -> list[Producer]:
        connection = _leader(cluster, partition)
        answer = connection.ask(DescribeProducersRequest(topics=[asked]), DescribeProducersResponse)
        what = f"the producers of {partition}"
        row = only(only(answer.topics, what).partitions, what)
        refuse(row.error_code, what, row.error_message)
        return sorted(
            (
                Producer(
                    each.producer_id,
                    each.producer_epoch,
                    each.coordinator_epoch,
                    each.last_sequence,
                    each.last_timestamp,
                    None if each.current_txn_start_offset == NO_TRANSACTION else each.current_txn_start_offset,
                )
                for each in row.active_producers
            ),
            key=lambda each: each.producer_id,
        )

    return cluster.patiently(attempt)


def abort_transaction(cluster: Cluster, transactional_id: str) -> Transaction:
    """Abort the open transaction by taking its producer's place, which fences that producer; the transaction as it was.

    As Kafka's Admin.fenceProducers does: InitProducerId is answered when the transaction has ended. Raises Failure.
    """
    was = describe_transaction(cluster, transactional_id)
    if was.state == PREPARE_COMMIT:
        raise Failure(f"the transaction of {transactional_id} is being committed: it can not be aborted any more")
    if was.state not in (ONGOING, PREPARE_ABORT):
        raise Failure(f"{transactional_id} has no open transaction: its state is {was.state}")
    request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=was.timeout_ms)

    def attempt() -> None:
        answer = _coordinator(cluster, transactional_id)[0].ask(request, InitProducerIdResponse)
        refuse(answer.error_code, f"the transaction of {transactional_id}")

    cluster.patiently(attempt)
    return was


def abort_hanging(cluster: Cluster, partition: TopicPartition, start_offset: int, *, force: bool = False) -> Producer:
    """Write an abort marker into one partition behind the coordinator's back; the producer whose transaction it was.

    Only for what hangs: a coordinator that knows the transaction would still end it in its other partitions as it
    likes. Raises Failure if one does, unless `force` is set.
    """
    open_ones = [each for each in producers_of(cluster, partition) if each.start_offset == start_offset]
    if not open_ones:
        raise Failure(f"no open transaction starts at offset {start_offset} of {partition}")
    producer = open_ones[0]  # an offset has one record, and that has one producer
    if not force and (owner := _owner(cluster, producer.producer_id, partition)):
        raise Failure(
            f"this transaction does not hang, it is that of {owner}: abort that with `kbroker txn abort {owner}`,"
            " or --force a marker into this partition alone"
        )
    marker = WritableTxnMarker(
        producer_id=producer.producer_id,
        producer_epoch=producer.producer_epoch,
        transaction_result=False,
        topics=[WritableTxnMarkerTopic(name=partition.topic, partition_indexes=[partition.partition])],
        coordinator_epoch=max(producer.coordinator_epoch, 0),  # 0 is of no coordinator newer than any
    )

    def attempt() -> None:
        connection = _leader(cluster, partition)
        answer = connection.ask(WriteTxnMarkersRequest(markers=[marker]), WriteTxnMarkersResponse)
        what = f"the marker in {partition}"
        row = only(only(only(answer.markers, what).topics, what).partitions, what)
        refuse(row.error_code, what)

    cluster.patiently(attempt)
    return producer


def _owner(cluster: Cluster, producer_id: int, partition: TopicPartition) -> str | None:
    """The transactional id whose coordinator will still write a marker of the producer into the partition."""
    for listed in list_transactions(cluster, producer_ids=[producer_id]):
        if partition in describe_transaction(cluster, listed.transactional_id).partitions:
            return listed.transactional_id
    return None


def _coordinator(cluster: Cluster, transactional_id: str) -> tuple[Connection, int]:
    node_id = cluster.coordinators([transactional_id], TRANSACTION)[transactional_id]
    return cluster.connection(node_id), node_id


def _leader(cluster: Cluster, partition: TopicPartition) -> Connection:
    leaders = cluster.leaders([partition.topic])
    if partition not in leaders:
        raise Failure(f"topic {partition.topic} has no partition {partition.partition}, but 0 to {len(leaders) - 1}")
    if leaders[partition] == NOBODYS_LEADER:
        refuse(ErrorCode.LEADER_NOT_AVAILABLE, str(partition))
    return cluster.connection(leaders[partition])
