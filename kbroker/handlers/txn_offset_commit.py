"""TxnOffsetCommit: offsets of a group that count once the producer's transaction is committed (KIP-98, KIP-447).

Before the first of them is written, the transaction's coordinator is asked whether the group's partition of
`__consumer_offsets` is part of the transaction (KIP-890); from version 5 on, where clients do not add it themselves any
more, it is added by that.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.txn_offset_commit import TxnOffsetCommitRequest, TxnOffsetCommitResponse

from ..coordinators.groups.offsets_commit import commit_in_transaction
from ..coordinators.groups.offsets_rows import Rows, sort_txn_commit, txn_commit_response
from ..verification import Codes, Transaction, ask

if TYPE_CHECKING:
    from kbroker_storage import VerificationToken

    from ..broker import Broker
    from ..call import Answer, Call

ADDS = 5  # the first version that adds the group's partition to the transaction
ABORTABLE = 4  # the first version whose clients know TRANSACTION_ABORTABLE
LOADING = 2  # the first version whose clients survive COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296)


def answer(request: TxnOffsetCommitRequest, call: Call, broker: Broker) -> Answer:
    version = call.api_version
    asked = sort_txn_commit(request, version, broker.image)

    def refused(code: ErrorCode, _: str | None) -> TxnOffsetCommitResponse:
        return txn_commit_response(asked.refused(_in_words_of(version, code)))

    def commit(verified: VerificationToken | None) -> Answer:
        return broker.groups.perform(
            request.group_id,
            lambda shard, _, now: commit_in_transaction(shard.offsets, request, version, now, verified),
            refused,
        )

    if not asked.found:
        return txn_commit_response(asked.unknown)
    if not request.group_id:
        return refused(ErrorCode.INVALID_GROUP_ID, None)
    shell = broker.groups.shell(request.group_id)
    if shell is None:
        return refused(ErrorCode.NOT_COORDINATOR, None)
    partition, adds = shell.partition, version >= ADDS
    token = None
    if adds or broker.replicas.verifies_transactions:
        token = partition.verification(request.producer_id, request.producer_epoch, implicit=adds)
    if token is None:
        return commit(None)

    def go_on(codes: Codes) -> Answer:
        code = codes[partition]
        return commit(token) if code is ErrorCode.NONE else refused(code, None)

    transaction = Transaction(
        request.transactional_id, request.producer_id, request.producer_epoch, adds, version >= ABORTABLE
    )
    return ask(broker, transaction, [partition], inf, go_on)


async def handle(request: TxnOffsetCommitRequest, call: Call, broker: Broker) -> Answer:
    return answer(request, call, broker)


def _in_words_of(version: int, code: ErrorCode) -> ErrorCode:
    """What clients of that version try again for in the right way."""
    if code is ErrorCode.NETWORK_EXCEPTION:  # they need not look for another coordinator of the group
        code = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    if code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS and version < LOADING:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    return code


def refuse(request: TxnOffsetCommitRequest, code: ErrorCode) -> TxnOffsetCommitResponse:
    return txn_commit_response(
        Rows(topic.name, topic.topic_id, [(each.partition_index, code) for each in topic.partitions])
        for topic in request.topics
    )
