"""Groups, commits and transactions by real clients: programs that do a step and print what they saw, and the judge.

    PROGRAM BOOTSTRAP STEP PREFIX COUNT

PREFIX makes the names of topics, groups and transactional ids unique; COUNT is how many records a partition gets at a
time, 10 or more. The program creates its topics. Each phase of a step ends in a line of JSON with `step`, `phase`, `ok`
and `details`; a step that can not go on ends in the phase "failed", ok false, details {"error": text}.

group           4 partitions. "alone": the first member owns all and reads COUNT records of each; "shared": a second one
                joined, both read what is new; "alone again": the second one left. Each with details owned (a list for
                each member) and read (a number for each). "sum": records read in all, distinct ones, offsets committed
group848        the same with group.protocol=consumer (KIP-848)
commits-before  2 partitions with COUNT records, a member reads them and commits 3 and 7; "committed": offsets
commits-after   "committed": the same offsets; "read": a member goes on from there: first offset and number read of each
transactions    3 partitions, COUNT records "committed", "aborted", "later" in a transaction each, the second aborted.
                "read_committed" and "read_uncommitted": how many records of each word a reader gets
ctp             consume, transform, produce with the offsets in the transaction, 2 partitions in and out. "first": one
                transaction of COUNT records is committed. The worker is then left in the middle of the next one and
                another one takes over its transactional id; "fenced": the error that the first one's commit gets;
                "committed": offsets at the end; "output": values read, committed ones only, and how many are distinct
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from program_clients import Failed, go_command, java_command, node_command
from raw_kafka.connection import Connection

HERE = Path(__file__).parent
STEP_S = 150.0  # programs give up by themselves before that
GROUP_PARTITIONS, TRANSACTION_PARTITIONS, CTP_PARTITIONS = 4, 3, 2
COMMITTED = {"0": 3, "1": 7}
FENCED = ("fenced", "old epoch")  # in the words of every client's error


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a program printed."""

    step: str
    phase: str
    ok: bool
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Lack:
    """What a client can not do, and where its makers say so."""

    reason: str
    link: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.link}"


@dataclass(frozen=True, slots=True)
class StepProgram:
    """command: given a folder to build in, the program's command; raises NotHere. lacks: by step."""

    name: str
    command: Callable[[Path], tuple[str, ...]]
    lacks: Mapping[str, Lack]


def run(command: Sequence[str], bootstrap: str, step: str, prefix: str, count: int) -> list[Line]:
    """What the program printed. Raises Failed, with the lines, if it ended with an error or a line is not ok."""
    arguments = [*command, bootstrap, step, prefix, str(count)]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=STEP_S)
    except subprocess.TimeoutExpired as silence:
        raise Failed(f"{step} was not done within {STEP_S:.0f} s: {silence.stdout!r}") from None
    if done.returncode != 0:
        raise Failed(f"{step}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    lines = [Line(**json.loads(text)) for text in done.stdout.splitlines()]
    if wrong := [line for line in lines if not line.ok or line.step != step]:
        raise Failed(f"{step}: {wrong}")
    return lines


# -- the judge --------------------------------------------------------------------------------------------------------


def judge(step: str, lines: Sequence[Line], count: int) -> None:
    """Raises AssertionError if what the program saw is not what the step must give."""
    seen = {line.phase: line.details for line in lines}
    assert len(seen) == len(lines), lines
    JUDGES[step](seen, count)


def _judge_group(seen: Mapping[str, Mapping[str, object]], count: int) -> None:
    assert list(seen) == ["alone", "shared", "alone again", "sum"], seen
    for phase, members in (("alone", 1), ("shared", 2), ("alone again", 1)):
        owned, read = seen[phase]["owned"], seen[phase]["read"]
        assert isinstance(owned, list), seen
        assert sorted(chain(*owned)) == list(range(GROUP_PARTITIONS)), (phase, seen)
        assert [len(each) for each in owned] == [GROUP_PARTITIONS // members] * members, (phase, seen)
        assert read == [len(each) * count for each in owned], (phase, seen)
    total = 3 * GROUP_PARTITIONS * count
    committed = {str(partition): 3 * count for partition in range(GROUP_PARTITIONS)}
    assert seen["sum"] == {"read": total, "distinct": total, "committed": committed}


def _judge_commits_before(seen: Mapping[str, Mapping[str, object]], _count: int) -> None:
    assert seen == {"committed": {"offsets": COMMITTED}}


def _judge_commits_after(seen: Mapping[str, Mapping[str, object]], count: int) -> None:
    left = {partition: count - offset for partition, offset in COMMITTED.items()}
    assert seen == {"committed": {"offsets": COMMITTED}, "read": {"first": COMMITTED, "read": left}}


def _judge_transactions(seen: Mapping[str, Mapping[str, object]], count: int) -> None:
    all_of_it = TRANSACTION_PARTITIONS * count
    both = {"committed": all_of_it, "later": all_of_it}
    assert seen == {"read_committed": both | {"aborted": 0}, "read_uncommitted": both | {"aborted": all_of_it}}


def _judge_ctp(seen: Mapping[str, Mapping[str, object]], count: int) -> None:
    assert list(seen) == ["first", "fenced", "committed", "output"], seen
    assert any(word in str(seen["fenced"]["error"]).lower() for word in FENCED), seen
    assert seen["committed"] == {"offsets": {str(partition): count for partition in range(CTP_PARTITIONS)}}
    assert seen["output"] == {"read": CTP_PARTITIONS * count, "distinct": CTP_PARTITIONS * count}


JUDGES: dict[str, Callable[[Mapping[str, Mapping[str, object]], int], None]] = {
    "group": _judge_group,
    "group848": _judge_group,
    "commits-before": _judge_commits_before,
    "commits-after": _judge_commits_after,
    "transactions": _judge_transactions,
    "ctp": _judge_ctp,
}

# -- what a step asks of a broker -------------------------------------------------------------------------------------

_COMMITS = {"OffsetCommit": 8, "OffsetFetch": 9, "FindCoordinator": 10}
_CLASSIC = _COMMITS | {"JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13, "SyncGroup": 14}
_TRANSACTIONS = {"InitProducerId": 22, "AddPartitionsToTxn": 24, "EndTxn": 26}
_OFFSETS_IN_TRANSACTIONS = {"AddOffsetsToTxn": 25, "TxnOffsetCommit": 28}
_GROUP_TOOLS = {"DescribeGroups": 15, "ListGroups": 16, "DeleteGroups": 42, "OffsetDelete": 47}
APIS: dict[str, dict[str, int]] = {
    "group": _CLASSIC | {"ListGroups": 16},
    "group848": _COMMITS | {"ConsumerGroupHeartbeat": 68, "ListGroups": 16},
    "commits-before": _CLASSIC,
    "commits-after": _CLASSIC,
    "transactions": _TRANSACTIONS,
    "ctp": _CLASSIC | _TRANSACTIONS | _OFFSETS_IN_TRANSACTIONS,
    "group-tools": _CLASSIC | _GROUP_TOOLS,
    "group848-tools": _COMMITS | _GROUP_TOOLS | {"ConsumerGroupHeartbeat": 68, "ConsumerGroupDescribe": 69},
    "transaction-tools": _TRANSACTIONS
    | {"WriteTxnMarkers": 27, "DescribeProducers": 61, "DescribeTransactions": 65, "ListTransactions": 66},
}


def not_served(host: str, port: int, step: str) -> list[str]:
    """The APIs that the step, or the kind of tools, needs and the broker does not advertise."""
    with Connection(host, port) as connection:
        served = {api.api_key for api in connection.call("ApiVersions", 0).api_keys}
    return [name for name, key in APIS[step].items() if key not in served]


# -- the programs -----------------------------------------------------------------------------------------------------


def _python(script: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda _folder: (sys.executable, str(HERE / "python" / "steps" / script))


PROGRAMS = (
    StepProgram(
        "kafka-python",
        _python("kafka_python_steps.py"),
        {"group848": Lack("no KIP-848 consumer in 3.0", "https://github.com/dpkp/kafka-python/issues/3000")},
    ),
    StepProgram("confluent-kafka", _python("confluent_steps.py"), {}),
    StepProgram(
        "aiokafka",
        _python("aiokafka_steps.py"),
        {
            "group848": Lack(
                "its consumer has no group protocol setting", "https://aiokafka.readthedocs.io/en/stable/api.html"
            )
        },
    ),
    StepProgram(
        "kafkajs",
        lambda folder: node_command(folder, "kafkajs-steps.js"),
        {
            "group848": Lack(
                "its consumer has no group protocol option",
                "https://kafka.js.org/docs/consuming",
            )
        },
    ),
    StepProgram("platformatic", lambda folder: node_command(folder, "platformatic-steps.js"), {}),
    StepProgram("franz-go", go_command, {}),
    StepProgram("java", lambda folder: java_command(folder, "Steps"), {}),
)
