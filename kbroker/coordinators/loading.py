"""Reading a partition of an internal topic into the machine that keeps its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio.lowlevel import checkpoint

from kbroker_storage import Corrupt
from kbroker_wire import ProtocolError
from kbroker_wire.messages.end_txn_marker import ControlRecordType, decode_control_type
from kbroker_wire.records import NO_PRODUCER_ID, RecordBatch, batches

from .machine import Machine

if TYPE_CHECKING:
    from kbroker_storage import Log

    from ..env import Env

READ_BYTES = 1024 * 1024
ENDS = {ControlRecordType.COMMIT, ControlRecordType.ABORT}
TURN_RECORDS = 50  # about a millisecond of Python; others get their turn after so many


async def replay(machine: Machine, partition: Log, env: Env) -> None:
    """Apply everything that `partition` holds; when this returns, nothing was appended that is not applied.

    Raises StorageError, Corrupt for one, and OSError for what can not be read.
    """
    offset, turn = partition.start, 0
    while offset < partition.end:
        end = partition.end
        part = partition.read(offset, READ_BYTES, end)
        try:
            data: bytes = await env.run_blocking(part.read)
        finally:
            part.close()
        if not data and partition.end == end:  # a hole, which a power cut has left, and nothing behind it
            return
        for batch in batches(data):
            try:
                _apply(batch, machine)
            except ProtocolError as error:
                raise Corrupt(f"{partition.home.directory}, offset {batch.header.base_offset}: {error}") from error
            offset = batch.header.next_offset
            turn += batch.header.record_count
            if turn > TURN_RECORDS:
                turn = 0
                await checkpoint()


def _apply(batch: RecordBatch, machine: Machine) -> None:
    header = batch.header
    if header.is_control:
        for record in batch.records():
            kind = decode_control_type(record.key)
            if kind in ENDS:
                machine.replay_end(header.producer_id, commit=kind is ControlRecordType.COMMIT)
        return
    producer_id = header.producer_id if header.is_transactional else NO_PRODUCER_ID
    for record in batch.records():
        if record.key is None:
            raise ProtocolError(f"the record at offset {record.offset} has no key")
        machine.replay(record.key, record.value, producer_id)
