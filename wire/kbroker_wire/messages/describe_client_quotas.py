"""DescribeClientQuotas (key 48): how much users, clients and addresses may send and fetch (KIP-546).

v1  flexible
"""

from ..schema import Message, array, boolean, float64, int8, int16, int32, nullable_string, string

EXACT, DEFAULT, ANY = range(3)  # match_type


class ComponentData(Message):
    """`entity_type`: user, client-id or ip. `match` is a name if the match is EXACT, else None."""

    entity_type: str = string()
    match_type: int = int8()
    match: str | None = nullable_string()


class DescribeClientQuotasRequest(Message, key=48, versions="0-1", flexible="1+"):
    """`strict`: leave out entities of more types than are asked for."""

    components: list[ComponentData] = array(ComponentData)
    strict: bool = boolean()


class EntityData(Message):
    """`entity_name` is None for the default of a type."""

    entity_type: str = string()
    entity_name: str | None = nullable_string()


class ValueData(Message):
    key: str = string()
    value: float = float64()


class EntryData(Message):
    entity: list[EntityData] = array(EntityData)
    values: list[ValueData] = array(ValueData)


class DescribeClientQuotasResponse(Message, key=48, versions="0-1", flexible="1+"):
    """`entries` is None beside an error."""

    throttle_time_ms: int = int32(default=0)
    error_code: int = int16()
    error_message: str | None = nullable_string()
    entries: list[EntryData] | None = array(EntryData, nullable="0+")
