"""Calls of members of groups and of transactional producers, in one line each. The newest versions unless told."""

import time
from collections.abc import Callable, Iterable, Mapping

from .batches import TRANSACTIONAL, batch
from .calls import NONE, READY_WITHIN_S, Topic, produce_request
from .codec import Struct
from .connection import Connection

NOT_YET = (14, 15, 16, 51)  # LOAD_IN_PROGRESS, NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS: try again
MEMBER_ID_REQUIRED = 79
GROUP, TRANSACTION = 0, 1
RANGE = ({"name": "range", "metadata": b"\0\1"},)


def eventually(ask: Callable[[], Struct], holds: Callable[[Struct], bool]) -> Struct:
    """The first answer that `holds`; it is asked for again and again. Fails after READY_WITHIN_S."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not holds(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    return answer


def told(ask: Callable[[], Struct]) -> Struct:
    """The answer once it is none of NOT_YET."""
    return eventually(ask, lambda answer: answer.error_code not in NOT_YET)


def find_coordinators(connection: Connection) -> None:
    """Returns when there are coordinators of groups and of transactions."""
    for kind in (GROUP, TRANSACTION):

        def ask(kind: int = kind) -> Struct:
            answer = connection.call("FindCoordinator", 6, key_type=kind, coordinator_keys=["x"])
            found: Struct = answer.coordinators[0]
            return found

        assert told(ask).error_code == NONE


# -- classic groups --------------------------------------------------------------------------------------------------


def join_fields(group: str, member: str = "", **more: object) -> dict[str, object]:
    fields: dict[str, object] = {"group_id": group, "member_id": member, "session_timeout_ms": 30_000}
    return {**fields, "rebalance_timeout_ms": 60_000, "protocol_type": "consumer", "protocols": RANGE, **more}


def join(connection: Connection, group: str, member: str = "", *, version: int = 9, **more: object) -> Struct:
    fields = join_fields(group, member, **more)
    return told(lambda: connection.call("JoinGroup", version, **fields))


def joined(connection: Connection, group: str, *, version: int = 9, **more: object) -> Struct:
    """The answer to the last of as many joins as a new member needs."""
    answer = join(connection, group, version=version, **more)  # type: ignore[arg-type]
    if answer.error_code == MEMBER_ID_REQUIRED:
        answer = join(connection, group, answer.member_id, version=version, **more)
    assert answer.error_code == NONE, answer
    return answer


def sync_fields(
    group: str, member: str, generation: int, shares: Mapping[str, bytes] | None = None, **more: object
) -> dict[str, object]:
    assignments = [{"member_id": each, "assignment": share} for each, share in (shares or {}).items()]
    fields: dict[str, object] = {"group_id": group, "member_id": member, "generation_id": generation}
    return {**fields, "assignments": assignments, "protocol_type": "consumer", "protocol_name": "range", **more}


def sync(
    connection: Connection, group: str, member: str, generation: int, shares: Mapping[str, bytes] | None = None
) -> Struct:
    return connection.call("SyncGroup", 5, **sync_fields(group, member, generation, shares))


def settled(connection: Connection, group: str, **more: object) -> str:
    """The id of the only member of a new group, which is stable in generation 1."""
    member = str(joined(connection, group, **more).member_id)  # type: ignore[arg-type]
    assert sync(connection, group, member, 1, {member: b"all"}).error_code == NONE
    return member


def heartbeat(
    connection: Connection, group: str, member: str, generation: int, instance: str | None = None, version: int = 4
) -> int:
    """The error code."""
    fields: dict[str, object] = {"group_id": group, "member_id": member, "generation_id": generation}
    return int(connection.call("Heartbeat", version, **fields, group_instance_id=instance).error_code)


# -- offsets ---------------------------------------------------------------------------------------------------------


def commit(
    connection: Connection,
    group: str,
    topic: Topic,
    offset: int = 5,
    *,
    partition: int = 0,
    metadata: str | None = "",
    member: str = "",
    epoch: int = -1,
    version: int = 9,
) -> int:
    """The error code of one offset that is committed."""
    row = {"partition_index": partition, "committed_offset": offset, "committed_metadata": metadata}
    rows = [{"name": topic.name, "topic_id": topic.id, "partitions": [row]}]
    fields: dict[str, object] = {"group_id": group, "member_id": member, "generation_id_or_member_epoch": epoch}

    def ask() -> Struct:
        answer = connection.call("OffsetCommit", version, **fields, topics=rows)
        found: Struct = answer.topics[0].partitions[0]
        return found

    return int(told(ask).error_code)


def committed(
    connection: Connection,
    group: str,
    topics: Iterable[tuple[Topic, Iterable[int]]] | None,
    *,
    version: int = 9,
    stable: bool = False,
    member: str | None = None,
    epoch: int = -1,
) -> Struct:
    """OffsetFetch of one group: its part of the answer, which for versions before 8 is all of it."""
    rows = None
    if topics is not None:
        rows = [{"name": topic.name, "partition_indexes": list(indexes)} for topic, indexes in topics]
    if version < 8:
        return connection.call("OffsetFetch", version, group_id=group, topics=rows, require_stable=stable)
    for row, (topic, _) in zip(rows or (), topics or (), strict=False):
        row["topic_id"] = topic.id  # type: ignore[assignment]
    asked = {"group_id": group, "topics": rows, "member_id": member, "member_epoch": epoch}
    (answer,) = connection.call("OffsetFetch", version, groups=[asked], require_stable=stable).groups
    found: Struct = answer
    return found


# -- consumer groups (KIP-848) ---------------------------------------------------------------------------------------


def beat(connection: Connection, group: str, member: str, epoch: int, *, version: int = 1, **more: object) -> Struct:
    fields: dict[str, object] = {"group_id": group, "member_id": member, "member_epoch": epoch, **more}
    return told(lambda: connection.call("ConsumerGroupHeartbeat", version, **fields))


def enter(connection: Connection, group: str, member: str, topics: Iterable[Topic], **more: object) -> Struct:
    """A first heartbeat: by the names of topics."""
    fields: dict[str, object] = {"rebalance_timeout_ms": 60_000, "topic_partitions": []}
    fields |= {"subscribed_topic_names": [topic.name for topic in topics], **more}
    return beat(connection, group, member, 0, **fields)  # type: ignore[arg-type]


# -- transactions ----------------------------------------------------------------------------------------------------


class Producer:
    """A transactional producer: its id and epoch, and the requests that carry them."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection, self.name = connection, name
        fields: dict[str, object] = {"transactional_id": name, "transaction_timeout_ms": 60_000}
        answer = told(lambda: connection.call("InitProducerId", 5, **fields))
        assert answer.error_code == NONE, answer
        self.id, self.epoch = int(answer.producer_id), int(answer.producer_epoch)

    @property
    def _who(self) -> dict[str, object]:
        return {"transactional_id": self.name, "producer_id": self.id, "producer_epoch": self.epoch}

    def write(self, topic: Topic, value: bytes = b"v", sequence: int = 0, *, version: int = 12) -> Struct:
        """One transactional record; the partition's part of the answer."""
        records = batch(
            [value],
            attributes=TRANSACTIONAL,
            base_timestamp=time.time_ns() // 1_000_000,  # of an old record's segment the marker would be in the next
            producer_id=self.id,
            producer_epoch=self.epoch,
            base_sequence=sequence,
        )
        request = produce_request(topic, records, transactional_id=self.name)

        def ask() -> Struct:
            answer = self.connection.call("Produce", version, **request)
            found: Struct = answer.responses[0].partition_responses[0]
            return found

        return told(ask)

    def add(self, topic: Topic) -> int:
        """AddPartitionsToTxn 3, as producers before KIP-890 do; the error code."""
        rows = [{"name": topic.name, "partitions": [0]}]
        fields = {f"v3_and_below_{name}": value for name, value in {**self._who, "topics": rows}.items()}

        def ask() -> Struct:
            answer = self.connection.call("AddPartitionsToTxn", 3, **fields)
            row = answer.results_by_topic_v3_and_below[0].results_by_partition[0]
            return Struct(error_code=row.partition_error_code)

        return int(told(ask).error_code)

    def add_offsets(self, group: str) -> int:
        return int(told(lambda: self.connection.call("AddOffsetsToTxn", 4, **self._who, group_id=group)).error_code)

    def commit_offset(self, group: str, topic: Topic, offset: int, *, version: int = 5, **more: object) -> int:
        row = {"partition_index": 0, "committed_offset": offset, "committed_metadata": ""}
        rows = [{"name": topic.name, "topic_id": topic.id, "partitions": [row]}]
        fields: dict[str, object] = {**self._who, "group_id": group, "topics": rows, **more}

        def ask() -> Struct:
            found: Struct = self.connection.call("TxnOffsetCommit", version, **fields).topics[0].partitions[0]
            return found

        return int(told(ask).error_code)

    def end(self, *, commit: bool, version: int = 5) -> Struct:
        """EndTxn, and the wait until its markers are written; the producer goes on with the epoch that it is given."""
        fields: dict[str, object] = {**self._who, "committed": commit}
        answer = told(lambda: self.connection.call("EndTxn", version, **fields))
        if not answer.error_code:
            if version >= 5:
                self.id, self.epoch = int(answer.producer_id), int(answer.producer_epoch)
            eventually(self.state, lambda found: not found.transaction_state.startswith("Prepare"))
        return answer

    def state(self) -> Struct:
        answer = self.connection.call("DescribeTransactions", 0, transactional_ids=[self.name])
        found: Struct = answer.transaction_states[0]
        return found
