"""ElectLeaders (key 43): let the preferred replicas lead again, or any replica where none is in sync.

v0  preferred leaders only, then called ElectPreferredLeaders (KIP-183)
v1  unclean elections, and an error for the request as a whole (KIP-460)
v2  flexible
"""

from ..schema import Message, array, int8, int16, int32, nullable_string, string

PREFERRED, UNCLEAN = 0, 1  # election_type


class TopicPartitions(Message):
    topic: str = string()
    partitions: list[int] = array(int32)


class ElectLeadersRequest(Message, key=43, versions="0-2", flexible="2+"):
    """`topic_partitions` is None to ask for all of them."""

    election_type: int = int8("1+", default=PREFERRED)
    topic_partitions: list[TopicPartitions] | None = array(TopicPartitions, nullable="0+")
    timeout_ms: int = int32(default=60_000)


class PartitionResult(Message):
    partition_id: int = int32()
    error_code: int = int16()
    error_message: str | None = nullable_string()


class ReplicaElectionResult(Message):
    topic: str = string()
    partition_result: list[PartitionResult] = array(PartitionResult)


class ElectLeadersResponse(Message, key=43, versions="0-2", flexible="2+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16("1+", default=0)
    replica_election_results: list[ReplicaElectionResult] = array(ReplicaElectionResult)
