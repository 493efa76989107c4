"""ListConfigResources: topics, brokers and their loggers; groups and subscriptions that have settings of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)

from ..metadata.image import (
    BROKER_LOGGER_RESOURCE,
    BROKER_RESOURCE,
    CLIENT_METRICS_RESOURCE,
    GROUP_RESOURCE,
    TOPIC_RESOURCE,
    Image,
)

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

LISTED = (GROUP_RESOURCE, CLIENT_METRICS_RESOURCE, BROKER_LOGGER_RESOURCE, BROKER_RESOURCE, TOPIC_RESOURCE)


async def handle(request: ListConfigResourcesRequest, call: Call, broker: Broker) -> Answer:
    asked = {CLIENT_METRICS_RESOURCE} if call.api_version == 0 else set(request.resource_types or LISTED)
    if not asked <= set(LISTED):
        return refuse(request, ErrorCode.UNSUPPORTED_VERSION)
    return ListConfigResourcesResponse(
        error_code=ErrorCode.NONE,
        config_resources=[
            ConfigResource(resource_name=name, resource_type=kind)
            for kind in LISTED
            if kind in asked
            for name in _names(kind, broker.image)
        ],
    )


def _names(kind: int, image: Image) -> Iterable[str]:
    if kind == TOPIC_RESOURCE:
        return image.topic_ids
    if kind in (BROKER_RESOURCE, BROKER_LOGGER_RESOURCE):
        return map(str, image.brokers)
    return (name for of, name in image.configs if of == kind)


def refuse(request: ListConfigResourcesRequest, code: ErrorCode) -> ListConfigResourcesResponse:
    del request
    return ListConfigResourcesResponse(error_code=code, config_resources=[])
