"""ListGroups: the groups that this broker coordinates, of every type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbroker_wire import ErrorCode
from kbroker_wire.messages.list_groups import ListGroupsRequest, ListGroupsResponse

from ..errors import Refusal

if TYPE_CHECKING:
    from ..broker import Broker
    from ..call import Answer, Call


async def handle(request: ListGroupsRequest, call: Call, broker: Broker) -> Answer:
    """The names in the filters may be in any case, and of states have blanks around them."""
    del call
    states = {name.strip().lower() for name in request.states_filter}
    types = {name.lower() for name in request.types_filter}
    try:
        shards = await broker.groups.machines()
    except Refusal as refusal:
        return refuse(request, refusal.code)
    groups = [group for shard in shards for group in shard.listed(states, types)]
    return ListGroupsResponse(error_code=ErrorCode.NONE, groups=groups)


def refuse(request: ListGroupsRequest, code: ErrorCode) -> ListGroupsResponse:
    del request
    return ListGroupsResponse(error_code=code, groups=[])
