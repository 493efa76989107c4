"""Transaction markers: the control batches that end a producer's transaction in a partition (KIP-98).

One record in a batch of its own, with the transaction's producer id and an epoch that is not older; the offset of the
batch is the end of the transaction.
"""

from __future__ import annotations

from struct import Struct

from kbroker_storage import Marker
from kbroker_wire import ProtocolError
from kbroker_wire.messages.end_txn_marker import ControlRecordType, decode_end_txn_marker, encode_end_txn_marker
from kbroker_wire.record_building import build_batch
from kbroker_wire.records import HEADER_BYTES, Record, RecordBatch

# The record of nearly every marker, which need not be decoded (6 us) for the few numbers in it: its length, attributes,
# timestamp and offset deltas, length of the key, version and type; length of the value, version and coordinator epoch;
# number of headers.
USUAL = Struct(">bbbbbhhbhib")
USUAL_BYTES = HEADER_BYTES + USUAL.size
USUAL_SHAPE = (32, 0, 0, 0, 8, 0, 12, 0, 0)  # all but type and coordinator epoch
OUTCOMES = {ControlRecordType.ABORT.value: False, ControlRecordType.COMMIT.value: True}


def build_marker(
    producer_id: int,
    producer_epoch: int,
    *,
    commit: bool,
    coordinator_epoch: int,
    now_ms: int,
    log_append_time: bool = False,
) -> bytearray:
    """The batch, not yet placed in a log. `log_append_time`: the topic says so of its timestamps."""
    key, value = encode_end_txn_marker(committed=commit, coordinator_epoch=coordinator_epoch)
    built = build_batch(
        [Record(timestamp=now_ms, key=key, value=value)],
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=True,
        control=True,
        log_append_time=now_ms if log_append_time else None,
    )
    return bytearray(built)


def read_marker(frame: memoryview) -> Marker | None:
    """What a control batch says of its producer's transaction; None if it is empty or of another kind."""
    if len(frame) == USUAL_BYTES:
        fields = USUAL.unpack_from(frame, HEADER_BYTES)
        kind, coordinator_epoch = fields[6], fields[9]
        if (*fields[:6], *fields[7:9], fields[10]) == USUAL_SHAPE and kind in OUTCOMES:
            return Marker(OUTCOMES[kind], coordinator_epoch)
    try:
        for record in RecordBatch(frame).records():
            committed, marker = decode_end_txn_marker(record.key, record.value)
            return Marker(committed, marker.coordinator_epoch)
    except ProtocolError:  # of another kind, or of none that anybody knows: nobody's transaction ends by it
        pass
    return None
