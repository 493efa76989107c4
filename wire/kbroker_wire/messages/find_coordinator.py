"""FindCoordinator (key 10): which broker coordinates a group, a transactional id or a share partition.

v1  transactional ids beside groups (KIP-98); throttle time and error message
v3  flexible
v4  several keys at once (KIP-699): lists in request and response replace the single values
v5  a new error, TRANSACTION_ABORTABLE (KIP-890)
v6  share groups, whose keys read "group:topic id:partition" (KIP-932)
"""

from ..schema import Message, array, int8, int16, int32, nullable_string, string

GROUP, TRANSACTION, SHARE = 0, 1, 2  # key types


class FindCoordinatorRequest(Message, key=10, versions="0-6", flexible="3+"):
    key: str = string("0-3", default="")
    key_type: int = int8("1+", default=GROUP)
    coordinator_keys: list[str] = array(string, "4+", default=())


class Coordinator(Message):
    key: str = string("4+")
    node_id: int = int32("4+")
    host: str = string("4+")
    port: int = int32("4+")
    error_code: int = int16("4+")
    error_message: str | None = nullable_string("4+", default="", ignorable=True)


class FindCoordinatorResponse(Message, key=10, versions="0-6", flexible="3+"):
    throttle_time_ms: int = int32("1+", default=0, ignorable=True)
    error_code: int = int16("0-3", default=0)
    error_message: str | None = nullable_string("1-3", default="", ignorable=True)
    node_id: int = int32("0-3", default=0)
    host: str = string("0-3", default="")
    port: int = int32("0-3", default=0)
    coordinators: list[Coordinator] = array(Coordinator, "4+", default=())
