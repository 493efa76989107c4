"""What can be said of batches and records as DumpLogSegments prints them: were all decoded, is every abort indexed.

Both judges see the lines of one or more runs of the tool, each with its file, segments in the order of their offsets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BATCH = re.compile(
    r"baseOffset: (?P<base>\d+) .*?count: (?P<count>\d+) .*?producerId: (?P<producer>-?\d+) "
    r".*?isTransactional: (?P<transactional>true|false) isControl: (?P<control>true|false)"
)
RECORD, MARKER = "| offset: ", re.compile(r"endTxnMarker: (?P<type>COMMIT|ABORT) ")
DECODED_KEY = ' key: {"type":'
INDEX_ENTRY = re.compile(
    r"version: 0 producerId: (?P<producer>\d+) firstOffset: (?P<first>\d+) lastOffset: (?P<last>\d+) "
    r"lastStableOffset: (?P<stable>\d+)"
)
INDEX_ENTRY_BYTES = 34

Fault = tuple[Path, str]


class Decoded:
    """Whether the tool decoded every record of coordinator logs: it goes on over what it does not know, and a wrong
    decoder may print nothing at all."""

    def __init__(self) -> None:
        self._due: dict[Path, int] = {}
        self._undecoded: list[Fault] = []

    def see(self, file: Path, line: str) -> None:
        if batch := BATCH.match(line):
            if batch["control"] == "false":
                self._due[file] = self._due.get(file, 0) + int(batch["count"])
        elif line.startswith(RECORD) and not MARKER.search(line):
            self._due[file] = self._due.get(file, 0) - 1
            if DECODED_KEY not in line and "Error at" not in line:  # the latter is reported anyway
                self._undecoded.append((file, f"not decoded: {line}"))

    def faults(self) -> list[Fault]:
        """What was wrong, once all lines were seen."""
        missing = [(file, f"{due} records were not printed") for file, due in self._due.items() if due]
        return self._undecoded + missing


@dataclass(slots=True)
class _Partition:
    """open: first offset of each producer's transaction. By the file of the index: aborted, which it must have, and
    cut, (producer, last offset) of those whose records compaction or retention removed, which it may have."""

    open: dict[int, int] = field(default_factory=dict)
    aborted: dict[Path, set[tuple[int, int, int]]] = field(default_factory=dict)
    cut: dict[Path, set[tuple[int, int]]] = field(default_factory=dict)
    writer: int = -1  # the producer of the batch whose records come next
    offset: int = -1


class Transactions:
    """Whether each transaction that ended in ABORT is in its segment's transaction index, and nothing else is."""

    def __init__(self) -> None:
        self._partitions: dict[Path, _Partition] = {}
        self._indexed: dict[Path, set[tuple[int, int, int]]] = {}
        self._faults: list[Fault] = []

    def see(self, file: Path, line: str) -> None:
        if file.suffix == ".log":
            self._see_log(file, line)
        elif file.suffix == ".txnindex":
            self._see_index(file, line)

    def _see_log(self, file: Path, line: str) -> None:
        partition = self._partitions.setdefault(file.parent, _Partition())
        if batch := BATCH.match(line):
            partition.writer, partition.offset = int(batch["producer"]), int(batch["base"])
            if batch["transactional"] == "true" and batch["control"] == "false":
                partition.open.setdefault(partition.writer, partition.offset)
        elif marker := MARKER.search(line):
            first, index = partition.open.pop(partition.writer, None), file.with_suffix(".txnindex")
            if marker["type"] == "ABORT" and first is not None:
                partition.aborted.setdefault(index, set()).add((partition.writer, first, partition.offset))
            elif marker["type"] == "ABORT":
                partition.cut.setdefault(index, set()).add((partition.writer, partition.offset))

    def _see_index(self, file: Path, line: str) -> None:
        entries = self._indexed.setdefault(file, set())
        if found := INDEX_ENTRY.match(line):
            producer, first, last, stable = map(int, found.groups())
            entries.add((producer, first, last))
            if not first <= last or stable > last + 1:
                self._faults.append((file, f"an impossible entry: {line}"))

    def faults(self) -> list[Fault]:
        """What was wrong, once all lines were seen."""
        return [*self._faults, *self._sizes(), *self._differences()]

    def _sizes(self) -> Iterator[Fault]:
        for file, entries in self._indexed.items():
            if file.exists() and file.stat().st_size != INDEX_ENTRY_BYTES * len(entries):
                yield file, f"{file.stat().st_size} bytes, of which {len(entries)} entries were printed"

    def _differences(self) -> Iterator[Fault]:
        aborted = {file: them for partition in self._partitions.values() for file, them in partition.aborted.items()}
        cut = {file: them for partition in self._partitions.values() for file, them in partition.cut.items()}
        for file in sorted(aborted.keys() | self._indexed.keys()):
            due, there = aborted.get(file, set()), self._indexed.get(file, set())
            for producer, first, last in sorted(due - there):
                yield file, f"lacks the aborted transaction of producer {producer} from {first} to {last}"
            for producer, first, last in sorted(there - due):
                if (producer, last) in cut.get(file, ()):
                    continue
                yield file, f"has a transaction of producer {producer} from {first} to {last} that did not abort there"
