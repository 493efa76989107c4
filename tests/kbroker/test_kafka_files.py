"""A partition that Apache Kafka 4.4.0 has written, with transactions of librdkafka: the same is known of it here.

The data: the files after a clean stop; what its Fetch had answered to a read_committed consumer at each offset, as
(offset, bytes of records, aborted transactions); and its DescribeProducers.
"""

import json
from pathlib import Path

import pytest

from kbroker.batches import KAFKA_BATCHES
from kbroker_storage import Log, LogConfig, MemoryFiles

KAFKA = json.loads((Path(__file__).parent.parent / "data" / "transactions-4.4.0.json").read_text(encoding="utf-8"))
END = KAFKA["high_watermark"]
DIRECTORY = "/data/t-0"
NAMES = {"log": f"{0:020}.log", "txnindex": f"{0:020}.txnindex", "snapshot": f"{END:020}.snapshot"}
NEVER = 1 << 62  # producers do not expire


def open_log(*kinds, clean):
    files = MemoryFiles()
    files.make_directory(DIRECTORY)
    for kind in kinds:
        files.replace(f"{DIRECTORY}/{NAMES[kind]}", bytes.fromhex(KAFKA[kind]), sync=False)
    config = LogConfig(producer_id_expiration_ms=NEVER)
    return files, Log.open(
        files, DIRECTORY, KAFKA_BATCHES, config, recovery_point=END if clean else 0, clean=clean, now_ms=0
    )


@pytest.mark.parametrize(
    ("kinds", "clean"),
    [
        (("log", "txnindex", "snapshot"), True),
        (("log", "txnindex", "snapshot"), False),
        (("log", "txnindex"), False),
        (("log", "snapshot"), False),
        (("log",), False),
    ],
)
def test_a_partition_of_apache_kafka_is_understood(kinds, clean):
    files, log = open_log(*kinds, clean=clean)
    assert log.repaired == []
    stable = log.last_stable_offset(END)
    assert stable == KAFKA["last_stable_offset"]
    for offset, nbytes, aborted in KAFKA["fetches"]:
        piece = log.read(offset, 1 << 20, stable)
        assert piece.nbytes == nbytes
        if nbytes:
            assert log.aborted(offset, nbytes) == [tuple(each) for each in aborted]
        piece.close()
    assert KAFKA["producers"] == sorted(
        [
            each.producer_id,
            each.epoch,
            each.last_sequence,
            each.timestamp,
            each.coordinator_epoch,
            each.txn_first_offset,
        ]
        for each in log.producers
    )
    log.close(clean=True)
    assert files.read(f"{DIRECTORY}/{NAMES['txnindex']}").hex() == KAFKA["txnindex"]
    assert files.read(f"{DIRECTORY}/{NAMES['snapshot']}").hex() == KAFKA["snapshot"]
