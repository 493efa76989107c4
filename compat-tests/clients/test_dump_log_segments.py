"""Apache Kafka's DumpLogSegments finds no fault with what the broker wrote, and the judge of its words is right."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import kafka
import pytest
from apache_kafka import KafkaUnavailable
from brokers import OwnBroker, own_broker
from dump_log_segments import judge
from fixture_types import StartBroker
from python_clients import CLIENTS, CODECS, KafkaPython, sample_records


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


@pytest.fixture(scope="module")
def apache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log.dirs of an Apache Kafka that was filled and stopped."""
    try:
        with own_broker("apache") as broker:
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


def test_a_folder_without_segments_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no partition"):
        judge(tmp_path)


@pytest.mark.parametrize("ending", ["clean stop", "SIGKILL and clean stop"])
def test_what_the_broker_wrote_is_without_fault(start_broker: StartBroker, ending: str) -> None:
    broker = start_broker()
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
