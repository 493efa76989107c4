"""AlterConfigs (key 33): replace the whole configuration of resources; IncrementalAlterConfigs changes single settings.

v1  answers are sent before a quota mutes the connection
v2  flexible
"""

from ..schema import Message, array, boolean, int8, int16, int32, nullable_string, string


class AlterableConfig(Message):
    name: str = string()
    value: str | None = nullable_string()


class AlterConfigsResource(Message):
    resource_type: int = int8()
    resource_name: str = string()
    configs: list[AlterableConfig] = array(AlterableConfig)


class AlterConfigsRequest(Message, key=33, versions="0-2", flexible="2+"):
    resources: list[AlterConfigsResource] = array(AlterConfigsResource)
    validate_only: bool = boolean()


class AlterConfigsResourceResponse(Message):
    error_code: int = int16()
    error_message: str | None = nullable_string()
    resource_type: int = int8()
    resource_name: str = string()


class AlterConfigsResponse(Message, key=33, versions="0-2", flexible="2+"):
    throttle_time_ms: int = int32(default=0)
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse)
