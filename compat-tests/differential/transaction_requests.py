"""What stories of transactions ask, in one line each; a producer knows its id, epoch and sequences."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from raw_kafka.batches import TRANSACTIONAL, batch
from raw_kafka.calls import Topic, fetch_request, produce_request
from raw_kafka.codec import Struct

from .story import Teller, Until

TIMEOUT_MS = 60_000
IMPLICIT = 12  # the version of Produce that adds partitions to the transaction (KIP-890)


def init(
    teller: Teller,
    name: str | None,
    version: int = 5,
    title: str = "",
    *,
    timeout_ms: int = TIMEOUT_MS,
    producer: tuple[int, int] = (-1, -1),
) -> Struct:
    fields: dict[str, object] = {"transactional_id": name, "transaction_timeout_ms": timeout_ms}
    if version >= 3:
        fields |= {"producer_id": producer[0], "producer_epoch": producer[1]}
    return teller.ask("InitProducerId", version, title, **fields)  # type: ignore[arg-type]


class Producer:
    """A transactional producer as the broker made it; what it asks can be told to be of another id or epoch."""

    def __init__(self, teller: Teller, name: str, version: int = 5, *, timeout_ms: int = TIMEOUT_MS) -> None:
        self.teller, self.name = teller, name
        answer = init(teller, name, version, timeout_ms=timeout_ms)
        self.id, self.epoch = int(answer.producer_id), int(answer.producer_epoch)
        self._next: dict[tuple[str, int], int] = {}

    def add(
        self,
        version: int,
        partitions: Mapping[str, Iterable[int]],
        title: str = "",
        *,
        producer: tuple[int, int] | None = None,
        name: str | None = None,
        verify: bool = False,
    ) -> Struct:
        """AddPartitionsToTxn: of one transaction as clients ask it, or, from version 4 on, as brokers do."""
        number, epoch = producer or (self.id, self.epoch)
        name = self.name if name is None else name
        topics = [{"name": topic, "partitions": list(indexes)} for topic, indexes in partitions.items()]
        fields: dict[str, object]
        if version < 4:
            fields = {"v3_and_below_transactional_id": name, "v3_and_below_producer_id": number}
            fields |= {"v3_and_below_producer_epoch": epoch, "v3_and_below_topics": topics}
        else:
            one = {"transactional_id": name, "producer_id": number, "producer_epoch": epoch}
            fields = {"transactions": [{**one, "verify_only": verify, "topics": topics}]}
        return self.teller.ask("AddPartitionsToTxn", version, title, **fields)  # type: ignore[arg-type]

    def write(
        self,
        version: int,
        topic: Topic,
        *values: bytes,
        partition: int = 0,
        title: str = "",
        producer: tuple[int, int] | None = None,
        sequence: int | None = None,
        name: str | None = None,
        attributes: int = TRANSACTIONAL,
        until: Until | None = None,
    ) -> Struct:
        number, epoch = producer or (self.id, self.epoch)
        place = (topic.name, partition)
        first = self._next.get(place, 0) if sequence is None else sequence
        records = batch(
            values or (b"v",), attributes=attributes, producer_id=number, producer_epoch=epoch, base_sequence=first
        )
        request = produce_request(
            topic, records, partition=partition, transactional_id=self.name if name is None else name
        )
        answer = self.teller.ask("Produce", version, title, until=until, **request)  # type: ignore[arg-type]
        if sequence is None and not answer.responses[0].partition_responses[0].error_code:
            self._next[place] = first + max(1, len(values))
        return answer

    def end(
        self,
        version: int,
        commit: bool,
        title: str = "",
        *,
        producer: tuple[int, int] | None = None,
        name: str | None = None,
        settle: bool = True,
    ) -> Struct:
        """EndTxn; then wait until the markers are written, and go on with the next epoch if there is one."""
        number, epoch = producer or (self.id, self.epoch)
        name = self.name if name is None else name
        fields: dict[str, object] = {"transactional_id": name, "producer_id": number, "producer_epoch": epoch}
        answer = self.teller.ask("EndTxn", version, title, **fields, committed=commit)  # type: ignore[arg-type]
        if not answer.error_code and version >= 5:
            if (answer.producer_id, answer.producer_epoch) != (self.id, self.epoch):
                self._next.clear()
            self.id, self.epoch = int(answer.producer_id), int(answer.producer_epoch)
        if settle:
            self.settled()
        return answer

    def settled(self, title: str = "") -> Struct:
        """How the transaction stands once it is neither about to be committed nor aborted."""
        return self.teller.ask("DescribeTransactions", 0, title, until=_settled, transactional_ids=[self.name])

    def add_offsets(
        self, version: int, group: str, title: str = "", *, producer: tuple[int, int] | None = None
    ) -> Struct:
        number, epoch = producer or (self.id, self.epoch)
        fields: dict[str, object] = {"transactional_id": self.name, "producer_id": number, "producer_epoch": epoch}
        return self.teller.ask("AddOffsetsToTxn", version, title, **fields, group_id=group)  # type: ignore[arg-type]

    def commit_offsets(
        self,
        version: int,
        group: str,
        topics: Mapping[str, Iterable[tuple[int, int]]],
        title: str = "",
        *,
        producer: tuple[int, int] | None = None,
        ids: Mapping[str, UUID] | None = None,
        metadata: str | None = "m",
        **more: object,
    ) -> Struct:
        number, epoch = producer or (self.id, self.epoch)
        rows = []
        for name, offsets in topics.items():
            partitions = [
                {"partition_index": index, "committed_offset": offset, "committed_metadata": metadata}
                for index, offset in offsets
            ]
            rows.append({"name": name, "topic_id": (ids or {}).get(name), "partitions": partitions})
        fields: dict[str, object] = {"transactional_id": self.name, "producer_id": number, "producer_epoch": epoch}
        fields |= {"group_id": group, "topics": rows, **more}
        return self.teller.ask("TxnOffsetCommit", version, title, **fields)  # type: ignore[arg-type]


def _settled(answer: Struct) -> bool:
    return not answer.transaction_states[0].transaction_state.startswith("Prepare")


def read(
    teller: Teller, version: int, topic: Topic, offset: int, title: str = "", *, level: int = 1, partition: int = 0
) -> Struct:
    request = fetch_request([(topic, partition, offset)], isolation_level=level)
    return teller.ask("Fetch", version, title, **request)  # type: ignore[arg-type]


def find(
    teller: Teller, version: int, topic: Topic, timestamp: int, title: str = "", *, level: int = 1, partition: int = 0
) -> Struct:
    asked = [{"partition_index": partition, "timestamp": timestamp}]
    fields: dict[str, object] = {"replica_id": -1, "topics": [{"name": topic.name, "partitions": asked}]}
    if version >= 2:
        fields["isolation_level"] = level
    return teller.ask("ListOffsets", version, title, **fields)  # type: ignore[arg-type]


def producers(teller: Teller, *topics: Topic, title: str = "", partitions: Iterable[int] = (0,)) -> Struct:
    wanted = [{"name": topic.name, "partition_indexes": list(partitions)} for topic in topics]
    return teller.ask("DescribeProducers", 0, title, topics=wanted)
