"""ApiVersions (key 18): which APIs, in which versions, the broker serves, and which features the cluster has.

It is the first request on every connection. A broker that does not know the version asked for answers with error 35
(UNSUPPORTED_VERSION) in the form of v0, with its own versions of this API, and the client asks again (KIP-511).

v1  throttle time
v3  flexible; the client names its software (KIP-511); the response lists features (KIP-584)
v4  features whose lowest version is 0 may be listed; in v3 they are left out because clients could not read them
v5  the client may say which cluster and node it means to reach; a wrong one is told to bootstrap again (KIP-1242)
"""

from ..schema import Message, array, boolean, int16, int32, int64, nullable_string, string


class ApiVersionsRequest(Message, key=18, versions="0-5", flexible="3+"):
    client_software_name: str = string("3+", default="", ignorable=True)
    client_software_version: str = string("3+", default="", ignorable=True)
    cluster_id: str | None = nullable_string("5+", default=None, ignorable=True)
    node_id: int = int32("5+", default=-1, ignorable=True)


class ApiVersion(Message):
    api_key: int = int16()
    min_version: int = int16()
    max_version: int = int16()


class SupportedFeature(Message):
    name: str = string("3+")
    min_version: int = int16("3+")
    max_version: int = int16("3+")


class FinalizedFeature(Message):
    name: str = string("3+")
    max_version_level: int = int16("3+")
    min_version_level: int = int16("3+")


class ApiVersionsResponse(Message, key=18, versions="0-5", flexible="3+"):
    error_code: int = int16()
    api_keys: list[ApiVersion] = array(ApiVersion)
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    supported_features: list[SupportedFeature] = array(SupportedFeature, "3+", tag=0, default=(), ignorable=True)
    finalized_features_epoch: int = int64("3+", tag=1, default=-1, ignorable=True)
    finalized_features: list[FinalizedFeature] = array(FinalizedFeature, "3+", tag=2, default=(), ignorable=True)
    zk_migration_ready: bool = boolean("3+", tag=3, default=False, ignorable=True)
