"""LeaveGroup (key 13): members leave a classic group at once instead of by their session's timeout.

v1  throttle time
v3  several members at once, static ones by their instance id: an operator removes them so (KIP-345)
v4  flexible
v5  why the member leaves (KIP-800)
"""

from ..schema import Message, array, int16, int32, nullable_string, string


class MemberIdentity(Message):
    member_id: str = string("3+")
    group_instance_id: str | None = nullable_string("3+", default=None)
    reason: str | None = nullable_string("5+", default=None, ignorable=True)


class LeaveGroupRequest(Message, key=13, versions="0-5", flexible="4+"):
    group_id: str = string()
    member_id: str = string("0-2", default="")
    members: list[MemberIdentity] = array(MemberIdentity, "3+", default=())


class MemberResponse(Message):
    member_id: str = string("3+")
    group_instance_id: str | None = nullable_string("3+")
    error_code: int = int16("3+")


class LeaveGroupResponse(Message, key=13, versions="0-5", flexible="4+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    error_code: int = int16()
    members: list[MemberResponse] = array(MemberResponse, "3+", default=())
