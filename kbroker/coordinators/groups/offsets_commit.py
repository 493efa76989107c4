"""Committing offsets: at once, or as a part of a producer's transaction (KIP-98, KIP-447).

Who may commit is the group's to say. A group that is not there comes into being by the first commit of somebody who is
no member; it then has offsets and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from kbroker_storage import VerificationToken
from kbroker_wire import ErrorCode
from kbroker_wire.messages.group_records import OffsetCommitKey, OffsetCommitValue
from kbroker_wire.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition
from kbroker_wire.messages.txn_offset_commit import TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition
from kbroker_wire.schema import ZERO_UUID

from ...errors import Refusal
from ..machine import Now, Record, Step
from .group import PartitionCheck
from .offsets import Offsets
from .offsets_rows import (
    Found,
    Rows,
    commit_response,
    sort_commit,
    sort_txn_commit,
    txn_commit_response,
)

MEMBER_EPOCHS = 9  # the first OffsetCommit for groups of the consumer protocol
NEVER_MS = 2**63 - 1  # the latest time that a record has room for; Apache Kafka's sum overflows, and expires at once
TXN_MEMBER_EPOCHS = 6  # the first TxnOffsetCommit whose clients know the errors of that protocol (KIP-1319)
MAX_COMMIT_BYTES = 16 << 20  # of one commit's records, each of which repeats the group's id; Kafka's limit is 1 MiB
RECORD_BYTES = 64  # of a record beside its strings, about
MAX_GROUP_ID_BYTES = 32_767  # what the key of a record has room for; requests have more

P = TypeVar("P", OffsetCommitRequestPartition, TxnOffsetCommitRequestPartition)


def commit(offsets: Offsets, request: OffsetCommitRequest, version: int, now: Now) -> Step:
    """Raises Refusal for all partitions that are there."""
    asked = sort_commit(request, version, offsets.context.image)
    if not asked.found:
        return Step(commit_response(asked.unknown))
    group, epoch = offsets.context.groups.get(request.group_id), request.generation_id_or_member_epoch
    may = None
    if group is not None:
        may = group.check_commit(
            request.member_id, request.group_instance_id, epoch, transactional=False, version=version
        )
    else:
        if epoch >= 0:
            raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND if version >= MEMBER_EPOCHS else ErrorCode.ILLEGAL_GENERATION)
        _check_new(request.group_id)
    expire_at_ms = -1 if request.retention_time_ms == -1 else min(now.ms + request.retention_time_ms, NEVER_MS)
    records, rows = _records(offsets, request.group_id, asked.found, may, (now.ms, expire_at_ms))
    offsets.apply_all(records)
    if group is not None:
        group.committed(request.member_id, now.s)
    return Step(commit_response(asked.answered(rows)), records)


def commit_in_transaction(
    offsets: Offsets,
    request: TxnOffsetCommitRequest,
    version: int,
    now: Now,
    verified: VerificationToken | None,
) -> Step:
    """`verified` is what the partition gave for the producer; see Step. It is no heartbeat of the member.

    Raises Refusal for all partitions that are there.
    """
    asked = sort_txn_commit(request, version, offsets.context.image)
    if not asked.found:
        return Step(txn_commit_response(asked.unknown))
    try:
        may = _check_transactional(offsets, request, version)
        records, rows = _records(offsets, request.group_id, asked.found, may, (now.ms, -1))
    except Refusal as refusal:
        raise _in_words_of(version, refusal) from None
    return Step(
        txn_commit_response(asked.answered(rows)),
        records,
        producer=(request.producer_id, request.producer_epoch),
        verified=verified,
        written=lambda: offsets.apply_all(records, request.producer_id),
    )


def _check_transactional(offsets: Offsets, request: TxnOffsetCommitRequest, version: int) -> PartitionCheck | None:
    group, epoch = offsets.context.groups.get(request.group_id), request.generation_id_or_member_epoch
    if group is not None:
        return group.check_commit(
            request.member_id, request.group_instance_id, epoch, transactional=True, version=version
        )
    if epoch >= 0:
        raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND)
    _check_new(request.group_id)
    return None


def _check_new(group_id: str) -> None:
    """Whether a group of that id can be written down."""
    if len(group_id.encode()) > MAX_GROUP_ID_BYTES:
        raise Refusal(ErrorCode.INVALID_GROUP_ID)


def _in_words_of(version: int, refusal: Refusal) -> Refusal:
    """What was refused, with a code that clients of that version of TxnOffsetCommit know."""
    is_new = refusal.code in {ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.STALE_MEMBER_EPOCH}
    return Refusal(ErrorCode.ILLEGAL_GENERATION) if is_new and version < TXN_MEMBER_EPOCHS else refusal


def _records(
    offsets: Offsets,
    group_id: str,
    found: Iterable[Found[P]],
    may: PartitionCheck | None,
    times: tuple[int, int],
) -> tuple[list[Record], list[Rows]]:
    """A record for each partition whose metadata is not too long, and what the answer says of each.

    times   of the commit and of its expiry (-1: the broker's own), ms

    Raises Refusal if the member may not commit for one of them: then it may for none. So too (UNKNOWN_SERVER_ERROR) for
    more than MAX_COMMIT_BYTES.
    """
    records: list[Record] = []
    answer: list[Rows] = []
    left, each = MAX_COMMIT_BYTES, RECORD_BYTES + len(group_id.encode())
    limit = offsets.settings.max_metadata
    for name, topic_id, topic, partitions in found:
        rows: list[tuple[int, ErrorCode]] = []
        for partition in partitions:
            index, metadata = partition.partition_index, partition.committed_metadata or ""
            if is_longer(metadata, limit):
                rows.append((index, ErrorCode.OFFSET_METADATA_TOO_LARGE))
                continue
            left -= each + len(topic.name) + len(metadata)
            if left < 0:
                raise Refusal(ErrorCode.UNKNOWN_SERVER_ERROR)
            if may is not None:
                may(topic.name, topic.id, index)
            value = OffsetCommitValue(
                offset=partition.committed_offset,
                leader_epoch=partition.committed_leader_epoch,
                metadata=metadata,
                commit_timestamp=times[0],
                expire_timestamp=times[1],
                topic_id=topic.id if times[1] == -1 else ZERO_UUID,  # records with an expiry have no room for it
            )
            records.append(Record(OffsetCommitKey(group=group_id, topic=topic.name, partition=index), value))
            rows.append((index, ErrorCode.NONE))
        answer.append(Rows(name, topic_id, rows))
    return records, answer


def is_longer(text: str, limit: int) -> bool:
    """Whether it has more UTF-16 units than `limit`: 1 for most characters, 2 for others."""
    length = len(text)
    return length > limit or (2 * length > limit and len(text.encode("utf-16-le", "surrogatepass")) > 2 * limit)
