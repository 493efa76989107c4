"""DeleteGroups (key 42): forget groups without members, with their offsets.

v2  flexible
v3  error messages
"""

from ..schema import Message, array, int16, int32, nullable_string, string


class DeleteGroupsRequest(Message, key=42, versions="0-3", flexible="2+"):
    groups_names: list[str] = array(string)


class DeletableGroupResult(Message):
    group_id: str = string()
    error_code: int = int16()
    error_message: str | None = nullable_string("3+", default=None, ignorable=True)


class DeleteGroupsResponse(Message, key=42, versions="0-3", flexible="2+"):
    throttle_time_ms: int = int32(default=0)
    results: list[DeletableGroupResult] = array(DeletableGroupResult)
