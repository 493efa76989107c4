"""Heartbeat (key 12): a member of a classic group says that it is alive, and hears whether the group rebalances.

v1  throttle time
v3  static members, told by their instance id (KIP-345)
v4  flexible
"""

from ..schema import Message, int16, int32, nullable_string, string


class HeartbeatRequest(Message, key=12, versions="0-4", flexible="4+"):
    group_id: str = string()
    generation_id: int = int32()
    member_id: str = string()
    group_instance_id: str | None = nullable_string("3+", default=None)


class HeartbeatResponse(Message, key=12, versions="0-4", flexible="4+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    error_code: int = int16()
