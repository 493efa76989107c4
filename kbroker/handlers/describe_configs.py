"""DescribeConfigs: the settings of topics, groups and this broker, where each value comes from, and what it means.

Groups and client-metrics subscriptions need not exist: the answer is what they would have, as from Kafka.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
from ..metadata.image import (
    BROKER_LOGGER_RESOURCE,
    BROKER_RESOURCE,
    CLIENT_METRICS_RESOURCE,
    GROUP_RESOURCE,
    TOPIC_RESOURCE,
)
from ..settings.loggers import describe_loggers

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

MIN_INT, MAX_INT = -(1 << 31), (1 << 31) - 1


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
    describe = KINDS.get(resource.resource_type)
    if describe is None:
        raise Refusal(ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST.message)
    return describe(resource.resource_name, broker)


def _topic(name: str, broker: Broker) -> Sequence[ConfigRow]:
    reason = name_error(name)
    if reason is not None:
        raise Refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")
    if name not in broker.image.topic_ids:
        raise Refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
    return broker.config.describe_topic(broker.image.config(TOPIC_RESOURCE, name))


def _broker(name: str, broker: Broker) -> Sequence[ConfigRow]:
    if name == "":
        return broker.config.describe_all_brokers()
    _check_broker_id(name, broker.node_id, f"{broker.node_id} or empty string,")
    return broker.config.describe_broker()


def _broker_logger(name: str, broker: Broker) -> Sequence[ConfigRow]:
    _check_named(name, "Broker id")
    _check_broker_id(name, broker.node_id, str(broker.node_id))
    return describe_loggers()


def _client_metrics(name: str, broker: Broker) -> Sequence[ConfigRow]:
    _check_named(name, "Client metrics subscription name")
    return broker.config.describe_client_metrics(broker.image.config(CLIENT_METRICS_RESOURCE, name))


def _group(name: str, broker: Broker) -> Sequence[ConfigRow]:
    _check_named(name, "Group name")
    return broker.config.describe_group(broker.image.config(GROUP_RESOURCE, name))


KINDS: dict[int, Callable[[str, Broker], Sequence[ConfigRow]]] = {
    TOPIC_RESOURCE: _topic,
    BROKER_RESOURCE: _broker,
    BROKER_LOGGER_RESOURCE: _broker_logger,
    CLIENT_METRICS_RESOURCE: _client_metrics,
    GROUP_RESOURCE: _group,
}


def _check_named(name: str, what: str) -> None:
    if not name:
        raise Refusal(ErrorCode.INVALID_REQUEST, f"{what} must not be empty")


def _check_broker_id(name: str, node_id: int, expected: str) -> None:
    if not re.fullmatch(r"[+-]?\d{1,20}", name) or not MIN_INT <= int(name) <= MAX_INT:
        raise Refusal(ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}")
    if int(name) != node_id:
        raise Refusal(ErrorCode.INVALID_REQUEST, f"Unexpected broker id, expected {expected} but received {name}")


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
