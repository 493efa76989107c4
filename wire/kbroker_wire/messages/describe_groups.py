"""DescribeGroups (key 15): classic groups with their members.

v1  throttle time
v3  what the asker may do with the group (KIP-430)
v4  static members (KIP-345)
v5  flexible
v6  a group that is not there is GROUP_ID_NOT_FOUND; before, one in state Dead. Error messages (KIP-1043)
"""

from ..schema import Message, array, boolean, data, int16, int32, nullable_string, string

NOT_ASKED = -(1 << 31)  # authorized_operations when the request did not ask for them


class DescribeGroupsRequest(Message, key=15, versions="0-6", flexible="5+"):
    groups: list[str] = array(string)
    include_authorized_operations: bool = boolean("3+", default=False)


class DescribedGroupMember(Message):
    member_id: str = string()
    group_instance_id: str | None = nullable_string("4+", default=None, ignorable=True)
    client_id: str = string()
    client_host: str = string()
    member_metadata: bytes = data()
    member_assignment: bytes = data()


class DescribedGroup(Message):
    """`protocol_data` is the chosen protocol's name; it, `member_metadata` and `member_assignment` need state Stable.

    authorized_operations  bit n is operation n of Kafka's AclOperation
    """

    error_code: int = int16()
    error_message: str | None = nullable_string("6+", default=None)
    group_id: str = string()
    group_state: str = string()
    protocol_type: str = string()
    protocol_data: str = string()
    members: list[DescribedGroupMember] = array(DescribedGroupMember)
    authorized_operations: int = int32("3+", default=NOT_ASKED)


class DescribeGroupsResponse(Message, key=15, versions="0-6", flexible="5+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    groups: list[DescribedGroup] = array(DescribedGroup)
