"""Stories of administrators and of coordinators: listing and describing transactions and producers, writing markers."""

from collections.abc import Iterator

from raw_kafka.calls import Topic
from raw_kafka.codec import Struct

from .cases import STRANGER
from .story import Story, Teller
from .transaction_requests import Producer, find, producers, read

STATES = ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead")


def mark(
    teller: Teller,
    version: int,
    producer: Producer,
    topic: Topic,
    title: str,
    *,
    commit: bool = False,
    epoch: int | None = None,
    coordinator_epoch: int = 0,
    partition: int = 0,
    number: int | None = None,
    kind: int = 2,
) -> Struct:
    marker = {
        "producer_id": producer.id if number is None else number,
        "producer_epoch": producer.epoch if epoch is None else epoch,
        "transaction_result": commit,
        "topics": [{"name": topic.name, "partition_indexes": [partition]}],
        "coordinator_epoch": coordinator_epoch,
    }
    if version >= 2:
        marker["transaction_version"] = kind
    return teller.ask("WriteTxnMarkers", version, title, markers=[marker])


def listed(teller: Teller) -> None:
    topic = teller.topic("listed", 2)
    teller.ask("ListTransactions", 2, "before all others", transactional_id_pattern="listed-.*")
    idle = Producer(teller, "listed-idle")
    open_one = Producer(teller, "listed-open")
    open_one.write(12, topic, b"x")
    open_one.write(12, topic, b"x", partition=1)
    done, undone = Producer(teller, "listed-done"), Producer(teller, "listed-undone")
    done.write(12, topic, b"x")
    done.end(5, commit=True)
    undone.write(12, topic, b"x")
    undone.end(5, commit=False)
    for version in range(3):
        teller.ask("ListTransactions", version, "all")
        for state in (*STATES, "ongoing", "ONGOING", "nonsense", ""):
            teller.ask("ListTransactions", version, f"state {state!r}", state_filters=[state])
        both = ["Ongoing", "Empty", "nonsense", "other"]
        teller.ask("ListTransactions", version, "several states", state_filters=both)
        teller.ask("ListTransactions", version, "of a producer", producer_id_filters=[open_one.id])
        some = [open_one.id, idle.id, 99_999]
        teller.ask("ListTransactions", version, "of several", producer_id_filters=some)
        teller.ask(
            "ListTransactions", version, "of a producer in a state", producer_id_filters=some, state_filters=["Ongoing"]
        )
    for duration in (-1, 0, 1_000_000, -5):
        for version in (1, 2):
            teller.ask("ListTransactions", version, f"longer than {duration}", duration_filter=duration)
    for pattern in ("listed-.*", "listed-o.*", "listed", ".*open", "", "[", "(?i)LISTED-.*", "listed-open|x", "*"):
        teller.ask("ListTransactions", 2, f"pattern {pattern!r}", transactional_id_pattern=pattern)
    names = ["listed-idle", "listed-open", "listed-done", "listed-undone", "nobody", "", "listed-open"]
    teller.ask("DescribeTransactions", 0, "each kind", transactional_ids=names)
    teller.ask("DescribeTransactions", 0, "none", transactional_ids=[])
    producers(teller, topic, STRANGER, title="known and unknown", partitions=(0, 1, 9, -1))
    teller.ask("DescribeProducers", 0, "nothing", topics=[])
    teller.ask("DescribeProducers", 0, "no partitions", topics=[{"name": topic.name, "partition_indexes": []}])
    teller.ask("DescribeProducers", 0, "bad name", topics=[{"name": "a b", "partition_indexes": [0]}])
    open_one.end(5, commit=True)


def markers(teller: Teller) -> None:
    """What an administrator does to a transaction that hangs, and what late coordinators try."""
    for version in (1, 2):
        topic = teller.topic(f"markers-{version}", 2)
        producer = Producer(teller, f"markers-{version}")
        mark(teller, version, producer, topic, "for a producer that has written nothing")
        read(teller, 12, topic, 0, "a marker alone")
        producer.write(11 if version == 1 else 12, topic, b"x", title="needs adding before 12")
        producer.add(3, {topic.name: [0]})
        producer.write(11, topic, b"a")
        for kind in (0, 1, 2, 9):
            mark(teller, version, producer, topic, f"lower epoch, kind {kind}", epoch=producer.epoch - 1, kind=kind)
        mark(teller, version, producer, topic, "unknown partition", partition=9)
        mark(teller, version, producer, STRANGER, "unknown topic")
        mark(teller, version, producer, topic, "no partition of the transaction", partition=1)
        mark(teller, version, producer, topic, "stranger", number=producer.id + 99_999)
        find(teller, 11, topic, -1, "before the marker")
        mark(teller, version, producer, topic, "aborts", coordinator_epoch=5, kind=1)
        find(teller, 11, topic, -1, "after the marker")
        mark(teller, version, producer, topic, "aborts again", coordinator_epoch=5, kind=1)
        mark(teller, version, producer, topic, "older coordinator", coordinator_epoch=4, kind=1)
        mark(teller, version, producer, topic, "negative coordinator", coordinator_epoch=-1, kind=1)
        mark(teller, version, producer, topic, "higher epoch", coordinator_epoch=5, epoch=producer.epoch + 1)
        mark(teller, version, producer, topic, "same epoch, kind 2", coordinator_epoch=5, epoch=producer.epoch + 1)
        read(teller, 12, topic, 0, "what there is")
        producers(teller, topic, title="in the end", partitions=(0, 1))
        teller.ask("WriteTxnMarkers", version, "nothing", markers=[])
        empty = {"producer_id": producer.id, "producer_epoch": 0, "transaction_result": True, "topics": []}
        teller.ask("WriteTxnMarkers", version, "no topics", markers=[empty])


def timed_out(teller: Teller) -> None:
    """A transaction that lasts too long is aborted; its producer is of an old epoch then."""
    topic = teller.topic("timed-out")
    for version in (11, 12):
        producer = Producer(teller, f"timed-out-{version}", timeout_ms=500)
        if version == 11:
            producer.add(3, {topic.name: [0]})
        producer.write(version, topic, b"x")
        teller.ask(
            "DescribeTransactions", 0, "aborted", transactional_ids=[producer.name],
            until=lambda answer: answer.transaction_states[0].transaction_state == "CompleteAbort",
        )  # fmt: skip
        producer.write(version, topic, b"late", title="goes on")
        for end in (4, 5):
            producer.end(end, commit=True, title="commits late")
            producer.end(end, commit=False, title="aborts late")
        producer.add(3, {topic.name: [0]}, "adds late")
        producer.commit_offsets(3, "timed-out", {topic.name: [(0, 1)]}, "commits offsets late")
        producers(teller, topic, title="in the end")
        again = Producer(teller, producer.name)
        again.settled("begins anew")


def stories() -> Iterator[Story]:
    yield from (listed, markers, timed_out)
