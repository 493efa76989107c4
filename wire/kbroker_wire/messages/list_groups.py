"""ListGroups (key 16): the groups that this broker coordinates, of every kind.

v1  throttle time
v3  flexible
v4  states, and a filter of them (KIP-518)
v5  types (classic, consumer, ...), and a filter of them (KIP-848)
"""

from ..schema import Message, array, int16, int32, string


class ListGroupsRequest(Message, key=16, versions="0-5", flexible="3+"):
    """An empty filter lets all pass; names are compared without regard to case."""

    states_filter: list[str] = array(string, "4+", default=())
    types_filter: list[str] = array(string, "5+", default=())


class ListedGroup(Message):
    group_id: str = string()
    protocol_type: str = string()
    group_state: str = string("4+", default="", ignorable=True)
    group_type: str = string("5+", default="", ignorable=True)


class ListGroupsResponse(Message, key=16, versions="0-5", flexible="3+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    error_code: int = int16()
    groups: list[ListedGroup] = array(ListedGroup)
