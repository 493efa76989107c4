"""SyncGroup (key 14): the leader of a classic group hands in everyone's assignment, each member asks for its own.

v1  throttle time
v3  static members, told by their instance id (KIP-345)
v4  flexible
v5  type and name of the protocol, so that a member that joined another one is refused (KIP-559)
"""

from ..schema import Message, array, data, int16, int32, nullable_string, string


class SyncGroupRequestAssignment(Message):
    """`assignment` is the client's own; consumers put a ConsumerProtocolAssignment there."""

    member_id: str = string()
    assignment: bytes = data()


class SyncGroupRequest(Message, key=14, versions="0-5", flexible="4+"):
    """`assignments` is empty but from the leader."""

    group_id: str = string()
    generation_id: int = int32()
    member_id: str = string()
    group_instance_id: str | None = nullable_string("3+", default=None)
    protocol_type: str | None = nullable_string("5+", default=None, ignorable=True)
    protocol_name: str | None = nullable_string("5+", default=None, ignorable=True)
    assignments: list[SyncGroupRequestAssignment] = array(SyncGroupRequestAssignment)


class SyncGroupResponse(Message, key=14, versions="0-5", flexible="4+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    error_code: int = int16()
    protocol_type: str | None = nullable_string("5+", default=None, ignorable=True)
    protocol_name: str | None = nullable_string("5+", default=None, ignorable=True)
    assignment: bytes = data()
