"""Answers made comparable, and what is different about two of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from raw_kafka.codec import ZERO_UUID, Struct

from .cases import World

# Elements of a list are matched by the first of these that they have, so that their order does not matter.
KEYS = (
    *("name", "topic", "resource_name", "key", "api_key", "topic_id", "partition_index", "partition", "index"),
    *("node_id", "broker_id", "replica_id", "partition_id", "topic_name", "user"),
    *("group_id", "member_id", "transactional_id", "base_offset", "producer_id"),
)
# Different by nature: only whether they are set is compared.
CHANCE = {"cluster_id", "host", "port", "session_id", "producer_id", "log_append_time_ms", "finalized_features_epoch"}
CHANCE |= {"log_dir", "total_bytes", "usable_bytes", "log_end_offset", "last_fetch_timestamp"}
CHANCE |= {"last_caught_up_timestamp", "transaction_start_time_ms", "last_timestamp"}
# Settings that hold this broker's own addresses and folders.
LOCAL_SETTINGS = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs", "log.dir"}
# What a message says about the moment or the machine.
MOMENTS = ("out of range. The timestamp should be within",)


class Label(str):
    """What a broker made up, by a name that is the same for both brokers: compared whatever the field is."""


@dataclass(frozen=True, slots=True)
class Difference:
    api: str
    title: str
    version: int
    path: str
    left: object
    right: object


def flat(answer: object, world: World, path: str = "") -> dict[str, object]:
    """Every leaf of an answer by its path, for example topics[diff-read].partitions[0].error_code."""
    return dict(_leaves(answer, {topic.id: label for label, topic in world.topics.items()}, path))


def _leaves(value: object, labels: Mapping[UUID, str], path: str) -> Iterator[tuple[str, object]]:
    match value:
        case Struct():
            local = getattr(value, "name", None) in LOCAL_SETTINGS
            for name, inner in vars(value).items():
                if local and name == "value":
                    continue
                yield from _leaves(_general(name, inner), labels, f"{path}.{name}" if path else name)
        case list() | tuple():
            yield f"{path}.length", len(value)
            seen: dict[str, int] = {}
            for place, inner in enumerate(value):
                key = _key(inner, place, labels)
                seen[key] = seen.get(key, 0) + 1
                again = f"#{seen[key]}" if seen[key] > 1 else ""
                yield from _leaves(inner, labels, f"{path}[{key}{again}]")
        case UUID():
            yield path, "none" if value == ZERO_UUID else labels.get(value, "some id")
        case _:
            yield path, value


def _key(item: object, place: int, labels: Mapping[UUID, str]) -> str:
    if not isinstance(item, Struct):
        return str(place)
    for name in KEYS:
        value = getattr(item, name, None)
        if isinstance(value, UUID):
            return labels.get(value, "other")
        if value is not None:
            return str(value)[:100]
    return str(place)


def _general(name: str, value: object) -> object:
    if name in CHANCE and not isinstance(value, Label):
        return "set" if value not in (None, 0, -1, "") else value
    if isinstance(value, str) and any(words in value for words in MOMENTS):
        return "".join("#" if letter.isdigit() else letter for letter in value).replace("##", "#")
    return value


MISSING = "(not there)"


def differences(left: Mapping[str, object], right: Mapping[str, object]) -> list[tuple[str, object, object]]:
    """(path, left's value, right's value); where an error code differs, nothing else of its structure is told."""
    unequal = sorted(path for path in left.keys() | right.keys() if left.get(path, MISSING) != right.get(path, MISSING))
    failed = {path.removesuffix("error_code") for path in unequal if path.endswith("error_code")}
    found: dict[str, tuple[str, object, object]] = {}
    for path in unequal:
        one, two = left.get(path, MISSING), right.get(path, MISSING)
        if not path.endswith("error_code") and any(path.startswith(each) for each in failed):
            continue
        if MISSING in (one, two):
            top = _missing_top(path, left if one is MISSING else right)
            side, mark = (right, 1) if one is MISSING else (left, 0)
            inside = f"({sum(each.startswith(top) for each in side)} fields)" if top != path else side[path]
            found[top] = (top, MISSING, inside) if mark else (top, inside, MISSING)
        else:
            found[path] = (path, one, two)
    return list(found.values())


def _missing_top(path: str, other: Mapping[str, object]) -> str:
    """The element of a list around `path` of which `other` has nothing at all; `path` itself if there is none."""
    at = path.find("]")
    while at != -1:
        if not any(each.startswith(path[: at + 1]) for each in other):
            return path[: at + 1]
        at = path.find("]", at + 1)
    return path
