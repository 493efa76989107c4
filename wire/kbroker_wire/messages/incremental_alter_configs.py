"""IncrementalAlterConfigs (key 44): change single settings of resources and leave the others alone (KIP-339).

v1  flexible
"""

from ..schema import Message, array, boolean, int8, int16, int32, nullable_string, string

SET, DELETE, APPEND, SUBTRACT = range(4)  # config_operation; the last two are for lists


class AlterableConfig(Message):
    """`value` is None to delete a setting."""

    name: str = string()
    config_operation: int = int8()
    value: str | None = nullable_string()


class AlterConfigsResource(Message):
    resource_type: int = int8()
    resource_name: str = string()
    configs: list[AlterableConfig] = array(AlterableConfig)


class IncrementalAlterConfigsRequest(Message, key=44, versions="0-1", flexible="1+"):
    resources: list[AlterConfigsResource] = array(AlterConfigsResource)
    validate_only: bool = boolean()


class AlterConfigsResourceResponse(Message):
    error_code: int = int16()
    error_message: str | None = nullable_string()
    resource_type: int = int8()
    resource_name: str = string()


class IncrementalAlterConfigsResponse(Message, key=44, versions="0-1", flexible="1+"):
    throttle_time_ms: int = int32(default=0)
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse)
