"""Requests that were damaged on their way: each ends its own connection at most, and never the broker."""

import random

import pytest
from raw_kafka.batches import batch
from raw_kafka.codec import encode
from raw_kafka.connection import Connection, framed, request_header
from raw_kafka.definitions import definition

NOWHERE = "no-such-topic"
PARTITIONS = [{"partition_index": 0, "timestamp": -1}]
REQUESTS = {
    "Produce": (9, {"acks": -1, "timeout_ms": 1000, "topic_data": [
        {"name": NOWHERE, "partition_data": [{"index": 0, "records": batch()}]}]}),
    "Fetch": (12, {"max_wait_ms": 0, "session_epoch": -1, "topics": [
        {"topic": NOWHERE, "partitions": [{"partition": 0, "fetch_offset": 0}]}]}),
    "ListOffsets": (7, {"replica_id": -1, "topics": [{"name": NOWHERE, "partitions": PARTITIONS}]}),
    "Metadata": (12, {"topics": [{"name": NOWHERE}], "allow_auto_topic_creation": False}),
    "FindCoordinator": (6, {"key_type": 0, "coordinator_keys": ["a", "b"]}),
    "ApiVersions": (3, {"client_software_name": "behaviour", "client_software_version": "1"}),
    "CreateTopics": (7, {"topics": [{"name": "a b", "num_partitions": 1, "replication_factor": 1, "configs": [
        {"name": "retention.ms", "value": "1"}]}], "timeout_ms": 1000, "validate_only": True}),
    "DeleteTopics": (6, {"topics": [{"name": NOWHERE}], "timeout_ms": 1000}),
    "InitProducerId": (4, {"transactional_id": None, "transaction_timeout_ms": 1000}),
    "OffsetForLeaderEpoch": (4, {"replica_id": -1, "topics": [
        {"topic": NOWHERE, "partitions": [{"partition": 0, "leader_epoch": 0}]}]}),
    "DescribeConfigs": (4, {"resources": [
        {"resource_type": 2, "resource_name": NOWHERE, "configuration_keys": ["a"]}]}),
    "CreatePartitions": (3, {"topics": [{"name": NOWHERE, "count": 2, "assignments": [{"broker_ids": [1]}]}],
                             "timeout_ms": 1000, "validate_only": True}),
    "DescribeCluster": (2, {}),
    "DescribeTopicPartitions": (0, {"topics": [{"name": NOWHERE}], "cursor": {
        "topic_name": NOWHERE, "partition_index": 0}}),
}  # fmt: skip


def request(api):
    """(header, body) of an ordinary request."""
    version, fields = REQUESTS[api]
    message = definition(f"{api}Request")
    header = request_header(message.api_key, version, 1, "behaviour", flexible=True)
    return header, encode(message, version, fields)


@pytest.mark.parametrize("api", REQUESTS)
def test_a_body_that_ends_anywhere_too_early_is_not_answered(api, broker):
    header, body = request(api)
    for length in range(len(body)):
        with Connection(broker.host, broker.port) as connection:
            connection.send_raw(framed(header + body[:length]))
            assert connection.is_closed(), f"answered {length} of {len(body)} bytes"


@pytest.mark.parametrize("api", REQUESTS)
def test_the_whole_body_is_answered(api, connection):
    header, body = request(api)
    connection.send_raw(framed(header + body))
    assert connection.read_frame()[:4] == b"\0\0\0\1"


# Not those that could create thousands of partitions when their numbers are changed.
@pytest.mark.parametrize("api", sorted(REQUESTS.keys() - {"CreateTopics", "CreatePartitions"}))
def test_changed_bytes_do_no_harm(api, broker, connection):
    """Answered or hung up on, whatever it is: the broker goes on serving others."""
    chance = random.Random(api)
    header, body = request(api)
    for _ in range(60):
        damaged = bytearray(header[8:] + body)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        with Connection(broker.host, broker.port) as victim:
            victim.send_raw(framed(header[:8] + damaged))
    assert connection.call("ApiVersions", 0).error_code == 0
