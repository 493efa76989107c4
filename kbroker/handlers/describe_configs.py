"""DescribeConfigs: the settings of topics and of this broker, where each value comes from, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)

from ..config import ConfigRow
from ..controller.core import name_error
from ..errors import Refusal
from ..metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: DescribeConfigsRequest, call: Call, broker: Broker) -> Answer:
    del call
    results = []
    for resource in request.resources:
        try:
            rows = _rows(resource, broker)
        except Refusal as refusal:
            results.append(_failed(resource, refusal))
            continue
        keys = resource.configuration_keys
        if keys:
            rows = [row for row in rows if row.name in keys]
        results.append(
            DescribeConfigsResult(
                error_code=ErrorCode.NONE,
                error_message="",
                resource_type=resource.resource_type,
                resource_name=resource.resource_name,
                configs=[_result(row, request) for row in rows],
            )
        )
    return DescribeConfigsResponse(results=results)


def _rows(resource: DescribeConfigsResource, broker: Broker) -> Sequence[ConfigRow]:
    """Raises Refusal."""
    name = resource.resource_name
    if resource.resource_type == TOPIC_RESOURCE:
        reason = name_error(name)
        if reason is not None:
            raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")
        if name not in broker.image.topic_ids:
            raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
        return broker.config.describe_topic(broker.image.config(TOPIC_RESOURCE, name))
    if resource.resource_type == BROKER_RESOURCE:
        if name == "":
            return []  # the dynamic defaults of all brokers: there are none
        if not name.removeprefix("-").isdecimal():
            raise Refusal(ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}")
        if int(name) != broker.node_id:
            raise Refusal(
                ErrorCode.INVALID_REQUEST,
                f"Unexpected broker id, expected {broker.node_id} or empty string, but received {name}",
            )
        return broker.config.describe_broker()
    raise Refusal(ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST.message)


def _result(row: ConfigRow, request: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    return DescribeConfigsResourceResult(
        name=row.name,
        value=row.value,
        read_only=row.read_only,
        config_source=row.config_source,
        is_sensitive=row.is_sensitive,
        synonyms=[DescribeConfigsSynonym(name=each.name, value=each.value, source=each.source) for each in row.synonyms]
        if request.include_synonyms
        else [],
        config_type=row.config_type,
        documentation=row.documentation if request.include_documentation else None,
    )


def _failed(resource: DescribeConfigsResource, refusal: Refusal) -> DescribeConfigsResult:
    return DescribeConfigsResult(
        error_code=refusal.code,
        error_message=refusal.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        configs=[],
    )


def refuse(request: DescribeConfigsRequest, code: ErrorCode) -> DescribeConfigsResponse:
    return DescribeConfigsResponse(results=[_failed(each, Refusal(code, code.message)) for each in request.resources])
