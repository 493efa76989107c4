"""The message tables: one module for each API, imported when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..schema import Message

# API key -> Kafka's name of it. Module and classes follow from the name: ListOffsets is in list_offsets.py, which
# defines ListOffsetsRequest and ListOffsetsResponse.
API_NAMES = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    11: "JoinGroup",
    12: "Heartbeat",
    13: "LeaveGroup",
    14: "SyncGroup",
    15: "DescribeGroups",
    16: "ListGroups",
    17: "SaslHandshake",
    18: "ApiVersions",
    19: "CreateTopics",
    20: "DeleteTopics",
    21: "DeleteRecords",
    22: "InitProducerId",
    23: "OffsetForLeaderEpoch",
    24: "AddPartitionsToTxn",
    25: "AddOffsetsToTxn",
    26: "EndTxn",
    27: "WriteTxnMarkers",
    28: "TxnOffsetCommit",
    29: "DescribeAcls",
    30: "CreateAcls",
    31: "DeleteAcls",
    32: "DescribeConfigs",
    33: "AlterConfigs",
    34: "AlterReplicaLogDirs",
    35: "DescribeLogDirs",
    37: "CreatePartitions",
    42: "DeleteGroups",
    43: "ElectLeaders",
    44: "IncrementalAlterConfigs",
    45: "AlterPartitionReassignments",
    46: "ListPartitionReassignments",
    47: "OffsetDelete",
    48: "DescribeClientQuotas",
    50: "DescribeUserScramCredentials",
    55: "DescribeQuorum",
    60: "DescribeCluster",
    61: "DescribeProducers",
    65: "DescribeTransactions",
    66: "ListTransactions",
    68: "ConsumerGroupHeartbeat",
    69: "ConsumerGroupDescribe",
    74: "ListConfigResources",
    75: "DescribeTopicPartitions",
}


def module_name(api_name: str) -> str:
    """ListOffsets -> list_offsets"""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in api_name).lstrip("_")


def message_pair(key: int) -> tuple[type[Message], type[Message]]:
    """(request, response) of an API key. Imports that API's module alone; KeyError for a key without tables."""
    name = API_NAMES[key]
    module = import_module(f".{module_name(name)}", __name__)
    return getattr(module, f"{name}Request"), getattr(module, f"{name}Response")


def requests_by_key() -> dict[int, type[Message]]:
    """Every request there is a table for. Imports all of them."""
    return {key: message_pair(key)[0] for key in API_NAMES}
