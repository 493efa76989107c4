"""DescribeAcls (key 29): who may do what with which resources (KIP-140).

v1  the oldest that Kafka 4 reads: patterns of names (KIP-290)
v2  flexible
v3  resources of type user (KIP-373)
"""

from ..schema import Message, array, int8, int16, int32, nullable_string, string

LITERAL = 3  # pattern type: the name stands for itself


class DescribeAclsRequest(Message, key=29, versions="1-3", flexible="2+"):
    """None in a filter matches anything."""

    resource_type_filter: int = int8()
    resource_name_filter: str | None = nullable_string()
    pattern_type_filter: int = int8("1+", default=LITERAL)
    principal_filter: str | None = nullable_string()
    host_filter: str | None = nullable_string()
    operation: int = int8()
    permission_type: int = int8()


class AclDescription(Message):
    principal: str = string()
    host: str = string()
    operation: int = int8()
    permission_type: int = int8()


class DescribeAclsResource(Message):
    resource_type: int = int8()
    resource_name: str = string()
    pattern_type: int = int8("1+", default=LITERAL)
    acls: list[AclDescription] = array(AclDescription)


class DescribeAclsResponse(Message, key=29, versions="1-3", flexible="2+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
    error_message: str | None = nullable_string()
    resources: list[DescribeAclsResource] = array(DescribeAclsResource)
