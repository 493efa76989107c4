"""Differences that are known and meant, with the reason: kbroker at the right, Apache Kafka at the left."""

import re
from dataclasses import dataclass

from .compare import Difference

BETTER_THAN_A_CRASH = -1  # UNKNOWN_SERVER_ERROR: a handler of Apache Kafka threw; kbroker names the mistake


@dataclass(frozen=True, slots=True)
class Expected:
    """`title` is that of the one case that shows it; empty: any case may."""

    api: str
    path: re.Pattern[str]
    reason: str
    title: str = ""

    def covers(self, difference: Difference) -> bool:
        return (
            self.api == difference.api
            and self.title in ("", difference.title)
            and self.path.search(difference.path) is not None
        )


def _expect(api: str, path: str, reason: str, title: str = "") -> Expected:
    return Expected(api, re.compile(path), reason, title)


_NAMELESS = "odd_joins: second step, a protocol without a name"
_SETUP = "controller|process|inter.broker|listener|advertised|group.initial|offsets|share.coordinator|transaction.state"
_OLD_EPOCH = (
    "newer: writes with the old epoch",
    "newer: old epoch while the next is open",
    "fencing: the first goes on",
    "fencing: with the epoch before",
    "refused: lower epoch",
    "timed_out: goes on",
)
EXPECTED = (
    _expect("ApiVersions", r"api_keys", "not every API is served"),
    _expect("ApiVersions", r"(supported|finalized)_features", "features come with the APIs that need them"),
    _expect("CreateTopics", r"configs\[min\.insync\.replicas\]", "set for the cluster by eligible leader replicas"),
    _expect("DescribeConfigs", r"\[min\.insync\.replicas\]", "set for the cluster by eligible leader replicas"),
    _expect("DescribeConfigs", r"results\[\]\.configs", "set for the cluster by eligible leader replicas"),
    _expect("DescribeConfigs", rf"results\[1\]\.configs\[({_SETUP})", "what a test broker of Apache Kafka is given"),
    _expect("DescribeConfigs", r"results\[1\]\.configs(\[kbroker|\.length)", "settings of kbroker's own"),
    _expect("DescribeConfigs", r"\[root\]\.documentation", "nobody asked for it; Kafka says that there is none"),
    _expect("DescribeQuorum", r"leader_epoch|high_watermark", "each log has its own history"),
    _expect("DescribeQuorum", r"nodes\[\d\]\.listeners", "the controller is a part of the broker and has no listener"),
    _expect(
        "IncrementalAlterConfigs",
        r"error_message",
        "the settings are named in the order of the request, in Kafka by chance",
        "broker, read-only",
    ),
    _expect(
        "Produce",
        r"error_code",
        "with records checked, one whose offset is not its place in the batch is refused: readers would skip others",
        "record at the wrong offset",
    ),
    *(
        _expect("Produce", "log_start_offset", "the log knows that the epoch is old, and asks no coordinator", title)
        for title in _OLD_EPOCH
    ),
    _expect("JoinGroup", "protocol_name", "an empty name is one that the members chose; Kafka says null", _NAMELESS),
    _expect(
        "ConsumerGroupHeartbeat",
        r"assignment|member_epoch",
        "a regular expression is looked up at once, in Kafka in the background: members get what matches later",
        "with_regex: by expression",
    ),
    _expect(
        "ConsumerGroupHeartbeat",
        r"member_epoch",
        "a regular expression is looked up at once, in Kafka in the background: members get what matches later",
        "with_regex: nothing matches",
    ),
    _expect(
        "FindCoordinator",
        r"error_code",
        "a partition below zero is no partition, and not one to ask for again",
        "'g:AAAAAAAAAAAAAAAAAAAAAQ:-1' of type 2",
    ),
)


def reason_for(difference: Difference) -> str | None:
    """Why this difference is meant; None if it is not."""
    if difference.path.endswith("error_code") and difference.left == BETTER_THAN_A_CRASH and difference.right:
        return "an error instead of UNKNOWN_SERVER_ERROR"
    return next((expected.reason for expected in EXPECTED if expected.covers(difference)), None)
