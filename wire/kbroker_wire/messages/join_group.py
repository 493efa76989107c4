"""JoinGroup (key 11): enter a classic group, or stay in it, when it rebalances; answered when all members have.

v1  a timeout of its own for rebalances; before, it is the session's
v2  throttle time
v4  a new member is given its id, MEMBER_ID_REQUIRED, and asks again with it (KIP-394)
v5  static members, told by their instance id (KIP-345)
v6  flexible
v7  the response names the type of the group's protocols (KIP-559)
v8  why the member joins (KIP-800)
v9  a leader may be told to keep the assignment that there is (KIP-814)
"""

from ..schema import Message, array, boolean, data, int16, int32, nullable_string, string


class JoinGroupRequestProtocol(Message):
    """`metadata` is the client's own; consumers put a ConsumerProtocolSubscription there."""

    name: str = string()
    metadata: bytes = data()


class JoinGroupRequest(Message, key=11, versions="0-9", flexible="6+"):
    """`protocols` in the order of preference; `rebalance_timeout_ms` is -1 in v0: the session's timeout serves."""

    group_id: str = string()
    session_timeout_ms: int = int32()
    rebalance_timeout_ms: int = int32("1+", default=-1, ignorable=True)
    member_id: str = string()
    group_instance_id: str | None = nullable_string("5+", default=None)
    protocol_type: str = string()
    protocols: list[JoinGroupRequestProtocol] = array(JoinGroupRequestProtocol)
    reason: str | None = nullable_string("8+", default=None, ignorable=True)


class JoinGroupResponseMember(Message):
    member_id: str = string()
    group_instance_id: str | None = nullable_string("5+", default=None, ignorable=True)
    metadata: bytes = data()


class JoinGroupResponse(Message, key=11, versions="0-9", flexible="6+"):
    """`members` is empty for all but the leader, who assigns."""

    throttle_time_ms: int = int32("2+", default=0, ignorable=True)
    error_code: int = int16()
    generation_id: int = int32(default=-1)
    protocol_type: str | None = nullable_string("7+", default=None, ignorable=True)
    protocol_name: str | None = nullable_string(nullable="7+")
    leader: str = string()
    skip_assignment: bool = boolean("9+", default=False)
    member_id: str = string()
    members: list[JoinGroupResponseMember] = array(JoinGroupResponseMember)
