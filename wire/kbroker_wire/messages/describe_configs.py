"""DescribeConfigs (key 32): the settings of topics, brokers and other resources.

v1  the oldest that Kafka 4 reads: where a value comes from, and its synonyms (KIP-226)
v3  type and documentation of each setting (KIP-569)
v4  flexible
"""

from ..schema import Message, array, boolean, int8, int16, int32, nullable_string, string


class DescribeConfigsResource(Message):
    """`configuration_keys` is None to ask for all of them."""

    resource_type: int = int8()
    resource_name: str = string()
    configuration_keys: list[str] | None = array(string, nullable="0+")


class DescribeConfigsRequest(Message, key=32, versions="1-4", flexible="4+"):
    resources: list[DescribeConfigsResource] = array(DescribeConfigsResource)
    include_synonyms: bool = boolean("1+", default=False)
    include_documentation: bool = boolean("3+", default=False)


class DescribeConfigsSynonym(Message):
    name: str = string("1+")
    value: str | None = nullable_string("1+", nullable="0+")
    source: int = int8("1+")


class DescribeConfigsResourceResult(Message):
    """One setting. `value` is None if it is sensitive."""

    name: str = string()
    value: str | None = nullable_string()
    read_only: bool = boolean()
    config_source: int = int8("1+", default=-1, ignorable=True)
    is_sensitive: bool = boolean()
    synonyms: list[DescribeConfigsSynonym] = array(DescribeConfigsSynonym, "1+", default=(), ignorable=True)
    config_type: int = int8("3+", default=0, ignorable=True)
    documentation: str | None = nullable_string("3+", nullable="0+", default="", ignorable=True)


class DescribeConfigsResult(Message):
    error_code: int = int16()
    error_message: str | None = nullable_string()
    resource_type: int = int8()
    resource_name: str = string()
    configs: list[DescribeConfigsResourceResult] = array(DescribeConfigsResourceResult)


class DescribeConfigsResponse(Message, key=32, versions="1-4", flexible="4+"):
    throttle_time_ms: int = int32(default=0)
    results: list[DescribeConfigsResult] = array(DescribeConfigsResult)
