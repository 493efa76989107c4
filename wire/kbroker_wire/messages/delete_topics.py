"""DeleteTopics (key 20).

v1  the oldest that Kafka 4 reads
v3  a new error, TOPIC_DELETION_DISABLED (KIP-322)
v4  flexible
v5  error messages; may be refused by a quota, THROTTLING_QUOTA_EXCEEDED (KIP-599)
v6  a topic is named by its name or by its id (KIP-516)
"""

from ..schema import ZERO_UUID, Message, array, int16, int32, nullable_string, string, uuid


class DeleteTopicState(Message):
    name: str | None = nullable_string("6+", default=None)
    topic_id: bytes = uuid("6+", default=ZERO_UUID)


class DeleteTopicsRequest(Message, key=20, versions="1-6", flexible="4+"):
    topics: list[DeleteTopicState] = array(DeleteTopicState, "6+", default=())
    topic_names: list[str] = array(string, "0-5", default=(), ignorable=True)
    timeout_ms: int = int32()


class DeletableTopicResult(Message):
    name: str | None = nullable_string(nullable="6+")
    topic_id: bytes = uuid("6+", default=ZERO_UUID, ignorable=True)
    error_code: int = int16()
    error_message: str | None = nullable_string("5+", default=None, ignorable=True)


class DeleteTopicsResponse(Message, key=20, versions="1-6", flexible="4+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    responses: list[DeletableTopicResult] = array(DeletableTopicResult)
