"""IncrementalAlterConfigs: single settings of topics, brokers, groups and subscriptions, and the levels of loggers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.incremental_alter_configs import (
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)

from ..controller.configs import ConfigChange, Operation, check_form, node_id
from ..errors import Refusal
from ..metadata.image import BROKER_LOGGER_RESOURCE
from ..settings.loggers import ROOT, change_levels
from ..settings.setting import ConfigError

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call

NOT_FOR_LEVELS: dict[int, str] = {Operation.APPEND: "APPEND operation", Operation.SUBTRACT: "SUBTRACT operation"}


async def handle(request: IncrementalAlterConfigsRequest, call: Call, broker: Broker) -> Answer:
    del call
    changes = [
        ConfigChange(
            each.resource_type,
            each.resource_name,
            [(config.name, config.config_operation, config.value) for config in each.configs],
        )
        for each in request.resources
    ]
    outcome = await broker.controller.alter_configs(
        [change for change in changes if change.type != BROKER_LOGGER_RESOURCE],
        broker.config,
        validate_only=request.validate_only,
    )
    decided = iter(outcome)
    times = Counter(change.name for change in changes if change.type == BROKER_LOGGER_RESOURCE)
    rows = []
    for resource, change in zip(request.resources, changes, strict=True):
        if change.type != BROKER_LOGGER_RESOURCE:
            rows.append(_row(resource, next(decided)))
            continue
        try:
            if times[change.name] > 1:
                raise Refusal(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            _change_levels(change, broker.node_id, validate_only=request.validate_only)
            rows.append(_row(resource, None))
        except Refusal as refusal:
            rows.append(_row(resource, refusal))
    return IncrementalAlterConfigsResponse(responses=rows)


def _change_levels(change: ConfigChange, own_id: int, *, validate_only: bool) -> None:
    """Levels are this process's own, and are forgotten when it ends. Raises Refusal."""
    check_form(change)
    if node_id(change.name) != own_id:
        why = f"Unexpected node id. Expected {own_id}, but received {change.name}"
        raise Refusal(ErrorCode.INVALID_REQUEST, why)
    wanted: dict[str, str | None] = {}
    for name, number, value in change.operations:
        if number not in (Operation.SET, Operation.DELETE):
            what = NOT_FOR_LEVELS.get(number, f"Unknown operation type {number}")
            raise Refusal(ErrorCode.INVALID_REQUEST, f"{what} is not allowed for the BROKER_LOGGER resource")
        if number == Operation.DELETE and name == ROOT:
            raise Refusal(ErrorCode.INVALID_REQUEST, "Removing the log level of the root logger is not allowed")
        wanted[name] = value if number == Operation.SET else None
    try:
        change_levels(wanted, validate_only=validate_only)
    except ConfigError as error:
        raise Refusal(ErrorCode.INVALID_CONFIG, error.message) from None


def _row(resource: AlterConfigsResource, refusal: Refusal | None) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=ErrorCode.NONE if refusal is None else refusal.code,
        error_message=None if refusal is None else refusal.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


def refuse(request: IncrementalAlterConfigsRequest, code: ErrorCode) -> IncrementalAlterConfigsResponse:
    refusal = Refusal(code, code.message)
    return IncrementalAlterConfigsResponse(responses=[_row(each, refusal) for each in request.resources])
