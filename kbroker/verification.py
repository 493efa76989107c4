"""Before transactional records are appended, their producer's coordinator says whether the partition is part of the
transaction (KIP-890): so records of a producer that was fenced, or late ones of a transaction that has ended, can not
hold up readers for ever. A partition that has records of the transaction already was asked for before.

Clients of transaction version 2 (Produce 12, TxnOffsetCommit 5 and later) do not add partitions themselves: the
question adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

import trio

from kbroker_wire import ErrorCode
from kbroker_wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from kbroker_wire.records import HEADER_BYTES, read_header

from .call import Parked
from .errors import CloseConnection, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbroker_storage import VerificationToken
    from kbroker_wire.messages.produce import ProduceRequest
    from kbroker_wire.schema import Message

    from .broker import Broker
    from .call import Answer, Body, Call
    from .partition import Partition

ADDS = 12  # the first Produce that adds its partitions to the transaction
ABORTABLE = 11  # the first Produce whose clients know TRANSACTION_ABORTABLE
ADD_PARTITIONS_VERSION = 5

# What a producer before KIP-890 may take for the end of its transaction, though it only has to try again.
TRY_AGAIN = {
    ErrorCode.CONCURRENT_TRANSACTIONS,
    ErrorCode.NETWORK_EXCEPTION,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
}

Verdicts = Mapping["Partition", "VerificationToken | Refusal"]
Append = Callable[[Verdicts], "Answer"]
Codes = Mapping["Partition", ErrorCode]
GoOn = Callable[[Codes], "Answer"]


class Transaction(NamedTuple):
    """A transaction as its producer tells it.

    adds        the question adds partitions, else it only asks for them
    abortable   the client knows TRANSACTION_ABORTABLE
    """

    id: str
    producer_id: int
    producer_epoch: int
    adds: bool
    abortable: bool


def ask(
    broker: Broker, transaction: Transaction, partitions: Collection[Partition], deadline: float, go_on: GoOn
) -> Answer:
    """The answer of `go_on`, which gets what the transaction's coordinator says of each partition.

    deadline   Trio's clock, seconds: then it is REQUEST_TIMED_OUT for all of them
    """
    verifying = Verifying(transaction, partitions, deadline, go_on)
    topics: dict[str, list[int]] = {}
    for partition in partitions:
        topics.setdefault(partition.name, []).append(partition.index)
    question = AddPartitionsToTxnTransaction(
        transactional_id=transaction.id,
        producer_id=transaction.producer_id,
        producer_epoch=transaction.producer_epoch,
        verify_only=not transaction.adds,
        topics=[AddPartitionsToTxnTopic(name=name, partitions=each) for name, each in topics.items()],
    )
    leader = broker.transactions.leader_of(transaction.id)
    if leader < 0:
        return go_on(dict.fromkeys(partitions, ErrorCode.COORDINATOR_NOT_AVAILABLE))
    request = AddPartitionsToTxnRequest(transactions=[question])
    broker.peers.ask(leader, request, ADD_PARTITIONS_VERSION, verifying.told)
    return verifying.outcome()


class Verifying(Parked):
    """A request that waits to hear what may be appended, and then for what its kind waits for anyway.

    Until it is appended nothing behind it may be: its producer's batches would be out of order.
    """

    __slots__ = ("_answer", "_done", "_failure", "_go_on", "_partitions", "_transaction")

    def __init__(
        self, transaction: Transaction, partitions: Collection[Partition], deadline: float, go_on: GoOn
    ) -> None:
        super().__init__(deadline)
        self._transaction, self._partitions, self._go_on = transaction, partitions, go_on
        self._done = False
        self._answer: Answer = None
        self._failure: Exception | None = None

    @property
    def holds(self) -> bool:
        return not self._done

    def told(self, response: Message | None) -> None:
        """The coordinator has answered, or can not be reached."""
        if self._done:
            return
        self._done = True
        try:
            self._answer = answer = self._go_on(self._codes(response))
        except Exception as error:  # noqa: BLE001  # raised again for the request; who answers us has no part in it
            self._failure = error
            self.resolve()
            return
        if isinstance(answer, Parked) and not answer.ready:
            answer.on_ready = self.resolve
            self.deadline = answer.deadline
        else:
            self.resolve()

    def _codes(self, response: Message | None) -> Codes:
        if not isinstance(response, AddPartitionsToTxnResponse):
            return dict.fromkeys(self._partitions, ErrorCode.NETWORK_EXCEPTION)
        if response.error_code:
            return dict.fromkeys(self._partitions, self._in_its_words(response.error_code))
        codes = {
            (topic.name, row.partition_index): self._in_its_words(row.partition_error_code)
            for transaction in response.results_by_transaction
            for topic in transaction.topic_results
            for row in topic.results_by_partition
        }
        return {each: codes.get((each.name, each.index), ErrorCode.INVALID_TXN_STATE) for each in self._partitions}

    def _in_its_words(self, code: int) -> ErrorCode:
        """A code that this client knows what to do with."""
        error = ErrorCode(code)  # type: ignore[call-arg]  # by its number
        if error is ErrorCode.PRODUCER_FENCED:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if error is ErrorCode.TRANSACTION_ABORTABLE and not self._transaction.abortable:
            return ErrorCode.INVALID_TXN_STATE
        return error

    def outcome(self) -> Answer:
        """What the request's answer is by now. Raises what `go_on` has raised."""
        if self._failure is not None:
            raise self._failure
        return self._answer if self._done else self

    def answer(self) -> Message | Body | None:
        if not self._done:
            self._done = True
            self._answer = self._go_on(dict.fromkeys(self._partitions, ErrorCode.REQUEST_TIMED_OUT))
        if self._failure is not None:
            raise self._failure
        answer = self._answer
        if isinstance(answer, Parked):
            return answer.answer()
        if isinstance(answer, CloseConnection):
            raise answer
        return answer

    def drop(self) -> None:
        self._done = True  # who left before the coordinator answered has appended nothing
        if isinstance(self._answer, Parked):
            self._answer.drop()


# -- Produce ---------------------------------------------------------------------------------------------------------


def verified(request: ProduceRequest, call: Call, broker: Broker, append: Append) -> Answer:
    """The answer to a Produce that names a transactional id: that of `append`, once it is known what may be appended.

    append    gets, for each partition that was asked for, what to append with or why not to
    Raises Refusal for a request that mixes producers.
    """
    version = call.api_version
    asked = _to_be_asked(request, call, broker)
    if not asked:
        return append({})
    producers = {producer for producer, _ in asked.values()}
    if len(producers) > 1:
        raise Refusal(
            ErrorCode.INVALID_PRODUCER_ID_MAPPING, "Transactional records contained more than one producer ID"
        )
    transaction = Transaction(request.transactional_id or "", *producers.pop(), version >= ADDS, version >= ABORTABLE)

    def go_on(codes: Codes) -> Answer:
        return append({each: _refusal(codes[each]) or token for each, (_, token) in asked.items()})

    answer = ask(broker, transaction, asked, trio.current_time() + request.timeout_ms / 1000, go_on)
    if isinstance(answer, Verifying) and answer.holds:
        _keep(request)
    return answer


def _keep(request: ProduceRequest) -> None:
    """The records outlive the connection's buffer, which is free for what comes next while the request waits."""
    for topic in request.topic_data:
        for data in topic.partition_data:
            if isinstance(data.records, memoryview):
                data.records = memoryview(bytearray(data.records))


Asked = dict["Partition", tuple[tuple[int, int], "VerificationToken"]]


def _to_be_asked(request: ProduceRequest, call: Call, broker: Broker) -> Asked:
    """Partitions that get transactional records and have none of that transaction, and whose records they are."""
    implicit = call.api_version >= ADDS
    if not implicit and not broker.replicas.verifies_transactions:
        return {}
    asked: Asked = {}
    for partition, records in _batches(request, call, broker):
        header = read_header(records)
        if header.is_transactional and header.producer_id >= 0:
            token = partition.verification(
                header.producer_id, header.producer_epoch, header.base_sequence, implicit=implicit
            )
            if token is not None:
                asked[partition] = (header.producer_id, header.producer_epoch), token
    return asked


def _batches(request: ProduceRequest, call: Call, broker: Broker) -> Iterator[tuple[Partition, memoryview]]:
    """What is wrong with the others is said when they are appended."""
    replicas = broker.replicas
    for topic in request.topic_data:
        for data in topic.partition_data:
            records = data.records
            try:
                if call.api_version >= 13:
                    partition = replicas.find_by_id(topic.topic_id, data.index)
                else:
                    partition = replicas.find(topic.name, data.index)
                partition.check_leader()
            except Refusal:
                continue
            if isinstance(records, memoryview) and len(records) >= HEADER_BYTES:
                yield partition, records


def _refusal(error: ErrorCode) -> Refusal | None:
    """Why records are refused, None if they are not."""
    if error is ErrorCode.NONE:
        return None
    if error is ErrorCode.INVALID_TXN_STATE:
        return Refusal(error, "Partition was not added to the transaction")
    if error in TRY_AGAIN:
        return Refusal(
            ErrorCode.NOT_ENOUGH_REPLICAS,
            "Unable to verify the partition has been added to the transaction. Underlying error: " + error.name,
        )
    return Refusal(error)
