"""ListConfigResources (key 74): names of what has, or may have, settings of its own.

v0  client-metrics subscriptions only, then called ListClientMetricsResources (KIP-714)
v1  any of the types asked for; none asked for means all (KIP-1142)
"""

from ..schema import Message, array, int8, int16, int32, string

CLIENT_METRICS = 16  # the type of resource in v0


class ListConfigResourcesRequest(Message, key=74, versions="0-1", flexible="0+"):
    resource_types: list[int] = array(int8, "1+", default=())


class ConfigResource(Message):
    resource_name: str = string()
    resource_type: int = int8("1+", default=CLIENT_METRICS, ignorable=True)


class ListConfigResourcesResponse(Message, key=74, versions="0-1", flexible="0+"):
    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
    config_resources: list[ConfigResource] = array(ConfigResource)
