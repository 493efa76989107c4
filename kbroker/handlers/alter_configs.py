"""AlterConfigs: the whole configuration of topics, brokers, groups and subscriptions; what is not named is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.alter_configs import (
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)

from ..controller.configs import ConfigChange, Operation
from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: AlterConfigsRequest, call: Call, broker: Broker) -> Answer:
    del call
    changes = [
        ConfigChange(
            each.resource_type,
            each.resource_name,
            [(config.name, Operation.SET, config.value) for config in each.configs],
            replaces=True,
        )
        for each in request.resources
    ]
    outcome = await broker.controller.alter_configs(changes, broker.config, validate_only=request.validate_only)
    return AlterConfigsResponse(responses=list(map(_row, request.resources, outcome)))


def _row(resource: AlterConfigsResource, refusal: Refusal | None) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=ErrorCode.NONE if refusal is None else refusal.code,
        error_message=None if refusal is None else refusal.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


def refuse(request: AlterConfigsRequest, code: ErrorCode) -> AlterConfigsResponse:
    return AlterConfigsResponse(responses=[_row(each, Refusal(code, code.message)) for each in request.resources])
