"""Apache Kafka's console tools, and the tables that they print."""

import re
import subprocess

import apache_kafka

ACLS = "org.apache.kafka.tools.AclCommand"
CONFIGS = "kafka.admin.ConfigCommand"
DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"
ELECTIONS = "org.apache.kafka.tools.LeaderElectionCommand"
FEATURES = "org.apache.kafka.tools.FeatureCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
LOG_DIRS = "org.apache.kafka.tools.LogDirsCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
QUORUM = "org.apache.kafka.tools.MetadataQuorumCommand"
REASSIGNMENTS = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
TOPICS = "org.apache.kafka.tools.TopicCommand"
TRANSACTIONS = "org.apache.kafka.tools.TransactionsCommand"


def run(main_class: str, *arguments: str, stdin: str | None = None) -> str:
    """What the tool wrote. Fails if it ended with an error."""
    done = apache_kafka.tool(main_class, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(main_class: str, *arguments: str) -> str:
    """What the tool wrote when it could not do it."""
    done: subprocess.CompletedProcess[str] = apache_kafka.tool(main_class, *arguments)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def table(text: str) -> list[dict[str, str]]:
    """The rows of a tool's table by the names of its columns; nothing else may have been printed.

    Columns are told apart by tabs if there are any, else by blanks; a coordinator, "127.0.0.1:9092  (1)", and the
    name of its column are made one word first.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines, "no table"
    rows = [_cells(line) for line in lines]
    assert all(len(row) == len(rows[0]) for row in rows), text
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def _cells(line: str) -> list[str]:
    if "\t" in line:
        return [cell.strip() for cell in line.rstrip("\n").removesuffix("\t").split("\t")]
    return re.sub(r"\s+\((\w+)\)", r"(\1)", line).split()
