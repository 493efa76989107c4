"""Lets Apache Kafka's own DumpLogSegments read a broker's data folder, and judges what it says.

    python dump_log_segments.py DATA_DIR

The tool ends with status 0 whatever it found, so its words are judged: every segment, index, time index and producer
snapshot must have been read, none of the signs of damage may appear, every record of the coordinators' topics must have
been decoded, and transaction indexes must agree with their segments. The broker must have been stopped: the indexes of
a running one are preallocated and hold less than its log.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dumped_records
from apache_kafka import KafkaUnavailable, tool_command

DUMP = "org.apache.kafka.tools.DumpLogSegments"
KINDS = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")
LEFT_TO_DELETE = ("-delete", "-stray")  # ends of the names of folders that are no partition any more
METADATA, METADATA_DECODER = "__cluster_metadata-0", "--cluster-metadata-decoder"
COORDINATOR_DECODERS = {
    "__consumer_offsets": "--offsets-decoder",
    "__transaction_state": "--transaction-log-decoder",
}
NOT_READ = "was not read by the tool"
SIGNS = (
    "Mismatches in",  # an index entry whose batch does not hold its offset
    "timestamp mismatch",  # a time index entry whose timestamp is not that of its batch
    "out of order",  # a time index that goes back
    "not found",  # an indexed offset that the log does not hold
    "isvalid: false",  # a batch whose CRC is wrong
    "invalid bytes at the end",  # a torn tail
    "Error at",  # a record of an internal log that can not be decoded
    NOT_READ,
    "Exception",
)
MAX_MESSAGE_BYTES = 104_857_600  # the tool's own default of 5 MiB would refuse larger batches
FILES_A_RUN = 200  # keeps the command line short


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the tool that tells of damage, or of a file it did not read."""

    file: Path
    said: str

    def __str__(self) -> str:
        return f"{self.file}: {self.said}"


def judge(data_dir: Path) -> list[Finding]:
    """What is wrong with the partition folders below `data_dir`; empty if Apache Kafka finds nothing.

    Raises ValueError if there is nothing to read, KafkaUnavailable without Java.
    """
    partitions = [path for path in data_dir.iterdir() if path.is_dir() and not path.name.endswith(LEFT_TO_DELETE)]
    files = sorted(path for partition in partitions for path in partition.iterdir() if _is_read(path))
    if not any(path.suffix == ".log" for path in files):
        raise ValueError(f"no partition with a segment in {data_dir}")
    if odd := [path for path in files if "," in str(path)]:
        raise ValueError(f"the tool takes file names without commas only, not {odd[0]}")
    by_decoder: dict[str | None, list[Path]] = {}
    for path in files:
        # A decoder is for segments; with it the tool would take the indexes' files for other formats as well.
        decoder = _decoder(path.parent.name) if path.suffix == ".log" else None
        by_decoder.setdefault(decoder, []).append(path)
    findings: list[Finding] = []
    transactions = dumped_records.Transactions()
    for decoder, some in by_decoder.items():
        decoded = dumped_records.Decoded()
        for file, line in _lines(some, *([] if decoder is None else [decoder])):
            if any(sign in _without_data(line) for sign in SIGNS):
                findings.append(Finding(file, line))
            transactions.see(file, line)
            decoded.see(file, line)
        if decoder in COORDINATOR_DECODERS.values():
            findings += [Finding(file, said) for file, said in decoded.faults()]
    return findings + [Finding(file, said) for file, said in transactions.faults()]


def _decoder(partition: str) -> str | None:
    topic = partition.rpartition("-")[0]
    return METADATA_DECODER if partition == METADATA else COORDINATOR_DECODERS.get(topic)


def _without_data(line: str) -> str:
    """What the tool says itself: names and values of a decoded record may hold any word."""
    return line.partition(" payload: ")[0].partition(" key: {")[0]


def _is_read(path: Path) -> bool:
    """Not an index of zeros: so Apache Kafka leaves those of the metadata log, preallocated and never written."""
    return path.suffix in KINDS and (
        not path.name.endswith("index") or any(path.read_bytes()) or not path.stat().st_size
    )


def _lines(files: list[Path], *options: str) -> Iterator[tuple[Path, str]]:
    """Every line of the tool with the file it is about; NOT_READ for a file that it does not read.

    The tool ends at the first file it can not bear, so it is run again on those behind it. What it finds wrong with
    indexes it tells after everything else, with the name of the file.
    """
    for at in range(0, len(files), FILES_A_RUN):
        unread = files[at : at + FILES_A_RUN]
        while unread:
            read = []
            for line in _dump(unread, *options):
                if line.startswith("Dumping "):
                    read.append(Path(line.removeprefix("Dumping ").strip()))
                else:
                    _, of_other_file, path = line.strip().partition(" in :")
                    yield Path(path) if of_other_file else (read or unread)[-1], line.strip()
            left = [path for path in unread if path not in read]
            if left == unread:
                yield from ((path, NOT_READ) for path in left)
                break
            unread = left


def _dump(files: list[Path], *options: str) -> Iterator[str]:
    """The tool's output, line by line: deep iteration of a large log prints a line for every record."""
    arguments = ["--deep-iteration", "--max-message-size", str(MAX_MESSAGE_BYTES), *options]
    command = tool_command(DUMP, *arguments, "--files", ",".join(map(str, files)))
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        yield from process.stdout


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        findings = judge(Path(sys.argv[1]).resolve())
    except (KafkaUnavailable, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
