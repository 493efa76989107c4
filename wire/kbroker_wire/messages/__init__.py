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
    10: "FindCoordinator",
    17: "SaslHandshake",
    18: "ApiVersions",
    19: "CreateTopics",
    20: "DeleteTopics",
    22: "InitProducerId",
    23: "OffsetForLeaderEpoch",
    32: "DescribeConfigs",
    37: "CreatePartitions",
    60: "DescribeCluster",
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
