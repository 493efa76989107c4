"""ApiVersions: what this broker speaks. Asked on every connection, so the answers are ready-made bytes.

A version that is not known is answered in v0's form with UNSUPPORTED_VERSION and the versions of ApiVersions alone
(KIP-511); the client then asks again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeature,
    SupportedFeature,
)
from kbroker_wire.schema import Message

from ..apis import API_VERSIONS, APIS
from ..features import SUPPORTED

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

SOFTWARE_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?", re.ASCII)


async def handle(request: ApiVersionsRequest, call: Call, broker: Broker) -> Answer:
    if call.api_version >= 3 and not (
        SOFTWARE_NAME.fullmatch(request.client_software_name)
        and SOFTWARE_NAME.fullmatch(request.client_software_version)
    ):
        return refuse(request, ErrorCode.INVALID_REQUEST)
    if call.api_version >= 5:
        error = _wrong_broker(request, broker)
        if error:
            return refuse(request, error)
    question = (API_VERSIONS, call.api_version)
    return broker.ready.get(broker.image, question) or broker.ready.keep(
        broker.image, question, _describe(call.api_version, broker).encode(call.api_version)
    )


def _wrong_broker(request: ApiVersionsRequest, broker: Broker) -> ErrorCode:
    """Whether the client means another broker (KIP-1242): cluster and node come as a pair."""
    if (request.cluster_id is None) != (request.node_id == -1):
        return ErrorCode.INVALID_REQUEST
    if request.cluster_id is None:
        return ErrorCode.NONE
    if request.cluster_id != broker.cluster_id or request.node_id != broker.node_id:
        return ErrorCode.REBOOTSTRAP_REQUIRED
    return ErrorCode.NONE


def _describe(version: int, broker: Broker) -> ApiVersionsResponse:
    features = [
        SupportedFeature(name=name, min_version=first, max_version=last)
        for name, (first, last) in SUPPORTED.items()
        if version >= 4 or first > 0  # v3 can not say that a feature may be absent (KAFKA-17011)
    ]
    return ApiVersionsResponse(
        error_code=ErrorCode.NONE,
        api_keys=[ApiVersion(api_key=api.key, min_version=api.advertised_first, max_version=api.last) for api in APIS],
        supported_features=features,
        finalized_features_epoch=broker.image.features_offset,
        finalized_features=[
            FinalizedFeature(name=name, max_version_level=level, min_version_level=level)
            for name, level in broker.image.features.items()
        ],
    )


def unknown_version() -> ApiVersionsResponse:
    """To be sent in v0's form."""
    return ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[
            ApiVersion(api_key=api.key, min_version=api.first, max_version=api.last)
            for api in APIS
            if api.key == API_VERSIONS
        ],
    )


def refuse(request: Message, code: ErrorCode) -> ApiVersionsResponse:
    del request
    return ApiVersionsResponse(error_code=code, api_keys=[])
