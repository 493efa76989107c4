"""CreateAcls (key 30): allow or deny somebody something (KIP-140).

v1  the oldest that Kafka 4 reads: patterns of names (KIP-290)
v2  flexible
v3  resources of type user (KIP-373)
"""

from ..schema import Message, array, int8, int16, int32, nullable_string, string

LITERAL = 3  # pattern type: the name stands for itself


class AclCreation(Message):
    resource_type: int = int8()
    resource_name: str = string()
    resource_pattern_type: int = int8("1+", default=LITERAL)
    principal: str = string()
    host: str = string()
    operation: int = int8()
    permission_type: int = int8()


class CreateAclsRequest(Message, key=30, versions="1-3", flexible="2+"):
    creations: list[AclCreation] = array(AclCreation)


class AclCreationResult(Message):
    error_code: int = int16()
    error_message: str | None = nullable_string()


class CreateAclsResponse(Message, key=30, versions="1-3", flexible="2+"):
    throttle_time_ms: int = int32(default=0)
    results: list[AclCreationResult] = array(AclCreationResult)
