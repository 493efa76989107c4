"""Apache Kafka's DumpLogSegments finds no fault with what the broker wrote, and the judge of its words is right."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import kafka
import pytest
from apache_kafka import KafkaUnavailable
from brokers import QUICK_GROUPS, OwnBroker, own_broker
from dump_log_segments import judge
from dumped_records import Decoded, Transactions
from fixture_types import StartBroker
from python_clients import CLIENTS, CODECS, KafkaPython, sample_records
from raw_kafka.batches import Record, batch, read_batches
from step_programs import PROGRAMS, not_served, run
from step_programs import judge as judge_step


def fill(broker: OwnBroker) -> None:
    """Topics with every client's batches in every codec, indexes of several entries, and segments that rolled."""
    admin = kafka.KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    indexed = {"segment.bytes": "1048576", "index.interval.bytes": "512"}
    admin.create_topics(
        {"codecs": {"configs": indexed}, "rolled": {"num_partitions": 3, "configs": indexed}, "gone": {}}
    )
    admin.wait_for_topics(["codecs", "rolled", "gone"])
    for client in CLIENTS:
        for codec in CODECS:
            if not client.lacks(codec):
                client.produce(broker.bootstrap, "codecs", sample_records(300), codec=codec)
    for partition in range(3):
        KafkaPython().produce(broker.bootstrap, "rolled", sample_records(5000), partition=partition)
    admin.create_partitions({"rolled": 4})
    admin.delete_topics(["gone"])
    admin.close()
    use_coordinators(broker)


def use_coordinators(broker: OwnBroker) -> None:
    """Groups, commits and transactions, committed and aborted, as far as the broker serves them."""
    (confluent,) = (program for program in PROGRAMS if program.name == "confluent-kafka")
    for step in ("group", "group848", "transactions", "ctp"):
        if not not_served(broker.host, broker.port, step):
            judge_step(step, run(confluent.command(Path()), broker.bootstrap, step, "steps", 10), 10)


@pytest.fixture(scope="module")
def apache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log.dirs of an Apache Kafka that was filled and stopped."""
    try:
        with own_broker("apache", QUICK_GROUPS) as broker:
            fill(broker)
            broker.stop()
            folder = tmp_path_factory.mktemp("apache") / "log"
            shutil.copytree(broker.log_dir, folder)
            yield folder
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def folder(apache_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(apache_folder, tmp_path / "log"))


@pytest.fixture
def coordinators(apache_folder: Path, tmp_path: Path) -> Path:
    """A copy of the coordinators' logs and of what transactions wrote, to damage."""
    for partition in apache_folder.iterdir():
        if partition.name.startswith(("__consumer_offsets-", "__transaction_state-", "steps-transactions-")):
            shutil.copytree(partition, tmp_path / "log" / partition.name)
    return tmp_path / "log"


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def test_an_undamaged_folder_passes(folder: Path) -> None:
    assert len(list((folder / "rolled-0").glob("*.log"))) > 1
    assert judge(folder) == []


def test_one_flipped_bit_of_a_crc_is_reported(folder: Path) -> None:
    segment = min((folder / "rolled-1").glob("*.log"))
    flip(segment, 8 + 4 + 4 + 1 + 3)  # the CRC's last byte, behind offset, length, leader epoch and magic
    (finding,) = judge(folder)
    assert finding.file == segment
    assert "isvalid: false" in finding.said


def test_one_wrong_index_entry_is_reported(folder: Path) -> None:
    index = min((folder / "rolled-2").glob("*.index"))
    assert index.stat().st_size >= 5 * 8
    flip(index, 3 * 8 + 3)  # the relative offset of the fourth entry
    assert [finding.file for finding in judge(folder)] == [index]


def test_one_wrong_time_index_entry_is_reported(folder: Path) -> None:
    index = min((folder / "rolled-2").glob("*.timeindex"))
    flip(index, 2 * 12 + 7)  # the timestamp of the third entry
    assert {finding.file for finding in judge(folder)} == {index}


def test_a_broken_metadata_record_is_reported(folder: Path) -> None:
    segment = min((folder / "__cluster_metadata-0").glob("*.log"))
    flip(segment, segment.stat().st_size - 2)
    assert segment in {finding.file for finding in judge(folder)}


def test_a_file_the_tool_can_not_bear_is_reported_and_does_not_hide_the_next(folder: Path) -> None:
    empty = min((folder / "codecs-0").glob("*.log"))
    empty.write_bytes(b"")
    segment = min((folder / "rolled-1").glob("*.log"))
    flip(segment, 20)
    found = {finding.file for finding in judge(folder)}
    assert segment in found
    assert any(file.parent.name == "codecs-0" for file in found)


def append(segment: Path, record: Record) -> None:
    """A good batch at the end of the log, whatever its record says."""
    content = segment.read_bytes()
    batches, _ = read_batches(content)
    end = batches[-1].base_offset + batches[-1].last_offset_delta + 1
    segment.write_bytes(content + batch([record], base_offset=end, leader_epoch=0))


@pytest.mark.parametrize(
    ("topic", "record", "said"),
    [
        ("__consumer_offsets", Record(b"v", key=b"\x00\x63abc"), "Unknown record type 99"),
        (
            "__consumer_offsets",
            Record(b"\0\3\0", key=b"\0\1\0\1g\0\1t\0\0\0\0"),
            "Could not read record with version 3",
        ),
        ("__transaction_state", Record(b"v", key=b"\x00\x05abc"), "Unknown record type 5"),
        ("__transaction_state", Record(b"\0\x63a", key=b"\0\0\0\1t"), "unknown record version 99"),
    ],
)
def test_a_coordinator_record_that_can_not_be_decoded_is_reported(
    coordinators: Path, topic: str, record: Record, said: str
) -> None:
    segment = max(coordinators.glob(f"{topic}-*/*.log"), key=lambda path: path.stat().st_size)
    append(segment, record)
    (finding,) = judge(coordinators)
    assert finding.file == segment
    assert said in finding.said


def test_a_group_may_be_called_like_a_sign_of_damage(coordinators: Path) -> None:
    segment = max(coordinators.glob("__transaction_state-*/*.log"), key=lambda path: path.stat().st_size)
    append(segment, Record(None, key=b"\0\0\0\x09Exception"))
    assert judge(coordinators) == []


@pytest.mark.parametrize("topic", ["steps-transactions", "__consumer_offsets"])
def test_a_lost_transaction_index_is_reported(coordinators: Path, topic: str) -> None:
    index = max(coordinators.glob(f"{topic}-*/*.txnindex"), key=lambda path: path.stat().st_size)
    assert index.stat().st_size
    index.unlink()
    (finding,) = judge(coordinators)
    assert finding.file == index
    assert "lacks the aborted transaction" in finding.said


def test_a_wrong_entry_of_a_transaction_index_is_reported(coordinators: Path) -> None:
    index = min(coordinators.glob("steps-transactions-*/*.txnindex"))
    flip(index, 2 + 8 + 7)  # the last byte of the first entry's first offset, behind version and producer id
    findings = judge(coordinators)
    assert {finding.file for finding in findings} == {index}
    assert any("did not abort there" in finding.said for finding in findings)


def test_records_that_the_decoder_did_not_print_are_missed() -> None:
    segment, decoded = Path("__consumer_offsets-0/00000000000000000000.log"), Decoded()
    header = "count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 isTransactional: false"
    decoded.see(segment, f"baseOffset: 0 lastOffset: 1 {header} isControl: false")
    decoded.see(segment, '| offset: 0 keySize: 23 key: {"type":"3","data":{}} payload: <DELETE>')
    assert decoded.faults() == [(segment, "1 records were not printed")]


def test_a_transaction_whose_records_were_removed_may_stay_in_the_index() -> None:
    segment, transactions = Path("t-0/00000000000000000000.log"), Transactions()
    header = "count: 1 baseSequence: -1 lastSequence: -1 producerId: 7 producerEpoch: 0 isTransactional: true"
    transactions.see(segment, f"baseOffset: 9 lastOffset: 9 {header} isControl: true")
    transactions.see(segment, "| offset: 9 keySize: 4 endTxnMarker: ABORT coordinatorEpoch: 0")
    entry = "version: 0 producerId: 7 firstOffset: 3 lastOffset: 9 lastStableOffset: 10"
    transactions.see(segment.with_suffix(".txnindex"), entry)
    assert transactions.faults() == []


def test_a_folder_without_segments_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no partition"):
        judge(tmp_path)


@pytest.mark.parametrize("ending", ["clean stop", "SIGKILL and clean stop"])
def test_what_the_broker_wrote_is_without_fault(start_broker: StartBroker, ending: str) -> None:
    broker = start_broker(QUICK_GROUPS)
    fill(broker)
    if ending != "clean stop":
        broker.kill()
        broker.start()
        records = sample_records(100)
        KafkaPython().produce(broker.bootstrap, "codecs", records)
    broker.stop()
    try:
        assert judge(broker.log_dir) == []
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))
